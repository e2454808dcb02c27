/**
 * Large files that an earlier process has begun in a bucket, and did not end: through the uploader, with a journal.
 */
import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Journal, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { Transport, UploadEvent } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import { Effect, Layer } from "effect"
import * as crypto from "node:crypto"
import { answering, bucket, error, text } from "../support/S3Answers.js"
import type { Respond, Seen } from "../support/S3Answers.js"

const mib = 1024 ** 2

const partSize = 5 * mib

const content = Uint8Array.from({ length: 3 * partSize }, (_, i) => 65 + Math.floor(i / partSize))

const md5 = (bytes: Uint8Array) => crypto.createHash("md5").update(bytes).digest()

const partEtag = (number: number) =>
  `"${md5(content.subarray((number - 1) * partSize, number * partSize)).toString("hex")}"`

const whole = `"${
  md5(Buffer.concat([1, 2, 3].map((number) => Buffer.from(partEtag(number).slice(1, -1), "hex")))).toString("hex")
}-3"`

const created = "<InitiateMultipartUploadResult><UploadId>new</UploadId></InitiateMultipartUploadResult>"

const done = `<CompleteMultipartUploadResult><ETag>${whole}</ETag></CompleteMultipartUploadResult>`

const gone = { status: 404, body: error("NoSuchUpload") }

interface Options {
  /** The parts that the journal knows of the upload `old`; of none, it knows no upload. */
  readonly known?: ReadonlyArray<number> | undefined
  readonly s3?: Partial<S3.Options> | undefined
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  readonly modifiedAt?: number | undefined
}

/** A summary of the requests: the listings of the old upload, and every change. */
const short = ({ method, url }: Seen): string => {
  const { searchParams } = new URL(url)
  const id = searchParams.get("uploadId")
  const part = searchParams.get("partNumber")
  return [method, searchParams.has("uploads") ? "create" : id, part].filter((it) => it !== null && it !== "").join(" ")
}

/** What a server answers, by what was asked in short; a `PUT` of a part with its etag. */
const serving = (answers: Readonly<Record<string, Partial<Transport.Answer> | string>>): Respond => (request) => {
  const asked = short(request)
  const answer = answers[asked]
  if (answer !== undefined) return answer
  if (asked.startsWith("PUT")) return { headers: { etag: partEtag(Number(asked.split(" ")[2])) } }
  if (asked.startsWith("DELETE")) return { status: 204 }
  return asked === "POST create" ? created : asked.startsWith("POST") ? done : gone
}

const run = (respond: Respond, options: Options = {}) =>
  Effect.gen(function*() {
    const { known = [], modifiedAt } = options
    const { layer, seen } = answering(respond)
    const events: Array<UploadEvent.UploadEvent> = []
    const source = { ...ByteSource.fromBytes(content), fingerprint: Effect.succeed("f") }
    const file = UploadFile.make("big", source, { fingerprint: "f", ...(modifiedAt !== undefined && { modifiedAt }) })
    const program = Effect.gen(function*() {
      const journal = yield* Journal.Journal
      if (known.length > 0) {
        yield* journal.begin({
          key: "big",
          token: "t",
          size: content.length,
          fingerprint: "f",
          partSize,
          checksum: "md5",
          startedAt: 0
        })
        yield* journal.created("big", "old")
        for (const number of known) journal.partStored("big", { number, size: partSize, etag: partEtag(number) })
      }
      const uploader = yield* Uploader.Uploader
      const report = yield* uploader.uploadAll([file], {
        onInterrupt: "keep",
        onEvent: (event) => Effect.sync(() => void events.push(event))
      })
      const kept = (yield* journal.sessions).map(({ uploadId }) => uploadId)
      return { report, kept }
    })
    const { kept, report } = yield* program.pipe(
      Effect.provide(
        Uploader.layer({
          strategy: Strategy.workerPool({ workers: 1 }),
          retry: options.retry ?? RetryPolicy.none,
          partSize,
          multipartThreshold: partSize,
          partConcurrency: 1,
          checksum: "md5"
        }).pipe(
          Layer.provide(S3.layer({ ...bucket, provider: "minio", ...options.s3 })),
          Layer.provide(layer),
          Layer.provideMerge(Journal.layerMemory)
        )
      )
    )
    return {
      kept,
      outcome: report.files.uploaded === 1 ? "Uploaded" : report.failures[0]?.error.message,
      asked: seen.map(short),
      restarted: events.flatMap((event) => event._tag === "UploadRestarted" ? [event.reason] : []),
      leftBehind: report.leftBehind.length
    }
  }).pipe(Effect.orDie)

