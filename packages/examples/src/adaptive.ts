/**
 * Adaptive concurrency: the uploader starts with few uploads at once, doubles their number while that pays off, and
 * follows the link when it gets narrower and wider again. Each change, with its reason, is an event.
 */
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Clock, Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

const photos = Array.from({ length: 2_000 }, (_, i) => UploadFile.make(`photos/${i}.jpg`, ByteSource.generate(200_000)))

// This is the default strategy; `Strategy.adaptive` is its other name. These are its default bounds.
const strategy = Strategy.progressive({ min: 1, max: 64 })

// A connection has 500 kB/s. The link is full with 20 of them, then with 5, then with 20 again.
const NetworkLayer = Simulated.layer({
  roundTrip: "80 millis",
  bytesPerSecond: "500 kB",
  sharedBytesPerSecond: [
    { at: 0, bytesPerSecond: "10 MB" },
    { at: "15 seconds", bytesPerSecond: "2.5 MB" },
    { at: "45 seconds", bytesPerSecond: "10 MB" }
  ]
})

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const startedAt = yield* Clock.currentTimeMillis
  const limits: Array<number> = []
  const report = yield* uploader.uploadAll(photos, {
    onEvent: (event) => {
      if (event._tag !== "LimitsChanged" || event.concurrency === undefined) return Effect.void
      limits.push(event.concurrency)
      const seconds = (event.at - startedAt) / 1_000
      return Console.log(`${seconds.toFixed(1).padStart(5)} s  ${event.concurrency} at once: ${event.reason}`)
    }
  })
  yield* Console.log(`${report.files.uploaded} files in ${Math.round(report.durationMillis / 1_000)} s`)
  return { limits, report }
}).pipe(Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provide(NetworkLayer))))

// A minute and a half of network time takes a second here.
runMain(import.meta.url, VirtualClock.run(program))
