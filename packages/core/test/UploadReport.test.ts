import { assert, describe, it } from "@effect/vitest"
import { UploadError, UploadFile, UploadReport } from "@sluice/core"
import { Effect, Schema } from "effect"
import * as fc from "fast-check"
import * as Property from "./support/Property.js"
import * as Recording from "./support/Recording.js"

const progress = {
  startedAt: 1_000,
  listing: false,
  filesFound: 10,
  filesUploaded: 4,
  filesSkipped: 1,
  filesFailed: 2,
  filesInterrupted: 1,
  inFlight: 0,
  peakInFlight: 3,
  bytesFound: 500,
  bytesUploaded: 200,
  bytesInFlight: 0,
  bytesResumed: 50,
  attempts: 9,
  retries: 2
}

const failures = [
  { key: "a", attempts: 2, error: { _tag: "Transient", reason: "Connection", message: "no" } },
  { key: "b", attempts: 1, error: { _tag: "Conflict", message: "no" } }
]

const leftBehind = [{ key: "c", error: { _tag: "Transient", reason: "Connection", message: "no" } }]

describe("UploadReport.make", () => {
  it("says what a run did", () => {
    assert.deepStrictEqual(
      UploadReport.make(progress, { ended: "Drained", endedAt: 3_000, failures, abortsFailed: 3, leftBehind }),
      {
        _tag: "Report",
        version: 1,
        ended: "Drained",
        files: { total: 10, uploaded: 4, skipped: 1, failed: 2, interrupted: 1, notStarted: 2 },
        bytes: { total: 500, uploaded: 200, resumed: 50 },
        attempts: 9,
        retries: 2,
        peakInFlight: 3,
        durationMillis: 2_000,
        throughputBytesPerSecond: 100,
        failures,
        abortsFailed: 3,
        leftBehind
      }
    )
  })

  it("says what is kept, if there is a journal", () => {
    const options = { ended: "Drained", endedAt: 3_000, failures, abortsFailed: 3, leftBehind } as const
    const kept = { files: 1, bytes: 5 }
    const report = UploadReport.make(progress, { ...options, kept })
    assert.deepStrictEqual(report, { ...UploadReport.make(progress, options), kept })
    assert.deepStrictEqual(Schema.encodeSync(UploadReport.UploadReport)(report), report)
  })

  it("has no throughput if no time has passed", () => {
    const report = UploadReport.make(progress, {
      ended: "Completed",
      endedAt: 1_000,
      failures: [],
      abortsFailed: 0,
      leftBehind: []
    })
    assert.deepStrictEqual([report.durationMillis, report.throughputBytesPerSecond], [0, 0])
  })
})

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
      const report = UploadReport.make(progress, {
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
    const report: unknown = UploadReport.make(progress, {
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
          const report = UploadReport.make(progress, {
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
