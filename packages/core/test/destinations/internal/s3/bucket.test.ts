import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, Transport, Uploader, UploadFile } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import { Effect, Layer, Stream, TestClock } from "effect"
import { answering, bucket, error, failure, text, upload, using } from "../../../support/S3Answers.js"
import type { Respond } from "../../../support/S3Answers.js"

describe("a clock that is off", () => {
  const date = "Fri, 24 May 2013 00:00:00 GMT"
  for (const code of ["RequestTimeTooSkewed", "SignatureDoesNotMatch", "AccessDenied"]) {
    it.effect(`is put right once, also where the server says ${code}`, () =>
      Effect.gen(function*() {
        const tried = yield* upload(() => ({ status: 403, headers: { date }, body: error(code) }))
        assert.deepStrictEqual(tried.seen.map(({ headers }) => headers["x-amz-date"]), [
          "19700101T000000Z",
          "20130524T000000Z"
        ])
        assert.include(failure(tried), "Rejected")
      }))
  }

  it.effect("is left alone if it is right within minutes", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse(date) - 200_000)
      const tried = yield* upload(() => ({ status: 403, headers: { date }, body: error("AccessDenied") }))
      assert.strictEqual(tried.seen.length, 1)
    }))
})

describe("what can be corrected", () => {
  const skewed = {
    status: 403,
    headers: { date: "Fri, 24 May 2013 00:00:00 GMT" },
    body: error("RequestTimeTooSkewed")
  }
  const mendable: ReadonlyArray<readonly [what: string, answer: Partial<Transport.Answer>]> = [
    ["a clock that is off", skewed],
    [
      "a clock that is off, of which only the document tells",
      { status: 403, body: error("RequestTimeTooSkewed", "<ServerTime>2013-05-24T00:00:00Z</ServerTime>") }
    ],
    [
      "a clock that is off, as the document tells without dashes",
      { status: 403, body: error("RequestTimeTooSkewed", "<ServerTime>20130524T000000Z</ServerTime>") }
    ],
    ["credentials that have expired", { status: 400, body: error("ExpiredToken") }],
    ["another region", { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") }],
    ["another region, by a redirect", { status: 301, headers: { "x-amz-bucket-region": "eu-west-1" } }]
  ]
  for (const [what, answer] of mendable) {
    it.effect(`takes no attempt and no retry, also where there are none: ${what}`, () =>
      Effect.gen(function*() {
        const files = Array.from({ length: 3 }, (_, i) => UploadFile.fromText(`${i}`, "hello"))
        const { layer, seen } = answering((_, index) => index === 1 ? answer : {})
        const report = yield* Effect.flatMap(Uploader.Uploader, (uploader) => uploader.uploadAll(files)).pipe(
          Effect.provide(
            Uploader.layer({ strategy: Strategy.workerPool({ workers: 1 }), retry: RetryPolicy.none }).pipe(
              Layer.provide(S3.layer(bucket)),
              Layer.provide(layer)
            )
          )
        )
        assert.deepStrictEqual(
          [report.files.uploaded, report.attempts, report.retries, report.bytes],
          [3, 3, 0, { total: 15, uploaded: 15, resumed: 0 }]
        )
        assert.deepStrictEqual(seen.map(({ body }) => new TextDecoder().decode(body)), Array(4).fill("hello"))
      }))
  }

  it.effect("is put right one after the other, each once", () =>
    Effect.gen(function*() {
      const answers = [
        { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") },
        skewed,
        { status: 400, body: error("ExpiredToken") }
      ]
      const tried = yield* upload((_, index) => answers[index - 1] ?? {}, {}, undefined, { retry: RetryPolicy.none })
      assert.deepStrictEqual([failure(tried), tried.seen.length], ["none", 4])
      const never = yield* upload((_, index) => answers[(index - 1) % 3] ?? {}, {}, undefined, {
        retry: RetryPolicy.none
      })
      assert.deepStrictEqual([failure(never), never.seen.length], ["Rejected Unsupported", 4])
    }))

  it.effect("is corrected for a part of a large file, whose bytes count once", () =>
    Effect.gen(function*() {
      const mib = 1024 ** 2
      const file = UploadFile.fromBytes("big", new Uint8Array(6 * mib))
      const { result, seen } = yield* upload(
        ({ method, url }, index) =>
          index === 2
            ? { status: 400, body: error("ExpiredToken") }
            : method === "PUT"
            ? {}
            : url.endsWith("uploads=")
            ? "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            : "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>",
        {},
        file,
        { retry: RetryPolicy.none, partSize: 5 * mib, multipartThreshold: mib, partConcurrency: 1 }
      )
      assert.deepInclude(result, { _tag: "Right" })
      assert.include(JSON.stringify(result), `"bytes":${6 * mib}`)
      assert.deepStrictEqual(seen.map(({ body, method }) => method === "PUT" ? body.length : method), [
        "POST",
        5 * mib,
        5 * mib,
        mib,
        "POST"
      ])
    }))
})

describe("a bucket in another region", () => {
  const hostOf = (url: string) => new URL(url).host

  it.effect("is found by its header, if an answer has no body", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        (_, index) =>
          index === 1
            ? { status: 301, headers: { "x-amz-bucket-region": "eu-west-1" } }
            : { headers: { "content-length": "1" } },
        ({ head }) => head!("k")
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(seen.map(({ url }) => hostOf(url)), [
        "examplebucket.s3.us-east-1.amazonaws.com",
        "examplebucket.s3.eu-west-1.amazonaws.com"
      ])
    }))

  it.effect("is requested, if an answer does not name it", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        ({ method, url }) =>
          method === "HEAD"
            ? { status: 403, headers: { "x-amz-bucket-region": "ap-south-1" } }
            : url.includes("ap-south-1")
            ? {}
            : { status: 400, body: error("IllegalLocationConstraintException") },
        ({ remove }) => remove!("k")
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(seen.map(({ method }) => method), ["DELETE", "HEAD", "DELETE"])
    }))

  it.effect("is requested, if a look gets no reason", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        ({ headers, method }) =>
          headers["authorization"]?.includes("/eu-west-1/") === true
            ? { status: 404 }
            : method === "HEAD"
            ? { status: 400 }
            : { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") },
        ({ head }) => head!("k"),
        { provider: "swift", endpoint: "http://127.0.0.1:1" }
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(seen.map(({ method }) => method), ["HEAD", "HEAD", "GET", "HEAD"])
    }))

  it.effect("is not looked for round and round", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        (_, index) => ({ status: 301, headers: { "x-amz-bucket-region": `eu-west-${index}` } }),
        ({ remove }) => remove!("k")
      )
      assert.deepStrictEqual([failure({ result }), seen.length], ["Rejected Redirected", 2])
    }))

  it.effect("is read there, too", () =>
    Effect.gen(function*() {
      const { result } = yield* using(
        (_, index) =>
          index === 1
            ? { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") }
            : "hello",
        ({ read }) => Stream.runCollect(Stream.decodeText(read!("k")))
      )
      assert.include(JSON.stringify(result), "hello")
    }))
})

