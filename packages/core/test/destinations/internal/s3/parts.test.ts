import { assert, describe, it } from "@effect/vitest"
import { Checksum, RetryPolicy, Uploader, UploadFile } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import { Effect, Layer } from "effect"
import * as crypto from "node:crypto"
import { answering, bucket, error, failure, text, upload, using } from "../../../support/S3Answers.js"
import type { Respond } from "../../../support/S3Answers.js"

const mib = 1024 ** 2

const session = { key: "big", uploadId: "u" }

const done = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"

const partsList = (numbers: ReadonlyArray<number>, rest = "", etag = "\"e\"") =>
  `<ListPartsResult>${
    numbers.map((number) => `<Part><PartNumber>${number}</PartNumber><Size>5</Size><ETag>${etag}</ETag></Part>`).join(
      ""
    )
  }${rest}</ListPartsResult>`

/** Answers create and parts; the given function answers the rest. */
const serving = (respond: Respond): Respond => (request, index) => {
  if (request.method === "POST" && request.url.endsWith("?uploads=")) {
    return "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
  }
  return request.method === "PUT" ? { headers: { etag: "\"e\"" } } : respond(request, index)
}

/** Three parts of 5 MiB: "A", "B" and "C". */
const letters = UploadFile.fromBytes(
  "big",
  Uint8Array.from({ length: 15 * mib }, (_, i) => 65 + Math.floor(i / (5 * mib)))
)

const settings = (checksum: Checksum.Algorithm | "none"): Uploader.Options => ({
  partSize: 5 * mib,
  multipartThreshold: 5 * mib,
  partConcurrency: 1,
  checksum
})

describe("the parts of an object", () => {
  // The values of ceph/s3-tests.
  const vectors = [
    ["crc32", ["JRTCyQ==", "QoZTGg==", "YAgjqw=="], "WgDhBQ=="],
    ["crc32c", ["MDaLrw==", "TH4EZg==", "Z7mBIQ=="], "xU+Krw=="],
    ["crc64nvme", ["L/E4WYn8v98=", "xW1l19VobYM=", "cK5MnNaWrW4="], "i+6LR0y3eFo="]
  ] as const
  for (const [algorithm, parts, whole] of vectors) {
    it.effect(`have the published ${algorithm} in their headers, and the object has that of the whole`, () =>
      Effect.gen(function*() {
        const { result, seen } = yield* upload(serving(() => done), {}, letters, settings(algorithm))
        assert.strictEqual(result._tag, "Right")
        const name = `x-amz-checksum-${algorithm}`
        assert.deepStrictEqual(seen.map(({ headers }) => headers[name]), [undefined, ...parts, whole])
        assert.deepStrictEqual(seen.map(({ headers }) => headers["x-amz-checksum-type"]), [
          "FULL_OBJECT",
          undefined,
          undefined,
          undefined,
          "FULL_OBJECT"
        ])
        const element = `Checksum${algorithm.toUpperCase()}`
        const document = new TextDecoder().decode(seen[4]?.body)
        for (const [i, value] of parts.entries()) {
          assert.include(
            document,
            `<Part><PartNumber>${i + 1}</PartNumber><ETag>&#34;e&#34;</ETag><${element}>${value}</${element}></Part>`
          )
        }
      }))
  }

  it.effect("have a composite SHA-256 checksum, of which only parts are reported", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* upload(serving(() => done), {}, letters, settings("sha256"))
      assert.strictEqual(result._tag, "Right")
      assert.strictEqual(seen[0]?.headers["x-amz-checksum-type"], "COMPOSITE")
      assert.isUndefined(seen[4]?.headers["x-amz-checksum-sha256"])
      const values = seen.slice(1, 4).map(({ headers }) => ({
        checksum: { algorithm: "sha256" as const, value: headers["x-amz-checksum-sha256"] ?? "" }
      }))
      assert.strictEqual(
        Checksum.composite("sha256", values)?.value,
        "uWBwpe1dxI4Vw8Gf0X9ynOdw/SS6VBzfWm9giiv1sf4=-3"
      )
    }))

  it.effect("have no checksums if none are wanted, and only MD5 if nothing else is known", () =>
    Effect.gen(function*() {
      const none = yield* upload(serving(() => done), {}, letters, settings("none"))
      const swift = yield* upload(serving(() => done), { provider: "swift" }, letters, settings("md5"))
      for (const { seen } of [none, swift]) {
        const names = seen.flatMap(({ headers }) => Object.keys(headers))
        assert.isFalse(names.some((name) => name.startsWith("x-amz-checksum")))
      }
      assert.isTrue(swift.seen.slice(1, 4).every(({ headers }) => headers["content-md5"] !== undefined))
      assert.isUndefined(swift.seen[4]?.headers["x-amz-mp-object-size"])
    }))

  it.effect("are damaged if the server says so", () =>
    Effect.gen(function*() {
      const answered = { headers: { etag: "\"e\"", "x-amz-checksum-crc32": "AAAAAA==" } }
      const tried = yield* upload(
        (request, index) =>
          request.method === "PUT"
            ? answered
            : serving(() => request.method === "POST" ? done : { status: 404 })(request, index),
        {},
        letters,
        settings("crc32")
      )
      assert.strictEqual(failure(tried), "IntegrityMismatch Checksum")
    }))
})

