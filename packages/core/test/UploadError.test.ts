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

describe("UploadError.fromStatus", () => {
  const now = Date.UTC(2026, 0, 1)

  const told = (status: number, headers: Readonly<Record<string, string>> = {}) => {
    const error = UploadError.fromStatus({ status, headers }, { detail: "No.", now })
    return [
      error._tag,
      ...("reason" in error ? [error.reason] : []),
      ...(error._tag === "Throttled" ? [error.retryAfterMillis] : [])
    ].join(" ")
  }

  it("finds the class of every status", () => {
    const classes: Readonly<Record<string, ReadonlyArray<number>>> = {
      "Throttled ": [429],
      "Transient Unavailable": [408, 423, 425, 499, 500, 502, 503, 504, 506, 599],
      "Conflict": [409, 412],
      "Rejected Redirected": [0, 300, 301, 302, 304, 307, 308, 399],
      "Rejected Unauthorized": [401],
      "Rejected Forbidden": [402, 403],
      "Rejected NotFound": [404, 410],
      "Rejected TooLarge": [413],
      "Rejected NoSpace": [507],
      "Rejected Unsupported": [400, 405, 406, 411, 415, 418, 422, 451, 501, 505]
    }
    for (const [told_, statuses] of Object.entries(classes)) {
      assert.deepStrictEqual(
        statuses.map((status) => [status, told(status)]),
        statuses.map((status) => [status, told_])
      )
    }
  })

  it("heeds a Retry-After where it makes sense: seconds, or a date", () => {
    const waits: ReadonlyArray<readonly [header: string, millis: number | undefined]> = [
      ["7", 7_000],
      [" 1.5 ", 1_500],
      ["0", 0],
      ["Thu, 01 Jan 2026 00:01:00 GMT", 60_000],
      ["2026-01-01T00:00:05Z", 5_000],
      ["Wed, 31 Dec 2025 23:59:00 GMT", undefined],
      ["1000000", 86_400_000],
      ["soon", undefined],
      ["-5", undefined]
    ]
    assert.deepStrictEqual(
      waits.map(([header]) => told(429, { "retry-after": header })),
      waits.map(([, millis]) => `Throttled ${millis ?? ""}`)
    )
    for (const status of [403, 408, 409, 413, 423, 500, 503]) {
      assert.strictEqual(told(status, { "retry-after": "7" }), "Throttled 7000")
    }
    for (const status of [301, 400, 401, 404, 412, 501, 507]) {
      assert.strictEqual(told(status, { "retry-after": "7" }), told(status))
    }
  })

  it("says what the caller says, and where a redirect leads without its secrets", () => {
    const detail = (status: number, location?: string) =>
      UploadError.fromStatus(
        { status, headers: location === undefined ? {} : { location } },
        { detail: "No.", now }
      ).message
    assert.strictEqual(detail(500), "No.")
    assert.strictEqual(detail(423), "No. (it is locked)")
    assert.strictEqual(detail(302), "No. (redirects are not followed)")
    assert.strictEqual(
      detail(302, "https://user:canary@example.org/login?token=canary"),
      "No. (redirects are not followed; this one leads to https://example.org/login)"
    )
  })
})