describe("a hostile answer", () => {
  const failing = (respond: Respond) => Effect.map(upload(respond), (tried) => [failure(tried), tried.seen.length])

  it.effect("does not lead to another host", () =>
    Effect.gen(function*() {
      const location = "https://evil.example.org/"
      const tried = yield* upload(() => ({
        status: 307,
        headers: { location, "x-amz-bucket-region": "evil.example.org/" },
        body: error("TemporaryRedirect", "<Endpoint>evil.example.org</Endpoint>")
      }))
      assert.strictEqual(failure(tried), "Rejected Redirected")
      for (const { url } of tried.seen) {
        assert.strictEqual(new URL(url).host, "examplebucket.s3.us-east-1.amazonaws.com")
      }
    }))

  for (const header of ["-1", "NaN", "", "tomorrow"]) {
    it.effect(`is not obeyed where it asks to wait for ${JSON.stringify(header)}`, () =>
      Effect.gen(function*() {
        const { result } = yield* upload(() => ({
          status: 503,
          headers: { "retry-after": header },
          body: error("SlowDown")
        }))
        assert.strictEqual(failure({ result }), "Throttled")
        assert.notInclude(JSON.stringify(result), "retryAfterMillis")
      }))
  }

  it.effect("is obeyed if it asks to wait for a while", () =>
    Effect.gen(function*() {
      const waits: ReadonlyArray<readonly [headers: Record<string, string>, millis: number]> = [
        [{ "retry-after": "1.5" }, 1_500],
        // The policy caps it.
        [{ "retry-after": "99999999999" }, 86_400_000],
        [{ "x-amz-retry-after": "99999999999" }, 86_400_000],
        [{ "retry-after": "Thu, 01 Jan 1970 00:01:00 GMT" }, 60_000],
        [{ "x-amz-retry-after": "250", "retry-after": "9" }, 250]
      ]
      for (const [headers, retryAfterMillis] of waits) {
        const { result } = yield* using(() => ({ status: 503, headers }), ({ remove }) => remove!("k"))
        assert.deepInclude(result, { _tag: "Left" })
        assert.include(JSON.stringify(result), `"retryAfterMillis":${retryAfterMillis}`)
      }
    }))

  it.effect("in XML is not read if S3 would not send such XML", () =>
    Effect.gen(function*() {
      const bodies: ReadonlyArray<Uint8Array> = [
        text("<!DOCTYPE e [<!ENTITY a \"x\">]><Error><Code>SlowDown</Code></Error>"),
        text("<!doctype e><Error><Code>SlowDown</Code></Error>"),
        text("<Error><Code>&a;</Code></Error>"),
        text(`<Error>${"<a>".repeat(20_000)}`),
        text(`<Error>${"<a>".repeat(17)}${"</a>".repeat(17)}<Code>SlowDown</Code></Error>`),
        text("<Error><Code>SlowDown</Code>"),
        text("<Error><Code>SlowDown</Code></Error><Error/>"),
        text(`<Error><Message>${"x".repeat(100_000)}</Message><Code>SlowDown</Code></Error>`),
        Uint8Array.of(...text("<Error><Code>SlowDown</Code><M>"), 0xff, 0xfe, ...text("</M></Error>")),
        new Uint8Array(Transport.answerLimit).fill(60)
      ]
      for (const body of bodies) {
        // As far as its status goes, it is read.
        assert.deepStrictEqual(yield* failing(() => ({ status: 403, body })), ["Rejected Forbidden", 1])
      }
      const predefined = error("AccessDenied", "<Message>a &lt;b&gt; &#65;\n c</Message>")
      const { result } = yield* upload(() => ({ status: 403, body: predefined }))
      assert.include(JSON.stringify(result), "a <b> A")
    }))

  it.effect("of 200 that contains an error is not a success", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* failing(() => ({ body: error("InternalError") })), ["Transient Unavailable", 3])
      assert.deepStrictEqual(yield* failing(() => ({ body: error("SlowDown") })), ["Throttled", 3])
    }))

  it.effect("to a look, without a size, is not an object", () =>
    Effect.gen(function*() {
      assert.strictEqual(failure(yield* using(() => ({}), ({ head }) => head!("k"))), "Rejected Unexpected")
    }))
})

