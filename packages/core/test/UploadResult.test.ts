import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, UploadError, UploadFile, UploadResult } from "@sluice/core"
import { Duration, Effect, Schema } from "effect"
import * as fc from "fast-check"
import * as Property from "./support/Property.js"
import * as Recording from "./support/Recording.js"

const json = Schema.parseJson(UploadResult.Summary)

const size = fc.nat()

const file = fc.record({ key: fc.string(), size: fc.option(size, { nil: undefined }) })

const attempts = fc.nat(20)

const duration = fc.nat().map((millis) => Duration.millis(millis))

const detail = fc.string()

const error: fc.Arbitrary<UploadError.UploadError> = fc.oneof(
  detail.map((detail) => new UploadError.Transient({ reason: "Stalled", detail })),
  fc.tuple(detail, size).map(([detail, retryAfterMillis]) => new UploadError.Throttled({ detail, retryAfterMillis })),
  detail.map((detail) => new UploadError.IntegrityMismatch({ reason: "Checksum", detail })),
  detail.map((detail) => new UploadError.AuthExpired({ detail })),
  detail.map((detail) => new UploadError.SessionGone({ detail })),
  detail.map((detail) => new UploadError.Conflict({ detail })),
  detail.map((detail) => new UploadError.Rejected({ reason: "NoSpace", detail })),
  detail.map((detail) => new UploadError.SourceChanged({ reason: "Grew", detail })),
  detail.map((detail) => new UploadError.SourceUnreadable({ reason: "Forbidden", detail }))
)

const summary: fc.Arbitrary<UploadResult.Summary> = fc.oneof(
  fc.record({
    _tag: fc.constant("Uploaded" as const),
    file,
    attempts,
    bytes: size,
    resumedBytes: size,
    duration,
    etag: fc.option(fc.string(), { nil: undefined }),
    checksum: fc.option(
      fc.record({ algorithm: fc.constantFrom("md5" as const, "crc32" as const), value: fc.string() }),
      {
        nil: undefined
      }
    )
  }),
  fc.record({ _tag: fc.constant("Skipped" as const), file, reason: fc.string() }),
  fc.record({ _tag: fc.constant("Failed" as const), file, attempts, error, duration }),
  fc.record({ _tag: fc.constant("Interrupted" as const), file, attempts, duration })
)

describe("UploadResult.Summary", () => {
  it.effect("reads what it has written", () =>
    Property.check(summary, (result) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* Schema.decode(json)(yield* Schema.encode(json)(result)), result)
      }), 500))

  it.effect("can be written for every result of a run, without sources and causes", () =>
    Effect.gen(function*() {
      const cause = new Error("canary")
      const recording = Recording.make(({ body, key }) =>
        key === "bad"
          ? Effect.fail(new UploadError.Rejected({ reason: "Forbidden", detail: "No.", cause }))
          : Effect.zipRight(Effect.sleep(key === "slow" ? "1 hour" : 10), body.bytes)
      )
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.unlimited,
          retry: RetryPolicy.none
        })
        const results: Array<UploadResult.UploadResult> = []
        const list = [
          UploadFile.fromText("good", "hello", { metadata: { secret: "canary" } }),
          UploadResult.skipped("link", "a link"),
          UploadFile.fromText("bad", "hello"),
          UploadFile.fromText("slow", "hello")
        ]
        const run = yield* uploader.start(list, { onResult: (result) => Effect.sync(() => void results.push(result)) })
        yield* Effect.sleep("1 second")
        yield* run.interrupt
        return results
      }))
      const text = yield* Effect.forEach(value, (result) => Schema.encode(json)(result))
      assert.notInclude(text.join(), "canary")
      const size = 5
      assert.deepStrictEqual(text.map((line) => JSON.parse(line)).sort((a, b) => a.file.key < b.file.key ? -1 : 1), [
        {
          _tag: "Failed",
          file: { key: "bad", size },
          attempts: 1,
          error: { _tag: "Rejected", reason: "Forbidden", detail: "No." },
          durationMillis: 0
        },
        {
          _tag: "Uploaded",
          file: { key: "good", size },
          attempts: 1,
          bytes: size,
          resumedBytes: 0,
          durationMillis: 10
        },
        { _tag: "Skipped", file: { key: "link" }, reason: "a link" },
        { _tag: "Interrupted", file: { key: "slow", size }, attempts: 1, durationMillis: 1_000 }
      ])
      const read = yield* Effect.forEach(text, (line) => Schema.decode(json)(line))
      const failed = read.find(({ _tag }) => _tag === "Failed")
      assert(failed?._tag === "Failed")
      assert.instanceOf(failed.error, UploadError.Rejected)
      assert.isFalse(UploadError.isRetryable(failed.error))
    }))

  it.effect("refuses what is no result", () =>
    Effect.gen(function*() {
      for (
        const text of [
          "{}",
          `{"_tag":"Skipped","file":{"key":"a"}}`,
          `{"_tag":"Skipped","file":{"key":"a","size":"5"},"reason":""}`,
          `{"_tag":"Failed","file":{"key":"a"},"attempts":1,"error":{"_tag":"Other","detail":""},"durationMillis":1}`,
          `{"_tag":"Interrupted","file":{"key":"a"},"attempts":1,"durationMillis":-1}`
        ]
      ) {
        assert.strictEqual((yield* Effect.either(Schema.decode(json)(text)))._tag, "Left", text)
      }
    }))
})
