/**
 * A start rate that finds its own level: it doubles while the server answers fast, and halves when answers get slow.
 */
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer, Schedule } from "effect"
import { runMain } from "./run.js"

const tiles = Array.from({ length: 400 }, (_, i) => UploadFile.make(`tiles/${i}.png`, ByteSource.generate(1000)))

// By default the rate is looked at every 5 s: over 5 s a response it halves, under 1 s it doubles. This server is
// quicker than that, and so is the example.
const strategy = Strategy.adaptiveRate({
  base: 20,
  fast: "100 millis",
  slow: "300 millis",
  interval: "500 millis"
})

// All connections share 60 kB/s: more than 60 tiles a second and they wait for each other, so answers get slower.
const NetworkLayer = Simulated.layer({ requestLatency: "20 millis", sharedBytesPerSecond: "60 kB" })

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const run = yield* uploader.start(tiles)
  const rates: Array<number> = []
  yield* Effect.gen(function*() {
    const { uploadsPerSecond } = yield* uploader.limits.current
    const { inFlight } = yield* run.currentProgress
    rates.push(uploadsPerSecond)
    yield* Console.log(`${uploadsPerSecond} starts a second, ${inFlight} in flight`)
  }).pipe(
    Effect.repeat(Schedule.spaced("500 millis")),
    // The watcher is a child fiber: it ends with the report, whatever it is doing.
    Effect.raceFirst(run.report)
  )
  const report = yield* run.report
  yield* Console.log(`${report.files.uploaded} files in ${report.durationMillis} ms`)
  return { rates, report }
}).pipe(Effect.scoped, Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provide(NetworkLayer))))

runMain(import.meta.url, program)
