import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as FaultProxy from "@sluice/core/testing/FaultProxyNode"
import * as TransportNode from "@sluice/core/TransportNode"
import { Clock, Context, Effect, Layer, Schedule } from "effect"
import * as EngineLimits from "../../src/internal/limits/engineLimits.js"
import * as PutServer from "../support/PutServer.js"

vi.setConfig({ testTimeout: 240_000 })

/** Links that are full with about so many connections; bytes a second on one connection, and on all. */
const shapes = [
  { knee: 4, connection: 60_000, link: 216_000 },
  { knee: 12, connection: 60_000, link: 720_000 }
]

type Shape = (typeof shapes)[number]

/** Files without end, of 16 to 48 kB: of different sizes, so that they do not end in step. */
function* files(): Generator<UploadFile.UploadFile> {
  for (let i = 0;; i++) yield UploadFile.make(`${i}`, ByteSource.generate(16_000 + (i * 7919) % 32_000))
}

/** Uploads over a link of its own until the scope ends. */
const uploading = (port: number, { connection, link }: Shape, strategy: Strategy.Strategy) =>
  Effect.gen(function*() {
    const proxy = yield* FaultProxy.serve({
      port,
      seed: 1,
      toxics: [
        FaultProxy.latency({ delay: "4 millis" }),
        FaultProxy.latency({ name: "latency of answers", delay: "4 millis", direction: "down" }),
        FaultProxy.bandwidth({ bytesPerSecond: connection }),
        FaultProxy.sharedBandwidth({ bytesPerSecond: link })
      ]
    })
    const context = yield* Layer.build(
      Uploader.layer({ strategy }).pipe(
        Layer.provide(Http.layer({ url: `http://127.0.0.1:${proxy.port}/files/` })),
        Layer.provide(TransportNode.layer({ connections: 64 }))
      )
    )
    const { limits, start } = Context.get(context, Uploader.Uploader)
    let [acknowledged, failed] = [0, 0]
    yield* start(files(), {
      onResult: (result) =>
        Effect.sync(() => {
          if (result._tag === "Uploaded") acknowledged += result.bytes
          else failed += 1
        })
    })
    return {
      /** Bytes of files that the server has acknowledged. */
      acknowledged: () => acknowledged,
      failed: () => failed,
      limit: () => EngineLimits.of(limits).inFlight.limit,
      reason: limits.reason
    }
  })

const fixed = [1, 2, 4, 8, 16, 32].map((workers) => Strategy.workerPool({ workers }))

/** What the controller says while it is starting up. */
const isLooking = new Set(["starting", "doubling", "halving"])

/** How long it is measured, by what a full link passes meanwhile. */
const measuredSeconds = 9

const until = (holds: Effect.Effect<boolean>) =>
  Effect.repeat(holds, { schedule: Schedule.spaced("100 millis"), until: (now) => now })

describe("a link with an unknown shape", () => {
  for (const shape of shapes) {
    it.scopedLive(`full with ${shape.knee} connections`, () =>
      Effect.gen(function*() {
        const server = yield* PutServer.serve((request, response) =>
          PutServer.readBody(request, (body) => {
            if (body !== undefined) response.writeHead(201).end()
          })
        )
        // At the same time: what else the machine does slows all of them.
        const tried = yield* Effect.forEach(fixed, (strategy) => uploading(server.port, shape, strategy))
        // The first seconds of a process are slow, whatever it does.
        yield* until(Effect.sync(() => tried.every(({ acknowledged }) => acknowledged() >= 3 * shape.connection)))

        const attempt = Effect.scoped(Effect.gen(function*() {
          const startedAt = yield* Clock.currentTimeMillis
          const begun = tried.map(({ acknowledged }) => acknowledged())
          const adaptive = yield* uploading(server.port, shape, Strategy.adaptive())
          yield* until(Effect.map(adaptive.reason, (reason) => reason !== undefined && !isLooking.has(reason)))

          const all = [...tried, adaptive]
          const before = all.map(({ acknowledged }) => acknowledged())
          const paces = () => all.map(({ acknowledged }, i) => acknowledged() - (before[i] ?? 0))
          yield* until(Effect.sync(() => Math.max(...paces()) / shape.link >= measuredSeconds))

          const best = Math.max(...paces().slice(0, tried.length))
          const shares = paces().map((pace) => pace / best)
          const table = shares.map((share, i) => `${share.toFixed(2)} with ${all[i]?.limit()}`).join(", ")
          const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1000
          const fullest = Math.max(...tried.map(({ acknowledged }, i) => acknowledged() - (begun[i] ?? 0)))
          process.stdout.write(`throughput of fixed numbers of uploads, and of what was found: ${table}\n`)
          assert.deepStrictEqual(all.map(({ failed }) => failed()), all.map(() => 0))
          return { fullness: fullest / shape.link / seconds, share: shares.at(-1) ?? 0, table }
        }))
        // If not even the best number fills the link, the machine is the bottleneck, which shows nothing.
        const { share, table } = yield* Effect.repeat(attempt, { until: ({ fullness }) => fullness >= 0.9 })
        assert.isAtLeast(share, 0.9, table)
      }))
  }
})
