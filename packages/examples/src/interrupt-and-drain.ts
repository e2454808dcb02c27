/**
 * Three ways to stop early: `drain` lets what has begun finish, `interrupt` ends everything at once, and a timeout
 * around `uploadAll` interrupts what it started. Nothing is left running after any of them.
 */
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { UploadReport } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer, Option } from "effect"
import { runMain } from "./run.js"

const films = Array.from({ length: 100 }, (_, i) => UploadFile.make(`films/${i}.mkv`, ByteSource.generate(300)))

const tell = (way: string, { ended, files }: UploadReport.UploadReport) =>
  Console.log(
    `${way}: ${ended}, ${files.uploaded} uploaded, ${files.interrupted} interrupted, ${files.notStarted} not started`
  )

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const network = yield* Simulated.Network

  const drained = yield* Effect.gen(function*() {
    const run = yield* uploader.start(films)
    yield* Effect.sleep("1 second")
    yield* run.drain
    return yield* run.report
  }).pipe(Effect.scoped)
  yield* tell("drain", drained)

  const interrupted = yield* Effect.gen(function*() {
    const run = yield* uploader.start(films)
    yield* Effect.sleep("1 second")
    // Returns when nothing is left running. The report still says what is at the destination and what is not.
    yield* run.interrupt
    return yield* run.report
  }).pipe(Effect.scoped)
  yield* tell("interrupt", interrupted)

  // An uploadAll that is interrupted from outside returns no report: use a run if you need one.
  const timedOut = yield* uploader.uploadAll(films).pipe(Effect.timeoutOption("1 second"))
  yield* Console.log(`timeout: ${Option.isSome(timedOut) ? "a" : "no"} report`)

  const inFlight = yield* network.inFlight
  yield* Console.log(`in flight at the end: ${inFlight}`)
  return { drained, interrupted, timedOut, inFlight }
}).pipe(
  Effect.provide(
    Uploader.layer({ strategy: Strategy.workerPool({ workers: 5 }) }).pipe(
      Layer.provideMerge(Simulated.layer({ latencyPerByte: "1 millis", observe: true }))
    )
  )
)

runMain(import.meta.url, program)
