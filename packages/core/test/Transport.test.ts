import { FetchHttpClient, HttpClient, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { Transport, UploadError } from "@sluice/core"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Stream, TestClock, Tracer } from "effect"
import type { Socket } from "node:net"
import { errorName } from "./support/ErrorName.js"
import { readBody, serve } from "./support/PutServer.js"
import * as TestBody from "./support/TestBody.js"
import { pattern, sameBytes } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const mib = 1024 * 1024

const transport = Effect.map(
  Layer.build(Layer.provide(Transport.layerHttpClient, NodeHttpClient.layerUndici)),
  (context) => context.unsafeMap.get(Transport.Transport.key) as Transport.Transport["Type"]
)

const put = (url: string, body?: Transport.Request["body"], headers: Readonly<Record<string, string>> = {}) =>
  ({ method: "PUT", url, headers, body }) satisfies Transport.Request

describe("Transport over an HttpClient", () => {
  it.scopedLive("sends every kind of body with its length, adds no header, and reads the answer", () =>
    Effect.gen(function*() {
      const { send } = yield* transport
      const large = pattern(2 * mib + 7)
      for (
        const [body, bytes] of [
          [undefined, new Uint8Array()],
          [new Uint8Array(), new Uint8Array()],
          [pattern(10), pattern(10)],
          [TestBody.make(new Uint8Array()), new Uint8Array()],
          [TestBody.make(pattern(100), { inOnePiece: true }), pattern(100)],
          [TestBody.make(large), large]
        ] as const
      ) {
        let seen: { readonly raw: ReadonlyArray<string>; readonly body: Buffer | undefined } | undefined = undefined
        const { url } = yield* serve((request, response) =>
          readBody(request, (body) => {
            seen = { raw: request.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()), body }
            response.writeHead(200, { etag: request.headers["content-length"] }).end("hello")
          })
        )
        const answer = yield* send(put(`${url}/a%20b?x=1`, body, { "x-one": "1" }))
        assert.deepStrictEqual(
          [answer.status, answer.headers["etag"], Buffer.from(answer.body).toString(), answer.isCut],
          [200, String(bytes.length), "hello", undefined]
        )
        assert.deepStrictEqual([...seen!.raw].sort(), ["connection", "content-length", "host", "x-one"])
        assert.isTrue(sameBytes(seen!.body, bytes))
      }
    }))

  it.scopedLive("keeps no more of an answer than the limit, and returns the received part of one that breaks off", () =>
    Effect.gen(function*() {
      const { send } = yield* transport
      const { idle, url } = yield* serve((request, response) => {
        if (request.url === "/cut") {
          response.writeHead(403, { "content-length": 1000 })
          return void response.write("because", () => setImmediate(() => request.socket.destroy()))
        }
        response.writeHead(500, { "content-length": 1024 * mib })
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
        }
        response.on("drain", more)
        return more()
      })
      const endless = yield* send(put(`${url}/endless`))
      assert.deepStrictEqual([endless.status, endless.body.length, endless.isCut], [500, Transport.answerLimit, true])
      yield* idle
      const more = yield* send({ ...put(`${url}/endless`), answerBytes: 2 * Transport.answerLimit })
      assert.deepStrictEqual([more.body.length, more.isCut], [2 * Transport.answerLimit, true])
      yield* idle
      const cut = yield* send(put(`${url}/cut`))
      assert.deepStrictEqual([cut.status, Buffer.from(cut.body).toString(), cut.isCut], [403, "because", true])
    }))

  it.scopedLive("is interrupted at once, and traces nothing", () =>
    Effect.gen(function*() {
      const { send } = yield* transport
      const heard = yield* Deferred.make<Socket>()
      const { idle, url } = yield* serve((request) =>
        void request.once("data", () => Effect.runSync(Deferred.succeed(heard, request.socket)))
      )
      const spans: Array<string> = []
      const tracer = Tracer.make({
        context: (run) => run(),
        span: (name, parent, context, links, startTime, kind) => {
          spans.push(name)
          return {
            _tag: "Span",
            spanId: "",
            traceId: "",
            sampled: true,
            status: { _tag: "Started", startTime },
            attributes: new Map(),
            name,
            parent,
            context,
            links: [...links],
            kind,
            end: () => {},
            attribute: () => {},
            event: () => {},
            addLinks: () => {}
          }
        }
      })
      const fiber = yield* Effect.fork(Effect.withTracer(Effect.withSpan(send(put(url, pattern(10))), "mine"), tracer))
      yield* Deferred.await(heard)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      yield* idle
      assert.deepStrictEqual(spans, ["mine"])
    }))

  it.scopedLive("fails as the body does, and reveals no secrets of what cannot be sent", () =>
    Effect.gen(function*() {
      const { open, send } = yield* transport
      const { url } = yield* serve((request, response) => readBody(request, () => response.end()))
      const broken = new UploadError.SourceUnreadable({ reason: "Failed", detail: "The disk is gone." })
      const body = TestBody.make(pattern(2 * mib), { between: Effect.fail(broken) })
      assert.strictEqual(errorName(yield* Effect.flip(send(put(url, body)))), "SourceUnreadable Failed")
      for (
        const [address, headers] of [
          ["http://bad host/?sig=s3cr3t", {}],
          [`${url}/?sig=s3cr3t`, { "x-one": "s3cr3t\n" }]
        ] as const
      ) {
        for (
          const effect of [
            send(put(address, pattern(10), headers)),
            Effect.scoped(open({ method: "GET", url: address, headers }))
          ]
        ) {
          const error = yield* Effect.flip(effect as Effect.Effect<unknown, UploadError.UploadError>)
          assert.strictEqual(errorName(error), "Rejected Unsupported")
          assert.notInclude(`${error.message} ${JSON.stringify(error)} ${error.cause}`, "s3cr3t")
        }
      }
    }))

  it.scopedLive("opens an answer, whose connection ends with the scope", () =>
    Effect.gen(function*() {
      const { open } = yield* transport
      const { idle, url } = yield* serve((_request, response) => {
        response.writeHead(200, { "content-length": 1_000_000_000 })
        response.write(Buffer.alloc(64 * 1024))
      })
      const blocks = yield* Effect.scoped(
        Effect.flatMap(open({ method: "GET", url, headers: {} }), ({ stream }) =>
          Stream.runCollect(Stream.take(stream, 1)))
      )
      assert.strictEqual(blocks.length, 1)
      yield* idle
    }))

  it.effect("reports an answer as cut if it continues after the limit, wherever its blocks end", () =>
    Effect.gen(function*() {
      for (const [sizes, isCut] of [[[10, 1], true], [[10], undefined], [[4, 6], undefined], [[11], true]] as const) {
        const blocks = new ReadableStream<Uint8Array>({
          start: (controller) => {
            for (const size of sizes) controller.enqueue(pattern(size))
            controller.close()
          }
        })
        const client = HttpClient.make((request) =>
          Effect.succeed(HttpClientResponse.fromWeb(request, new Response(blocks)))
        )
        const answer = yield* Effect.flatMap(
          Transport.Transport,
          ({ send }) => send({ ...put("http://host/"), answerBytes: 10 })
        ).pipe(
          Effect.provide(Layer.provide(Transport.layerHttpClient, Layer.succeed(HttpClient.HttpClient, client)))
        )
        assert.deepStrictEqual([answer.body.length, answer.isCut], [10, isCut], sizes.join())
      }
    }))

  it.scopedLive("follows no redirects, not even where fetch would", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { url } = yield* serve((request, response) =>
        readBody(request, () => {
          seen.push(request.url!)
          response.writeHead(307, { location: "/other" }).end()
        })
      )
      for (
        const client of [NodeHttpClient.layerUndici, FetchHttpClient.layer] as Array<Layer.Layer<HttpClient.HttpClient>>
      ) {
        const answer = yield* Effect.flatMap(Transport.Transport, ({ send }) => send(put(`${url}/here`, pattern(10))))
          .pipe(
            Effect.provide(Layer.provide(Transport.layerHttpClient, client))
          )
        assert.strictEqual(answer.status, 307)
      }
      assert.deepStrictEqual(seen, ["/here", "/here"])
    }))
})

