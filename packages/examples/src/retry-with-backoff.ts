/**
 * A network that breaks three connections in ten: failed attempts are retried after a growing, random delay, and every
 * file arrives.
 */
import { ByteSource, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { UploadEvent } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

const logs = Array.from({ length: 12 }, (_, i) => UploadFile.make(`logs/${i}.gz`, ByteSource.generate(100 + 10 * i)))

// Each wait is a random part of 200 ms, 400 ms, 800 ms … up to 5 s, so that clients that failed together do not come
// back together. Errors that would recur, such as a refused key, are never retried.
const retry = RetryPolicy.make({ attempts: 6, base: "200 millis", cap: "5 seconds" })

const tellRetries = (event: UploadEvent.UploadEvent) =>
  event._tag === "UploadRetrying"
    ? Console.log(
      `${event.key}: attempt ${event.attempt} of ${event.attempts} failed, again in ${event.delayMillis} ms ` +
        `(${event.error.message})`
    )
    : Effect.void

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const report = yield* uploader.uploadAll(logs, { onEvent: tellRetries })
  yield* Console.log(
    `${report.files.uploaded} files uploaded, ${report.files.failed} failed, in ${report.attempts} attempts`
  )
  return report
}).pipe(
  Effect.provide(
    // An upload that waits for a retry is not in flight: another one takes its place in the pool.
    Uploader.layer({ strategy: Strategy.workerPool({ workers: 4 }), retry }).pipe(
      Layer.provide(Simulated.layer({ latencyPerByte: "1 millis", failureRate: 0.3, seed: "three in ten" }))
    )
  )
)

runMain(import.meta.url, program)
