import { assert, describe, it, vi } from "@effect/vitest"
import type { UploadError } from "@sluice/core"
import { Transport } from "@sluice/core"
import * as TransportNode from "@sluice/core/TransportNode"
import { Deferred, Effect, Fiber, Stream, TestClock } from "effect"
import type { Socket } from "node:net"
import { elapse } from "./support/Elapse.js"
import { errorName } from "./support/ErrorName.js"
import { put } from "./support/PutRequest.js"
import { serve } from "./support/PutServer.js"
import * as RawServer from "./support/RawServer.js"
import * as TestBody from "./support/TestBody.js"
import { pattern } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

describe("TransportNode", () => {
  describe("answers", () => {
    for (const connection of ["keep-alive", "close"]) {
      it.scopedLive(`that come before the body is sent are the answer: connection ${connection}`, () =>
        Effect.gen(function*() {
          const { closed, url } = yield* RawServer.make((socket) =>
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
          const { url } = yield* RawServer.make((socket) => void socket.once("data", () => socket.write(said)))
          const transport = yield* TransportNode.make()
          const told = (error: UploadError.UploadError) =>
            `${errorName(error)}: ${error.message.replace(`${url} `, "")}`
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
      const server = yield* RawServer.make((socket) =>
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
        const cut = yield* RawServer.make((socket) =>
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
        const garbage = yield* RawServer.make((socket) =>
          void socket.once("data", () => socket.end("s3cr3t garbage\r\n\r\n"))
        )
        const error = yield* Effect.flip(transport.send(put(garbage.url, pattern(10))))
        assert.strictEqual(errorName(error), "Transient Connection")
        assert.notInclude(JSON.stringify([error, `${error.cause}`]), "s3cr3t")
      }))

    it.scopedLive("may be announced, and redirects are not followed", () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const { url } = yield* RawServer.make(RawServer.answering(
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
        assert.strictEqual(errorName(yield* Fiber.join(fiber)), "Transient Stalled")
        yield* closed(1)
      }))
  })
})