describe("Transport, traced", () => {
  interface Recorded {
    readonly name: string
    readonly kind: Tracer.SpanKind
    readonly parent: string | undefined
    readonly attributes: Record<string, unknown>
    exit: Exit.Exit<unknown, unknown> | undefined
  }

  /** Everything that a tracer receives about spans. */
  const recorded = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
    const spans: Array<Recorded> = []
    const tracer = Tracer.make({
      span: (name, parent, context, links, startTime, kind) => {
        const span: Recorded = {
          name,
          kind,
          parent: Option.getOrUndefined(parent)?.spanId,
          attributes: {},
          exit: undefined
        }
        spans.push(span)
        return {
          _tag: "Span",
          name,
          spanId: name,
          traceId: "trace",
          parent,
          context,
          kind,
          sampled: true,
          status: { _tag: "Started", startTime },
          attributes: new Map(),
          links,
          end: (_, exit) => {
            span.exit = exit
          },
          attribute: (key, value) => {
            span.attributes[key] = value
          },
          event: () => {},
          addLinks: () => {}
        }
      },
      context: (evaluate) => evaluate()
    })
    return Effect.as(Effect.withTracer(effect, tracer), spans)
  }

  const answering = (answer: Effect.Effect<Transport.Answer, UploadError.UploadError>) =>
    Layer.provide(
      Transport.layerTraced,
      Layer.succeed(Transport.Transport, {
        send: () => answer,
        open: () => Effect.map(answer, (head) => ({ ...head, stream: Stream.empty }))
      })
    )

  const secret = "CANARY-of-the-request"
  const request = put(`https://user:${secret}@host/some/key?sig=${secret}`, pattern(10), {
    authorization: `Bearer ${secret}`
  })

  it.effect("traces each request, without its secrets", () =>
    Effect.gen(function*() {
      const answer = { status: 403, headers: { "x-said": secret }, body: new TextEncoder().encode(secret) }
      const spans = yield* recorded(
        Effect.gen(function*() {
          const { open, send } = yield* Transport.Transport
          yield* send(request)
          yield* Effect.scoped(open({ ...request, method: "GET" }))
        }).pipe(Effect.withSpan("upload"), Effect.provide(answering(Effect.succeed(answer))))
      )
      const attributes = (method: string) => ({
        "http.request.method": method,
        "url.full": "https://host/some/key",
        "http.request.body.size": 10,
        "http.response.status_code": 403
      })
      const told = spans.map(({ attributes, kind, name, parent }) => ({ name, kind, parent, attributes }))
      assert.deepStrictEqual(told, [
        { name: "upload", kind: "internal", parent: undefined, attributes: {} },
        { name: "http.client PUT", kind: "client", parent: "upload", attributes: attributes("PUT") },
        { name: "http.client GET", kind: "client", parent: "upload", attributes: attributes("GET") }
      ])
      assert.notInclude(JSON.stringify(told), secret)
    }))

  it.effect("ends a span with the failure of its request", () =>
    Effect.gen(function*() {
      const failure = new UploadError.Transient({ reason: "Connection", detail: "It broke." })
      const spans = yield* recorded(
        Effect.flatMap(Transport.Transport, ({ send }) => Effect.exit(send(request))).pipe(
          Effect.provide(answering(Effect.fail(failure)))
        )
      )
      assert.deepStrictEqual(spans.map(({ exit }) => exit), [Exit.fail(failure)])
      assert.notProperty(spans[0]?.attributes, "http.response.status_code")
    }))
})

