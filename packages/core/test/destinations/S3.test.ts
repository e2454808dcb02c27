import { assert, describe, it } from "@effect/vitest"
import { Destination, UploadFile } from "@sluice/core"
import type { Uploader } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import { Effect, Layer, Option } from "effect"
import { answering, bucket, credentials, error, failure, upload } from "../support/S3Answers.js"
import type { Respond } from "../support/S3Answers.js"

describe("an object", () => {
  it.effect("goes in one signed request, with its checksum in a header", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* upload(() => ({ headers: { etag: "\"x\"", "x-amz-checksum-crc32": "NhCmhg==" } }))
      assert.strictEqual(result._tag, "Right")
      const { authorization, ...headers } = seen[0]!.headers
      assert.deepStrictEqual([seen.length, seen[0]!.method, seen[0]!.url], [
        1,
        "PUT",
        "https://examplebucket.s3.us-east-1.amazonaws.com/notes/a%20b.txt"
      ])
      assert.deepStrictEqual(headers, {
        "content-type": "text/plain",
        host: "examplebucket.s3.us-east-1.amazonaws.com",
        "x-amz-checksum-crc32": "NhCmhg==",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "x-amz-date": "19700101T000000Z",
        "x-amz-meta-mtime": "1.5"
      })
      assert.match(authorization ?? "", /^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE\/19700101\/us-east-1\/s3\//)
    }))

  it.effect("has its payload signed if the connection does not protect it", () =>
    Effect.gen(function*() {
      const { seen } = yield* upload(() => ({}), { endpoint: "http://storage.example.org" })
      assert.strictEqual(seen[0]!.url, "http://storage.example.org/examplebucket/notes/a%20b.txt")
      assert.strictEqual(
        seen[0]!.headers["x-amz-content-sha256"],
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
      )
      assert.strictEqual(seen[0]!.headers["content-md5"], "XUFAKrxLKna5cZ2REBfFkg==")
    }))

  it.effect("that did not arrive as it was sent is sent again", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* upload((_, index) =>
        index === 1 ? { headers: { "x-amz-checksum-crc32": "AAAAAA==" } } : { headers: {} }
      )
      assert.deepStrictEqual([result._tag, seen.length], ["Right", 2])
    }))

  it.effect("keeps headers apart from what metadata say", () =>
    Effect.gen(function*() {
      const file = UploadFile.fromText("a", "", { metadata: { "Name: x\r\nhost": "a\r\nb", owner: "Zoë" } })
      const { seen } = yield* upload(() => ({}), {}, file)
      for (const [name, value] of Object.entries(seen[0]!.headers)) {
        assert.match(name, /^[a-z0-9!#$&'*+.^_`|~-]+$/)
        assert.match(value, /^[\x20-\x7e]*$/)
      }
      assert.strictEqual(seen[0]!.headers["x-amz-meta-owner"], "=?UTF-8?B?Wm/Dqw==?=")
    }))
})

describe("an answer", () => {
  const outcomes: ReadonlyArray<readonly [status: number, code: string, outcome: string, requests: number]> = [
    [503, "SlowDown", "Throttled", 3],
    [503, "", "Throttled", 3],
    [429, "", "Throttled", 3],
    [500, "InternalError", "Transient Unavailable", 3],
    [502, "", "Transient Unavailable", 3],
    [400, "RequestTimeout", "Transient Unavailable", 3],
    [400, "BadDigest", "IntegrityMismatch Checksum", 3],
    [403, "AccessDenied", "Rejected Forbidden", 1],
    [403, "SignatureDoesNotMatch", "Rejected Unauthorized", 1],
    [404, "NoSuchBucket", "Rejected NotFound", 1],
    [412, "PreconditionFailed", "Conflict", 1],
    [409, "ConditionalRequestConflict", "Transient Unavailable", 3],
    [409, "BucketConflict", "Conflict", 1],
    [501, "NotImplemented", "Rejected Unsupported", 1],
    [400, "EntityTooLarge", "Rejected TooLarge", 1],
    [400, "XAmzContentChecksumMismatch", "IntegrityMismatch Checksum", 3],
    [400, "IncompleteBody", "Transient Unavailable", 3],
    [400, "KeyTooLongError", "Rejected InvalidKey", 1],
    [400, "InvalidStorageClass", "Rejected Unsupported", 1],
    [403, "InvalidAccessKeyId", "Rejected Unauthorized", 1],
    [403, "QuotaExceeded", "Rejected NoSpace", 1],
    [405, "MethodNotAllowed", "Rejected Unsupported", 1],
    [408, "", "Transient Unavailable", 3],
    [411, "MissingContentLength", "Rejected Unsupported", 1],
    [500, "", "Transient Unavailable", 3],
    [503, "ServiceUnavailable", "Transient Unavailable", 3],
    [504, "", "Transient Unavailable", 3],
    [507, "", "Rejected NoSpace", 1],
    [520, "", "Transient Unavailable", 3],
    // The bucket's region is requested in two ways.
    [307, "TemporaryRedirect", "Rejected Redirected", 3]
  ]
  for (const [status, code, outcome, requests] of outcomes) {
    it.effect(`of ${status} ${code} is ${outcome}`, () =>
      Effect.gen(function*() {
        const tried = yield* upload(() => ({ status, body: code === "" ? new Uint8Array() : error(code) }))
        assert.deepStrictEqual([failure(tried), tried.seen.length], [outcome, requests])
      }))
  }

  it.effect("that names another region is followed once, in that region's name", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* upload((_, index) =>
        index === 1
          ? { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>") }
          : {}
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(seen.map(({ url }) => url), [
        "https://examplebucket.s3.us-east-1.amazonaws.com/notes/a%20b.txt",
        "https://examplebucket.s3.eu-central-1.amazonaws.com/notes/a%20b.txt"
      ])
      assert.include(seen[1]!.headers["authorization"] ?? "", "/eu-central-1/s3/")
    }))

  it.effect("that names no region, but another host, is not followed", () =>
    Effect.gen(function*() {
      const tried = yield* upload(() => ({
        status: 400,
        body: error("AuthorizationHeaderMalformed", "<Region>evil.example.org/</Region>")
      }))
      assert.deepStrictEqual([failure(tried), tried.seen.length], ["Rejected Unsupported", 1])
    }))

  it.effect("that says that credentials have expired has new ones asked for", () =>
    Effect.gen(function*() {
      let asked = 0
      const { result, seen } = yield* upload(
        (_, index) => index === 1 ? { status: 400, body: error("ExpiredToken") } : {},
        {
          credentials: Effect.sync(() => {
            asked += 1
            return { ...credentials, accessKeyId: `KEY${asked}` }
          })
        }
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(
        seen.map(({ headers }) => /Credential=(\w+)/.exec(headers["authorization"] ?? "")?.[1]),
        ["KEY1", "KEY2"]
      )
    }))

  it.effect("about a wrong clock gets it corrected", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* upload((_, index) =>
        index === 1
          ? { status: 403, headers: { date: "Fri, 24 May 2013 00:00:00 GMT" }, body: error("RequestTimeTooSkewed") }
          : {}
      )
      assert.strictEqual(result._tag, "Right")
      assert.strictEqual(seen[1]!.headers["x-amz-date"], "20130524T000000Z")
    }))
})

