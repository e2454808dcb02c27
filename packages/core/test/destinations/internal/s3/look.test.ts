import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { error, failure, using } from "../../../support/S3Answers.js"
import type { Respond } from "../../../support/S3Answers.js"

const head = (respond: Respond) =>
  Effect.map(
    using(respond, (destination) => destination.head!("a b")),
    (tried) => ({
      found: tried.result._tag === "Right" ? Option.getOrUndefined(tried.result.right) : failure(tried),
      asked: tried.seen.map(({ headers, method, url }) =>
        [method, new URL(url).pathname, headers["range"] ?? new URL(url).searchParams.get("prefix")].join(" ").trim()
      )
    })
  )

describe("a look that does not report the size", () => {
  const headers = { etag: "\"e\"", "x-amz-meta-mtime": "1.5" }

  it.effect("requests the first byte, and keeps what it learned", () =>
    Effect.gen(function*() {
      const { asked, found } = yield* head(({ method }) =>
        method === "HEAD" ? { headers } : { status: 206, headers: { "content-range": "bytes 0-0/1234" } }
      )
      assert.deepStrictEqual(found, { size: 1_234, etag: "\"e\"", modifiedAt: 1_500 })
      assert.deepStrictEqual(asked, ["HEAD /a%20b", "GET /a%20b bytes=0-0"])
    }))

  it.effect("knows an empty object by having no first byte", () =>
    Effect.gen(function*() {
      const { found } = yield* head(({ method }) =>
        method === "HEAD" ? { headers } : { status: 416, body: error("InvalidRange") }
      )
      assert.deepInclude(found, { size: 0 })
    }))

  it.effect("uses the total length if the server supports no ranges", () =>
    Effect.gen(function*() {
      const { found } = yield* head(({ method }) =>
        method === "HEAD" ? { headers } : { headers: { ...headers, "content-length": "77" } }
      )
      assert.deepInclude(found, { size: 77 })
    }))

  it.effect("lists the one key if reading shows nothing or is refused", () =>
    Effect.gen(function*() {
      const listing = (key: string) =>
        `<ListBucketResult><Contents><Key>${key}</Key><Size>42</Size><ETag>"l"</ETag></Contents></ListBucketResult>`
      for (const read of [{}, { status: 403, body: error("AccessDenied") }]) {
        const { asked, found } = yield* head(({ method, url }) =>
          method === "HEAD" ? {} : url.includes("list-type") ? listing("a b") : read
        )
        assert.deepInclude(found, { size: 42, etag: "\"l\"" })
        assert.deepStrictEqual(asked, ["HEAD /a%20b", "GET /a%20b bytes=0-0", "GET / a b"])
      }
      const other = yield* head(({ method, url }) =>
        method === "HEAD" ? {} : url.includes("list-type") ? listing("a bc") : {}
      )
      assert.strictEqual(other.found, "Rejected Unexpected")
    }))

  it.effect("fails with a temporary failure if it is one", () =>
    Effect.gen(function*() {
      const { found } = yield* head(({ method }) => method === "HEAD" ? {} : { status: 503, body: error("SlowDown") })
      assert.strictEqual(found, "Throttled")
    }))
})
