/**
 * A bounded number of uploads at once, across everything an application sends: two lists that are uploaded at the same
 * time share one pool, because they share one uploader.
 */
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

const files = (directory: string) =>
  Array.from({ length: 50 }, (_, i) => UploadFile.make(`${directory}/${i}`, ByteSource.generate(100 + 10 * i)))

// How many workers? `Strategy.optimalWorkerCount` suggests a number from the CPUs and the files a process may open.
const strategy = Strategy.workerPool({ workers: 10 })

// `observe` shows the network's side: it counts the requests that it sees.
const NetworkLayer = Simulated.layer({ latencyPerByte: "1 millis", observe: true })

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const network = yield* Simulated.Network
  const reports = yield* Effect.forEach(
    ["photos", "videos"],
    (directory) => uploader.uploadAll(files(directory)),
    { concurrency: "unbounded" }
  )
  const peak = yield* network.peakInFlight
  for (const { durationMillis, files } of reports) {
    yield* Console.log(`${files.uploaded} files in ${durationMillis} ms`)
  }
  yield* Console.log(`never more than ${peak} requests in flight, both together`)
  return { reports, peak }
}).pipe(
  Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provideMerge(NetworkLayer)))
)

runMain(import.meta.url, program)
