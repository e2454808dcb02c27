import { assert, describe, it } from "@effect/vitest"
import { UploadFile } from "@sluice/core"
import type { Transport } from "@sluice/core"
import type * as S3 from "@sluice/core/destinations/S3"
import { Effect, Option, Stream } from "effect"
import { error, failure, text, upload, using } from "../../../support/S3Answers.js"
import type { Respond } from "../../../support/S3Answers.js"

const page = text(
  "<!DOCTYPE html>\n<html><head><title>Sign in to the guest network</title></head><body>…</body></html>"
)

const html = { "content-type": "text/html; charset=utf-8" }

const providers: ReadonlyArray<S3.Provider> = ["aws", "r2", "minio", "ceph", "swift", "other"]

/** Of the text "hello". */
const md5 = "5d41402abc4b2a76b9719d911017c592"

const messageOf = ({ result }: { readonly result: { readonly _tag: string } }): string =>
  result._tag === "Left" ? JSON.stringify(result) : ""

describe("an object", () => {
  for (const provider of providers) {
    it.effect(`is not stored where a portal answers 200 with its page: ${provider}`, () =>
      Effect.gen(function*() {
        const tried = yield* upload(() => ({ headers: { ...html, etag: "" }, body: page }), { provider })
        assert.strictEqual(failure(tried), "Transient Unavailable")
        assert.include(messageOf(tried), "a web page (Sign in to the guest network)")
      }))

    it.effect(`is not stored where an answer of 200 shows nothing: ${provider}`, () =>
      Effect.gen(function*() {
        const nothing: ReadonlyArray<Respond> = [
          () => ({ headers: { etag: "" } }),
          () => ({ headers: { etag: "\"\"" } }),
          () => ({ status: 204, headers: { etag: "" } }),
          () => ({ headers: { etag: "" }, body: text("OK") })
        ]
        for (const respond of nothing) {
          assert.strictEqual(failure(yield* upload(respond, { provider })), "Transient Unavailable")
        }
      }))
  }

  it.effect("is not stored if a page comes with an etag", () =>
    Effect.gen(function*() {
      for (const body of [page, text("<html>x"), text("<?xml version=\"1.0\"?>\n<HTML xmlns=\"x\"/>")]) {
        const tried = yield* upload(() => ({ headers: { etag: "\"e\"" }, body }))
        assert.strictEqual(failure(tried), "Transient Unavailable")
      }
    }))

  it.effect("is stored if its answer has lost the etag and a look shows what was sent", () =>
    Effect.gen(function*() {
      const found = { "content-length": "5", etag: `"${md5}"`, "x-amz-meta-mtime": "1.5" }
      const { result, seen } = yield* upload(
        ({ method }) => ({ headers: method === "HEAD" ? found : { etag: "" } }),
        { provider: "other" }
      )
      assert.deepInclude(result, { _tag: "Right" })
      assert.include(JSON.stringify(result), md5)
      assert.deepStrictEqual(seen.map(({ method }) => method), ["PUT", "HEAD"])
      const others = { ...found, etag: "\"0123456789abcdef0123456789abcdef\"" }
      const tried = yield* upload(
        ({ method }) => ({ headers: method === "HEAD" ? others : { etag: "" } }),
        { provider: "other" }
      )
      assert.strictEqual(failure(tried), "Transient Unavailable")
    }))

  it.effect("is not found, read or removed because of a portal's page", () =>
    Effect.gen(function*() {
      const portal: Respond = ({ method }) => ({
        headers: { ...html, "content-length": String(page.length) },
        body: method === "HEAD" ? new Uint8Array() : page
      })
      assert.strictEqual(failure(yield* using(portal, ({ head }) => head!("k"))), "Transient Unavailable")
      assert.strictEqual(failure(yield* using(portal, ({ remove }) => remove!("k"))), "Transient Unavailable")
      assert.strictEqual(
        failure(yield* using(portal, ({ read }) => Stream.runDrain(read!("k")))),
        "Transient Unavailable"
      )
      assert.strictEqual(
        failure(yield* using(portal, ({ list }) => Stream.runDrain(list!))),
        "Transient Unavailable"
      )
    }))

  it.effect("that is a page itself is looked up and read like any other", () =>
    Effect.gen(function*() {
      const server: Respond = () => ({
        headers: { ...html, "content-length": String(page.length), etag: "\"e\"" },
        body: page
      })
      const { result } = yield* using(
        server,
        ({ head, read }) => Effect.zip(head!("k"), Stream.runCount(Stream.flattenChunks(Stream.chunks(read!("k")))))
      )
      assert.strictEqual(result._tag, "Right")
    }))

  it.effect("is stored if the success has a body without a contradiction", () =>
    Effect.gen(function*() {
      for (const body of [text("\n"), text("OK"), text("<CopyObjectResult/>")]) {
        const { result } = yield* upload(() => ({ headers: { ...html, etag: "\"e\"" }, body }))
        assert.strictEqual(result._tag, "Right")
      }
    }))
})

