import { assert, describe, it, vi } from "@effect/vitest"
import { Transport, UploadError } from "@sluice/core"
import type { Destination } from "@sluice/core"
import * as TransportNode from "@sluice/core/TransportNode"
import { Deferred, Effect, Exit, Fiber, Stream, TestClock } from "effect"
import type { Scope } from "effect"
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import type { AddressInfo, Socket } from "node:net"
import * as Certificates from "./support/Certificates.js"
import { elapse } from "./support/Elapse.js"
import * as ProxyEnvironment from "./support/ProxyEnvironment.js"
import { readBody, serve } from "./support/PutServer.js"
import * as TestBody from "./support/TestBody.js"
import { pattern, sameBytes } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

interface Raw {
  readonly url: string
  readonly sockets: () => number
  /** Succeeds when as many connections have been closed. */
  readonly closed: (count: number) => Effect.Effect<void>
}

/** A server of sockets, which sees every byte. */
const raw = (onSocket: (socket: Socket, index: number) => void): Effect.Effect<Raw, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: net.Server; readonly open: Set<Socket>; readonly raw: Raw }>((resume) => {
      const open = new Set<Socket>()
      let sockets = 0
      let closed = 0
      let waiting: Array<() => void> = []
      const server = net.createServer((socket) => {
        sockets += 1
        open.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => {
          open.delete(socket)
          closed += 1
          for (const wake of waiting) wake()
        })
        onSocket(socket, sockets)
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({
          server,
          open,
          raw: {
            url: `http://127.0.0.1:${port}`,
            sockets: () => sockets,
            closed: (count) =>
              Effect.async<void>((woken) => {
                const look = () => {
                  if (closed < count) return
                  waiting = waiting.filter((wake) => wake !== look)
                  woken(Effect.void)
                }
                waiting.push(look)
                look()
              })
          }
        }))
      })
    }),
    ({ open, server }) =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of open) socket.destroy()
      })
  ).pipe(Effect.map(({ raw }) => raw))

/** Answers each request on a socket when it is whole, and keeps what was sent. */
const answeringRaw =
  (seen: Array<string>, answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") => (socket: Socket) => {
    let text = ""
    socket.on("data", (block: Buffer) => {
      text += block.toString("latin1")
      const end = text.indexOf("\r\n\r\n")
      if (end < 0) return
      const length = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0)
      if (text.length < end + 4 + length) return
      seen.push(text.slice(0, end + 4 + length))
      text = text.slice(end + 4 + length)
      socket.write(answer)
    })
  }

const put = (url: string, body?: Transport.Request["body"], headers: Readonly<Record<string, string>> = {}) =>
  ({ method: "PUT", url, headers, body }) satisfies Transport.Request

const shortly = (error: UploadError.UploadError) => "reason" in error ? `${error._tag} ${error.reason}` : error._tag

const failure = <A, R>(effect: Effect.Effect<A, UploadError.UploadError, R>) => Effect.map(Effect.flip(effect), shortly)

