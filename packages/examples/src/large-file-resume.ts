/**
 * A large file goes up in parts, and the process dies on the way. The next one finds the journal, asks the destination
 * what it has, and sends the rest; the checksum of the whole says that the object is the file.
 */
import { ByteSize, ByteSource, Checksum, Journal, Strategy, Uploader, UploadFile, UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer, Option, Stream } from "effect"
import { runMain } from "./run.js"

const source = ByteSource.generate(
  ByteSize.decode("40 MiB"),
  (offset, length) => new Uint8Array(length).fill(offset % 251)
)

// Whoever goes on with a file has to know that it is still the same one. A file on a disk brings a fingerprint along;
// here it is a version that we give it.
const film = UploadFile.make("films/holiday.mkv", source, { fingerprint: "version 1" })

const UploaderLayer = Uploader.layer({
  strategy: Strategy.workerPool({ workers: 4 }),
  partSize: "4 MiB",
  checksum: "crc32c"
})

// What outlives the process: the destination and the journal. For a journal on a disk, use JournalNode.layerDirectory.
const OutsideLayer = Layer.merge(
  Simulated.layer({ requestLatency: "50 millis", bytesPerSecond: "4 MiB", observe: true }),
  Journal.layerMemory
)

const firstProcess = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  // A process that is killed tells nobody. This one is cut off in the middle of its second four parts.
  const report = yield* uploader.uploadAll([film]).pipe(Effect.timeoutOption("1500 millis"))
  const { sessions } = yield* Simulated.Network
  const parts = (yield* sessions).flatMap((session) => session.parts)
  yield* Console.log(`first process: ${Option.isSome(report) ? "done" : "cut off"}, ${parts.length} parts are stored`)
}).pipe(Effect.provide(UploaderLayer))

const secondProcess = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const result = yield* uploader.upload(film)
  // What the first process has finished is skipped. It was cut off, so there is something left to send.
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
