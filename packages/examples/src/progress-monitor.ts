/**
 * A progress line during uploads: bar, percent, files, speed and time left.
 */
import { ByteSize, ByteSource, Progress, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { Throughput } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Duration, Effect, Layer, Option, Stream } from "effect"
import { runMain } from "./run.js"

const songs = Array.from(
  { length: 60 },
  (_, i) => UploadFile.make(`songs/${i}.flac`, ByteSource.generate(100 + 10 * i))
)

const draw = (progress: Progress.Progress, throughput: Throughput.Throughput) => {
  // None while files are still being listed, or while the size of one is unknown.
  const fraction = Progress.fraction(progress)
  const left = Progress.eta(progress, throughput)
  return [
    `[${"#".repeat(Math.floor(Option.getOrElse(fraction, () => 0) * 20)).padEnd(20, ".")}]`,
    // Rounded down: 100 % means that everything is done.
    Option.match(fraction, { onNone: () => "? %", onSome: (fraction) => `${Math.floor(fraction * 100)} %` }),
    `${Progress.filesFinished(progress)}/${progress.filesFound} files`,
    `${ByteSize.format(throughput.current)}/s`,
    `${progress.inFlight} in flight`,
    Option.match(left, { onNone: () => "?", onSome: (left) => `${Math.ceil(Duration.toSeconds(left))}` }) + " s left"
  ].join("  ")
}

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  // `start` returns at once, with a run to watch and steer; `uploadAll` is `start` and then `report`.
  const run = yield* uploader.start(songs, { progressInterval: "500 millis" })
  // `progress` samples the run twice a second, however many files it moves, and ends with the run.
  yield* Stream.runForEach(
    run.progress,
    (progress) => Effect.flatMap(run.throughput, (throughput) => Console.log(draw(progress, throughput)))
  )
  return yield* run.report
}).pipe(
  // A run belongs to a scope: closing it, also by Ctrl-C, interrupts what is still in flight.
  Effect.scoped,
  Effect.provide(
    Uploader.layer({ strategy: Strategy.workerPool({ workers: 8 }) }).pipe(
      Layer.provide(Simulated.layer({ latencyPerByte: "1 millis" }))
    )
  )
)

runMain(import.meta.url, program)
