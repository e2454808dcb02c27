import { assert, describe, it, vi } from "@effect/vitest"
import {
  ByteSource,
  Destination,
  RetryPolicy,
  Strategy,
  Transport,
  Uploader,
  UploadError,
  UploadFile,
  UploadResult
} from "@sluice/core"
import type { UploadEvent, UploadRun } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import {
  Cause,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Redacted,
  Stream,
  TestClock,
  Tracer
} from "effect"
import type { Scope } from "effect"
import type * as http from "node:http"
import * as https from "node:https"
import { inspect } from "node:util"
import { oddNames } from "../contract/DestinationContract.js"
import * as Certificates from "../support/Certificates.js"
import { readBody, serve } from "../support/PutServer.js"
import type { Handler } from "../support/PutServer.js"
import { pattern, sameBytes } from "../support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

interface Settings {
  readonly strategy?: Strategy.Strategy
  readonly retry?: RetryPolicy.RetryPolicy
  readonly transport?: TransportNode.Options
}

/** An uploader to a server, without retries unless asked for. */
const to = (
  options: Http.Options,
  settings: Settings = {}
): Effect.Effect<Uploader.Uploader["Type"], never, Scope.Scope> => {
  const { retry = RetryPolicy.none, strategy = Strategy.unlimited, transport = { connections: 300 } } = settings
  const destination = Layer.provide(Http.layer(options), TransportNode.layer(transport))
  return Effect.flatMap(
    Layer.build(destination),
    (context) => Effect.provide(Uploader.make({ strategy, retry }), context)
  )
}

const upload = (options: Http.Options, file: UploadFile.UploadFile, settings?: Settings) =>
  Effect.scoped(Effect.flatMap(to(options, settings), (uploader) => uploader.upload(file)))

const failure = (options: Http.Options, file: UploadFile.UploadFile, settings?: Settings) =>
  Effect.flip(upload(options, file, settings))

const shortly = (error: UploadError.UploadError) => "reason" in error ? `${error._tag} ${error.reason}` : error._tag

const small = UploadFile.fromText("small", "content")
const large = UploadFile.make("large", ByteSource.generate(32 * mib))

/** Takes the whole body, and then answers. */
const after =
  (answer: (request: http.IncomingMessage, response: http.ServerResponse) => void): Handler => (request, response) =>
    readBody(request, (body) => body === undefined ? undefined : answer(request, response))

const answering = (status: number, headers: http.OutgoingHttpHeaders = {}, text = "") =>
  after((_request, response) => response.writeHead(status, headers).end(text))

