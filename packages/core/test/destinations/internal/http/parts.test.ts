import { assert, describe, it, vi } from "@effect/vitest"
import { RetryPolicy, Transport, Uploader, UploadFile } from "@sluice/core"
import type { Destination, UploadError } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import { Cause, Deferred, Effect, Fiber, Layer, Option, Redacted, Stream } from "effect"
import * as fs from "node:fs"
import type * as http from "node:http"
import { hostileKeys, oddNames } from "../../../contract/DestinationContract.js"
import { errorName } from "../../../support/ErrorName.js"
import * as PartsServer from "../../../support/PartsServer.js"
import { readBody, serve } from "../../../support/PutServer.js"
import * as TemporaryDirectory from "../../../support/TemporaryDirectory.js"
import * as TestBody from "../../../support/TestBody.js"
import { pattern, sameBytes } from "../../../support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const step = 256 * kib

const to = (options: Http.Options) =>
  Effect.map(
    Effect.flatMap(TransportNode.make(), (transport) =>
      Effect.provideService(Http.make({ parts: "contentRange", ...options }), Transport.Transport, transport)),
    (destination) => ({
      ...destination,
      multipart: destination.multipart!,
      head: destination.head!,
      read: destination.read!
    })
  )

const fresh = (fault?: PartsServer.Options["fault"]) =>
  Effect.gen(function*() {
    const server = yield* PartsServer.serve({ fault })
    return { server, http: yield* to({ url: server.url }) }
  })

const session = (key: string): Destination.Session => ({ key, uploadId: "token-12345678" })

/** Part `number` of content that is cut in steps of 256 KiB. */
const partOf = (
  key: string,
  bytes: Uint8Array,
  number: number,
  options: TestBody.Options & { readonly total?: number | undefined } = { total: bytes.length }
): Destination.PartRequest => {
  const offset = (number - 1) * step
  return {
    ...session(key),
    number,
    offset,
    total: options.total,
    contentType: "text/x-test",
    body: TestBody.make(bytes.subarray(offset, offset + step), options)
  }
}

const completing = (
  key: string,
  size: number,
  parts: ReadonlyArray<Destination.StoredPart> = []
): Destination.CompleteRequest => ({ ...session(key), size, parts, checksum: undefined })

const failure = <A>(effect: Effect.Effect<A, UploadError.UploadError>) => Effect.map(Effect.flip(effect), errorName)

/** A server that gives one answer to everything. */
const answering = (status: number, headers: http.OutgoingHttpHeaders = {}, text = "") =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    const running = yield* serve((request, response) =>
      readBody(request, () => {
        seen.push(`${request.method} ${request.headers["content-range"] ?? ""}`.trim())
        response.writeHead(status, headers).end(request.method === "HEAD" ? undefined : text)
      })
    )
    return { ...running, seen, http: yield* to({ url: running.url }) }
  })

