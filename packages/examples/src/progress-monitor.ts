/**
 * A progress line while files go up: bar, percent, speed and what is in flight.
 */
import { ByteSize, ByteSource, Progress, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer, Stream } from "effect"
import { runMain } from "./run.js"

const songs = Array.from({ length: 60 }, (_, i) => UploadFile.make(`songs/${i}.flac`, ByteSource.generate(100 + 10 * i)))

const bar = (fraction: number) => "#".repeat(Math.round(fraction * 20)).padEnd(20, ".")

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  // `start` answers at once, with a run to watch and to steer; `uploadAll` is `start` and then `report`.
  const run = yield* uploader.start(songs, { progressInterval: "500 millis" })
  // `progress` looks at the run twice a second, however many files it moves, and ends with the run.
  yield* Stream.runForEach(run.progress, (progress) =>
    Effect.flatMap(run.throughput, ({ current }) => {
      const fraction = Progress.fraction(progress)
      return Console.log(
        `[${bar(fraction)}] ${(fraction * 100).toFixed(0).padStart(3)} %  ` +
          `${Progress.filesFinished(progress)}/${progress.filesFound} files  ` +
          `${ByteSize.format(current)}/s  ${progress.inFlight} in flight`
      )
    }))
  return yield* run.report
}).pipe(
  // A run lives in a scope: leaving it, also by Ctrl-C, interrupts what is still on its way.
  Effect.scoped,
  Effect.provide(
    Uploader.layer({ strategy: Strategy.workerPool({ workers: 8 }) }).pipe(
      Layer.provide(Simulated.layer({ latencyPerByte: "1 millis" }))
    )
  )
)

runMain(import.meta.url, program)