const anew = ["POST create", "PUT new 1", "PUT new 2", "PUT new 3", "POST new"]

describe("a file whose parts the server does not list", () => {
  const refusals: ReadonlyArray<readonly [what: string, answer: Partial<Transport.Answer> | string]> = [
    ["by 403, as policies have it without s3:ListMultipartUploadParts", { status: 403, body: error("AccessDenied") }],
    ["by 405", { status: 405, body: error("MethodNotAllowed") }],
    ["by 501", { status: 501, body: error("NotImplemented") }],
    ["by 400", { status: 400, body: error("InvalidArgument") }],
    ["by an answer that nobody can read", { body: text("<ListPartsResult><Part><PartNumber>1</PartNumb") }],
    ["by an answer that is too large", { body: new Uint8Array(8 * mib + 1).fill(32) }],
    ["by a page", { body: text("<html>Welcome to the console</html>") }],
    [
      "by pages that lead nowhere",
      "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>0</NextPartNumberMarker></ListPartsResult>"
    ],
    ["by parts without sizes", "<ListPartsResult><Part><PartNumber>1</PartNumber><Size/></Part></ListPartsResult>"]
  ]
  for (const [what, answer] of refusals) {
    it.effect(`begins again, and the old upload is aborted: ${what}`, () =>
      Effect.gen(function*() {
        const tried = yield* run(serving({ "GET old": answer }), { known: [1] })
        assert.deepStrictEqual(tried, {
          outcome: "Uploaded",
          kept: [],
          asked: ["GET old", "DELETE old", "GET old", ...anew],
          restarted: ["PartsUnknown"],
          leftBehind: 0
        })
      }))
  }

  it.effect("starts over after the retries of a request", () =>
    Effect.gen(function*() {
      const tried = yield* run(serving({ "GET old": { body: text("?") } }), {
        known: [1],
        retry: RetryPolicy.make({ attempts: 3, base: 0, secondRound: false })
      })
      assert.deepStrictEqual([tried.outcome, tried.asked.slice(0, 5)], [
        "Uploaded",
        ["GET old", "GET old", "GET old", "DELETE old", "GET old"]
      ])
    }))

  it.effect("starts over and reports what is left, if an abort is refused as well", () =>
    Effect.gen(function*() {
      const refused = { status: 403, body: error("AccessDenied") }
      const tried = yield* run(serving({ "GET old": refused, "DELETE old": refused }), { known: [1] })
      assert.deepStrictEqual([tried.outcome, tried.asked, tried.leftBehind], [
        "Uploaded",
        ["GET old", "DELETE old", ...anew],
        1
      ])
    }))

  it.effect("is kept for later if only the server or the credentials have failed", () =>
    Effect.gen(function*() {
      for (const answer of [{ status: 503 }, { status: 500 }, { status: 403, body: error("InvalidAccessKeyId") }]) {
        const tried = yield* run(serving({ "GET old": answer }), { known: [1] })
        assert.deepStrictEqual([tried.kept, tried.asked], [["old"], ["GET old"]])
      }
    }))
})

