/**
 * Uploads are counted in Effect metrics: an exporter of the application's metrics exports these too.
 */
import { ByteSource, Strategy, Uploader, UploadFile, UploadMetrics } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer, Metric } from "effect"
import { runMain } from "./run.js"

const files = Array.from(
  { length: 30 },
  (_, i) => UploadFile.make(`reports/${i}.csv`, ByteSource.generate(100 + 10 * i))
)

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  yield* uploader.uploadAll(files)
  // An exporter reads them all with `Metric.snapshot`; this program reads a few itself.
  const { count: uploaded } = yield* Metric.value(UploadMetrics.uploads.Uploaded)
  const { count: retries } = yield* Metric.value(UploadMetrics.retries("Transient"))
  const { count: bytes } = yield* Metric.value(UploadMetrics.uploadedBytes)
  const { count: sent } = yield* Metric.value(UploadMetrics.sentBytes)
  const duration = yield* Metric.value(UploadMetrics.duration)
  yield* Console.log(`sluice_uploads_total{outcome="Uploaded"} ${uploaded}`)
  yield* Console.log(`sluice_retries_total{reason="Transient"} ${retries}`)
  yield* Console.log(`sluice_uploaded_bytes_total ${bytes}`)
  // This is more than was uploaded, since the bytes of failed attempts went over the wire too.
  yield* Console.log(`sluice_sent_bytes_total ${sent}`)
  yield* Console.log(`sluice_upload_duration_seconds: mean ${(duration.sum / duration.count).toFixed(2)}`)
  return { uploaded, retries, bytes, sent, duration }
}).pipe(
  // Metrics are global to the process. A tag separates the metrics of one uploader from another's; the engine keeps the
  // tags that are set where the run starts.
  Effect.tagMetrics("destination", "archive"),
  Effect.provide(
    Uploader.layer({ strategy: Strategy.workerPool({ workers: 8 }) }).pipe(
      Layer.provide(Simulated.layer({ latencyPerByte: "1 millis", failureRate: 0.2, seed: "metrics" }))
    )
  )
)

runMain(import.meta.url, program)
