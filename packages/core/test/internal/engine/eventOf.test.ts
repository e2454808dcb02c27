import { assert, describe, it } from "@effect/vitest"
import { UploadError, UploadFile, UploadResult } from "@sluice/core"
import { Duration } from "effect"
import { eventOf } from "../../../src/internal/engine/eventOf.js"

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

describe("the event of a result", () => {
  it("says for each result what happened to the file", () => {
    const file = UploadFile.fromText("a", "x")
    const common = { _tag: "UploadFinished", version: 1, at: 7, key: "a" } as const
    const duration = Duration.millis(12)
    const finished = (result: UploadResult.UploadResult) => eventOf({ _tag: "Finished", result }, 7)
    assert.deepStrictEqual(
      finished({
        _tag: "Uploaded",
        file,
        attempts: 2,
        bytes: 1,
        resumedBytes: 0,
        duration,
        etag: "e",
        checksum: undefined
      }),
      { ...common, outcome: "Uploaded", attempts: 2, bytes: 1, durationMillis: 12 }
    )
    assert.deepStrictEqual(finished(UploadResult.skipped("a", "a link")), {
      ...common,
      outcome: "Skipped",
      attempts: 0,
      bytes: 0,
      durationMillis: 0,
      reason: "a link"
    })
    assert.deepStrictEqual(finished({ _tag: "Failed", file, attempts: 5, error: broken, duration }), {
      ...common,
      outcome: "Failed",
      attempts: 5,
      bytes: 0,
      durationMillis: 12,
      error: UploadError.summarize(broken)
    })
    assert.deepStrictEqual(finished({ _tag: "Interrupted", file, attempts: 1, duration }), {
      ...common,
      outcome: "Interrupted",
      attempts: 1,
      bytes: 0,
      durationMillis: 12
    })
  })
})
