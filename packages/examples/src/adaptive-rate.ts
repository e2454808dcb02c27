/**
 * A start rate that adapts: it doubles while the server answers fast, and halves when answers get slow.
 */
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer, Schedule } from "effect"
import { runMain } from "./run.js"

const tiles = Array.from({ length: 250 }, (_, i) => UploadFile.make(`tiles/${i}.png`, ByteSource.generate(1000)))

// By default the rate is adjusted every 5 s: it halves if responses take over 5 s, and doubles if they take under 1 s.
// This server is faster, and so are the settings. A rate does not limit the uploads in flight: stack a pool for that.
const strategy = Strategy.stack(
  Strategy.adaptiveRate({ base: 10, ceiling: 80, fast: "100 millis", slow: "300 millis", interval: "500 millis" }),
  Strategy.workerPool({ workers: 100 })
)

// All connections share 60 kB/s: with more than 60 tiles per second they wait for each other, and answers get slow.
const NetworkLayer = Simulated.layer({ requestLatency: "20 millis", sharedBytesPerSecond: "60 kB" })

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const run = yield* uploader.start(tiles)
  const rates: Array<number> = []
  const watch = Effect.gen(function*() {
    const { uploadsPerSecond } = yield* uploader.limits.current
    const { inFlight } = yield* run.currentProgress
    rates.push(uploadsPerSecond)
    yield* Console.log(`${uploadsPerSecond} starts a second, ${inFlight} in flight`)
  }).pipe(Effect.repeat(Schedule.spaced("500 millis")))
  // The watch never ends by itself. As a child of this fiber, it ends with the program.
  yield* Effect.fork(watch)
  const report = yield* run.report
  yield* Console.log(`${report.files.uploaded} files in ${report.durationMillis} ms`)
  return { rates, report }
}).pipe(Effect.scoped, Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provide(NetworkLayer))))

runMain(import.meta.url, program)