describe("a large object", () => {
  const mib = 1024 ** 2
  const file = UploadFile.fromBytes("big", new Uint8Array(11 * mib).fill(7))
  const settings: Uploader.Options = { partSize: 5 * mib, multipartThreshold: 5 * mib, checksum: "crc32" }

  const serving = (completed: Respond): Respond => (request, index) => {
    if (request.method === "POST" && request.url.endsWith("?uploads=")) {
      return "<InitiateMultipartUploadResult><UploadId>up load/1</UploadId></InitiateMultipartUploadResult>"
    }
    if (request.method === "POST") return completed(request, index)
    if (request.method === "PUT") return { headers: { etag: `"part ${request.body[0]}"` } }
    return { status: 404, body: error("NoSuchUpload") }
  }

  it.effect("goes up in parts, and is completed with the checksum of the whole", () =>
    Effect.gen(function*() {
      const done = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"
      const { result, seen } = yield* upload(serving(() => done), {}, file, settings)
      assert.strictEqual(result._tag, "Right")
      const base = "https://examplebucket.s3.us-east-1.amazonaws.com/big"
      assert.deepStrictEqual(seen.map(({ body, method, url }) => [method, url.slice(base.length), body.length]), [
        ["POST", "?uploads=", 0],
        ["PUT", "?partNumber=1&uploadId=up%20load%2F1", 5 * mib],
        ["PUT", "?partNumber=2&uploadId=up%20load%2F1", 5 * mib],
        ["PUT", "?partNumber=3&uploadId=up%20load%2F1", mib],
        ["POST", "?uploadId=up%20load%2F1", seen[4]!.body.length]
      ])
      assert.strictEqual(seen[0]!.headers["x-amz-checksum-algorithm"], "CRC32")
      assert.strictEqual(seen[0]!.headers["x-amz-checksum-type"], "FULL_OBJECT")
      assert.strictEqual(seen[4]!.headers["x-amz-mp-object-size"], String(11 * mib))
      assert.isString(seen[4]!.headers["x-amz-checksum-crc32"])
      assert.include(
        new TextDecoder().decode(seen[4]!.body),
        "<Part><PartNumber>3</PartNumber><ETag>&#34;part 7&#34;</ETag><ChecksumCRC32>"
      )
    }))

  for (
    const [name, answer] of [
      ["an error", "<Error><Code>InternalError</Code></Error>"],
      ["a document that is cut short", "<CompleteMultipartUploadResult><ETag>"],
      ["white space only", "   \n"],
      ["a document type", "<!DOCTYPE x><CompleteMultipartUploadResult/>"]
    ] as const
  ) {
    it.effect(`is not taken for completed where the answer of 200 holds ${name}`, () =>
      Effect.gen(function*() {
        let asked = 0
        const { result, seen } = yield* upload(
          serving(() => {
            asked += 1
            return asked === 1
              ? answer
              : "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"
          }),
          {},
          file,
          settings
        )
        assert.strictEqual(result._tag, "Right")
        assert.strictEqual(seen.filter(({ method }) => method === "POST").length, 3)
      }))
  }
})

describe("a look", () => {
  const look = (respond: Respond) =>
    Effect.flatMap(Destination.Destination, (destination) => destination.head!("k")).pipe(
      Effect.provide(S3.layer(bucket).pipe(Layer.provide(answering(respond).layer)))
    )

  it.effect("returns size, modification time and checksum", () =>
    Effect.gen(function*() {
      const found = yield* look(() => ({
        headers: { "content-length": "5", etag: "\"e\"", "x-amz-meta-mtime": "1.5", "x-amz-checksum-crc32": "NhCmhg==" }
      }))
      assert.deepStrictEqual(
        Option.getOrThrow(found),
        { size: 5, etag: "\"e\"", modifiedAt: 1_500, checksum: { algorithm: "crc32", value: "NhCmhg==" } }
      )
      assert.isTrue(Option.isNone(yield* look(() => ({ status: 404 }))))
    }))
})
