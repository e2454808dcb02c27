import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, Destination, Strategy, Transport, UploadFile, UploadResult } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Fiber, Layer, Redacted, Stream } from "effect"
import type * as http from "node:http"
import { oddNames } from "../contract/DestinationContract.js"
import { errorName } from "../support/ErrorName.js"
import { advanceUntil, after, answering, failure, small, to, upload } from "../support/HttpUploads.js"
import { readBody, serve } from "../support/PutServer.js"
import type { Handler } from "../support/PutServer.js"
import { pattern, sameBytes } from "../support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

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
          assert.strictEqual(errorName(yield* failure({ url }, small)), "Rejected Unsupported", url)
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
            assert.strictEqual(errorName(error), "Rejected Unsupported", template)
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
            assert.strictEqual(errorName(yield* failure({ url }, file)), "Rejected Unsupported", contentType)
          }
        }
        assert.strictEqual(
          errorName(yield* failure({ url, headers: { "bad name": "x" } }, small)),
          "Rejected Unsupported"
        )
        assert.isAtMost(connections(), 1)
      }))

    it.scopedLive("are not made for more bytes than can be held, where nobody knows how many", () =>
      Effect.gen(function*() {
        const { connections, url } = yield* serve(answering(201))
        const endless = ByteSource.fromStream(Stream.forever(Stream.succeed(pattern(mib))))
        assert.strictEqual(errorName(yield* failure({ url }, UploadFile.make("key", endless))), "Rejected Unsupported")
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
