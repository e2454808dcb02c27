import { assert, describe, it, vi } from "@effect/vitest"
import { RetryPolicy } from "@sluice/core"
import type { UploadEvent, UploadFile, UploadRun } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import { Cause, Deferred, Effect, Exit, Fiber, Logger, LogLevel, Redacted, Tracer } from "effect"
import type * as http from "node:http"
import * as https from "node:https"
import { inspect } from "node:util"
import * as Certificates from "../support/Certificates.js"
import { errorName } from "../support/ErrorName.js"
import { advanceUntil, after, answering, failure, large, small, to, upload } from "../support/HttpUploads.js"
import type { Settings } from "../support/HttpUploads.js"
import { serve } from "../support/PutServer.js"
import type { Handler } from "../support/PutServer.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

describe("Http", () => {
  describe("connections", () => {
    it.scopedLive("that are refused are transient", () =>
      Effect.gen(function*() {
        const { url } = yield* Effect.scoped(serve(answering(201)))
        for (const file of [small, large]) {
          const error = yield* failure({ url }, file)
          assert.strictEqual(errorName(error), "Transient Connection")
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
            assert.strictEqual(errorName(error), "Transient Connection", place)
          }
        }))
    }

    it.scopedLive("that break in the answer to an error still tell the error", () =>
      Effect.gen(function*() {
        const { url } = yield* serve(after((request, response) => {
          response.writeHead(403, { "content-length": 1000 })
          response.write("because", () => request.socket.destroy())
        }))
        assert.strictEqual(errorName(yield* failure({ url }, small)), "Rejected Forbidden")
      }))

    for (const [kind, headers] of [["stays", {}], ["closes", { connection: "close" }]] as const) {
      it.scopedLive(`on which success comes before the body is sent are no success: the server ${kind}`, () =>
        Effect.gen(function*() {
          const { url } = yield* serve((_request, response) => void response.writeHead(200, headers).end())
          const error = yield* failure({ url }, large)
          assert.include(["IntegrityMismatch Size", "Transient Connection"], errorName(error))
        }))
    }

    it.scopedLive("on which the server refuses before the body is sent tell why", () =>
      Effect.gen(function*() {
        const { idle, url } = yield* serve((request, response) => {
          request.resume()
          response.writeHead(413).end("Too much.")
        })
        const error = yield* failure({ url }, large)
        assert.strictEqual(errorName(error), "Rejected TooLarge")
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
          assert.strictEqual(errorName(error), "Rejected Forbidden")
          assert.include(error.message, "cannot be trusted")
        }
        const wrongName = yield* failure({ url: servers.elsewhere.url, credentials }, small, trusting)
        assert.strictEqual(errorName(wrongName), "Rejected Forbidden")
        assert.strictEqual(requests, 0)

        yield* upload({ url: servers.issued.url, credentials }, small, trusting)
        assert.strictEqual(requests, 1)
      }))

    it.scopedLive("are not asked for in vain: a server without TLS is refused", () =>
      Effect.gen(function*() {
        const { port } = yield* serve(answering(201))
        const error = yield* failure({ url: `https://127.0.0.1:${port}` }, small)
        assert.strictEqual(errorName(error), "Rejected Forbidden")
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
})
