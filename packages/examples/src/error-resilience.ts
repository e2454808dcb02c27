/**
 * Some files cannot be uploaded, and the others are not affected: failures are data, classified by what to do about
 * them.
 */
import { ByteSource, Uploader, UploadFile } from "@sluice/core"
import type { UploadError, UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer, Match, Stream } from "effect"
import { runMain } from "./run.js"

const files = [
  UploadFile.fromText("notes/monday.txt", "all is well"),
  UploadFile.fromText("../../etc/passwd", "this key would leave the destination"),
  UploadFile.make("notes/tuesday.txt", ByteSource.fromStream(Stream.fail("the disk is on fire"), { size: 10 })),
  // It was listed with 100 bytes, and has been truncated since.
  { ...UploadFile.fromText("notes/wednesday.txt", "short"), size: 100 },
  UploadFile.fromText("notes/thursday.txt", "all is well again")
]

// There are few errors, one for each thing to do about them; the compiler checks that none is forgotten.
const advice = Match.type<UploadError.UploadError>().pipe(
  Match.tags({
    Transient: () => "try again later",
    Throttled: () => "try again later, and slower",
    IntegrityMismatch: () => "send it again",
    SessionGone: () => "send it again from the start",
    AuthExpired: () => "log in again",
    Conflict: () => "decide who wins",
    Rejected: ({ reason }) => reason === "InvalidKey" ? "rename the file" : "change the destination's settings",
    SourceChanged: () => "upload it when nobody writes to it",
    SourceUnreadable: () => "mend the source"
  }),
  Match.exhaustive
)

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const failed: Array<UploadResult.Failed> = []
  const report = yield* uploader.uploadAll(files, {
    // Every file has exactly one result, reported as soon as it is known.
    onResult: (result) => Effect.sync(() => result._tag === "Failed" && failed.push(result))
  })
  yield* Console.log(`${report.files.uploaded} of ${report.files.total} files uploaded`)
  for (const { error, file } of failed) yield* Console.log(`${file.key}: ${error.message} -> ${advice(error)}`)

  // A single upload is an effect, so its error can be caught by name.
  const fallback = yield* uploader.upload(UploadFile.fromText("/absolute", "")).pipe(
    Effect.map(() => "uploaded"),
    Effect.catchTag("Rejected", (error) => Effect.succeed(`rejected as ${error.reason}`))
  )
  yield* Console.log(`/absolute: ${fallback}`)
  return { report, failed }
}).pipe(Effect.provide(Uploader.layer().pipe(Layer.provide(Simulated.layer()))))

runMain(import.meta.url, program)
