import { assert, describe, it } from "@effect/vitest"
import { Progress, UploadFile } from "@sluice/core"
import { Duration, Effect, Option, Record, Schema } from "effect"
import * as fc from "fast-check"
import * as Property from "./support/Property.js"
import * as Recording from "./support/Recording.js"

const progress = (changes: Partial<Progress.Progress>): Progress.Progress => ({
  startedAt: 0,
  listing: false,
  filesFound: 0,
  filesUploaded: 0,
  filesSkipped: 0,
  filesFailed: 0,
  filesInterrupted: 0,
  filesOfUnknownSize: 0,
  inFlight: 0,
  peakInFlight: 0,
  bytesFound: 0,
  bytesUploaded: 0,
  bytesInFlight: 0,
  bytesResumed: 0,
  attempts: 0,
  retries: 0,
  ...changes
})

const count = fc.nat(1_000)

/** Counts that need not fit together. */
const anyProgress = fc.record({
  listing: fc.boolean(),
  filesFound: count,
  filesUploaded: count,
  filesSkipped: count,
  filesFailed: count,
  filesInterrupted: count,
  filesOfUnknownSize: fc.nat(1),
  bytesFound: count,
  bytesUploaded: count,
  bytesInFlight: count,
  bytesResumed: count
})

/** JSON has no other numbers, and no negative zero. */
const finite = Schema.Struct({
  ...Record.map(Progress.Progress.fields, () => Schema.NonNegativeInt),
  listing: Schema.Boolean,
  awaySince: Schema.optionalWith(Schema.NonNegativeInt, { exact: true })
})

describe("Progress.filesFinished", () => {
  it("counts every file that has its result", () => {
    const changes = { filesFound: 20, filesUploaded: 1, filesSkipped: 2, filesFailed: 4, filesInterrupted: 8 }
    assert.strictEqual(Progress.filesFinished(progress(changes)), 15)
  })
})

describe("Progress.fraction", () => {
  const fraction = (changes: Partial<Progress.Progress>) => Option.getOrUndefined(Progress.fraction(progress(changes)))

  it("goes by bytes, acknowledged, resumed and on their way", () => {
    const changes = { filesFound: 4, bytesFound: 1_000, bytesUploaded: 250, bytesInFlight: 250 }
    assert.strictEqual(fraction(changes), 0.5)
    assert.strictEqual(fraction({ ...changes, bytesResumed: 250 }), 0.75)
  })

  it("counts files if all are empty", () => {
    assert.strictEqual(fraction({ filesFound: 4 }), 0)
    assert.strictEqual(fraction({ filesFound: 4, filesUploaded: 1, filesFailed: 1 }), 0.5)
  })

  it("is unknown until the list has ended, and 1 for a list that turned out empty", () => {
    assert.strictEqual(fraction({ listing: true }), undefined)
    assert.strictEqual(fraction({ listing: true, filesFound: 4, bytesFound: 1_000, bytesUploaded: 250 }), undefined)
    assert.strictEqual(fraction({}), 1)
  })

  it("is unknown until each file of unknown size has a result", () => {
    const changes = { filesFound: 2, filesUploaded: 1, bytesFound: 1_000, bytesUploaded: 500, bytesInFlight: 500 }
    assert.strictEqual(fraction({ ...changes, filesOfUnknownSize: 1 }), undefined)
    assert.strictEqual(fraction(changes), 0.999)
    assert.strictEqual(fraction({ ...changes, filesOfUnknownSize: 1, filesUploaded: 2 }), 1)
  })

  it("is 1 only when every file found has been uploaded or skipped", () => {
    const done = { filesFound: 3, filesUploaded: 2, filesSkipped: 1, bytesFound: 10, bytesUploaded: 10 }
    assert.strictEqual(fraction(done), 1)
    assert.strictEqual(fraction({ ...done, listing: true }), undefined)
    assert.strictEqual(fraction({ ...done, filesUploaded: 1, filesFailed: 1 }), 0.999)
    assert.strictEqual(fraction({ ...done, filesUploaded: 1, bytesInFlight: 5 }), 0.999)
    assert.strictEqual(fraction({ filesFound: 1, filesFailed: 1 }), 0.999)
  })

  it("stays between 0 and 1, whatever the counts", () => {
    fc.assert(
      fc.property(
        anyProgress,
        (changes) => {
          const known = fraction(changes)
          if (changes.listing) assert.isUndefined(known)
          else if (known !== undefined) assert.isTrue(known >= 0 && known <= 1)
        }
      ),
      { numRuns: 1_000 }
    )
  })
})

describe("Progress.eta", () => {
  const millis = (changes: Partial<Progress.Progress>, current = 100) =>
    Option.getOrUndefined(
      Option.map(Progress.eta(progress(changes), { current, overall: 1 }), Duration.toMillis)
    )

  it("is what is left, over the current throughput", () => {
    const changes = { filesFound: 2, bytesFound: 1_000, bytesUploaded: 100, bytesInFlight: 200 }
    assert.strictEqual(millis(changes), 7_000)
    assert.strictEqual(millis(changes, 1_400), 500)
    // What an earlier run stored need not be sent.
    assert.strictEqual(millis({ ...changes, bytesResumed: 600 }), 1_000)
    assert.strictEqual(millis({ ...changes, bytesInFlight: 900 }), 0)
  })

  it("is unknown with the total, without throughput, and for empty files", () => {
    const changes = { filesFound: 2, bytesFound: 1_000 }
    assert.strictEqual(millis({ ...changes, listing: true }), undefined)
    assert.strictEqual(millis({ ...changes, filesOfUnknownSize: 1 }), undefined)
    assert.strictEqual(millis(changes, 0), undefined)
    assert.strictEqual(millis(changes, NaN), undefined)
    assert.strictEqual(millis({ filesFound: 2 }), undefined)
  })

  it("is zero once every file has a result, whatever that is", () => {
    assert.strictEqual(millis({}, 0), 0)
    assert.strictEqual(millis({ filesFound: 2, filesUploaded: 1, filesFailed: 1, bytesFound: 20 }, 0), 0)
    assert.strictEqual(millis({ filesFound: 1, filesFailed: 1, filesOfUnknownSize: 1 }), 0)
  })

  it("is a duration above or equal to zero, whatever the counts", () => {
    fc.assert(fc.property(anyProgress, fc.nat(1_000), (changes, current) => {
      const left = millis(changes, current)
      if (left !== undefined) assert.isTrue(left >= 0 && Number.isFinite(left))
    }))
  })
})

describe("the schema of Progress", () => {
  const json = Schema.parseJson(Progress.Progress)

  it.effect("reads what it has written", () =>
    Property.check(Property.arbitrary(finite), (progress) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* Schema.decode(json)(yield* Schema.encode(json)(progress)), progress)
      }), 200))

  it.effect("fits what a run reports", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(10)))
        const run = yield* uploader.start([UploadFile.fromText("a", "hello")])
        return yield* Effect.zip(run.currentProgress, run.report)
      }))
      const [progress] = value
      assert.deepStrictEqual(yield* Schema.decode(json)(yield* Schema.encode(json)(progress)), progress)
    }))
})