describe("an etag", () => {
  const etags: ReadonlyArray<readonly [answered: string, read: string]> = [
    ["\"abc\"", "\"abc\""],
    ["abc", "\"abc\""],
    ["W/\"abc\"", "\"abc\""],
    ["w/\"abc\"", "\"abc\""],
    ["&quot;abc&quot;", "\"abc\""],
    ["W/&#34;abc&#x22;", "\"abc\""],
    [" \"abc\" ", "\"abc\""]
  ]
  for (const [answered, read] of etags) {
    it.effect(`is understood however it is written: ${answered}`, () =>
      Effect.gen(function*() {
        const { result } = yield* using(
          () => ({ headers: { "content-length": "5", etag: answered } }),
          ({ head }) => Effect.map(Effect.flatten(head!("k")), ({ etag }) => etag)
        )
        assert.deepInclude(result, { right: read })
        const escaped = answered.replaceAll("&", "&amp;").replaceAll("\"", "&quot;")
        const listed = yield* using(
          () =>
            `<ListBucketResult><Contents><Key>k</Key><Size>1</Size><ETag>${escaped}</ETag></Contents></ListBucketResult>`,
          ({ list }) => Stream.runHead(Stream.map(list!, ({ etag }) => etag))
        )
        assert.deepInclude(listed.result, { right: Option.some(read) })
      }))
  }

  it.effect("is compared with the MD5 of what was sent, in any of these forms", () =>
    Effect.gen(function*() {
      for (const etag of [`W/"${md5}"`, `&quot;${md5}&quot;`, md5.toUpperCase()]) {
        assert.strictEqual(failure(yield* upload(() => ({ headers: { etag } }), { provider: "minio" })), "none")
        const wrong = etag.replace(/[5]/, "6")
        const tried = yield* upload(() => ({ headers: { etag: wrong } }), { provider: "minio" })
        assert.strictEqual(failure(tried), "IntegrityMismatch Checksum")
      }
    }))
})

describe("the reason of an error", () => {
  const latin1 = (body: string) => Uint8Array.from(body, (character) => character.charCodeAt(0))

  const tellings: ReadonlyArray<
    readonly [what: string, answer: Partial<Transport.Answer>, outcome: string, said: string]
  > = [
    [
      "a page",
      {
        status: 403,
        headers: html,
        body: text("<html><head><title>403</title></head><body><p>Blocked by policy 7</p>")
      },
      "Rejected Forbidden",
      "answered 403 403 Blocked by policy 7"
    ],
    [
      "a page of which nothing says so",
      { status: 502, body: text("<!doctype html><style>p{color:red}</style><p>No upstream</p>") },
      "Transient Unavailable",
      "answered 502 No upstream"
    ],
    [
      "text",
      { status: 400, headers: { "content-type": "text/plain" }, body: text("The name is\nodd.") },
      "Rejected Unsupported",
      "answered 400 The name is odd."
    ],
    [
      "JSON",
      { status: 403, headers: { "content-type": "application/json" }, body: text("{\"message\":\"Denied\"}") },
      "Rejected Forbidden",
      "answered 403 {\\\"message\\\":\\\"Denied\\\"}"
    ],
    [
      "XML in Latin-1, as it says",
      {
        status: 400,
        body: latin1(
          "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><Error><Code>SlowDown</Code><Message>Später</Message></Error>"
        )
      },
      "Throttled",
      "SlowDown: Später"
    ],
    [
      "XML in Latin-1, as its header says",
      {
        status: 400,
        headers: { "content-type": "application/xml; charset=iso-8859-1" },
        body: latin1("<Error><Code>QuotaExceeded</Code><Message>Plein à craquer</Message></Error>")
      },
      "Rejected NoSpace",
      "QuotaExceeded: Plein à craquer"
    ],
    [
      "XML in Latin-1 that does not say so",
      { status: 400, body: latin1("<Error><Code>SlowDown</Code><Message>Später</Message></Error>") },
      "Throttled",
      "SlowDown: Später"
    ],
    [
      "XML with the prefix of a namespace",
      {
        status: 400,
        body: text(
          "<s3:Error xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\"><s3:Code>SlowDown</s3:Code></s3:Error>"
        )
      },
      "Throttled",
      "SlowDown"
    ],
    [
      "XML with a document around it",
      {
        status: 403,
        body: text("<ErrorResponse><Error><Code>SlowDown</Code></Error><RequestId>1</RequestId></ErrorResponse>")
      },
      "Throttled",
      "SlowDown"
    ]
  ]
  for (const [what, answer, outcome, said] of tellings) {
    it.effect(`is told where it comes as ${what}`, () =>
      Effect.gen(function*() {
        const tried = yield* using(() => answer, ({ remove }) => remove!("k"))
        assert.strictEqual(failure(tried), outcome)
        assert.include(messageOf(tried), said)
      }))
  }

  it.effect("contains no secrets, in any form", () =>
    Effect.gen(function*() {
      const tried = yield* upload(({ headers }) => ({
        status: 403,
        headers: html,
        body: text(`<html>You sent ${headers["authorization"]}</html>`)
      }))
      const signature = /Signature=(\w+)/.exec(tried.seen[0]?.headers["authorization"] ?? "")?.[1]
      assert.isDefined(signature)
      assert.include(messageOf(tried), "You sent")
      assert.notInclude(messageOf(tried), signature)
    }))

  it.effect("of one name that is refused is not that of the bucket", () =>
    Effect.gen(function*() {
      const tried = yield* upload(
        () => ({ status: 400, body: error("XMinioInvalidObjectName") }),
        { provider: "minio" },
        UploadFile.fromText("a\\b", "")
      )
      assert.strictEqual(failure(tried), "Rejected InvalidKey")
    }))
})
