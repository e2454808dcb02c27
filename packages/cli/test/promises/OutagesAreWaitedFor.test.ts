import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as http from "node:http"
import type * as net from "node:net"
import * as path from "node:path"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

/** A server that takes files, goes away after so many of them, and is back when `back` is run. */
const leaving = (after: number) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<
        {
          readonly port: number
          readonly stored: Set<string>
          readonly back: Effect.Effect<void>
          readonly end: () => void
        }
      >((resolve) => {
        const stored = new Set<string>()
        let isGone = false
        const server = http.createServer((request, response) => {
          request.resume()
          request.on("end", () => {
            if (isGone) {
              request.socket.destroy()
              return
            }
            if (request.method === "PUT") stored.add(request.url ?? "")
            const there = request.method === "PUT" || stored.has(request.url ?? "")
            response.writeHead(there ? 201 : 404, { etag: "\"x\"" }).end()
            if (stored.size < after) return
            isGone = true
            server.close()
            server.closeAllConnections()
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as net.AddressInfo
          const back = Effect.async<void>((resume) => {
            isGone = false
            after = Infinity
            server.listen(port, "127.0.0.1", () => resume(Effect.void))
          })
          const end = () => {
            server.close()
            server.closeAllConnections()
          }
          resolve({ port, stored, back, end })
        })
      })
    ),
    ({ end }) => Effect.sync(end)
  )

const directoryOf = (count: number) =>
  Effect.tap(TemporaryDirectory.make, (directory) =>
    Effect.sync(() => {
      for (let i = 0; i < count; i++) fs.writeFileSync(path.join(directory, `${i}.txt`), `${i}`)
    }))

describe("sluice upload, to a server that goes away", () => {
  it.scopedLive("waits for it, says so, and succeeds when it is back", () =>
    Effect.gen(function*() {
      const directory = yield* directoryOf(300)
      const server = yield* leaving(100)
      const running = yield* Sluice.start([
        "upload",
        directory,
        `http://127.0.0.1:${server.port}/files/`,
        "--concurrency",
        "8"
      ])
      yield* running.says("The destination is away: ")
      yield* server.back
      const { exitCode, stderr, stdout } = yield* running.ended
      assert.strictEqual(exitCode, 0, stderr + stdout)
      assert.strictEqual(server.stored.size, 300)
      assert.include(stderr, "Waiting for it to come back.\n")
      assert.match(stderr, /The destination is back after .+: continuing\.\n/)
    }))

  it.scopedLive("waits for no longer than --outage says", () =>
    Effect.gen(function*() {
      const directory = yield* directoryOf(60)
      const server = yield* leaving(20)
      const { exitCode, stderr } = yield* Sluice.run([
        "upload",
        directory,
        `http://127.0.0.1:${server.port}/files/`,
        "--outage",
        "1s",
        "--retries",
        "1"
      ])
      assert.strictEqual(exitCode, 1, stderr)
      assert.match(stderr, /The destination has been away for .+: no longer waiting for it\. See --outage\.\n/)
    }))

  it.effect("refuses an --outage without a unit", () =>
    Effect.gen(function*() {
      const { exitCode, stderr } = yield* Sluice.run(["upload", "a", "b", "--outage", "5"])
      assert.strictEqual(exitCode, 2)
      assert.include(
        stderr,
        "--outage: \"5\" is not a valid value. It takes a time with a unit, such as 30s, 5m or 2h; 0 for none."
      )
    }))
})