describe("Http in parts", () => {
  it.scopedLive("sends parts as ranges of true length to the address of the object", () =>
    Effect.gen(function*() {
      const { http, server } = yield* fresh()
      assert.isFalse(http.multipart.ownIds)
      assert.deepInclude(http.multipart.limits, { minSize: step, multiple: step, inOrder: true })
      const key = "a b/ü"
      const bytes = pattern(2 * step + 7)
      const uploadId = yield* http.multipart.create({
        key,
        size: bytes.length,
        token: "token-12345678",
        checksum: undefined,
        contentType: "text/x-test"
      })
      // The existing object is looked up before the first part, to distinguish it from the upload's result.
      assert.strictEqual(uploadId, "token-12345678:")
      assert.deepStrictEqual(server.log.map(({ method, status }) => [method, status]), [["HEAD", 404]])
      const parts = [
        yield* http.multipart.uploadPart(partOf(key, bytes, 1)),
        yield* http.multipart.uploadPart(partOf(key, bytes, 2, { total: bytes.length, inOnePiece: true })),
        yield* http.multipart.uploadPart(partOf(key, bytes, 3))
      ]
      assert.deepStrictEqual(parts.map(({ number, size }) => [number, size]), [[1, step], [2, step], [3, 7]])
      const stored = yield* http.multipart.complete(completing(key, bytes.length, parts))
      assert.isDefined(stored.etag)
      assert.strictEqual(stored.etag, parts[2]!.etag)
      assert.deepStrictEqual(yield* http.multipart.complete(completing(key, bytes.length, parts)), stored)
      assert.isTrue(sameBytes(server.object(key), bytes))
      assert.deepStrictEqual(server.sessions(), [])
      assert.deepStrictEqual(
        server.log.slice(1).map(({ contentRange, headers, method, status }) => [
          method,
          contentRange,
          headers["content-length"],
          headers["transfer-encoding"],
          status
        ]),
        [
          ["PUT", `bytes 0-${step - 1}/${bytes.length}`, String(step), undefined, 308],
          ["PUT", `bytes ${step}-${2 * step - 1}/${bytes.length}`, String(step), undefined, 308],
          ["PUT", `bytes ${2 * step}-${2 * step + 6}/${bytes.length}`, "7", undefined, 201],
          ["PUT", `bytes */${bytes.length}`, "0", undefined, 200],
          ["PUT", `bytes */${bytes.length}`, "0", undefined, 200]
        ]
      )
      assert.deepStrictEqual(
        server.log.slice(1).map(({ headers }) => headers["content-type"]),
        ["text/x-test", "text/x-test", "text/x-test", undefined, undefined]
      )
    }))

  it.scopedLive("learns the size at the end, if it was unknown", () =>
    Effect.gen(function*() {
      const { http, server } = yield* fresh()
      const bytes = pattern(2 * step)
      for (const key of ["told with the last part", "told at the end"]) {
        yield* http.multipart.uploadPart(partOf(key, bytes, 1, { total: undefined }))
        const total = key.endsWith("part") ? bytes.length : undefined
        yield* http.multipart.uploadPart(partOf(key, bytes, 2, { total }))
        yield* http.multipart.complete(completing(key, bytes.length))
        assert.isTrue(sameBytes(server.object(key), bytes), key)
      }
      assert.deepStrictEqual(server.log.filter(({ bytes }) => bytes > 0).map(({ contentRange }) => contentRange), [
        `bytes 0-${step - 1}/*`,
        `bytes ${step}-${2 * step - 1}/${2 * step}`,
        `bytes 0-${step - 1}/*`,
        `bytes ${step}-${2 * step - 1}/*`
      ])
      yield* http.multipart.uploadPart(partOf("empty", new Uint8Array(0), 1))
      yield* http.multipart.complete(completing("empty", 0))
      assert.isTrue(sameBytes(server.object("empty"), new Uint8Array(0)))
    }))

  it.scopedLive("reports the server's offset, as one part of number 0, and continues from there", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const bytes = pattern(3 * step)
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const server = yield* PartsServer.serve({ directory })
        const http = yield* to({ url: server.url })
        assert.strictEqual(yield* failure(http.multipart.listParts(session("key"))), "SessionGone")
        yield* http.multipart.uploadPart(partOf("key", bytes, 1))
        yield* http.multipart.uploadPart(partOf("key", bytes, 2))
        return yield* http.multipart.listParts(session("key"))
      }))
      assert.deepStrictEqual(before, [{ number: 0, size: 2 * step }])
      const server = yield* PartsServer.serve({ directory })
      const http = yield* to({ url: server.url })
      assert.deepStrictEqual(yield* http.multipart.listParts(session("key")), before)
      assert.strictEqual(
        yield* failure(http.multipart.complete(completing("key", bytes.length))),
        "IntegrityMismatch Size"
      )
      yield* http.multipart.uploadPart(partOf("key", bytes, 2))
      yield* http.multipart.uploadPart(partOf("key", bytes, 3))
      assert.isTrue(sameBytes(server.object("key"), bytes))
      assert.strictEqual(yield* failure(http.multipart.listParts(session("key"))), "SessionGone")
    }))

  it.scopedLive("counts a part as stored only when the server has all of it", () =>
    Effect.gen(function*() {
      const bytes = pattern(3 * step)
      for (
        const [fault, expected, persisted] of [
          [{ persist: 1000 }, "Transient Unavailable", step + 1000],
          [{ persist: 0 }, "Transient Unavailable", step],
          ["unavailable", "Transient Unavailable", step],
          ["answerLost", "Transient Connection", 2 * step]
        ] as const
      ) {
        const { http, server } = yield* fresh((_request, log) => log.length === 2 ? fault : undefined)
        yield* http.multipart.uploadPart(partOf("key", bytes, 1))
        assert.strictEqual(yield* failure(http.multipart.uploadPart(partOf("key", bytes, 2))), expected)
        assert.deepStrictEqual(yield* http.multipart.listParts(session("key")), [{ number: 0, size: persisted }])
        yield* http.multipart.uploadPart(partOf("key", bytes, 2))
        yield* http.multipart.uploadPart(partOf("key", bytes, 3))
        assert.isTrue(sameBytes(server.object("key"), bytes))
      }
    }))

  it.scopedLive("finds out after a lost answer that the object is there", () =>
    Effect.gen(function*() {
      const bytes = pattern(step + 1)
      const { http, server } = yield* fresh((_request, log) => log.length === 2 ? "answerLost" : undefined)
      yield* http.multipart.uploadPart(partOf("key", bytes, 1))
      assert.strictEqual(yield* failure(http.multipart.uploadPart(partOf("key", bytes, 2))), "Transient Connection")
      yield* http.multipart.complete(completing("key", bytes.length))
      assert.isTrue(sameBytes(server.object("key"), bytes))
    }))

  it.scopedLive("says that the session is gone if the server no longer has its parts", () =>
    Effect.gen(function*() {
      const { http, server } = yield* fresh()
      const bytes = pattern(3 * step)
      assert.strictEqual(yield* failure(http.multipart.uploadPart(partOf("key", bytes, 2))), "SessionGone")
      yield* http.multipart.uploadPart(partOf("key", bytes, 1))
      assert.strictEqual(yield* failure(http.multipart.uploadPart(partOf("key", bytes, 3))), "SessionGone")
      yield* http.multipart.abort(session("key"))
      yield* http.multipart.abort(session("key"))
      assert.strictEqual(yield* failure(http.multipart.complete(completing("key", bytes.length))), "SessionGone")
      assert.deepStrictEqual([server.sessions(), server.objects()], [[], []])
    }))

  it.scopedLive("starts over with a part at 0, and keeps the old object until the new one is complete", () =>
    Effect.gen(function*() {
      const { http, server } = yield* fresh()
      const old = pattern(100, 9)
      yield* http.put({ key: "key", body: TestBody.make(old) })
      const [first, second] = [pattern(2 * step, 1), pattern(2 * step, 2)]
      yield* http.multipart.uploadPart(partOf("key", first, 1))
      yield* http.multipart.uploadPart(partOf("key", second, 1))
      assert.isTrue(sameBytes(server.object("key"), old))
      yield* http.multipart.uploadPart(partOf("key", second, 2))
      assert.isTrue(sameBytes(server.object("key"), second))
      yield* http.multipart.uploadPart(partOf("key", first, 1))
      yield* http.multipart.abort(session("key"))
      assert.isTrue(sameBytes(server.object("key"), second))
    }))

  it.scopedLive("closes the connection when a part is interrupted; what came before stays", () =>
    Effect.gen(function*() {
      const { http, server } = yield* fresh()
      const reached = yield* Deferred.make<void>()
      const bytes = pattern(6 * step)
      yield* http.multipart.uploadPart(partOf("key", bytes, 1))
      const rest = (options: TestBody.Options = {}) => ({
        ...partOf("key", bytes, 2),
        body: TestBody.make(bytes.subarray(step), options)
      })
      const stuck = rest({ between: Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never) })
      const fiber = yield* Effect.fork(http.multipart.uploadPart(stuck))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* http.multipart.listParts(session("key")), [{ number: 0, size: step }])
      yield* http.multipart.uploadPart(rest())
      assert.isTrue(sameBytes(server.object("key"), bytes))
    }))

  const total = 3 * step
  const partAnswers: ReadonlyArray<
    readonly [status: number, headers: http.OutgoingHttpHeaders, middle: string, last: string]
  > = [
    [308, { range: `bytes=0-${total - 1}` }, "stored", "stored"],
    [202, { range: `bytes=0-${total - 1}` }, "stored", "stored"],
    [308, { range: `bytes=0-${2 * step - 1}` }, "stored", "Transient Unavailable"],
    [308, { range: `bytes=0-${2 * step - 2}` }, "Transient Unavailable", "SessionGone"],
    [308, { range: `bytes=0-${total}` }, "IntegrityMismatch Size", "IntegrityMismatch Size"],
    [308, {}, "SessionGone", "SessionGone"],
    [308, { range: "bytes=5-9" }, "Rejected Unexpected", "Rejected Unexpected"],
    [308, { range: "0-9" }, "Rejected Unexpected", "Rejected Unexpected"],
    [308, { location: "http://example.org/" }, "Rejected Redirected", "Rejected Redirected"],
    [307, { location: "http://example.org/" }, "Rejected Redirected", "Rejected Redirected"],
    [200, {}, "Rejected Unexpected", "stored"],
    [201, {}, "Rejected Unexpected", "stored"],
    [204, {}, "Rejected Unexpected", "stored"],
    [404, {}, "SessionGone", "SessionGone"],
    [410, {}, "SessionGone", "SessionGone"],
    [401, {}, "Rejected Unauthorized", "Rejected Unauthorized"],
    [409, {}, "Conflict", "Conflict"],
    [429, {}, "Throttled", "Throttled"],
    [503, {}, "Transient Unavailable", "Transient Unavailable"],
    [501, {}, "Rejected Unsupported", "Rejected Unsupported"]
  ]

  it.scopedLive("tells answers to parts by their class", () =>
    Effect.gen(function*() {
      const bytes = pattern(total)
      for (const [status, headers, middle, last] of partAnswers) {
        const { http, seen } = yield* answering(status, headers)
        for (const [number, expected] of [[2, middle], [3, last]] as const) {
          const outcome = yield* Effect.match(http.multipart.uploadPart(partOf("key", bytes, number)), {
            onSuccess: () => "stored",
            onFailure: errorName
          })
          assert.strictEqual(outcome, expected, `${status} ${JSON.stringify(headers)} to part ${number}`)
        }
        assert.lengthOf(seen, 2)
      }
    }))

  it.scopedLive("tells answers to the other verbs by their class", () =>
    Effect.gen(function*() {
      const outcomes = (http: Effect.Effect.Success<ReturnType<typeof to>>) =>
        Effect.forEach([
          http.multipart.listParts(session("key")),
          http.multipart.complete(completing("key", 10)),
          http.multipart.abort(session("key")),
          http.head("key"),
          Stream.runDrain(http.read("key"))
        ], (verb) =>
          Effect.match(verb as Effect.Effect<unknown, UploadError.UploadError>, {
            onSuccess: () => "ok",
            onFailure: errorName
          }))
      const table: ReadonlyArray<readonly [number, http.OutgoingHttpHeaders, ReadonlyArray<string>]> = [
        [200, { "content-length": "0" }, ["SessionGone", "ok", "ok", "ok", "ok"]],
        [204, {}, ["SessionGone", "ok", "ok", "Rejected Unexpected", "ok"]],
        [308, {}, [
          "ok",
          "IntegrityMismatch Size",
          "Rejected Redirected",
          "Rejected Redirected",
          "Rejected Redirected"
        ]],
        [404, {}, ["SessionGone", "SessionGone", "ok", "ok", "Rejected NotFound"]],
        [410, {}, ["SessionGone", "SessionGone", "ok", "ok", "Rejected NotFound"]],
        [405, {}, [
          "Rejected Unsupported",
          "Rejected Unsupported",
          "ok",
          "Rejected Unsupported",
          "Rejected Unsupported"
        ]],
        [499, {}, [
          "Transient Unavailable",
          "Transient Unavailable",
          "ok",
          "Transient Unavailable",
          "Transient Unavailable"
        ]],
        [501, {}, [
          "Rejected Unsupported",
          "Rejected Unsupported",
          "ok",
          "Rejected Unsupported",
          "Rejected Unsupported"
        ]],
        [403, {}, Array.from({ length: 5 }, () => "Rejected Forbidden")],
        [500, {}, Array.from({ length: 5 }, () => "Transient Unavailable")],
        [302, { location: "/other" }, Array.from({ length: 5 }, () => "Rejected Redirected")]
      ]
      for (const [status, headers, expected] of table) {
        const { http, seen } = yield* answering(status, headers)
        assert.deepStrictEqual(yield* outcomes(http), expected, `${status}`)
        assert.deepStrictEqual(seen, ["PUT bytes */*", "PUT bytes */10", "DELETE", "HEAD", "GET"])
      }
    }))

  it.scopedLive("notices another client's object in place of its own", () =>
    Effect.gen(function*() {
      const { http } = yield* answering(200, { etag: "\"theirs\"" })
      const parts = [{ number: 1, size: 10, etag: "\"mine\"" }]
      assert.strictEqual(yield* failure(http.multipart.complete(completing("key", 10, parts))), "Conflict")
      yield* http.multipart.complete(completing("key", 10, [{ number: 1, size: 10, etag: "\"theirs\"" }]))
    }))

  it.scopedLive("sends no part of unknown size, and nothing for hostile keys or to no address", () =>
    Effect.gen(function*() {
      const { http, server } = yield* fresh()
      const unknown = partOf("key", pattern(10), 1)
      const body = Object.create(unknown.body, { size: { value: undefined } }) as Destination.Body
      assert.strictEqual(yield* failure(http.multipart.uploadPart({ ...unknown, body })), "Rejected Unsupported")
      const verbs = (http: Effect.Effect.Success<ReturnType<typeof to>>, key: string) => [
        Effect.asVoid(http.multipart.uploadPart(partOf(key, pattern(10), 1))),
        Effect.asVoid(http.multipart.listParts(session(key))),
        Effect.asVoid(http.multipart.complete(completing(key, 10))),
        http.multipart.abort(session(key)),
        Effect.asVoid(http.head(key)),
        Stream.runDrain(http.read(key))
      ]
      for (const key of hostileKeys) {
        for (const verb of verbs(http, key)) assert.strictEqual(yield* failure(verb), "Rejected InvalidKey", key)
      }
      const nowhere = yield* to({ url: "http://{key}/" })
      for (const verb of verbs(nowhere, "key")) assert.strictEqual(yield* failure(verb), "Rejected Unsupported")
      assert.lengthOf(server.log, 0)
    }))

  it.scopedLive("sends the given headers with every request, and reveals no secrets", () =>
    Effect.gen(function*() {
      const seen: Array<string | undefined> = []
      const { url } = yield* serve((request, response) =>
        readBody(request, () => {
          seen.push(request.headers.authorization)
          response.writeHead(403).end(`no ${request.headers.authorization} ${request.url}`)
        })
      )
      const http = yield* to({
        url: `${url}/{key}?sig=s3cr3t-query`,
        credentials: Http.bearer(Redacted.make("s3cr3t-token"))
      })
      const verbs = [
        Effect.asVoid(http.multipart.uploadPart(partOf("key", pattern(10), 1))),
        Effect.asVoid(http.multipart.listParts(session("key"))),
        Effect.asVoid(http.multipart.complete(completing("key", 10))),
        http.multipart.abort(session("key")),
        Stream.runDrain(http.read("key"))
      ]
      for (const verb of verbs) {
        const error = yield* Effect.flip(verb)
        assert.include(error.message, "answered 403: no")
        assert.notInclude(`${error.message} ${Cause.pretty(Cause.fail(error))}`, "s3cr3t")
      }
      yield* Effect.flip(http.head("key"))
      assert.deepStrictEqual(seen, Array.from({ length: 6 }, () => "Bearer s3cr3t-token"))
    }))
})