describe("a checksum that the server does not repeat", () => {
  const md5 = (bytes: Uint8Array) => crypto.createHash("md5").update(bytes).digest("hex")

  const flipped = (bytes: Uint8Array) => {
    const copy = bytes.slice()
    copy[0]! ^= 1
    return copy
  }

  const servers: ReadonlyArray<S3.Provider> = ["other", "ceph", "swift", "minio", "aws", "b2", "gcs"]
  for (const provider of servers) {
    for (const algorithm of ["crc32", "crc32c", "crc64nvme", "sha256"] as const) {
      it.effect(`is compared by the etag of an object: ${algorithm} at ${provider}`, () =>
        Effect.gen(function*() {
          const storing = (stored: (bytes: Uint8Array) => Uint8Array): Respond => ({ body }) => ({
            headers: { etag: `"${md5(stored(body))}"` }
          })
          const well = yield* upload(storing((body) => body), { provider }, undefined, { checksum: algorithm })
          assert.deepStrictEqual([failure(well), well.seen.length], ["none", 1])
          const badly = yield* upload(storing(flipped), { provider }, undefined, { checksum: algorithm })
          assert.deepStrictEqual([failure(badly), badly.seen.length], ["IntegrityMismatch Checksum", 3])
        }))
    }

    it.effect(`is compared by the etags of parts: ${provider}`, () =>
      Effect.gen(function*() {
        const storing = (stored: (bytes: Uint8Array) => Uint8Array): Respond => (request, index) =>
          request.method === "PUT"
            ? { headers: { etag: `"${md5(stored(request.body))}"` } }
            : serving(() => request.method === "POST" ? done : { status: 404 })(request, index)
        const well = yield* upload(storing((body) => body), { provider }, letters, settings("crc32"))
        assert.strictEqual(failure(well), "none")
        const badly = yield* upload(storing(flipped), { provider }, letters, settings("crc32"))
        assert.strictEqual(failure(badly), "IntegrityMismatch Checksum")
      }))
  }

  it.effect("is refused if nothing else shows what was stored, and the next file before it is sent", () =>
    Effect.gen(function*() {
      const { layer, seen } = answering(() => ({ headers: { etag: "\"opaque\"" } }))
      const errors = yield* Effect.flatMap(Uploader.Uploader, (uploader) =>
        Effect.all([
          Effect.flip(uploader.upload(UploadFile.fromText("a", "hello"))),
          Effect.flip(uploader.upload(UploadFile.fromText("b", "hello"))),
          Effect.flip(uploader.upload(letters))
        ])).pipe(
          Effect.provide(
            Uploader.layer({ ...settings("sha256"), retry: RetryPolicy.none }).pipe(
              Layer.provide(S3.layer({ ...bucket, provider: "other" })),
              Layer.provide(layer)
            )
          )
        )
      assert.deepStrictEqual(errors.map((error) => failure({ result: { _tag: "Left", left: error } as never })), [
        "Rejected Unsupported",
        "Rejected Unsupported",
        "Rejected Unsupported"
      ])
      assert.include(errors[0]?.message, "does not verify sha256")
      assert.strictEqual(seen.length, 1)
    }))

  it.effect("is also compared by the etag, if a server may repeat a checksum without verifying it", () =>
    Effect.gen(function*() {
      const tried = yield* upload(
        ({ body, headers }) => ({
          headers: { etag: `"${md5(flipped(body))}"`, "x-amz-checksum-crc32": headers["x-amz-checksum-crc32"] ?? "" }
        }),
        { provider: "other" },
        undefined,
        { checksum: "crc32" }
      )
      assert.strictEqual(failure(tried), "IntegrityMismatch Checksum")
    }))

  it.effect("is believed of a server that is known to check it", () =>
    Effect.gen(function*() {
      const { result } = yield* upload(() => ({ headers: { etag: "\"opaque\"" } }), {}, undefined, {
        checksum: "sha256"
      })
      assert.strictEqual(result._tag, "Right")
    }))

  it.effect("is found out by MD5 at servers where it is unknown whether etags of parts are MD5s", () =>
    Effect.gen(function*() {
      const serve = (etagOf: (body: Uint8Array, index: number) => string): Respond => (request, index) =>
        request.method === "PUT"
          ? { headers: { etag: `"${etagOf(request.body, index)}"` } }
          : serving(() => request.method === "POST" ? done : { status: 404 })(request, index)
      const other = { provider: "other" } as const
      // The first of them comes damaged, once.
      const damaged = yield* upload(
        serve((body, index) => md5(index === 2 ? flipped(body) : body)),
        other,
        letters,
        settings("md5")
      )
      assert.strictEqual(failure(damaged), "none")
      assert.deepStrictEqual(damaged.seen.filter(({ method }) => method === "PUT").length, 4)
      // All etags are something else: one part is sent twice, to see that.
      const opaque = yield* upload(serve((body) => md5(body.subarray(0, 1))), other, letters, settings("md5"))
      assert.strictEqual(failure(opaque), "none")
      assert.deepStrictEqual(opaque.seen.filter(({ method }) => method === "PUT").length, 4)
    }))
})

