import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { UploadReport } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Fiber, Layer, TestClock } from "effect"
import * as fs from "node:fs"
import type { Socket } from "node:net"
import * as RawServer from "../support/RawServer.js"
import { pattern } from "../support/TestSource.js"

// Only Linux reports what the kernel holds of a connection.
const tellsQueues = fs.existsSync("/proc/net/tcp")

const kib = 1024
const mib = 1024 * kib

const turn = Effect.promise(() => new Promise((resume) => setImmediate(resume)))

/** A server that reads and answers only on command. */
const reluctant = Effect.gen(function*() {
  const sockets: Array<Socket> = []
  const server = yield* RawServer.make((socket) => void sockets.push(socket.pause()))
  /** Reads as much of what has come, or all that there is. */
  const read = (bytes: number) =>
    Effect.gen(function*() {
      const socket = sockets.at(-1)
      if (socket === undefined) return
      const before = socket.bytesRead
      socket.read(Math.min(bytes, socket.readableLength))
      // Reading makes room for the bytes in the kernel.
      for (let turns = 0; turns < 200 && socket.bytesRead === before; turns++) yield* turn
    })
  return { ...server, sockets, read }
})

const lengthOf = (socket: Socket): number => socket.bytesRead

interface Setting {
  readonly size: number
  readonly url: string
  readonly parts?: "contentRange"
  readonly attempts?: number
}

/** Uploads a file as one does, with attempts that fail after 30 seconds of nothing. */
const uploading = ({ attempts = 1, parts, size, url }: Setting) =>
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const file = UploadFile.fromBytes("a.bin", pattern(size))
    return yield* uploader.uploadAll([file], { stallTimeout: "30 seconds" })
  }).pipe(
    Effect.provide(
      Uploader.layer({
        strategy: Strategy.workerPool({ workers: 1 }),
        retry: RetryPolicy.make({ attempts, secondRound: false }),
        ...(parts !== undefined && { multipartThreshold: 512 * kib, partSize: mib })
      }).pipe(
        Layer.provide(Http.layer({ url, parts })),
        Layer.provide(TransportNode.layer())
      )
    )
  )

/** What the engine has begun to read of the kernel before this, it has read after it. */
const readings = Effect.promise(async () => {
  for (const file of tellsQueues ? ["tcp", "tcp6", "tcp", "tcp6"] : []) await fs.promises.readFile(`/proc/net/${file}`)
  for (let turns = 0; turns < 20; turns++) await new Promise((resume) => setImmediate(resume))
})

/** Lets time pass, and the machine do what it has to, until the upload has ended. */
const passing = (fiber: Fiber.RuntimeFiber<UploadReport.UploadReport, unknown>, each: Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    let seconds = 0
    while ((yield* fiber.poll)._tag === "None" && seconds < 20_000) {
      yield* each
      yield* readings
      yield* TestClock.adjust("10 seconds")
      seconds += 10
    }
    return seconds
  })

describe.skipIf(!tellsQueues)("a server that takes its time", () => {
  const sizes = [["that goes in one piece", 1_000_000], ["that goes block by block", 12 * mib]] as const
  for (const [kind, size] of sizes) {
    it.scoped(
      `and reads a little all the time gets all of a file ${kind}, in one attempt`,
      () =>
        Effect.gen(function*() {
          const { connections, read, sockets, url } = yield* reluctant
          const fiber = yield* Effect.fork(uploading({ size, url }))
          let answered = false
          const seconds = yield* passing(
            fiber,
            Effect.gen(function*() {
              yield* read(128 * kib)
              const socket = sockets[0]
              if (socket === undefined || answered || lengthOf(socket) < size) return
              answered = true
              socket.write("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
            })
          )
          const report = yield* Fiber.join(fiber)
          assert.deepStrictEqual(
            [report.files.uploaded, report.files.failed, report.retries, connections()],
            [1, 0, 0, 1]
          )
          assert.isAbove(seconds, 60)
        }),
      120_000
    )
  }

  it.scoped(
    "and reads a little all the time gets all parts of a file, each in one attempt",
    () =>
      Effect.gen(function*() {
        const size = 3 * mib
        let body = 0
        const answer = ({ body: { length }, head }: RawServer.Heard): string => {
          if (head.startsWith("HEAD")) return "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
          body += length
          return body < size
            ? `HTTP/1.1 308 Resume\r\nrange: bytes=0-${body - 1}\r\ncontent-length: 0\r\n\r\n`
            : "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"
        }
        const sockets: Array<Socket> = []
        const { url } = yield* RawServer.make((socket) => {
          sockets.push(socket)
          RawServer.hear(socket, { request: (request) => void socket.write(answer(request)) })
          socket.pause()
        })
        const fiber = yield* Effect.fork(uploading({ size, url, parts: "contentRange" }))
        // Little is read in one turn of the machine.
        const readALittle = Effect.gen(function*() {
          for (const socket of sockets) socket.resume()
          yield* turn
          for (const socket of sockets) socket.pause()
        })
        const seconds = yield* passing(fiber, readALittle)
        const report = yield* Fiber.join(fiber)
        assert.deepStrictEqual([report.files.uploaded, report.retries, body], [1, 0, size])
        assert.isAbove(seconds, 60)
      }),
    120_000
  )

  it.scoped("and says that it is still working is waited for", () =>
    Effect.gen(function*() {
      const { connections, read, sockets, url } = yield* reluctant
      const fiber = yield* Effect.fork(uploading({ size: 100, url }))
      let said = 0
      yield* passing(
        fiber,
        Effect.gen(function*() {
          yield* read(kib)
          const socket = sockets[0]
          if (socket === undefined || lengthOf(socket) < 100) return
          said += 1
          socket.write(
            said <= 12 ? "HTTP/1.1 102 Processing\r\n\r\n" : "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"
          )
        })
      )
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual([report.files.uploaded, report.retries, connections()], [1, 0, 1])
    }))
})

describe("a server that stands still", () => {
  for (const [when, reads] of [["from the first byte on", 0], ["in the middle", 5]] as const) {
    it.scoped(`is given up after the stall timeout: ${when}`, () =>
      Effect.gen(function*() {
        const { read, url } = yield* reluctant
        const fiber = yield* Effect.fork(uploading({ size: 1_000_000, url }))
        let count = 0
        const seconds = yield* passing(
          fiber,
          Effect.suspend(() => count++ < reads ? read(64 * kib) : Effect.void)
        )
        const report = yield* Fiber.join(fiber)
        assert.deepStrictEqual([report.files.uploaded, report.files.failed], [0, 1])
        assert.match(report.failures[0]?.error.message ?? "", /No bytes moved for 30s/)
        assert.isAtLeast(seconds, 30)
        assert.isAtMost(seconds, 300)
      }))
  }

  it.scoped("is given up, though it has read everything, if it does not answer", () =>
    Effect.gen(function*() {
      const { read, url } = yield* reluctant
      const fiber = yield* Effect.fork(uploading({ size: 100, url }))
      yield* passing(fiber, read(kib))
      const report = yield* Fiber.join(fiber)
      assert.match(report.failures[0]?.error.message ?? "", /No bytes moved for 30s/)
    }))
})