describe("Http looked at", () => {
  it.scopedLive("finds the object under a key, and reads it", () =>
    Effect.gen(function*() {
      const { http, server } = yield* fresh()
      for (const [i, key] of oddNames.entries()) {
        const bytes = pattern(100 + i * 10_007, i + 1)
        yield* http.put({ key, body: TestBody.make(bytes, { inOnePiece: true }) })
        const head = Option.getOrThrow(yield* http.head(key))
        assert.strictEqual(head.size, bytes.length)
        assert.isDefined(head.etag)
        assert.isTrue(sameBytes(yield* TestBody.collect(http.read(key)), bytes), key)
      }
      assert.deepStrictEqual(server.objects(), [...oddNames].sort())
      assert.deepStrictEqual(yield* http.head("none"), Option.none())
      assert.strictEqual(yield* failure(Stream.runDrain(http.read("none"))), "Rejected NotFound")
    }))

  it.scopedLive("gives its turn back when it is not read to the end", () =>
    Effect.gen(function*() {
      const { idle, url } = yield* serve((_request, response) => {
        response.writeHead(200, { "content-length": 1_000_000_000 })
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(64 * kib)));
        }
        response.on("drain", more)
        more()
      })
      const http = yield* to({ url, maxRequests: 1 })
      for (let i = 0; i < 3; i++) yield* Stream.runDrain(Stream.take(http.read("key"), 2))
      yield* idle
    }))

  it.scopedLive("that breaks off is a broken connection, not an end", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((request, response) => {
        response.writeHead(200, { "content-length": 1000 })
        response.write("begun", () => request.socket.destroy())
      })
      const http = yield* to({ url })
      assert.strictEqual(yield* failure(Stream.runDrain(http.read("key"))), "Transient Connection")
    }))

  it.scopedLive("is not offered if objects have no addresses, nor parts unless requested", () =>
    Effect.gen(function*() {
      const plain = yield* to({ url: "http://example.org", parts: undefined })
      assert.isUndefined(plain.multipart)
      const posted = yield* to({ url: "http://example.org", method: "POST", parts: undefined })
      assert.isUndefined(posted.head)
      assert.isUndefined(posted.read)
    }))

  it.live("leaves no directory of the server behind", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.scoped(TemporaryDirectory.make)
      yield* Effect.scoped(PartsServer.serve({ directory }))
      assert.isTrue(fs.existsSync(directory))
      fs.rmSync(directory, { recursive: true })
    }))
})

