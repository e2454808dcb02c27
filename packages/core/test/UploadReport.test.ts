import { assert, describe, it } from "@effect/vitest"
import { UploadError, UploadFile, UploadReport } from "@sluice/core"
import { Effect, Schema } from "effect"
import * as fc from "fast-check"
import { makeReport } from "../src/internal/engine/report.js"
import * as Property from "./support/Property.js"
import * as Recording from "./support/Recording.js"
import { failures, leftBehind, progress } from "./support/ReportParts.js"

describe("the report's schema", () => {
  it.effect("decodes what it has encoded, for reports of every shape", () =>
    Property.check(Property.arbitrary(UploadReport.UploadReport), (report) =>
      Effect.gen(function*() {
        const encoded = yield* Schema.encode(UploadReport.UploadReport)(report)
        assert.deepStrictEqual(yield* Schema.decode(UploadReport.UploadReport)(encoded), report)
      }), 300))

  it.effect("accepts the report of a real run unchanged", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body, key }) =>
        key === "b" ? Effect.fail(new UploadError.Conflict({ detail: "No." })) : body.bytes
      )
      const { report } = yield* Recording.uploadAll(recording, ["a", "b"].map((key) => UploadFile.fromText(key, key)))
      const encoded = yield* Schema.encode(UploadReport.UploadReport)(report, { onExcessProperty: "error" })
      assert.deepStrictEqual(encoded, report)
      const read = yield* Schema.decode(Schema.parseJson(UploadReport.UploadReport))(JSON.stringify(report))
      assert.deepStrictEqual(read, report)
    }))

  it.effect("refuses another version", () =>
    Effect.gen(function*() {
      const report = makeReport(progress, {
        ended: "Completed",
        endedAt: 0,
        failures,
        abortsFailed: 0,
        leftBehind: []
      })
      const exit = yield* Effect.exit(Schema.decodeUnknown(UploadReport.UploadReport)({ ...report, version: 2 }))
      assert.strictEqual(exit._tag, "Failure")
    }))

  it("refuses a report with a field that is missing or of the wrong type", () => {
    const report: unknown = makeReport(progress, {
      ended: "Drained",
      endedAt: 3_000,
      failures,
      abortsFailed: 1,
      leftBehind,
      kept: { files: 1, bytes: 5 }
    })
    const isReport = Schema.is(UploadReport.UploadReport)
    assert.isTrue(isReport(report))
    /** Copies of a value, each with one field at any depth removed or replaced. */
    const broken = (value: unknown): ReadonlyArray<unknown> => {
      if (Array.isArray(value)) {
        return value.flatMap((item, i) => broken(item).map((other) => value.with(i, other)))
      }
      if (typeof value !== "object" || value === null) return [Symbol("something else")]
      return Object.entries(value).flatMap(([name, part]) => {
        const { [name]: _, ...others } = value as Record<string, unknown>
        return [
          ...(name === "kept" || name === "reason" ? [] : [others]),
          ...broken(part).map((other) => ({ ...value, [name]: other }))
        ]
      })
    }
    const all = broken(report)
    assert.isAbove(all.length, 40)
    assert.deepStrictEqual(all.filter(isReport), [])
  })
})

describe("UploadReport.isComplete", () => {
  it("holds when every file found is at the destination or was left out on purpose", () => {
    fc.assert(
      fc.property(
        fc.record({
          ended: fc.constantFrom("Completed" as const, "Drained" as const, "Interrupted" as const),
          uploaded: fc.nat(3),
          skipped: fc.nat(3),
          failed: fc.nat(1),
          interrupted: fc.nat(1),
          notStarted: fc.nat(1)
        }),
        ({ ended, ...files }) => {
          const total = files.uploaded + files.skipped + files.failed + files.interrupted + files.notStarted
          const report = makeReport(progress, {
            ended,
            endedAt: 0,
            failures: [],
            abortsFailed: 0,
            leftBehind: []
          })
          assert.strictEqual(
            UploadReport.isComplete({ ...report, files: { total, ...files } }),
            ended !== "Interrupted" && files.failed + files.interrupted + files.notStarted === 0
          )
        }
      ),
      { numRuns: 500 }
    )
  })
})
