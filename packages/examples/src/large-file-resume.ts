/**
 * A large file is uploaded in parts, and the process dies in the middle. The next process finds the journal, asks the
 * destination which parts it has, and sends the rest. The checksum of the whole object proves that it equals the file.
 */
import { ByteSize, ByteSource, Checksum, Journal, Strategy, Uploader, UploadFile, UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer, Option, Stream } from "effect"
import { runMain } from "./run.js"

const source = ByteSource.generate(
  ByteSize.decode("40 MiB"),
  (offset, length) => new Uint8Array(length).fill(offset % 251)
)

// To continue with a file, the next process must know that it is still the same. A file on a disk has a fingerprint;
// here we give it a version.
const film = UploadFile.make("films/holiday.mkv", source, { fingerprint: "version 1" })

const UploaderLayer = Uploader.layer({
  strategy: Strategy.workerPool({ workers: 4 }),
  partSize: "4 MiB",
  checksum: "crc32c"
})

// The destination and the journal outlive the process. For a journal on a disk, use JournalNode.layerDirectory.
const OutsideLayer = Layer.merge(
  Simulated.layer({ requestLatency: "50 millis", bytesPerSecond: "4 MiB", observe: true }),
  Journal.layerMemory
)

const firstProcess = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  // A killed process cannot clean up. This one is cut off in the middle of its second four parts.
  const report = yield* uploader.uploadAll([film]).pipe(Effect.timeoutOption("1500 millis"))
  const { sessions } = yield* Simulated.Network
  const parts = (yield* sessions).flatMap((session) => session.parts)
  yield* Console.log(`first process: ${Option.isSome(report) ? "done" : "cut off"}, ${parts.length} parts are stored`)
}).pipe(Effect.provide(UploaderLayer))

const secondProcess = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const result = yield* uploader.upload(film)
  // Files that the first process finished are skipped. It was cut off, so there is something left to send.
  if (!UploadResult.isUploaded(result)) return undefined
  const { bytes, checksum, resumedBytes } = result
  yield* Console.log(
    `second process: ${ByteSize.format(bytes - resumedBytes)} sent, ${ByteSize.format(resumedBytes)} were there`
  )
  return checksum
}).pipe(Effect.provide(UploaderLayer))

export const program = Effect.gen(function*() {
  yield* firstProcess
  const stored = yield* secondProcess
  const fold = Checksum.make("crc32c")
  yield* Stream.runForEach(source.read({ offset: 0 }), (block) => Effect.sync(() => fold.update(block)))
  const own = fold.checksum()
  yield* Console.log(`${own.algorithm} ${own.value}: ${own.value === stored?.value ? "the same" : "not the same"}`)
  return { own, stored }
}).pipe(Effect.provide(OutsideLayer))

runMain(import.meta.url, program)