describe("a large file by ranges, as one uploads it", () => {
  const uploading = (url: string, bytes: Uint8Array) =>
    Effect.flatMap(
      Uploader.Uploader,
      (uploader) => uploader.uploadAll([UploadFile.fromBytes("a.bin", bytes)])
    ).pipe(
      Effect.provide(
        Uploader.layer({
          multipartThreshold: 1,
          partSize: 4 * step,
          retry: RetryPolicy.make({ attempts: 1, secondRound: false })
        })
          .pipe(
            Layer.provide(Http.layer({ url, parts: "contentRange", maxRequests: 1 })),
            Layer.provide(TransportNode.layer())
          )
      )
    )

  it.scopedLive("succeeds if the server keeps only a part of every request, without another attempt", () =>
    Effect.gen(function*() {
      const bytes = pattern(9 * step + 5)
      let there = Buffer.alloc(0)
      const ranges: Array<string> = []
      const { url } = yield* serve((request, response) =>
        readBody(request, (body) => {
          const [, from, last] = /^bytes (\d+)-(\d+)/.exec(request.headers["content-range"] ?? "") ?? []
          if (body === undefined || from === undefined || last === undefined) {
            return void response.writeHead(request.method === "HEAD" ? 404 : there.length === bytes.length ? 200 : 308)
              .end()
          }
          ranges.push(`${from}-${last}`)
          assert.strictEqual(Number(from), there.length)
          there = Buffer.concat([there, body.subarray(0, step)])
          const isWhole = there.length === bytes.length
          response.writeHead(isWhole ? 201 : 308, isWhole ? {} : { range: `bytes=0-${there.length - 1}` }).end()
        })
      )
      const report = yield* uploading(url, bytes)
      assert.deepStrictEqual([report.files.uploaded, report.retries, report.bytes.uploaded], [1, 0, bytes.length])
      assert.isTrue(sameBytes(there, bytes))
      assert.deepStrictEqual(ranges.slice(0, 5), [
        `0-${4 * step - 1}`,
        `${step}-${4 * step - 1}`,
        `${2 * step}-${4 * step - 1}`,
        `${3 * step}-${4 * step - 1}`,
        `${4 * step}-${8 * step - 1}`
      ])
    }))
})