describe("TransportNode", () => {
  describe("requests", () => {
    it.scopedLive("say how long every kind of body is, and are never chunked", () =>
      Effect.gen(function*() {
        const transport = yield* TransportNode.make()
        const large = pattern(2 * mib + 7)
        const bodies: ReadonlyArray<readonly [body: Transport.Request["body"], bytes: Uint8Array]> = [
          [undefined, new Uint8Array()],
          [new Uint8Array(), new Uint8Array()],
          [pattern(10), pattern(10)],
          [pattern(20).subarray(5, 9), pattern(20).subarray(5, 9)],
          [TestBody.make(new Uint8Array()), new Uint8Array()],
          [TestBody.make(pattern(100), { inOnePiece: true }), pattern(100)],
          [TestBody.make(pattern(100)), pattern(100)],
          [TestBody.make(large), large]
        ]
        for (const [body, bytes] of bodies) {
          const seen: Array<string> = []
          const { url } = yield* raw(answeringRaw(seen))
          for (const method of ["PUT", "POST", "PATCH"] as const) {
            yield* transport.send({ ...put(`${url}/a%20b?x=1`, body, { "x-one": "1" }), method })
          }
          assert.lengthOf(seen, 3)
          for (const text of seen) {
            const [head = ""] = text.split("\r\n\r\n")
            assert.match(head, /^(PUT|POST|PATCH) \/a%20b\?x=1 HTTP\/1\.1\r\n/)
            assert.lengthOf(head.match(/content-length:/gi) ?? [], 1)
            assert.include(head.toLowerCase(), `content-length: ${bytes.length}`)
            assert.notInclude(head.toLowerCase(), "transfer-encoding")
            assert.deepStrictEqual(
              head.split("\r\n").slice(1).map((line) => line.split(":")[0]!.toLowerCase()).sort(),
              ["connection", "content-length", "host", "x-one"]
            )
            assert.isTrue(sameBytes(Buffer.from(text.slice(head.length + 4), "latin1"), bytes))
          }
        }
      }))

    it.scopedLive("without a body and without a meaning for one say nothing of a length", () =>
      Effect.gen(function*() {
        const transport = yield* TransportNode.make()
        const seen: Array<string> = []
        const { url } = yield* raw(answeringRaw(seen))
        for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"] as const) {
          yield* transport.send({ method, url, headers: {} })
        }
        for (const text of seen) assert.notMatch(text, /content-length|transfer-encoding/i)
        assert.lengthOf(seen, 4)
      }))

    it.scopedLive("that cannot be said in HTTP are refused, and take no connection out of use", () =>
      Effect.gen(function*() {
        const transport = yield* TransportNode.make({ connections: 1 })
        const seen: Array<string> = []
        const { sockets, url } = yield* raw(answeringRaw(seen))
        const headers: ReadonlyArray<Readonly<Record<string, string>>> = [
          { "x-one": "a\r\nx-evil: 1" },
          { "x-one": "a\nb" },
          { "x-one": "\0" },
          { "x-one": "日本" },
          { "bad name": "x" },
          { "": "x" },
          { "transfer-encoding": "chunked" },
          { expect: "100-continue" },
          { connection: "close" }
        ]
        for (const bad of headers) {
          for (const body of [undefined, pattern(10), TestBody.make(pattern(10))]) {
            const error = yield* Effect.flip(transport.send(put(url, body, bad)))
            assert.strictEqual(shortly(error), "Rejected Unsupported")
            assert.notInclude(error.message, "x-evil")
          }
          const opened = Effect.scoped(transport.open({ method: "GET", url, headers: bad }))
          assert.strictEqual(yield* failure(opened), "Rejected Unsupported")
        }
        for (
          const address of ["not an address", "http://a b/", "ftp://127.0.0.1/", "http://127.0.0.1:99999/", "http://"]
        ) {
          assert.strictEqual(yield* failure(transport.send(put(address))), "Rejected Unsupported", address)
          assert.strictEqual(
            yield* failure(Effect.scoped(transport.open({ method: "GET", url: address, headers: {} }))),
            "Rejected Unsupported"
          )
        }
        assert.strictEqual((yield* transport.send(put(url, pattern(10), { "x-one": "\xe9" }))).status, 200)
        assert.deepStrictEqual([seen.length, sockets()], [1, 1])
      }))

    it.scopedLive("share as many connections as there may be, and keep them, after a look too", () =>
      Effect.gen(function*() {
        const { connections, url } = yield* serve((request, response) =>
          readBody(request, () =>
            response.writeHead(200, { "content-length": "5" }).end(
              request.method === "HEAD" ? undefined : "hello"
            ))
        )
        const transport = yield* TransportNode.make({ connections: 3 })
        yield* Effect.forEach(
          Array.from({ length: 60 }, (_, i) => i),
          (i) =>
            transport.send(
              i % 3 === 0
                ? { method: "HEAD", url: `${url}/${i}`, headers: {} }
                : put(`${url}/${i}`, i % 3 === 1 ? pattern(100) : TestBody.make(pattern(100)))
            ),
          { concurrency: 10 }
        )
        assert.isAtMost(connections(), 3)
      }))

    it.scopedLive("on a connection that the server has closed, or closes, are not made again unasked", () =>
      Effect.gen(function*() {
        const answered: Array<string> = []
        let closing = false
        const { closed, sockets, url } = yield* raw((socket) => {
          if (closing) return void socket.once("data", () => socket.destroy())
          answeringRaw(answered)(socket)
        })
        const transport = yield* TransportNode.make({ connections: 1 })
        yield* transport.send(put(url, pattern(10)))
        closing = true
        assert.strictEqual(answered.length, 1)
        const before = sockets()
        const other = yield* raw((socket) => void socket.once("data", () => socket.destroy()))
        assert.strictEqual(yield* failure(transport.send(put(other.url, pattern(10)))), "Transient Connection")
        assert.deepStrictEqual([other.sockets(), before], [1, 1])
        // One that was closed while it was idle is replaced.
        const seen: Array<string> = []
        const idle = yield* raw((socket, index) => {
          answeringRaw(seen)(socket)
          if (index === 1) socket.once("data", () => setImmediate(() => socket.end()))
        })
        yield* transport.send(put(idle.url, pattern(10)))
        yield* idle.closed(1)
        yield* transport.send(put(idle.url, pattern(10)))
        assert.deepStrictEqual([seen.length, idle.sockets()], [2, 2])
        void closed
      }))
  })

  describe("bodies", () => {
    /** A server that tells how many bytes of each body it had when the connection ended, and answers none. */
    const counting = Effect.gen(function*() {
      const bytes: Array<number> = []
      const server = yield* raw((socket, index) => {
        bytes[index - 1] = 0
        let head = ""
        socket.on("data", (block: Buffer) => {
          if (head.includes("\r\n\r\n")) return void (bytes[index - 1]! += block.length)
          head += block.toString("latin1")
          const end = head.indexOf("\r\n\r\n")
          if (end >= 0) bytes[index - 1]! += head.length - end - 4
        })
      })
      return { ...server, bytes }
    })

    const broken = new UploadError.SourceUnreadable({ reason: "Failed", detail: "The disk is gone." })

    it.scopedLive("that fail or end early break the request, with the reason of the source", () =>
      Effect.gen(function*() {
        const { bytes, closed, url } = yield* counting
        const transport = yield* TransportNode.make({ connections: 1 })
        const cases: ReadonlyArray<readonly [Destination.Body, string]> = [
          [TestBody.make(pattern(2 * mib), { between: Effect.fail(broken) }), "SourceUnreadable Failed"],
          [{ ...TestBody.make(pattern(mib)), size: mib, blocks: () => Effect.fail(broken) }, "SourceUnreadable Failed"],
          [TestBody.make(pattern(mib), { size: mib + 1 }), "SourceChanged EndedEarly"],
          [TestBody.make(new Uint8Array(), { size: 5 }), "SourceChanged EndedEarly"],
          [TestBody.make(pattern(5), { size: 6, inOnePiece: true }), "SourceChanged EndedEarly"]
        ]
        for (const [body, expected] of cases) {
          assert.strictEqual(yield* failure(transport.send(put(url, body))), expected)
        }
        yield* closed(bytes.length)
        assert.isAtMost(Math.max(...bytes), 2 * mib - 1)
      }))

    it.scopedLive("never go further than their length", () =>
      Effect.gen(function*() {
        const { bytes, closed, url } = yield* counting
        const transport = yield* TransportNode.make()
        for (const size of [1, 512 * kib, mib + 1]) {
          const error = yield* Effect.flip(transport.send(put(url, TestBody.make(pattern(2 * mib), { size }))))
          assert.strictEqual(error._tag, "SourceChanged")
        }
        yield* closed(bytes.length)
        for (const count of bytes) assert.isAtMost(count, mib + 1)
      }))

    it.scopedLive("of unknown length are refused", () =>
      Effect.gen(function*() {
        const transport = yield* TransportNode.make()
        const body = Object.create(TestBody.make(pattern(10)), { size: { value: undefined } }) as Destination.Body
        assert.strictEqual(yield* failure(transport.send(put("http://127.0.0.1:1", body))), "Rejected Unsupported")
      }))

    it.scopedLive("are released when they have arrived, and only then", () =>
      Effect.gen(function*() {
        const { url } = yield* serve((request, response) =>
          readBody(request, () => response.writeHead(Number(request.url!.slice(1))).end())
        )
        const transport = yield* TransportNode.make()
        for (const inOnePiece of [true, false]) {
          for (const [status, expected] of [[200, 1], [201, 1], [404, 0], [500, 0], [307, 0]] as const) {
            let released = 0
            const body = {
              ...TestBody.make(pattern(mib), { inOnePiece }),
              size: mib,
              release: () => void (released += 1)
            }
            yield* transport.send(put(`${url}/${status}`, body))
            assert.strictEqual(released, expected, `${status}`)
          }
        }
      }))
  })

  describe("interruption", () => {
    it.scopedLive("closes the connection at once: before the answer, in the body and in the answer", () =>
      Effect.gen(function*() {
        const heard = yield* Deferred.make<void>()
        const once = () => void Effect.runSync(Deferred.succeed(heard, undefined))
        const cases: ReadonlyArray<readonly [Transport.Request["body"], (socket: Socket) => void]> = [
          [pattern(10), (socket) => void socket.once("data", once)],
          [TestBody.make(pattern(32 * mib)), (socket) => void socket.once("data", once)],
          [TestBody.make(pattern(2 * mib), { between: Effect.never }), (socket) => void socket.once("data", once)],
          [undefined, (socket) =>
            void socket.once("data", () => {
              socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun")
              once()
            })]
        ]
        for (const [body, onSocket] of cases) {
          const gate = yield* Deferred.make<void>()
          const server = yield* raw((socket) => {
            socket.once("data", () => Effect.runSync(Deferred.succeed(gate, undefined)))
            onSocket(socket)
          })
          const transport = yield* TransportNode.make()
          const fiber = yield* Effect.fork(transport.send(put(server.url, body)))
          yield* Deferred.await(gate)
          assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
          yield* server.closed(1)
        }
      }))

    it.scopedLive("of one that waits for a connection leaves the connection to others", () =>
      Effect.gen(function*() {
        const first = yield* Deferred.make<Socket>()
        const ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        let requests = 0
        const { sockets, url } = yield* raw((socket) =>
          void socket.on("data", () => {
            requests += 1
            if (requests === 1) return Effect.runSync(Deferred.succeed(first, socket))
            return socket.write(ok)
          })
        )
        const transport = yield* TransportNode.make({ connections: 1 })
        const holding = yield* Effect.fork(transport.send(put(url, pattern(10))))
        const socket = yield* Deferred.await(first)
        const waiting = yield* Effect.fork(transport.send(put(url, pattern(10))))
        yield* Effect.yieldNow()
        const third = yield* Effect.fork(transport.send(put(url, pattern(10))))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(waiting)
        socket.write(ok)
        yield* Fiber.join(holding)
        assert.strictEqual((yield* Fiber.join(third)).status, 200)
        assert.deepStrictEqual([requests, sockets()], [2, 1])
      }))

    it.scoped("is possible while the answer of a request that is opened has not come", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const server = yield* raw((socket) =>
          void socket.once("data", () => Effect.runSync(Deferred.succeed(gate, undefined)))
        )
        const transport = yield* TransportNode.make()
        const fiber = yield* Effect.fork(Effect.scoped(transport.open({ method: "GET", url: server.url, headers: {} })))
        yield* Deferred.await(gate)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
        yield* server.closed(1)
      }))
  })

  describe("answers", () => {
    for (const connection of ["keep-alive", "close"]) {
      it.scopedLive(`that come before the body is sent are the answer: connection ${connection}`, () =>
        Effect.gen(function*() {
          const { closed, url } = yield* raw((socket) =>
            void socket.once("data", () => {
              const text = `HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\nconnection: ${connection}\r\n\r\nmuch`
              socket.write(text, () => connection === "close" ? socket.end() : undefined)
            })
          )
          const transport = yield* TransportNode.make()
          const answer = yield* transport.send(put(url, TestBody.make(pattern(32 * mib))))
          assert.deepStrictEqual([answer.status, Buffer.from(answer.body).toString()], [413, "much"])
          yield* closed(1)
        }))
    }

    it.scopedLive("are kept up to a limit, and the connection is closed", () =>
      Effect.gen(function*() {
        let sent = 0
        const { idle, url } = yield* serve((_request, response) => {
          response.writeHead(500, { "content-length": 1024 * mib })
          const block = Buffer.alloc(64 * kib, "x")
          const more = () => {
            while (!response.destroyed && sent < 1024 * mib) {
              sent += block.length
              if (!response.write(block)) return
            }
          }
          response.on("drain", more)
          more()
        })
        const transport = yield* TransportNode.make()
        const answer = yield* transport.send(put(url, pattern(10)))
        assert.deepStrictEqual([answer.status, answer.body.length, answer.isCut], [500, Transport.answerLimit, true])
        yield* idle
        assert.isBelow(sent, 64 * mib)
      }))

    it.scopedLive("may have large headers; what is too large, or no HTTP, is told as that and not as a connection", () =>
      Effect.gen(function*() {
        const cases: ReadonlyArray<readonly [said: string, expected: string | undefined]> = [
          [`HTTP/1.1 200 OK\r\nx-large: ${"x".repeat(100 * kib)}\r\ncontent-length: 0\r\n\r\n`, undefined],
          [`HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(5_000)}content-length: 0\r\n\r\n`, undefined],
          [
            `HTTP/1.1 200 OK\r\nx-large: ${"x".repeat(300 * kib)}\r\ncontent-length: 0\r\n\r\n`,
            "Rejected Unexpected: answered with headers that are too large to read."
          ],
          [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "Transient Connection: answered with something that is not HTTP (Expected HTTP/, RTSP/ or ICE/)."
          ]
        ]
        for (const [said, expected] of cases) {
          const { url } = yield* raw((socket) => void socket.once("data", () => socket.write(said)))
          const transport = yield* TransportNode.make()
          const told = (error: UploadError.UploadError) => `${shortly(error)}: ${error.message.replace(`${url} `, "")}`
          const sent = yield* Effect.match(transport.send(put(url, pattern(10))), {
            onSuccess: () => undefined,
            onFailure: told
          })
          assert.strictEqual(sent, expected)
          const opened = Effect.scoped(transport.open({ method: "GET", url, headers: {} }))
          assert.strictEqual(yield* Effect.match(opened, { onSuccess: () => undefined, onFailure: told }), expected)
        }
      }))

    it.scopedLive("of exactly the limit are whole", () =>
      Effect.gen(function*() {
        const { url } = yield* serve((_request, response) => void response.end(Buffer.alloc(Transport.answerLimit)))
        const transport = yield* TransportNode.make()
        const answer = yield* transport.send(put(url))
        assert.deepStrictEqual([answer.body.length, answer.isCut], [Transport.answerLimit, undefined])
      }))

    it.scopedLive("are kept as far as the request wants them", () =>
      Effect.gen(function*() {
        const { url } = yield* serve((_request, response) => void response.end(Buffer.alloc(3 * mib)))
        const transport = yield* TransportNode.make()
        const all = yield* transport.send({ ...put(url), answerBytes: 4 * mib })
        assert.deepStrictEqual([all.body.length, all.isCut], [3 * mib, undefined])
        const some = yield* transport.send({ ...put(url), answerBytes: 2 * mib })
        assert.deepStrictEqual([some.body.length, some.isCut], [2 * mib, true])
      }))

    /** A server that begins an answer, and goes on with it as it is told. */
    const dripping = Effect.gen(function*() {
      const begun = yield* Deferred.make<Socket>()
      const server = yield* raw((socket) =>
        void socket.once("data", () => {
          socket.write("HTTP/1.1 200 OK\r\netag: x\r\ncontent-length: 1000\r\n\r\na", () =>
            Effect.runSync(Deferred.succeed(begun, socket)))
        })
      )
      return { ...server, begun: Deferred.await(begun) }
    })

    it.scoped("that stand still are given as far as they came, after 30 seconds", () =>
      Effect.gen(function*() {
        const { begun, closed, url } = yield* dripping
        const transport = yield* TransportNode.make()
        const fiber = yield* Effect.fork(transport.send(put(url, pattern(10))))
        yield* begun
        assert.isAtLeast(yield* elapse(fiber, Effect.void), 30)
        const answer = yield* Fiber.join(fiber)
        assert.deepStrictEqual([answer.status, answer.headers["etag"], answer.isCut], [200, "x", true])
        yield* closed(1)
      }))

    it.scoped("that trickle are given as far as they came, after a minute or what is asked for", () =>
      Effect.gen(function*() {
        for (const [answerMillis, most] of [[undefined, 62], [5_000, 7]] as const) {
          const { begun, closed, url } = yield* dripping
          const transport = yield* TransportNode.make()
          const fiber = yield* Effect.fork(transport.send({ ...put(url, pattern(10)), answerMillis }))
          const socket = yield* begun
          yield* elapse(fiber, Effect.sync(() => socket.write("b")))
          yield* TestClock.currentTimeMillis
          const answer = yield* Fiber.join(fiber)
          assert.isTrue(answer.isCut)
          assert.isAtMost(answer.body.length, most)
          yield* closed(1)
        }
      }))

    it.scopedLive("that break off are given as far as they came; without a head there is none", () =>
      Effect.gen(function*() {
        const transport = yield* TransportNode.make()
        const cut = yield* raw((socket) =>
          void socket.once(
            "data",
            () => socket.write("HTTP/1.1 403 No\r\ncontent-length: 1000\r\n\r\nbecause", () => socket.end())
          )
        )
        const answer = yield* transport.send(put(cut.url, pattern(10)))
        assert.deepStrictEqual([answer.status, Buffer.from(answer.body).toString(), answer.isCut], [
          403,
          "because",
          true
        ])
        const garbage = yield* raw((socket) => void socket.once("data", () => socket.end("s3cr3t garbage\r\n\r\n")))
        const error = yield* Effect.flip(transport.send(put(garbage.url, pattern(10))))
        assert.strictEqual(shortly(error), "Transient Connection")
        assert.notInclude(JSON.stringify([error, `${error.cause}`]), "s3cr3t")
      }))

    it.scopedLive("may be announced, and redirects are not followed", () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const { url } = yield* raw(answeringRaw(
          seen,
          "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 307 Elsewhere\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"
        ))
        const transport = yield* TransportNode.make()
        const answer = yield* transport.send(put(url, pattern(10)))
        assert.deepStrictEqual([answer.status, answer.headers["location"], seen.length], [307, "/other", 1])
      }))

    it.scoped("that are opened stall after 30 seconds, and are closed with the scope", () =>
      Effect.gen(function*() {
        const { begun, closed, url } = yield* dripping
        const transport = yield* TransportNode.make()
        const fiber = yield* Effect.fork(
          Effect.scoped(Effect.flatMap(
            transport.open({ method: "GET", url, headers: {} }),
            ({ stream }) => Effect.flip(Stream.runDrain(stream))
          ))
        )
        yield* begun
        yield* elapse(fiber, Effect.void)
        assert.strictEqual(shortly(yield* Fiber.join(fiber)), "Transient Stalled")
        yield* closed(1)
      }))
  })

  describe.skipIf(!Certificates.available)("TLS (certificates made by openssl)", () => {
    it.scopedLive("trusts who is asked to be trusted and nobody besides, or everybody where told to", () =>
      Effect.gen(function*() {
        const { authority, issued, selfSigned } = yield* Certificates.certificates
        const handler: http.RequestListener = (request, response) => readBody(request, () => response.end())
        const good = yield* serve(handler, https.createServer(issued))
        const bad = yield* serve(handler, https.createServer(selfSigned))
        const outcomes = (options: TransportNode.Options) =>
          Effect.scoped(
            Effect.flatMap(TransportNode.make(options), (transport) =>
              Effect.forEach([good, bad], ({ url }) =>
                Effect.match(transport.send(put(url, pattern(10))), {
                  onSuccess: ({ status }) =>
                    String(status),
                  onFailure: shortly
                })))
          )
        const ca = authority.cert.toString()
        assert.deepStrictEqual(yield* outcomes({}), ["Rejected Forbidden", "Rejected Forbidden"])
        assert.deepStrictEqual(yield* outcomes({ ca }), ["200", "Rejected Forbidden"])
        assert.deepStrictEqual(yield* outcomes({ verifyTls: false }), ["200", "200"])
      }))
  })

  describe("proxies", () => {
    /** A proxy that notes what it is asked for: in absolute form, or for a tunnel. */
    const proxy = (password?: string) =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        const expected = password === undefined
          ? undefined
          : `Basic ${Buffer.from(`me:${password}`).toString("base64")}`
        const server = http.createServer()
        server.on("connect", (request: http.IncomingMessage, socket: Socket) => {
          asked.push(`CONNECT ${request.url}`)
          socket.on("error", () => {})
          if (request.headers["proxy-authorization"] !== expected) {
            return void socket.end("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
          }
          const [host = "", port] = request.url!.split(":")
          const other = net.connect(Number(port), host, () => {
            socket.write("HTTP/1.1 200 OK\r\n\r\n")
            other.pipe(socket).pipe(other)
          })
          socket.on("close", () => other.destroy())
          return other.on("error", () => socket.destroy())
        })
        const running = yield* serve((request, response) => {
          asked.push(`${request.method} ${request.url}`)
          if (request.headers["proxy-authorization"] !== expected) return void response.writeHead(407).end()
          const headers = { ...request.headers }
          delete headers["proxy-authorization"]
          const onward = http.request(request.url!, { method: request.method!, headers }, (answer) => {
            response.writeHead(answer.statusCode!, answer.headers)
            answer.pipe(response)
          })
          return void request.pipe(onward)
        }, server)
        return { ...running, asked }
      })

    const target = Effect.gen(function*() {
      const seen: Array<http.IncomingHttpHeaders> = []
      const running = yield* serve((request, response) =>
        readBody(request, (body) => {
          seen.push(request.headers)
          response.writeHead(201).end(String(body?.length))
        })
      )
      return { ...running, seen }
    })

    it.scopedLive("are not asked unless they are to be", () =>
      Effect.gen(function*() {
        const { asked, url } = yield* proxy()
        const { seen, url: to } = yield* target
        yield* ProxyEnvironment.set({ http_proxy: url })
        yield* Effect.flatMap(TransportNode.make(), (transport) => transport.send(put(to, pattern(10))))
        assert.deepStrictEqual([asked.length, seen.length], [0, 1])
      }))

    it.scopedLive("are asked in absolute form, with credentials that go no further, unless NO_PROXY says otherwise", () =>
      Effect.gen(function*() {
        const { asked, connections, url } = yield* proxy("s3cr3t-password")
        const { seen, url: to } = yield* target
        const http_proxy = url.replace("://", "://me:s3cr3t-password@")
        yield* Effect.scoped(Effect.gen(function*() {
          yield* ProxyEnvironment.set({ http_proxy })
          const transport = yield* TransportNode.make({ proxy: true, connections: 2 })
          yield* Effect.forEach(
            Array.from({ length: 20 }, (_, i) => i),
            (i) => transport.send(put(`${to}/${i}`, i % 2 === 0 ? pattern(10) : TestBody.make(pattern(mib)))),
            { concurrency: 6 }
          )
          assert.deepStrictEqual([asked.length, seen.length], [20, 20])
          assert.isAtMost(connections(), 2)
          assert.include(asked, `PUT ${to}/0`)
          assert.notInclude(JSON.stringify(seen), "proxy-authorization")
        }))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* ProxyEnvironment.set({ http_proxy, no_proxy: "example.org,127.0.0.1" })
          const transport = yield* TransportNode.make({ proxy: true })
          yield* transport.send(put(to, pattern(10)))
          assert.deepStrictEqual([asked.length, seen.length], [20, 21])
        }))
      }))

    it.scopedLive.skipIf(!Certificates.available)(
      "are asked for a tunnel to servers with TLS, whose certificate has to be good",
      () =>
        Effect.gen(function*() {
          const { authority, issued } = yield* Certificates.certificates
          const { asked, url } = yield* proxy()
          const secure = yield* serve(
            (request, response) => readBody(request, () => response.end()),
            https.createServer(issued)
          )
          yield* ProxyEnvironment.set({ HTTPS_PROXY: url })
          const trusting = yield* TransportNode.make({ proxy: true, ca: authority.cert.toString() })
          assert.strictEqual((yield* trusting.send(put(secure.url, pattern(10)))).status, 200)
          assert.deepStrictEqual(asked, [`CONNECT 127.0.0.1:${secure.port}`])
          const strict = yield* TransportNode.make({ proxy: true })
          assert.strictEqual(yield* failure(strict.send(put(secure.url, pattern(10)))), "Rejected Forbidden")
        })
    )

    it.scopedLive("that repeat what they were told are not repeated, in answers that are messages", () =>
      Effect.gen(function*() {
        let status = 403
        const { url } = yield* serve((request, response) =>
          readBody(request, () => {
            const said = `${request.headers["proxy-authorization"]} s3cr3t-password ${"x".repeat(100_000)}`
            response.writeHead(status, { "x-said": said.slice(0, 100) }).end(said)
          })
        )
        yield* ProxyEnvironment.set({ http_proxy: url.replace("://", "://me:s3cr3t-password@") })
        const transport = yield* TransportNode.make({ proxy: true })
        const told = Effect.gen(function*() {
          const sent = yield* transport.send(put("http://127.0.0.1:1/a", pattern(10)))
          const opened = yield* transport.open({ method: "GET", url: "http://127.0.0.1:1/a", headers: {} })
          const body = yield* Stream.mkString(Stream.decodeText(opened.stream))
          return [JSON.stringify(sent.headers), Buffer.from(sent.body).toString(), JSON.stringify(opened.headers), body]
        })
        const header = Buffer.from("me:s3cr3t-password").toString("base64")
        for (const text of yield* told) {
          assert.include(text, "Basic <redacted> <redacted>")
          assert.notInclude(text, "s3cr3t")
          assert.notInclude(text, header)
        }
        // What is no refusal is somebody's content.
        status = 200
        for (const text of yield* told) assert.include(text, `Basic ${header} s3cr3t-password`)
      }))

    it.scopedLive("that refuse, or have no valid address, are told of without secrets", () =>
      Effect.gen(function*() {
        const { url } = yield* proxy("right")
        const { port } = yield* target
        for (
          const [address, expected] of [
            [url.replace("://", "://me:s3cr3t-wrong@"), "Rejected Unauthorized"],
            ["http://me:s3cr3t-wrong@bad host:1/", "Rejected Unsupported"]
          ] as const
        ) {
          yield* Effect.scoped(Effect.gen(function*() {
            yield* ProxyEnvironment.set({ http_proxy: address, https_proxy: address })
            const transport = yield* TransportNode.make({ proxy: true })
            for (const scheme of ["http", "https"]) {
              for (
                const effect of [
                  transport.send(put(`${scheme}://127.0.0.1:${port}/`, pattern(10))),
                  Effect.scoped(transport.open({ method: "GET", url: `${scheme}://127.0.0.1:${port}/`, headers: {} }))
                ]
              ) {
                const error = yield* Effect.flip(effect as Effect.Effect<unknown, UploadError.UploadError>)
                assert.strictEqual(shortly(error), expected, `${scheme} ${error.message}`)
                assert.notInclude(`${error.message} ${JSON.stringify(error)} ${error.cause}`, "s3cr3t")
              }
            }
          }))
        }
      }))
  })
})