describe("an object that is to be absent", () => {
  const unheard: ReadonlyArray<S3.Provider> = ["other", "ceph"]
  for (const provider of unheard) {
    it.effect(`in parts is looked for before it is begun, and before it is completed: ${provider}`, () =>
      Effect.gen(function*() {
        let isThere = false
        const server = serving(({ method }) => {
          if (method === "HEAD") {
            return isThere
              ? { headers: { "content-length": "3", etag: "\"x\"" } }
              : { status: 404 }
          }
          return method === "POST" ? done : { status: 404, body: error("NoSuchUpload") }
        })
        const options = { provider, ifAbsent: true }
        const first = yield* upload(server, options, letters, settings("md5"))
        assert.deepStrictEqual(
          [failure(first), first.seen.map(({ method }) => method)],
          ["none", ["HEAD", "POST", "PUT", "PUT", "PUT", "HEAD", "POST"]]
        )
        isThere = true
        const second = yield* upload(server, options, letters, settings("md5"))
        assert.deepStrictEqual([failure(second), second.seen.map(({ method }) => method)], ["Conflict", ["HEAD"]])
        // Somebody else is quicker.
        const third = yield* upload(
          (request, index) => {
            isThere = index > 4
            return server(request, index)
          },
          options,
          letters,
          settings("md5")
        )
        assert.deepStrictEqual([failure(third), third.seen.map(({ method }) => method)], [
          "Conflict",
          ["HEAD", "POST", "PUT", "PUT", "PUT", "HEAD", "DELETE"]
        ])
      }))
  }

  it.effect("is also left alone in one request, by a server that ignores the condition", () =>
    Effect.gen(function*() {
      const there = yield* upload(
        ({ method }) => method === "HEAD" ? { headers: { "content-length": "3", etag: "\"x\"" } } : {},
        { provider: "other", ifAbsent: true }
      )
      assert.deepStrictEqual([failure(there), there.seen.map(({ method }) => method)], ["Conflict", ["HEAD"]])
    }))

  it.effect("is refused if neither the condition nor a look can be trusted", () =>
    Effect.gen(function*() {
      for (const file of [letters, undefined]) {
        const tried = yield* upload(
          ({ method }) => method === "HEAD" ? { status: 403 } : {},
          { provider: "other", ifAbsent: true },
          file,
          settings("md5")
        )
        assert.deepStrictEqual(
          [failure(tried), tried.seen.map(({ method }) => method)],
          ["Rejected Unsupported", ["HEAD"]]
        )
      }
    }))
})

