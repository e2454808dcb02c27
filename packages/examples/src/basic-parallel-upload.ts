/**
 * Many files, one call: a list goes in, a report comes out.
 */
import { ByteSize, ByteSource, Uploader, UploadFile, UploadReport } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

// An UploadFile describes bytes but holds none: they are read when the file's turn comes, and again for a retry.
const photos = Array.from(
  { length: 40 },
  (_, i) => UploadFile.make(`photos/${i}.jpg`, ByteSource.generate(100 + 20 * i), { contentType: "image/jpeg" })
)

// The layer decides where the files go: here to a network in memory that takes 1 ms per byte. The program below does
// not change if this line names a directory or a server instead.
const UploaderLayer = Uploader.layer().pipe(
  Layer.provide(Simulated.layer({ latencyPerByte: "1 millis" }))
)

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const report = yield* uploader.uploadAll(photos)
  yield* Console.log(
    `${report.files.uploaded} of ${report.files.total} files, ${ByteSize.format(report.bytes.uploaded)} ` +
      `in ${report.durationMillis} ms, ${report.peakInFlight} at once`
  )
  // The failure of a file does not fail the batch, so check the report.
  yield* Console.log(UploadReport.isComplete(report) ? "Everything is there." : "Something is missing.")
  return report
}).pipe(Effect.provide(UploaderLayer))

runMain(import.meta.url, program)