describe("a list of parts", () => {
  const part = (number: number) =>
    `<Part><PartNumber>${number}</PartNumber><Size>${partSize}</Size><ETag>${partEtag(number)}</ETag></Part>`

  it.effect("is read under any name, and the rest is sent", () =>
    Effect.gen(function*() {
      const lists = [
        `<ListPartsResult>${part(1)}${part(2)}</ListPartsResult>`,
        `<s3:ListPartsResult xmlns:s3="x">${part(1)}${part(2)}</s3:ListPartsResult>`,
        `<ListMultipartUploadPartsResult><UploadId>old</UploadId>${part(1)}${part(2)}</ListMultipartUploadPartsResult>`,
        `<ListPartsResult><NextPartNumberMarker>0</NextPartNumberMarker>${part(1)}${part(2)}</ListPartsResult>`
      ]
      for (const list of lists) {
        const tried = yield* run(serving({ "GET old": list }), { known: [1, 2] })
        assert.deepStrictEqual([tried.outcome, tried.asked], ["Uploaded", ["GET old", "PUT old 3", "POST old"]])
      }
    }))

  it.effect("is read if a server answers with all ten thousand at once, whatever was requested", () =>
    Effect.gen(function*() {
      const padding = `<Owner><ID>${"0".repeat(300)}</ID></Owner>`
      const more = Array.from(
        { length: 9_998 },
        (_, i) => `<Part><PartNumber>${i + 3}</PartNumber><Size>1</Size><ETag>"e"</ETag>${padding}</Part>`
      )
      const list = `<ListPartsResult>${part(1)}${part(2)}${more.join("")}</ListPartsResult>`
      assert.isAbove(list.length, 3 * mib)
      const tried = yield* run(serving({ "GET old": list }), { known: [1, 2] })
      assert.deepStrictEqual([tried.outcome, tried.asked], ["Uploaded", ["GET old", "PUT old 3", "POST old"]])
    }))
})

describe("a file that was completed without an answer", () => {
  const there = (etag: string) => ({ headers: { "content-length": String(content.length), etag } })

  it.effect("is not sent again if its etag is derived from those of its parts", () =>
    Effect.gen(function*() {
      const tried = yield* run(serving({ HEAD: there(whole) }), { known: [1, 2, 3] })
      assert.deepStrictEqual([tried.outcome, tried.kept, tried.asked], ["Uploaded", [], ["GET old", "HEAD"]])
    }))

  it.effect("is not sent again if the journal has lost its last parts: the source shows what its etag is", () =>
    Effect.gen(function*() {
      const tried = yield* run(serving({ HEAD: there(whole) }), { known: [1] })
      assert.deepStrictEqual([tried.outcome, tried.asked], ["Uploaded", ["GET old", "HEAD"]])
    }))

  it.effect("is not sent again if it is completed only while this process looks", () =>
    Effect.gen(function*() {
      const list = `<ListPartsResult>${
        [1, 2, 3].map((number) =>
          `<Part><PartNumber>${number}</PartNumber><Size>${partSize}</Size><ETag>${partEtag(number)}</ETag></Part>`
        ).join("")
      }</ListPartsResult>`
      const tried = yield* run(serving({ "GET old": list, "POST old": gone, HEAD: there(whole) }), { known: [1, 2, 3] })
      assert.deepStrictEqual([tried.outcome, tried.asked], ["Uploaded", ["GET old", "POST old", "HEAD"]])
      let isAborted = false
      const absent = yield* run((request, index) => {
        if (short(request) === "DELETE old") isAborted = true
        return serving({
          "GET old": isAborted ? gone : list,
          "POST old": { status: 412, body: error("PreconditionFailed") },
          HEAD: there(whole)
        })(request, index)
      }, { known: [1, 2, 3], s3: { ifAbsent: true } })
      assert.deepStrictEqual([absent.outcome, absent.kept], ["Uploaded", []])
    }))

  it.effect("is sent again if another object of its size is there", () =>
    Effect.gen(function*() {
      for (const etag of [`"${"0".repeat(32)}-3"`, `"${"0".repeat(32)}"`, "\"opaque\""]) {
        const tried = yield* run(serving({ HEAD: there(etag) }), { known: [1, 2, 3] })
        assert.deepStrictEqual([tried.outcome, tried.asked.slice(-5)], ["Uploaded", anew])
      }
    }))
})