describe("Transport.refused", () => {
  const answer = (status: number, body: string, headers: Readonly<Record<string, string>> = {}) =>
    ({ status, headers, body: new TextEncoder().encode(body) }) satisfies Transport.Answer

  const request = {
    method: "PROPFIND",
    url: "https://dav.example.org/a.txt?signature=url-canary",
    headers: { authorization: `Bearer token-canary`, "x-key": "header-canary" }
  } satisfies Transport.Request

  it.effect("is the error of the answer, with what the server says and without what may be secret", () =>
    Effect.gen(function*() {
      const said = "<h1>No</h1> signature url-canary, token token-canary, key header-canary"
      assert.deepStrictEqual(
        yield* Effect.flip(Transport.refused(request, answer(403, said))),
        new UploadError.Rejected({
          reason: "Forbidden",
          detail: "https://dav.example.org/a.txt answered 403: No signature <redacted>, token <redacted>, " +
            "key <redacted>"
        })
      )
      assert.strictEqual(
        (yield* Effect.flip(Transport.refused(request, answer(307, "", { location: "/login/url-canary" })))).message,
        "https://dav.example.org/a.txt answered 307 (redirects are not followed; this one leads to /login/<redacted>)"
      )
    }))

  it.effect("compares a date in Retry-After with the clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      const headers = { "retry-after": "Thu, 01 Jan 2026 00:00:30 GMT" }
      assert.deepStrictEqual(
        yield* Effect.flip(Transport.refused(request, answer(503, "", headers))),
        new UploadError.Throttled({
          detail: "https://dav.example.org/a.txt answered 503",
          retryAfterMillis: 30_000
        })
      )
    }))
})
