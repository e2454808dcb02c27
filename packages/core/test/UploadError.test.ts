import { assert, describe, it } from "@effect/vitest"
import { UploadError } from "@sluice/core"
import { Effect, Schema } from "effect"

const errors: ReadonlyArray<UploadError.UploadError> = [
  new UploadError.Transient({ reason: "Stalled", detail: "one", cause: new Error("underneath") }),
  new UploadError.Throttled({ detail: "two", retryAfterMillis: 5 }),
  new UploadError.IntegrityMismatch({ reason: "Checksum", detail: "three" }),
  new UploadError.AuthExpired({ detail: "four" }),
  new UploadError.Conflict({ detail: "five" }),
  new UploadError.Rejected({ reason: "NoSpace", detail: "six" }),
  new UploadError.SourceChanged({ reason: "Grew", detail: "seven" }),
  new UploadError.SourceUnreadable({ reason: "NotFound", detail: "eight" })
]

describe("UploadError", () => {
  it("says which errors the same request may not meet again", () => {
    assert.deepStrictEqual(errors.map(UploadError.isRetryable), [true, true, true, false, false, false, false, false])
  })

  it("says which errors are the source's own", () => {
    const own = errors.filter(UploadError.isSourceError)
    assert.deepStrictEqual(own.map(({ _tag }) => _tag), ["SourceChanged", "SourceUnreadable"])
  })

  it("is summed up without the cause underneath", () => {
    assert.deepStrictEqual(errors.map(UploadError.summarize), [
      { _tag: "Transient", reason: "Stalled", message: "one" },
      { _tag: "Throttled", message: "two" },
      { _tag: "IntegrityMismatch", reason: "Checksum", message: "three" },
      { _tag: "AuthExpired", message: "four" },
      { _tag: "Conflict", message: "five" },
      { _tag: "Rejected", reason: "NoSpace", message: "six" },
      { _tag: "SourceChanged", reason: "Grew", message: "seven" },
      { _tag: "SourceUnreadable", reason: "NotFound", message: "eight" }
    ])
  })

  it.effect("can be written and read, each class as itself", () =>
    Effect.gen(function*() {
      for (const error of errors) {
        const text = yield* Schema.encode(Schema.parseJson(UploadError.UploadError))(error)
        const read = yield* Schema.decode(Schema.parseJson(UploadError.UploadError))(text)
        assert.strictEqual(read.constructor, error.constructor)
        assert.deepStrictEqual(UploadError.summarize(read), UploadError.summarize(error))
        assert.strictEqual(read.cause instanceof Error, error.cause instanceof Error)
      }
    }))
})
