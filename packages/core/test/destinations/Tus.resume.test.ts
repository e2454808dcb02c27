/**
 * Another process, after one that was killed at a tus server: files that are there are looked at where they were put,
 * and not sent again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Journal, UploadFile } from "@sluice/core"
import { Effect, Option } from "effect"
import * as LargeRun from "../support/LargeRun.js"
import * as TusModel from "../support/TusModel.js"
import { driver, film, status, upload } from "../support/TusRun.js"

const small = LargeRun.onDisk("small", 5)

/** A journal of a run that has not come to its end: it has noted what was uploaded, and not that it was all. */
const unfinished = Effect.map(
  LargeRun.memoryJournal,
  (journal) => Journal.Journal.of({ ...journal, runEnded: Effect.void })
)

const single = { multipartThreshold: 1_000 }

describe("another process", () => {
  const kinds = [
    ["a small file", small, TusModel.withoutConcatenation, single],
    ["a file in parts", film, TusModel.withoutConcatenation, undefined],
    ["a file of parts that were concatenated", film, ["creation", "termination", "concatenation"], undefined]
  ] as const
  for (const [name, file, extensions, uploader] of kinds) {
    it.effect(`does not send ${name} again, and looks where it was put`, () =>
      Effect.gen(function*() {
        const journal = yield* unfinished
        const model = new TusModel.Model({ extensions })
        const setup = { model, file, journal, ...(uploader !== undefined && { uploader }) }
        assert.strictEqual((yield* upload(setup)).outcome, "stored")
        const [path = ""] = model.uploads.keys()
        const { history, outcome, report } = yield* upload(setup)
        assert.deepStrictEqual([outcome, ...history], ["Skipped", `HEAD ${path}: 200`])
        assert.strictEqual(report.files.skipped, 1)
        assert.strictEqual(model.uploads.size, 1)
      }))
  }

  it.effect("sends again what is missing, incomplete or different", () =>
    Effect.gen(function*() {
      const spoiled: ReadonlyArray<readonly [string, (model: TusModel.Model) => void]> = [
        ["removed", (model) => void model.uploads.clear()],
        ["cut", (model) => {
          for (const found of model.uploads.values()) found.bytes = found.bytes.subarray(0, 3)
        }]
      ]
      for (const [what, spoil] of spoiled) {
        const journal = yield* unfinished
        const model = new TusModel.Model()
        const setup = { model, file: small, journal, uploader: single }
        yield* upload(setup)
        spoil(model)
        const { outcome } = yield* upload(setup)
        assert.strictEqual(outcome, "stored", what)
        // Then its current address is known.
        const { history, outcome: third } = yield* upload(setup)
        assert.deepStrictEqual([third, ...history], ["Skipped", "HEAD /files/2: 200"], what)
      }
      const journal = yield* unfinished
      const model = new TusModel.Model()
      yield* upload({ model, file: small, journal, uploader: single })
      const changed = yield* upload({ model, file: LargeRun.onDisk("small", 5, 2), journal, uploader: single })
      assert.strictEqual(changed.outcome, "stored")
    }))

  it.effect("sends what cannot be looked up, and requests nothing from other servers", () =>
    Effect.gen(function*() {
      const refusing = new TusModel.Model({ fault: ({ method }) => method === "HEAD" ? status(403) : undefined })
      const journal = yield* unfinished
      const setup = { model: refusing, file: small, journal, uploader: single }
      yield* upload(setup)
      assert.strictEqual((yield* upload(setup)).outcome, "stored")
      const { headAt } = yield* driver(new TusModel.Model())
      for (
        const location of ["https://evil.example.org/files/1", "//evil.example.org/1", "files/1", "", "/a b", "/../x"]
      ) {
        assert.deepStrictEqual(yield* headAt!(location, "small"), Option.none(), location)
      }
    }))

  it.effect("sends files without a fingerprint, as everywhere", () =>
    Effect.gen(function*() {
      const journal = yield* unfinished
      const model = new TusModel.Model()
      const setup = { model, file: UploadFile.fromText("memory", "hello"), journal, uploader: single }
      yield* upload(setup)
      assert.strictEqual((yield* upload(setup)).outcome, "stored")
    }))
})