describe("a file that fails at its completion", () => {
  const sent = ["POST create", "PUT new 1", "PUT new 2", "PUT new 3", "POST new"]

  const finals: ReadonlyArray<readonly [status: number, code: string]> = [
    [412, "PreconditionFailed"],
    [400, "EntityTooSmall"],
    [400, "InvalidPartOrder"],
    [413, "EntityTooLarge"]
  ]
  for (const [status, code] of finals) {
    it.effect(`for good has its upload aborted: ${status} ${code}`, () =>
      Effect.gen(function*() {
        const tried = yield* run(serving({ "POST new": { status, body: error(code) } }))
        assert.include(tried.outcome, code)
        assert.deepStrictEqual([tried.kept, tried.asked], [[], [...sent, "DELETE new", "GET new"]])
      }))
  }

  it.effect("for a reason that users can fix is kept, and continues with the same command", () =>
    Effect.gen(function*() {
      for (const code of ["AccessDenied", "QuotaExceeded", "SlowDown", "ExpiredToken"]) {
        const tried = yield* run(serving({ "POST new": { status: 403, body: error(code) } }))
        assert.deepStrictEqual([code, tried.kept], [code, ["new"]])
      }
    }))
})

describe("a completion", () => {
  it.effect("is one under any name, if it has an etag", () =>
    Effect.gen(function*() {
      const answers = [
        `<CompleteMultipartUploadOutput><ETag>${whole}</ETag></CompleteMultipartUploadOutput>`,
        `<ns:CompleteMultipartUploadResult xmlns:ns="x"><ns:ETag>${whole}</ns:ETag></ns:CompleteMultipartUploadResult>`,
        `<CompleteMultipartUploadResult><ETag>${
          whole.replaceAll("\"", "&amp;quot;")
        }</ETag></CompleteMultipartUploadResult>`
      ]
      for (const answer of answers) {
        const tried = yield* run(serving({ "POST new": answer }))
        assert.deepStrictEqual([tried.outcome, tried.asked], ["Uploaded", anew])
      }
    }))

  it.effect("is not one without an etag, and is settled by a look", () =>
    Effect.gen(function*() {
      const answers = [
        "<CompleteMultipartUploadResult/>",
        "<CompleteMultipartUploadResult><ETag/></CompleteMultipartUploadResult>",
        "<html><body>OK</body></html>",
        "<Error><ETag>\"e\"</ETag></Error>"
      ]
      for (const answer of answers) {
        const there = { headers: { "content-length": String(content.length), etag: whole } }
        const found = yield* run(serving({ "POST new": answer, HEAD: there }))
        assert.deepStrictEqual([answer, found.outcome], [answer, "Uploaded"])
        const missing = yield* run(serving({ "POST new": answer }))
        assert.notStrictEqual(missing.outcome, "Uploaded")
      }
    }))

  it.effect("names parts by the etags that a proxy has made weak ones", () =>
    Effect.gen(function*() {
      let document = ""
      const tried = yield* run((request) => {
        const asked = short(request)
        if (asked === "POST new") document = new TextDecoder().decode(request.body)
        return asked.startsWith("PUT")
          ? { headers: { etag: `W/${partEtag(Number(asked.split(" ")[2]))}` } }
          : serving({})(request, 0)
      })
      assert.strictEqual(tried.outcome, "Uploaded")
      for (const number of [1, 2, 3]) {
        assert.include(document, `<ETag>${partEtag(number).replaceAll("\"", "&#34;")}</ETag>`)
      }
    }))
})