describe("an object that is to be absent", () => {
  const size = { "content-length": "5", "x-amz-checksum-crc32": "NhCmhg==", "x-amz-meta-mtime": "1.5" }
  const lost = { status: 500, body: error("InternalError") }
  const there = { status: 412, body: error("PreconditionFailed") }

  it.effect("and is there because the answer to its upload was lost, is uploaded", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* upload(
        ({ method }, index) => method === "HEAD" ? { headers: size } : index === 1 ? lost : there,
        { ifAbsent: true }
      )
      assert.deepStrictEqual([result._tag, seen.map(({ method }) => method)], ["Right", ["PUT", "PUT", "HEAD"]])
    }))

  it.effect("and belongs to another client, is a conflict", () =>
    Effect.gen(function*() {
      const others = [{ ...size, "x-amz-meta-mtime": "9" }, { ...size, "x-amz-checksum-crc32": "AAAAAA==" }, {
        "content-length": "5"
      }]
      for (const headers of others) {
        const tried = yield* upload(
          ({ method }, index) => method === "HEAD" ? { headers } : index === 1 ? lost : there,
          { ifAbsent: true }
        )
        assert.strictEqual(failure(tried), "Conflict")
      }
      const first = yield* upload(() => there, { ifAbsent: true })
      assert.deepStrictEqual([failure(first), first.seen.length], ["Conflict", 1])
    }))
})

describe("a removal", () => {
  it.effect("succeeds if there is no object, and fails if there is no bucket", () =>
    Effect.gen(function*() {
      const remove = (code: string) =>
        using(() => ({ status: 404, body: error(code) }), (destination) => destination.remove!("k"))
      assert.strictEqual((yield* remove("NoSuchKey")).result._tag, "Right")
      assert.strictEqual(failure(yield* remove("NoSuchBucket")), "Rejected NotFound")
      const { seen } = yield* using(() => ({ status: 204 }), (destination) => destination.remove!("a b"))
      assert.deepStrictEqual(seen.map(({ method, url }) => [method, new URL(url).pathname]), [["DELETE", "/a%20b"]])
    }))
})
