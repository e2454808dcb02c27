import { assert, describe, it } from "@effect/vitest"
import type { Transport } from "@sluice/core"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Stream } from "effect"
import * as http from "node:http"
import type { Socket } from "node:net"
import * as net from "node:net"
import * as tls from "node:tls"
import * as Certificates from "../../support/Certificates.js"
import * as ProxyEnvironment from "../../support/ProxyEnvironment.js"
import { serve } from "../../support/PutServer.js"
import * as RawServer from "../../support/RawServer.js"
import * as TestBody from "../../support/TestBody.js"
import { pattern, sameBytes } from "../../support/TestSource.js"

const mib = 1024 * 1024

const ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\netag: \"a\"\r\n\r\nok"

const proceed = "HTTP/1.1 100 Continue\r\n\r\n"

const hints = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"

const bodies: ReadonlyArray<readonly [name: string, body: () => Transport.Request["body"], size: number]> = [
  ["none", () => undefined, 0],
  ["bytes", () => pattern(1000), 1000],
  ["a body in one piece", () => TestBody.make(pattern(1000), { inOnePiece: true }), 1000],
  ["a body in blocks", () => TestBody.make(pattern(2 * mib + 7)), 2 * mib + 7]
]

const put = (url: string, body: Transport.Request["body"]): Transport.Request => ({
  method: "PUT",
  url,
  headers: {},
  body
})

/** Sends all kinds of bodies twice over one connection, and looks at what arrives and what is answered. */
const allArrive = (transport: Transport.Transport["Type"], url: string, heard: ReadonlyArray<RawServer.Heard>) =>
  Effect.gen(function*() {
    for (const round of [1, 2]) {
      for (const [name, body, size] of bodies) {
        const answer = yield* transport.send(put(`${url}/${round}`, body()))
        assert.deepStrictEqual(
          [answer.status, answer.headers["etag"], Buffer.from(answer.body).toString()],
          [200, "\"a\"", "ok"],
          `${name}, ${round}`
        )
        assert.isTrue(sameBytes(heard.at(-1)!.body, pattern(size)), name)
      }
    }
    for (const method of ["GET", "HEAD"] as const) {
      const opened = Effect.flatMap(
        transport.open({ method, url, headers: {} }),
        ({ status, stream }) => Effect.as(Stream.runDrain(stream), status)
      )
      assert.strictEqual(yield* Effect.scoped(opened), 200)
    }
  })