describe("a list of parts", () => {
  const list = (respond: Respond) => using(respond, ({ multipart }) => multipart!.listParts(session))

  it.effect("goes from page to page, with etags as they were answered", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* list(({ url }) =>
        url.includes("part-number-marker=2&")
          ? partsList([3], "<IsTruncated>false</IsTruncated>")
          : partsList([1, 2], "<IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>", "e")
      )
      const part = (number: number) => ({ number, size: 5, etag: "\"e\"" })
      assert.deepInclude(result, { right: [part(1), part(2), part(3)] })
      assert.strictEqual(seen.length, 2)
    }))

  it.effect("ends, whatever the server says", () =>
    Effect.gen(function*() {
      for (const next of ["0", "-1", "NaN", "1e9"]) {
        const page = partsList(
          [1],
          `<IsTruncated>true</IsTruncated><NextPartNumberMarker>${next}</NextPartNumberMarker>`
        )
        const tried = yield* list(() => page)
        assert.deepStrictEqual([failure(tried), tried.seen.length], ["Transient Unavailable", 1])
      }
      const endless = yield* list((_, index) =>
        partsList([], `<IsTruncated>true</IsTruncated><NextPartNumberMarker>${index * 4_000}</NextPartNumberMarker>`)
      )
      assert.deepStrictEqual([failure(endless), endless.seen.length], ["Transient Unavailable", 3])
    }))

  it.effect("of an upload that is gone fails as such, under any name", () =>
    Effect.gen(function*() {
      const answers = [error("NoSuchUpload"), error("NoSuchKey"), text("")]
      for (const body of answers) assert.strictEqual(failure(yield* list(() => ({ status: 404, body }))), "SessionGone")
      assert.strictEqual(
        failure(yield* list(() => ({ status: 404, body: error("NoSuchBucket") }))),
        "Rejected NotFound"
      )
    }))
})

