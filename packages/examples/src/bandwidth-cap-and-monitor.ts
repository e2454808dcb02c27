/**
 * A cap on bytes per second that all uploads share, a monitor of the actual throughput, and a higher cap set while the
 * uploads run.
 */
import { ByteSize, ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

const backups = Array.from({ length: 64 }, (_, i) => UploadFile.make(`backup/${i}.tar`, ByteSource.generate(64 * 1024)))

// Four at a time, and together no more than 512 KiB/s: the rest of the office uses the line too.
const strategy = Strategy.stack(
  Strategy.workerPool({ workers: 4 }),
  Strategy.bandwidth({ bytesPerSecond: "512 KiB" })
)

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const run = yield* uploader.start(backups)
  const look = Effect.gen(function*() {
    // `current` is the mean over the last 5 seconds, `overall` since the start of the run.
    const { current } = yield* run.throughput
    const { bytesUploaded } = yield* run.currentProgress
    yield* Console.log(`${ByteSize.format(bytesUploaded)} uploaded, ${ByteSize.format(current)}/s`)
    return current
  })
  const everySecond = Effect.zipRight(Effect.sleep("1 second"), look)
  const seen = yield* Effect.all([everySecond, everySecond, everySecond])
  // The office goes home. Limits are live: a change also affects uploads that already wait for bandwidth.
  yield* uploader.limits.set({ bytesPerSecond: ByteSize.decode("2 MiB") })
  yield* Console.log("cap raised to 2 MiB/s")
  const report = yield* run.report
  yield* Console.log(`${report.files.uploaded} files in ${report.durationMillis} ms`)
  return { seen, report }
}).pipe(
  Effect.scoped,
  Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provide(Simulated.layer({ requestLatency: "20 millis" }))))
)

runMain(import.meta.url, program)