describe("unsolicited interim answers", () => {
  const cases: ReadonlyArray<readonly [name: string, before: ReadonlyArray<string>]> = [
    ["100", [proceed]],
    ["100 over HTTP/1.0", ["HTTP/1.0 100 Continue\r\n\r\n"]],
    ["100 with headers and no reason", ["HTTP/1.1 100 \r\nserver: odd\r\ncontent-length: 5\r\n\r\n"]],
    ["100 twice", [proceed, proceed]],
    ["102, 103 and 100", ["HTTP/1.1 102 Processing\r\n\r\n", hints, proceed]],
    ["199, which nobody knows", ["HTTP/1.1 199 Whatever\r\nx: 1\r\n\r\n"]]
  ]
  for (const [name, before] of cases) {
    for (const pieces of ["in one piece with the answer", "in a piece of its own", "byte by byte"] as const) {
      it.scopedLive(`are passed over: ${name}, ${pieces}`, () =>
        Effect.gen(function*() {
          const heard: Array<RawServer.Heard> = []
          const { connections, url } = yield* RawServer.make((socket) =>
            RawServer.hear(socket.setNoDelay(true), {
              request: (request) => {
                heard.push(request)
                const answer = request.head.startsWith("HEAD") ? ok.slice(0, -2) : ok
                say(
                  socket,
                  pieces === "in one piece with the answer" ? [before.join("") + answer] : [...before, answer]
                )
              }
            })
          )
          const say = (socket: Socket, texts: ReadonlyArray<string>) => {
            const units = pieces === "byte by byte" ? texts.join("").split("") : [...texts]
            const next = () => {
              const unit = units.shift()
              if (unit !== undefined) socket.write(unit, "latin1", () => setImmediate(next))
            }
            next()
          }
          const transport = yield* TransportNode.make({ connections: 1 })
          yield* allArrive(transport, url, heard)
          assert.strictEqual(connections(), 1)
        }))
    }
  }

  it.scopedLive("may arrive while the body is in flight", () =>
    Effect.gen(function*() {
      const heard: Array<RawServer.Heard> = []
      const { connections, url } = yield* RawServer.make((socket) =>
        RawServer.hear(socket, {
          head: () => socket.write(proceed),
          request: (request) => {
            heard.push(request)
            socket.write(request.head.startsWith("HEAD") ? ok.slice(0, -2) : ok)
          }
        })
      )
      const transport = yield* TransportNode.make({ connections: 1 })
      yield* allArrive(transport, url, heard)
      assert.strictEqual(connections(), 1)
    }))

  it.scopedLive("without anything after them are not an answer, and neither is one without an end", () =>
    Effect.gen(function*() {
      for (
        const said of [proceed, "HTTP/1.1 100 Cont", `HTTP/1.1 103 Early Hints\r\nlink: ${"x".repeat(300 * 1024)}`]
      ) {
        const { url } = yield* RawServer.make((socket) => RawServer.hear(socket, { request: () => socket.end(said) }))
        const transport = yield* TransportNode.make()
        const error = yield* Effect.flip(transport.send(put(url, pattern(10))))
        assert.oneOf(error._tag, ["Transient", "Rejected"])
      }
    }))

  it.scopedLive("do not become part of an answer's body, even if that looks like one", () =>
    Effect.gen(function*() {
      const { url } = yield* RawServer.make((socket) =>
        RawServer.hear(socket, {
          request: () => {
            socket.write(`${proceed}HTTP/1.1 200 OK\r\ncontent-length: ${2 * proceed.length}\r\n\r\n`)
            setImmediate(() => socket.write(proceed, () => setImmediate(() => socket.write(proceed))))
          }
        })
      )
      const transport = yield* TransportNode.make({ connections: 1 })
      for (const _ of [1, 2]) {
        const { body } = yield* transport.send(put(url, pattern(10)))
        assert.strictEqual(Buffer.from(body).toString(), proceed + proceed)
      }
    }))

  it.scopedLive("are skipped behind a proxy", () =>
    Effect.gen(function*() {
      const heard: Array<RawServer.Heard> = []
      const { url } = yield* RawServer.make((socket) =>
        RawServer.hear(socket, {
          request: (request) => {
            heard.push(request)
            socket.write(proceed + (request.head.startsWith("HEAD") ? ok.slice(0, -2) : ok))
          }
        })
      )
      yield* ProxyEnvironment.set({ http_proxy: url })
      const transport = yield* TransportNode.make({ connections: 1, proxy: true })
      yield* allArrive(transport, "http://files.example.org", heard)
    }))

  it.scopedLive.skipIf(!Certificates.available)(
    "are passed over within TLS and a tunnel, and before the tunnel",
    () =>
      Effect.gen(function*() {
        const { authority, issued } = yield* Certificates.certificates
        const heard: Array<RawServer.Heard> = []
        const sockets = tls.createServer(issued, (socket) =>
          RawServer.hear(socket, {
            request: (request) => {
              heard.push(request)
              socket.write(proceed + (request.head.startsWith("HEAD") ? ok.slice(0, -2) : ok))
            }
          }))
        sockets.on("tlsClientError", () => {})
        const { port } = yield* RawServer.make((socket) => sockets.emit("connection", socket))
        const tunnel = http.createServer()
        tunnel.on("connect", (_request, socket) => {
          const other = net.connect(port, "127.0.0.1", () => {
            socket.write(`${proceed}HTTP/1.1 200 OK\r\n\r\n`)
            other.pipe(socket).pipe(other)
          })
          other.on("error", () => socket.destroy())
          socket.on("error", () => other.destroy())
          socket.on("close", () => other.destroy())
        })
        const proxy = yield* serve(() => {}, tunnel)
        const options = { connections: 1, ca: authority.cert.toString() }
        const direct = yield* TransportNode.make(options)
        yield* allArrive(direct, `https://127.0.0.1:${port}`, heard)
        yield* ProxyEnvironment.set({ https_proxy: proxy.url })
        const proxied = yield* TransportNode.make({ ...options, proxy: true })
        yield* allArrive(proxied, `https://127.0.0.1:${port}`, heard)
      })
  )
})