describe("the end of an upload in parts", () => {
  const complete = (status: number, code: string, ifAbsent = false) =>
    using(
      () => ({ status, body: error(code) }),
      ({ multipart }) => multipart!.complete({ ...session, parts: [], size: 0, checksum: undefined }),
      { ifAbsent }
    )

  const outcomes: ReadonlyArray<readonly [status: number, code: string, outcome: string]> = [
    [400, "EntityTooSmall", "Rejected Unsupported"],
    [400, "InvalidPart", "SessionGone"],
    [400, "InvalidPartOrder", "Rejected Unsupported"],
    [404, "NoSuchUpload", "SessionGone"],
    [409, "ConditionalRequestConflict", "SessionGone"],
    [412, "PreconditionFailed", "Conflict"],
    [500, "InternalError", "Transient Unavailable"],
    [200, "InternalError", "Transient Unavailable"],
    [200, "NoSuchUpload", "SessionGone"],
    [200, "PreconditionFailed", "Conflict"],
    [200, "AccessDenied", "Rejected Forbidden"]
  ]
  for (const [status, code, outcome] of outcomes) {
    it.effect(`is ${outcome} after ${status} ${code}`, () =>
      Effect.gen(function*() {
        const { result, seen } = yield* complete(status, code, true)
        assert.strictEqual(failure({ result }), outcome)
        assert.strictEqual(seen[0]?.headers["if-none-match"], "*")
      }))
  }

  it.effect("is settled by a look if its answer was lost", () =>
    Effect.gen(function*() {
      let completions = 0
      const { result, seen } = yield* upload(
        serving(({ method }) => {
          if (method === "HEAD") {
            return {
              headers: { "content-length": String(15 * mib), "x-amz-checksum-crc32": "WgDhBQ==", etag: "\"e-3\"" }
            }
          }
          if (method !== "POST") return { status: 404, body: error("NoSuchUpload") }
          completions += 1
          return completions === 1 ? { status: 500 } : { status: 404, body: error("NoSuchUpload") }
        }),
        {},
        letters,
        settings("crc32")
      )
      assert.strictEqual(result._tag, "Right")
      assert.strictEqual(seen.filter(({ method }) => method === "PUT").length, 3)
      assert.strictEqual(seen.at(-1)?.headers["x-amz-checksum-mode"], "ENABLED")
    }))

  it.effect("starts over, a bounded number of times, if a part is missing", () =>
    Effect.gen(function*() {
      let completions = 0
      const { result, seen } = yield* upload(
        serving(({ method }) => {
          if (method !== "POST") return { status: 404, body: error("NoSuchUpload") }
          completions += 1
          return completions === 1 ? { status: 400, body: error("InvalidPart") } : done
        }),
        {},
        letters,
        settings("crc32")
      )
      assert.strictEqual(result._tag, "Right")
      assert.strictEqual(seen.filter(({ url }) => url.endsWith("?uploads=")).length, 2)
      assert.strictEqual(seen.filter(({ method }) => method === "PUT").length, 6)
    }))

  it.effect("is refused at the beginning if the server knows no conditions", () =>
    Effect.gen(function*() {
      const tried = yield* upload(serving(() => done), { provider: "swift", ifAbsent: true }, letters, settings("md5"))
      assert.deepStrictEqual([failure(tried), tried.seen.length], ["Rejected Unsupported", 0])
    }))
})

describe("an abort", () => {
  const abort = (respond: Respond) => using(respond, ({ multipart }) => multipart!.abort(session))

  it.effect("is done when the upload no longer exists, or has no parts", () =>
    Effect.gen(function*() {
      const answers: ReadonlyArray<Respond> = [
        ({ method }) => method === "DELETE" ? { status: 204 } : { status: 404, body: error("NoSuchUpload") },
        ({ method }) => method === "DELETE" ? { status: 204 } : partsList([]),
        () => ({ status: 404, body: error("NoSuchUpload") }),
        // A client that may abort is not necessarily allowed to look.
        ({ method }) => method === "DELETE" ? { status: 204 } : { status: 403, body: error("AccessDenied") },
        ({ method }) => method === "DELETE" ? { status: 204 } : { status: 501, body: error("NotImplemented") }
      ]
      for (const respond of answers) assert.strictEqual((yield* abort(respond)).result._tag, "Right")
    }))

  it.effect("should be retried if parts were still in flight", () =>
    Effect.gen(function*() {
      const late = yield* abort(({ method }) => method === "DELETE" ? { status: 204 } : partsList([7]))
      assert.strictEqual(failure(late), "Transient Unavailable")
      const refused = yield* abort(() => ({ status: 403, body: error("AccessDenied") }))
      assert.strictEqual(failure(refused), "Rejected Forbidden")
    }))
})
