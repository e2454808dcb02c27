/**
 * A server that takes 20 requests a second: starts are spaced evenly, 50 ms apart, without a burst at the beginning.
 */
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Array, Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

const invoices = Array.makeBy(50, (i) => UploadFile.make(`invoices/${i}.pdf`, ByteSource.generate(100 + 20 * i)))

// Strategies stack, and the tightest of each kind of limit applies. A rate alone does not limit the number in flight:
// if the server slows down, requests pile up. So stack a pool on it.
const strategy = Strategy.stack(
  Strategy.rateLimited({ uploadsPerSecond: 20 }),
  Strategy.workerPool({ workers: 50 })
)

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const starts: Array<number> = []
  const report = yield* uploader.uploadAll(invoices, {
    onEvent: (event) =>
      Effect.sync(() => {
        // Retries start attempts too, and the rate counts them all.
        if (event._tag === "UploadStarted") starts.push(event.at)
      })
  })
  const firstStart = starts[0] ?? 0
  const perSecond = Array.makeBy(
    3,
    (second) => starts.filter((at) => Math.floor((at - firstStart) / 1000) === second).length
  )
  yield* Console.log(`starts in each second: ${perSecond.join(", ")}`)
  yield* Console.log(`${report.files.uploaded} files in ${report.durationMillis} ms, ${report.peakInFlight} at once`)
  return { perSecond, report }
}).pipe(
  Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provide(Simulated.layer({ latencyPerByte: "1 millis" }))))
)

runMain(import.meta.url, program)