describe("Http", () => {
  describe("addresses", () => {
    const templates: ReadonlyArray<readonly [template: string, keyOf: (url: URL) => string, rest: string]> = [
      ["/files", (url) => url.pathname.slice("/files/".length), ""],
      ["/files/", (url) => url.pathname.slice("/files/".length), ""],
      ["/files/?token=a%20b&x=1", (url) => url.pathname.slice("/files/".length), "?token=a%20b&x=1"],
      ["/files?x", (url) => url.pathname.slice("/files/".length), "?x"],
      ["/files/{key}", (url) => url.pathname.slice("/files/".length), ""],
      ["/f/{key}/content?v=$1", (url) => url.pathname.slice("/f/".length, -"/content".length), "?v=$1"]
    ]

    it.scopedLive("carry every key so that the server reads the same", () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const { url } = yield* serve(after((request, response) => {
          seen.push(request.url!)
          response.writeHead(201).end()
        }))
        for (const [template, keyOf, rest] of templates) {
          seen.length = 0
          const uploader = yield* to({ url: `${url}${template}` }, { strategy: Strategy.workerPool({ workers: 4 }) })
          const report = yield* uploader.uploadAll(oddNames.map((key) => UploadFile.fromText(key, "x")))
          assert.strictEqual(report.files.uploaded, oddNames.length)
          const read = seen.map((address) => {
            const parsed = new URL(address, url)
            assert.strictEqual(parsed.search, rest)
            return keyOf(parsed).split("/").map(decodeURIComponent).join("/")
          })
          assert.deepStrictEqual(read.sort(), [...oddNames].sort(), template)
        }
      }))

    it.scopedLive("may carry the key in the query", () =>
      Effect.gen(function*() {
        const seen: Array<string | null> = []
        const { url } = yield* serve(after((request, response) => {
          seen.push(new URL(request.url!, "http://localhost").searchParams.get("name"))
          response.writeHead(201).end()
        }))
        const uploader = yield* to({ url: `${url}/put?name={key}&again={key}` })
        yield* uploader.uploadAll(oddNames.map((key) => UploadFile.fromText(key, "x")))
        assert.deepStrictEqual(seen.sort(), [...oddNames].sort())
      }))

    it("are shown without what may be secret in them", () => {
      const shown = {
        "http://example.org": "http://example.org",
        "https://example.org:8443/a/{key}": "https://example.org:8443/a/{key}",
        "https://example.org/a?token=secret": "https://example.org/a",
        "https://example.org/a#secret": "https://example.org/a",
        "https://example.org?secret=@b/c": "https://example.org",
        "https://me:secret@example.org/a": "https://example.org/a",
        "https://secret@example.org/a@b": "https://example.org/a@b",
        "https://me:sec@ret@example.org/": "https://example.org/",
        "https://[::1]:8080/a": "https://[::1]:8080/a",
        // A password that nobody encoded ends the address early: what is left of it is not shown.
        "https://me:?secret@example.org/": "https://me",
        "https://me:secret#secret@example.org/": "https://me"
      }
      for (const [url, expected] of Object.entries(shown)) {
        assert.strictEqual(Transport.renderUrl(url), expected)
        assert.notInclude(Transport.renderUrl(url), "secret")
      }
    })

    it.scopedLive("that are none are refused, and not tried again", () =>
      Effect.gen(function*() {
        for (const url of ["not an address", "ftp://example.org", "http://bad host/", "http://example.org:99999/"]) {
          assert.strictEqual(shortly(yield* failure({ url }, small)), "Rejected Unsupported", url)
        }
      }))
  })

  describe("requests", () => {
    it.scopedLive("go to nobody that a key names", () =>
      Effect.gen(function*() {
        const { connections, port, url } = yield* serve(answering(201))
        const key = `127.0.0.1:${port}/x`
        for (
          const template of [
            "http://",
            "http:",
            "http:/",
            "http://{key}",
            "http://{key}:80/",
            url.replace(/\d+$/, "{key}")
          ]
        ) {
          for (const name of [key, String(port)]) {
            const error = yield* failure({ url: template }, UploadFile.fromText(name, "x"))
            assert.strictEqual(shortly(error), "Rejected Unsupported", template)
          }
        }
        assert.strictEqual(connections(), 0)
      }))

    /** The headers that a server sees. */
    const headersOf = (options: Partial<Http.Options>, file: UploadFile.UploadFile) =>
      Effect.gen(function*() {
        const seen: Array<http.IncomingMessage> = []
        const { url } = yield* serve(after((request, response) => {
          seen.push(request)
          response.writeHead(201, { etag: "\"tag\"" }).end()
        }))
        const result = yield* upload({ url, ...options }, file)
        assert(UploadResult.isUploaded(result))
        assert.strictEqual(result.etag, "\"tag\"")
        assert.lengthOf(seen, 1)
        const all: Readonly<Record<string, unknown>> = seen[0]!.headers
        return { method: seen[0]!.method, raw: seen[0]!.rawHeaders, all, ...seen[0]!.headers }
      })

    it.scopedLive("are PUT with a true Content-Length, whatever the size and the source", () =>
      Effect.gen(function*() {
        const blocks = Stream.make(pattern(1000), pattern(24))
        for (
          const [file, size] of [
            [UploadFile.fromText("empty", ""), 0],
            [UploadFile.fromText("one", "1"), 1],
            [UploadFile.make("large", ByteSource.generate(2 * mib)), 2 * mib],
            [UploadFile.make("sized", ByteSource.fromStream(blocks, { size: 1024 })), 1024],
            [UploadFile.make("unsized", ByteSource.fromStream(blocks)), 1024],
            [UploadFile.make("unsized and empty", ByteSource.fromStream(Stream.empty)), 0]
          ] as const
        ) {
          const headers = yield* headersOf({}, file)
          assert.strictEqual(headers.method, "PUT")
          assert.strictEqual(headers["content-length"], String(size), file.key)
          assert.isUndefined(headers["transfer-encoding"])
          assert.lengthOf(headers.raw.filter((name) => name.toLowerCase() === "content-length"), 1)
        }
      }))

    it.scopedLive("carry the file's content type, or that of bytes", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* headersOf({}, small))["content-type"], "application/octet-stream")
        const typed = UploadFile.fromText("a.html", "x", { contentType: "text/html; charset=utf-8" })
        assert.strictEqual((yield* headersOf({}, typed))["content-type"], "text/html; charset=utf-8")
      }))

    it.scopedLive("carry the headers and the method of the options", () =>
      Effect.gen(function*() {
        const headers = yield* headersOf({ headers: { "X-One": "1", "x-two": "2" }, method: "POST" }, small)
        assert.strictEqual(headers.method, "POST")
        assert.deepInclude(headers.all, { "x-one": "1", "x-two": "2" })
        assert.isUndefined(headers.authorization)
        const pairs = yield* headersOf({ headers: [["X-One", "1"]] }, small)
        assert.deepInclude(pairs.all, { "x-one": "1" })
      }))

    it.scopedLive("carry credentials", () =>
      Effect.gen(function*() {
        const bearer = yield* headersOf({ credentials: Http.bearer(Redacted.make("t0ken")) }, small)
        assert.strictEqual(bearer.authorization, "Bearer t0ken")
        const basic = yield* headersOf({ credentials: Http.basic("me", Redacted.make("pässword:!")) }, small)
        assert.strictEqual(basic.authorization, `Basic ${Buffer.from("me:pässword:!").toString("base64")}`)
      }))

    it.scopedLive("with header values that are none are refused unsent, and not tried again", () =>
      Effect.gen(function*() {
        const { connections, url } = yield* serve(answering(201))
        for (const contentType of ["text/plain\r\nX-Evil: 1", "text/plain\nx", "a\0b", "text/日本"]) {
          for (const bytes of [10, 2 * mib]) {
            const file = UploadFile.make("key", ByteSource.generate(bytes), { contentType })
            assert.strictEqual(shortly(yield* failure({ url }, file)), "Rejected Unsupported", contentType)
          }
        }
        assert.strictEqual(
          shortly(yield* failure({ url, headers: { "bad name": "x" } }, small)),
          "Rejected Unsupported"
        )
        assert.isAtMost(connections(), 1)
      }))

    it.scopedLive("are not made for more bytes than can be held, where nobody knows how many", () =>
      Effect.gen(function*() {
        const { connections, url } = yield* serve(answering(201))
        const endless = ByteSource.fromStream(Stream.forever(Stream.succeed(pattern(mib))))
        assert.strictEqual(shortly(yield* failure({ url }, UploadFile.make("key", endless))), "Rejected Unsupported")
        assert.strictEqual(connections(), 0)
      }))

    it.scopedLive("are bounded apart from uploads", () =>
      Effect.gen(function*() {
        for (const [maxRequests, expected] of [[undefined, Http.defaults.maxRequests], [5, 5]] as const) {
          let active = 0
          let highest = 0
          let answered = 0
          const held: Array<http.ServerResponse> = []
          const { url } = yield* serve((request, response) => {
            highest = Math.max(highest, ++active)
            readBody(request, () => {
              held.push(response)
              // Nobody is answered before all are there who can be there.
              if (held.length < Math.min(expected, 300 - answered)) return
              for (const waiting of held.splice(0)) {
                active -= 1
                answered += 1
                waiting.writeHead(201).end()
              }
            })
          })
          const uploader = yield* to(maxRequests === undefined ? { url } : { url, maxRequests })
          const report = yield* uploader.uploadAll(
            Array.from({ length: 300 }, (_, i) => UploadFile.fromText(`${i}`, "x"))
          )
          assert.strictEqual(report.files.uploaded, 300)
          assert.strictEqual(highest, expected)
        }
      }))

    const responses: Readonly<Record<string, Handler>> = {
      "without a body": answering(201),
      "with a length": answering(200, { "content-type": "application/json" }, "{\"ok\":true}"),
      "in chunks": after((_request, response) => {
        response.writeHead(200)
        response.write("first")
        setImmediate(() => response.end("last"))
      }),
      "with much to say": answering(200, {}, "x".repeat(60 * kib))
    }

    for (const [kind, handler] of Object.entries(responses)) {
      it.scopedLive(`share a few connections, with answers ${kind}`, () =>
        Effect.gen(function*() {
          const { connections, url } = yield* serve(handler)
          const uploader = yield* to({ url }, { strategy: Strategy.workerPool({ workers: 1 }) })
          const report = yield* uploader.uploadAll(
            Array.from({ length: 200 }, (_, i) => UploadFile.fromText(`${i}`, "x"))
          )
          assert.strictEqual(report.files.uploaded, 200)
          assert.isAtMost(connections(), 3)
        }))
    }

    it.scoped("are over when they are stored, however long the server goes on talking", () =>
      Effect.gen(function*() {
        const { idle, url } = yield* serve(after((_request, response) => {
          response.writeHead(201)
          response.write("and another thing: ")
        }))
        const uploader = yield* to({ url })
        const fiber = yield* Effect.fork(uploader.upload(small))
        yield* advanceUntil(fiber, "100 millis")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Uploaded")
        // The server has seen the connection end.
        yield* idle
      }))
  })

  /** Moves the clock on until a fiber has ended: for what waits for a server and for the clock by turns. */
  const advanceUntil = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, step: "100 millis" | "1 second") =>
    Effect.repeat(Effect.zipRight(TestClock.adjust(step), fiber.poll), { until: (exit) => exit._tag === "Some" })

  describe("answers", () => {
    const table: ReadonlyArray<readonly [expected: string, statuses: ReadonlyArray<number>]> = [
      ["Uploaded", [200, 201, 202, 204, 207]],
      ["Rejected Redirected", [300, 301, 302, 303, 304, 305, 307, 308]],
      ["Rejected Unauthorized", [401]],
      ["Rejected Forbidden", [402, 403]],
      ["Rejected NotFound", [404, 410]],
      ["Rejected TooLarge", [413]],
      ["Rejected NoSpace", [507]],
      ["Rejected Unsupported", [400, 405, 406, 411, 414, 415, 421, 422, 431, 451, 501]],
      ["Conflict", [409, 412]],
      ["Throttled", [429]],
      ["Transient Unavailable", [408, 423, 425, 499, 500, 502, 503, 504, 508, 520, 529, 599]]
    ]

    it.scopedLive("are told by their class", () =>
      Effect.gen(function*() {
        const { url } = yield* serve(
          // Of the directory nothing is to be seen.
          after((request, response) => response.writeHead(Number(request.url!.slice(1)) || 404).end())
        )
        const uploader = yield* to({ url })
        for (const [expected, statuses] of table) {
          for (const status of statuses) {
            const outcome = yield* Effect.match(uploader.upload(UploadFile.fromText(String(status), "x")), {
              onSuccess: ({ _tag }) => _tag,
              onFailure: (error) => {
                assert.include(error.message, `answered ${status}`)
                return shortly(error)
              }
            })
            assert.strictEqual(outcome, expected, String(status))
          }
        }
      }))

    it.scopedLive("are quoted in short, on one line, without markup or control characters", () =>
      Effect.gen(function*() {
        const text = `<html><body><h1>No\r\n\tway</h1>\u001b[31m${"x".repeat(5000)}</body></html>`
        const { url } = yield* serve(answering(400, {}, text))
        const { message } = yield* failure({ url }, small)
        assert.match(message, /^http:\/\/127\.0\.0\.1:\d+ answered 400: No way \[31mx+$/)
        assert.isBelow(message.length, 600)
      }))

    const waits: ReadonlyArray<readonly [header: string, millis: number | undefined]> = [
      ["0", 0],
      ["7", 7_000],
      [" 7 ", 7_000],
      ["1.5", 1_500],
      ["86400", 86_400_000],
      [new Date(90_000).toUTCString(), 30_000],
      [new Date(60_000).toUTCString(), 0],
      [new Date(59_000).toUTCString(), undefined],
      [new Date(60_000 + 86_400_000).toUTCString(), 86_400_000],
      ["Thursday, 01-Jan-70 00:01:30 GMT", 30_000],
      ["1970-01-01T00:01:30Z", 30_000],
      ["Fri, 31 Dec 9999 23:59:59 GMT", 86_400_000],
      ["86401", 86_400_000],
      ["99999999999", 86_400_000],
      ["9".repeat(400), 86_400_000],
      ["99999999999.5", 86_400_000],
      ["-5", undefined],
      ["-1.5", undefined],
      [".5", undefined],
      ["+5", undefined],
      ["7s", undefined],
      ["in 2040", undefined],
      ["12 hours", undefined],
      ["2040", 2_040_000],
      ["soon", undefined],
      ["NaN", undefined],
      ["Infinity", undefined],
      ["1e1", undefined],
      ["0x10", undefined],
      ["5, 6", undefined],
      ["", undefined]
    ]

    /** What passes where the server says when, and what it is otherwise. */
    const mayPass = [
      [403, "Rejected Forbidden"],
      [408, "Transient Unavailable"],
      [409, "Conflict"],
      [413, "Rejected TooLarge"],
      [423, "Transient Unavailable"],
      [425, "Transient Unavailable"],
      [500, "Transient Unavailable"],
      [502, "Transient Unavailable"],
      [503, "Transient Unavailable"]
    ] as const

    it.scoped("say how long to wait, by seconds or by a date; nonsense is not listened to", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(60_000)
        const { url } = yield* serve(after((request, response) => {
          const [status, index] = request.url!.slice(1).split("-")
          response.writeHead(Number(status) || 404, { "retry-after": waits[Number(index)]?.[0] ?? "" }).end()
        }))
        const uploader = yield* to({ url })
        for (const [i, [header, millis]] of waits.entries()) {
          const throttled = yield* Effect.flip(uploader.upload(UploadFile.fromText(`429-${i}`, "x")))
          assert.instanceOf(throttled, UploadError.Throttled)
          assert.strictEqual(throttled.retryAfterMillis, millis, header)
          for (const [status, without] of mayPass) {
            const refused = yield* Effect.flip(uploader.upload(UploadFile.fromText(`${status}-${i}`, "x")))
            const expected = millis === undefined ? without : "Throttled"
            assert.strictEqual(shortly(refused), expected, `${status} with ${header}`)
            if (refused._tag === "Throttled") assert.strictEqual(refused.retryAfterMillis, millis)
          }
          for (const [status, expected] of [[401, "Rejected Unauthorized"], [501, "Rejected Unsupported"]] as const) {
            const refused = yield* Effect.flip(uploader.upload(UploadFile.fromText(`${status}-${i}`, "x")))
            assert.strictEqual(shortly(refused), expected, `${status} with ${header}`)
          }
        }
      }))

    it.scoped("of a day and more are waited for as long as the policy allows", () =>
      Effect.gen(function*() {
        for (const header of ["86400", "99999999999", "9".repeat(400), "Fri, 31 Dec 9999 23:59:59 GMT"]) {
          let requests = 0
          const { url } = yield* serve(after((_request, response) => {
            requests += 1
            response.writeHead(requests === 1 ? 503 : 201, { "retry-after": header }).end()
          }))
          const retrying = yield* Deferred.make<number>()
          const uploader = yield* to({ url }, { retry: RetryPolicy.make() })
          const fiber = yield* Effect.fork(uploader.uploadAll([small], {
            onEvent: (event) =>
              event._tag === "UploadRetrying"
                ? Effect.asVoid(Deferred.succeed(retrying, event.delayMillis))
                : Effect.void
          }))
          assert.strictEqual(yield* Deferred.await(retrying), 60_000, header)
          yield* Fiber.interrupt(fiber)
        }
      }))

    it.scoped("are waited for by the engine, exactly as long", () =>
      Effect.gen(function*() {
        let requests = 0
        const { url } = yield* serve(after((_request, response) => {
          requests += 1
          response.writeHead(requests === 1 ? 503 : 201, { "retry-after": "7" }).end()
        }))
        const retrying = yield* Deferred.make<number>()
        const uploader = yield* to({ url }, { retry: RetryPolicy.make() })
        const fiber = yield* Effect.fork(uploader.uploadAll([small], {
          onEvent: (event) =>
            event._tag === "UploadRetrying" ? Effect.asVoid(Deferred.succeed(retrying, event.delayMillis)) : Effect.void
        }))
        assert.strictEqual(yield* Deferred.await(retrying), 7_000)
        yield* TestClock.adjust("6999 millis")
        assert.strictEqual(requests, 1)
        yield* TestClock.adjust("1 millis")
        const report = yield* Fiber.join(fiber)
        assert.strictEqual(report.files.uploaded, 1)
        assert.strictEqual(requests, 2)
        assert.strictEqual(report.durationMillis, 7_000)
      }))

    it.scopedLive("that never end are read no further than they are shown", () =>
      Effect.gen(function*() {
        let sent = 0
        const { idle, url } = yield* serve(after((_request, response) => {
          const block = Buffer.alloc(64 * kib, "x")
          response.writeHead(400, { "content-length": 1024 * mib })
          const more = () => {
            while (!response.destroyed && sent < 1024 * mib) {
              sent += block.length
              if (!response.write(block)) return
            }
          }
          response.on("drain", more)
          more()
        }))
        const error = yield* failure({ url }, small)
        assert.strictEqual(shortly(error), "Rejected Unsupported")
        assert.isBelow(error.message.length, 600)
        yield* idle
        assert.isBelow(sent, 64 * mib)
      }))

    it.scoped("that drip are not waited for longer than a second", () =>
      Effect.gen(function*() {
        const { idle, url } = yield* serve(after((_request, response) => {
          response.writeHead(500)
          response.write("drip")
        }))
        const uploader = yield* to({ url })
        const fiber = yield* Effect.fork(Effect.flip(uploader.upload(small)))
        yield* advanceUntil(fiber, "100 millis")
        assert.strictEqual(shortly(yield* Fiber.join(fiber)), "Transient Unavailable")
        yield* idle
      }))
  })

  describe("connections", () => {
    it.scopedLive("that are refused are transient", () =>
      Effect.gen(function*() {
        const { url } = yield* Effect.scoped(serve(answering(201)))
        for (const file of [small, large]) {
          const error = yield* failure({ url }, file)
          assert.strictEqual(shortly(error), "Transient Connection")
          assert.include(error.message, `The connection to ${url} failed (ECONNREFUSED)`)
        }
      }))

    const cuts: Readonly<Record<string, (request: http.IncomingMessage) => void>> = {
      "reset it": (request) => void request.socket.resetAndDestroy(),
      "close it": (request) => void request.socket.destroy(),
      "end it": (request) => void request.socket.end()
    }

    for (const [name, cut] of Object.entries(cuts)) {
      it.scopedLive(`of servers that ${name} are transient, before, in and after the body`, () =>
        Effect.gen(function*() {
          const places: Readonly<Record<string, Handler>> = {
            before: (request) => cut(request),
            in: (request) => {
              let bytes = 0
              request.on("data", (block: Buffer) => {
                bytes += block.length
                if (bytes > 2 * mib) cut(request)
              })
            },
            after: after((request) => cut(request))
          }
          for (const [place, handler] of Object.entries(places)) {
            const { url } = yield* serve(handler)
            const error = yield* failure({ url }, place === "after" ? small : large)
            assert.strictEqual(shortly(error), "Transient Connection", place)
          }
        }))
    }

    it.scopedLive("that break in the answer to an error still tell the error", () =>
      Effect.gen(function*() {
        const { url } = yield* serve(after((request, response) => {
          response.writeHead(403, { "content-length": 1000 })
          response.write("because", () => request.socket.destroy())
        }))
        assert.strictEqual(shortly(yield* failure({ url }, small)), "Rejected Forbidden")
      }))

    for (const [kind, headers] of [["stays", {}], ["closes", { connection: "close" }]] as const) {
      it.scopedLive(`on which success comes before the body is sent are no success: the server ${kind}`, () =>
        Effect.gen(function*() {
          const { url } = yield* serve((_request, response) => void response.writeHead(200, headers).end())
          const error = yield* failure({ url }, large)
          assert.include(["IntegrityMismatch Size", "Transient Connection"], shortly(error))
        }))
    }

    it.scopedLive("on which the server refuses before the body is sent tell why", () =>
      Effect.gen(function*() {
        const { idle, url } = yield* serve((request, response) => {
          request.resume()
          response.writeHead(413).end("Too much.")
        })
        const error = yield* failure({ url }, large)
        assert.strictEqual(shortly(error), "Rejected TooLarge")
        assert.include(error.message, "Too much.")
        yield* idle
      }))

    /** Calls `heard` when it has heard enough; the request reads on, and sees the connection end, when it is resumed. */
    type Silence = (heard: (request: http.IncomingMessage) => void) => Handler

    const silences: Readonly<Record<string, readonly [file: UploadFile.UploadFile, silence: Silence]>> = {
      "never answers": [small, (heard) => after(heard)],
      "reads no further": [large, (heard) => (request) =>
        void request.once("data", () => {
          request.pause()
          heard(request)
        })],
      "never even reads": [large, (heard) => heard]
    }

    const silent = (silence: Silence) =>
      Effect.gen(function*() {
        const heard = yield* Deferred.make<http.IncomingMessage>()
        const { idle, url } = yield* serve(silence((request) => Effect.runSync(Deferred.succeed(heard, request))))
        const closed = Effect.flatMap(Deferred.await(heard), (request) => {
          request.resume()
          return idle
        })
        return { closed, heard: Deferred.await(heard), url }
      })

    for (const [name, [file, handler]] of Object.entries(silences)) {
      it.scoped(`to a server that ${name} are given up as stalled`, () =>
        Effect.gen(function*() {
          const { closed, heard, url } = yield* silent(handler)
          const uploader = yield* to({ url })
          const fiber = yield* Effect.fork(uploader.uploadAll([file], { stallTimeout: "2 seconds" }))
          yield* heard
          assert.strictEqual((yield* fiber.poll)._tag, "None")
          yield* advanceUntil(fiber, "1 second")
          const report = yield* Fiber.join(fiber)
          assert.strictEqual(report.failures[0]?.error.reason, "Stalled")
          yield* closed
        }))
    }

    it.scopedLive("are closed by an interruption, in the body and after it", () =>
      Effect.gen(function*() {
        for (const [file, handler] of Object.values(silences)) {
          const { closed, heard, url } = yield* silent(handler)
          const uploader = yield* to({ url })
          const fiber = yield* Effect.fork(uploader.upload(file))
          yield* heard
          assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
          yield* closed
        }
      }))
  })

  describe("redirects", () => {
    it.scopedLive("are refused, and nobody else is sent anything", () =>
      Effect.gen(function*() {
        const elsewhere = yield* serve(answering(201))
        let requests = 0
        const { url } = yield* serve(after((request, response) => {
          requests += 1
          const [status, where] = request.url!.slice(1).split("-")
          const location = where === "other" ? `${elsewhere.url}/x` : where === "same" ? "/other-place" : ""
          response.writeHead(Number(status), { location }).end()
        }))
        const uploader = yield* to({ url, credentials: Http.bearer(Redacted.make("t0ken")) })
        const keys = [301, 302, 303, 307, 308].flatMap((status) => [`${status}-other`, `${status}-same`, `${status}-`])
        for (const key of keys) {
          for (const bytes of [10, 2 * mib]) {
            const error = yield* Effect.flip(uploader.upload(UploadFile.make(key, ByteSource.generate(bytes))))
            assert.strictEqual(shortly(error), "Rejected Redirected", key)
          }
        }
        assert.strictEqual(requests, keys.length * 2)
        assert.strictEqual(elsewhere.connections(), 0)
      }))
  })

  describe.skipIf(!Certificates.available)("certificates (made by openssl)", () => {
    it.scopedLive("have to be good", () =>
      Effect.gen(function*() {
        const { authority, elsewhere, issued, selfSigned } = yield* Certificates.certificates
        const trusting: Settings = { transport: { ca: authority.cert.toString() } }
        let requests = 0
        const handler = after((_request, response) => {
          requests += 1
          response.writeHead(201).end()
        })
        const servers = {
          selfSigned: yield* serve(handler, https.createServer(selfSigned)),
          issued: yield* serve(handler, https.createServer(issued)),
          elsewhere: yield* serve(handler, https.createServer(elsewhere))
        }
        const credentials = Http.bearer(Redacted.make("t0ken"))
        for (const { url } of Object.values(servers)) {
          const error = yield* failure({ url, credentials }, small)
          assert.strictEqual(shortly(error), "Rejected Forbidden")
          assert.include(error.message, "cannot be trusted")
        }
        const wrongName = yield* failure({ url: servers.elsewhere.url, credentials }, small, trusting)
        assert.strictEqual(shortly(wrongName), "Rejected Forbidden")
        assert.strictEqual(requests, 0)

        yield* upload({ url: servers.issued.url, credentials }, small, trusting)
        assert.strictEqual(requests, 1)
      }))

    it.scopedLive("are not asked for in vain: a server without TLS is refused", () =>
      Effect.gen(function*() {
        const { port } = yield* serve(answering(201))
        const error = yield* failure({ url: `https://127.0.0.1:${port}` }, small)
        assert.strictEqual(shortly(error), "Rejected Forbidden")
      }))
  })

  describe("secrets", () => {
    const canary = "c4n4ry"
    const secrets = {
      query: `${canary}-query`,
      user: `${canary}-user`,
      token: `${canary}-token`,
      password: `${canary}-password`,
      header: `${canary}-header`
    }

    /** Everything that an upload says to anybody: in its errors, events, report, logs and spans. */
    const everythingSaid = (options: Http.Options, file: UploadFile.UploadFile, run?: UploadRun.Options) =>
      Effect.gen(function*() {
        const said: Array<unknown> = []
        const tracer = Tracer.make({
          context: (run) => run(),
          span: (name, parent, context, links, startTime, kind) => {
            const attributes = new Map<string, unknown>()
            said.push(name, attributes)
            return {
              _tag: "Span",
              spanId: "span",
              traceId: "trace",
              sampled: true,
              status: { _tag: "Started", startTime },
              attributes,
              name,
              parent,
              context,
              links: [...links],
              kind,
              end: (_endTime, exit) => void said.push(exit),
              attribute: (key, value) => void attributes.set(key, value),
              event: (name, _startTime, attributes) => void said.push(name, attributes),
              addLinks: () => {}
            }
          }
        })
        const logger = Logger.make(({ annotations, cause, message }) => void said.push(message, cause, annotations))
        const events: Array<UploadEvent.UploadEvent> = []
        const program = Effect.gen(function*() {
          const uploader = yield* to(options, { retry: RetryPolicy.make({ attempts: 2, base: 0, secondRound: false }) })
          yield* Effect.log("It begins.")
          const report = yield* uploader.uploadAll([file], {
            ...run,
            onEvent: (event) => Effect.sync(() => events.push(event)),
            onResult: (result) =>
              Effect.sync(() => said.push(result, result._tag === "Failed" ? result.error : undefined))
          })
          said.push(report, events)
          const exit = yield* Effect.exit(uploader.upload(file))
          said.push(exit, Exit.isFailure(exit) ? Cause.pretty(exit.cause, { renderErrorCause: true }) : undefined)
          if (Exit.isFailure(exit)) yield* Effect.logError("It failed.", exit.cause)
          return report
        })
        const report = yield* program.pipe(
          Effect.scoped,
          Effect.withSpan("program"),
          Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
          Logger.withMinimumLogLevel(LogLevel.All),
          Effect.withTracer(tracer)
        )
        assert.isAbove(said.filter((value) => value === "Uploader.uploadAll").length, 0, "spans are heard")
        const text = said.flatMap((value) => [
          inspect(value, { depth: Infinity, showHidden: true, maxArrayLength: null, maxStringLength: null }),
          JSON.stringify(value, (_key, value) => typeof value === "bigint" ? String(value) : value) ?? "",
          value instanceof Error ? `${value.message} ${value.stack}` : ""
        ]).join("\n")
        return { report, text }
      })

    const encoded = Buffer.from(`me:${secrets.password}`).toString("base64")

    const assertSilent = (text: string) => {
      assert.notInclude(text, canary)
      assert.notInclude(text, encoded)
    }

    const optionsFor = (url: string): ReadonlyArray<Http.Options> => {
      const address = `${url.replace("://", `://me:${secrets.user}@`)}/files/{key}?sig=${secrets.query}&x=1`
      const headers = { "x-api-key": secrets.header }
      return [
        { url: address, headers, credentials: Http.bearer(Redacted.make(secrets.token)) },
        { url: address, headers, credentials: Http.basic("me", Redacted.make(secrets.password)) }
      ]
    }

    const echo: Handler = after((request, response) => {
      const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`).join("\n")
      response.writeHead(403, { "x-echo": headers.replaceAll("\n", " ") })
      response.end(`${request.method} ${request.url}\n${headers}\n${request.url!.repeat(3)}`)
    })

    const servers: Readonly<Record<string, Handler>> = {
      "takes it": answering(201),
      "is unwell": answering(500, {}, "unwell"),
      throttles: answering(429, { "retry-after": "0" }),
      "repeats what it is sent": echo,
      redirects: answering(307, { location: `http://example.org/?sig=${secrets.query}` }),
      "hangs up": (request) => void request.socket.destroy(),
      "answers early": (_request, response) => void response.writeHead(200).end()
    }

    for (const [name, handler] of Object.entries(servers)) {
      it.scopedLive(`are in nothing that is said when the server ${name}`, () =>
        Effect.gen(function*() {
          const { url } = yield* serve(handler)
          for (const options of optionsFor(url)) {
            const { report, text } = yield* everythingSaid(options, name === "answers early" ? large : small)
            assert.strictEqual(report.files.uploaded, name === "takes it" ? 1 : 0)
            assertSilent(text)
          }
        }))
    }

    it.scopedLive("are in nothing that is said when there is no server, or no address", () =>
      Effect.gen(function*() {
        const { url } = yield* Effect.scoped(serve(answering(201)))
        for (const address of [url, "http://bad host", "http://example.org:99999"]) {
          for (const options of optionsFor(address)) {
            const { report, text } = yield* everythingSaid(options, small)
            assert.strictEqual(report.files.failed, 1)
            assertSilent(text)
          }
        }
      }))

    it.scopedLive("are in nothing that is said when a header cannot be sent", () =>
      Effect.gen(function*() {
        const { url } = yield* serve(answering(201))
        const bad = `${secrets.token}\n`
        for (
          const options of [{ url, credentials: Http.bearer(Redacted.make(bad)) }, {
            url,
            headers: { "x-api-key": bad }
          }]
        ) {
          const { report, text } = yield* everythingSaid(options, small)
          assert.strictEqual(report.files.failed, 1)
          assertSilent(text)
        }
      }))

    it.scopedLive.skipIf(!Certificates.available)(
      "are in nothing that is said of a bad certificate",
      () =>
        Effect.gen(function*() {
          const { selfSigned } = yield* Certificates.certificates
          const { url } = yield* serve(answering(201), https.createServer(selfSigned))
          for (const options of optionsFor(url)) {
            const { report, text } = yield* everythingSaid(options, small)
            assert.strictEqual(report.files.failed, 1)
            assertSilent(text)
          }
        })
    )

    it.scopedLive("are not in the destination's name", () =>
      Effect.gen(function*() {
        for (const options of optionsFor("https://example.org")) {
          const destination = yield* Effect.provide(Http.make(options), TransportNode.layer())
          assert.strictEqual(destination.name, "https://example.org/files/{key}")
        }
      }))
  })

  it.scopedLive("keeps what it is given apart: many files at once", () =>
    Effect.gen(function*() {
      const stored = new Map<string, Buffer>()
      const { url } = yield* serve((request, response) =>
        readBody(request, (body) => {
          if (body !== undefined) stored.set(request.url!.slice(1), body)
          response.writeHead(201).end()
        })
      )
      const uploader = yield* to({ url })
      const contents = Array.from({ length: 60 }, (_, i) => pattern(i * 50_021, i + 1))
      const report = yield* uploader.uploadAll(contents.map((bytes, i) => UploadFile.fromBytes(`${i}`, bytes)))
      assert.strictEqual(report.files.uploaded, 60)
      for (const [i, bytes] of contents.entries()) assert.isTrue(sameBytes(stored.get(`${i}`), bytes), `${i}`)
    }))

  it("says what it can do", () =>
    Effect.runPromise(
      Effect.map(
        Effect.provide(
          Destination.Destination,
          Layer.provide(Http.layer({ url: "http://x" }), TransportNode.layer())
        ),
        ({ capabilities }) => assert.deepStrictEqual(capabilities, { maxPutSize: Infinity, unknownSize: false })
      )
    ))
})
