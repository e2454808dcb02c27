/**
 * A server for many tenants: each may upload 2 files at once, and all together 6 and 1 MiB per second. A tenant's
 * uploader is made when the tenant first needs it, and goes when it has been idle for a while; the limits over all stay.
 */
import { ByteSource, Limits, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, RcMap } from "effect"
import { runMain } from "./run.js"

const files = (tenant: string, count: number) =>
  Array.from({ length: count }, (_, i) => UploadFile.make(`${tenant}/${i}`, ByteSource.generate(10_000)))

export const program = Effect.gen(function*() {
  const network = yield* Simulated.Network
  const all = yield* Limits.shared({
    strategy: Strategy.stack(Strategy.workerPool({ workers: 6 }), Strategy.bandwidth({ bytesPerSecond: "1 MiB" })),
    memory: "64 MiB"
  })
  const uploaders = yield* RcMap.make({
    // What differs from tenant to tenant, such as the bucket, goes here, too.
    lookup: (_tenant: string) => Uploader.make({ within: all, strategy: Strategy.workerPool({ workers: 2 }) }),
    idleTimeToLive: "1 minute"
  })

  // One tenant has 200 files, the others have 5 each. They take turns, so the others need not wait for the 200.
  const counts = { large: 200, first: 5, second: 5, third: 5 }
  yield* Effect.forEach(Object.entries(counts), ([tenant, count]) =>
    Effect.scoped(Effect.gen(function*() {
      const uploader = yield* RcMap.get(uploaders, tenant)
      const { durationMillis, files: { uploaded } } = yield* uploader.uploadAll(files(tenant, count))
      yield* Console.log(`${tenant}: ${uploaded} files in ${durationMillis} ms`)
    })), { concurrency: "unbounded", discard: true })

  const peak = yield* network.peakInFlight
  yield* Console.log(`never more than ${peak} requests in flight`)
  return { peak, inUse: yield* all.inUse }
}).pipe(
  Effect.scoped,
  Effect.provide(Simulated.layer({ requestLatency: "50 millis", observe: true }))
)

runMain(import.meta.url, program)
