import { assert, describe, it, vi } from "@effect/vitest"
import { UploadError } from "@sluice/core"
import type { Destination, Transport } from "@sluice/core"
import * as TransportNode from "@sluice/core/TransportNode"
import { Deferred, Effect, Exit, Fiber } from "effect"
import type { Socket } from "node:net"
import { errorName } from "./support/ErrorName.js"
import { failure, put } from "./support/PutRequest.js"
import { readBody, serve } from "./support/PutServer.js"
import * as RawServer from "./support/RawServer.js"
import * as TestBody from "./support/TestBody.js"
import { pattern, sameBytes } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

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
          const { url } = yield* RawServer.make(RawServer.answering(seen))
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
        const { url } = yield* RawServer.make(RawServer.answering(seen))
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
        const { connections, url } = yield* RawServer.make(RawServer.answering(seen))
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
            assert.strictEqual(errorName(error), "Rejected Unsupported")
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
        assert.deepStrictEqual([seen.length, connections()], [1, 1])
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
        const { closed, connections, url } = yield* RawServer.make((socket) => {
          if (closing) return void socket.once("data", () => socket.destroy())
          RawServer.answering(answered)(socket)
        })
        const transport = yield* TransportNode.make({ connections: 1 })
        yield* transport.send(put(url, pattern(10)))
        closing = true
        assert.strictEqual(answered.length, 1)
        const before = connections()
        const other = yield* RawServer.make((socket) => void socket.once("data", () => socket.destroy()))
        assert.strictEqual(yield* failure(transport.send(put(other.url, pattern(10)))), "Transient Connection")
        assert.deepStrictEqual([other.connections(), before], [1, 1])
        // One that was closed while it was idle is replaced.
        const seen: Array<string> = []
        const idle = yield* RawServer.make((socket, index) => {
          RawServer.answering(seen)(socket)
          if (index === 1) socket.once("data", () => setImmediate(() => socket.end()))
        })
        yield* transport.send(put(idle.url, pattern(10)))
        yield* idle.closed(1)
        yield* transport.send(put(idle.url, pattern(10)))
        assert.deepStrictEqual([seen.length, idle.connections()], [2, 2])
        void closed
      }))
  })

  describe("bodies", () => {
    /** A server that tells how many bytes of each body it had when the connection ended, and answers none. */
    const counting = Effect.gen(function*() {
      const bytes: Array<number> = []
      const server = yield* RawServer.make((socket, index) => {
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
          const server = yield* RawServer.make((socket) => {
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
        const { connections, url } = yield* RawServer.make((socket) =>
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
        assert.deepStrictEqual([requests, connections()], [2, 1])
      }))

    it.scoped("is possible while the answer of a request that is opened has not come", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const server = yield* RawServer.make((socket) =>
          void socket.once("data", () => Effect.runSync(Deferred.succeed(gate, undefined)))
        )
        const transport = yield* TransportNode.make()
        const fiber = yield* Effect.fork(Effect.scoped(transport.open({ method: "GET", url: server.url, headers: {} })))
        yield* Deferred.await(gate)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
        yield* server.closed(1)
      }))
  })
})
