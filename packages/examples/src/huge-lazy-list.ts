/**
 * A list that is never in memory as a whole: a generator yields 100,000 files one by one, as uploads start. A million
 * or a billion of them would need the same memory.
 */
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

// Any iterable is a list, and so are async iterables and Streams: rows of a table, lines of a manifest, pages of a
// listing. An array is a list as well, but it is in memory as a whole.
const readings = (total: number, pulled: { count: number }) =>
  (function*() {
    for (let i = 0; i < total; i++) {
      pulled.count += 1
      yield UploadFile.make(`readings/${i}.json`, ByteSource.generate(256))
    }
  })()

export const upload = (total: number) =>
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const pulled = { count: 0 }
    let finished = 0
    let mostAhead = 0
    const report = yield* uploader.uploadAll(readings(total, pulled), {
      // Results are reported one by one, so that 100,000 of them need no memory either. The run waits for `onResult`.
      onResult: () =>
        Effect.sync(() => {
          finished += 1
          mostAhead = Math.max(mostAhead, pulled.count - finished)
        })
    })
    yield* Console.log(`${report.files.uploaded} of ${report.files.total} files uploaded`)
    yield* Console.log(`the list was never more than ${mostAhead} files ahead of the results`)
    return { report, mostAhead }
  }).pipe(
    Effect.provide(
      Uploader.layer({ strategy: Strategy.workerPool({ workers: 64 }) }).pipe(
        Layer.provide(Simulated.layer({ requestLatency: "1 millis" }))
      )
    )
  )

export const program = upload(100_000)

runMain(import.meta.url, program)
