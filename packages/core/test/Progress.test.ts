import { assert, describe, it } from "@effect/vitest"
import { Progress } from "@sluice/core"
import * as fc from "fast-check"

const progress = (changes: Partial<Progress.Progress>): Progress.Progress => ({
  startedAt: 0,
  listing: false,
  filesFound: 0,
  filesUploaded: 0,
  filesSkipped: 0,
  filesFailed: 0,
  filesInterrupted: 0,
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

describe("Progress.filesFinished", () => {
  it("counts every file that has its result", () => {
    const changes = { filesFound: 20, filesUploaded: 1, filesSkipped: 2, filesFailed: 4, filesInterrupted: 8 }
    assert.strictEqual(Progress.filesFinished(progress(changes)), 15)
  })
})

describe("Progress.fraction", () => {
  it("goes by bytes, acknowledged and on their way", () => {
    const changes = { filesFound: 4, bytesFound: 1_000, bytesUploaded: 250, bytesInFlight: 250 }
    assert.strictEqual(Progress.fraction(progress(changes)), 0.5)
    assert.strictEqual(Progress.fraction(progress({ ...changes, listing: true })), 0.5)
  })

  it("counts files if all are empty", () => {
    assert.strictEqual(Progress.fraction(progress({ filesFound: 4 })), 0)
    assert.strictEqual(Progress.fraction(progress({ filesFound: 4, filesUploaded: 1, filesFailed: 1 })), 0.5)
  })

  it("is 0 before anything is found, and 1 for a list that turned out empty", () => {
    assert.strictEqual(Progress.fraction(progress({ listing: true })), 0)
    assert.strictEqual(Progress.fraction(progress({})), 1)
  })

  it("is 1 only when every file found has been uploaded or skipped", () => {
    const done = { filesFound: 3, filesUploaded: 2, filesSkipped: 1, bytesFound: 10, bytesUploaded: 10 }
    assert.strictEqual(Progress.fraction(progress(done)), 1)
    assert.strictEqual(Progress.fraction(progress({ ...done, listing: true })), 0.999)
    assert.strictEqual(Progress.fraction(progress({ ...done, filesUploaded: 1, filesFailed: 1 })), 0.999)
    assert.strictEqual(Progress.fraction(progress({ ...done, filesUploaded: 1, bytesInFlight: 5 })), 0.999)
    assert.strictEqual(Progress.fraction(progress({ filesFound: 1, filesFailed: 1 })), 0.999)
  })

  it("stays between 0 and 1, whatever the counts", () => {
    const count = fc.nat(1_000)
    fc.assert(
      fc.property(
        fc.record({
          listing: fc.boolean(),
          filesFound: count,
          filesUploaded: count,
          filesSkipped: count,
          filesFailed: count,
          filesInterrupted: count,
          bytesFound: count,
          bytesUploaded: count,
          bytesInFlight: count
        }),
        (changes) => {
          const fraction = Progress.fraction(progress(changes))
          assert.isTrue(fraction >= 0 && fraction <= 1)
          if (changes.listing) assert.isBelow(fraction, 1)
        }
      ),
      { numRuns: 1_000 }
    )
  })
})
