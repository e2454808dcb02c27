/**
 * Uploads to a tus server, which chooses an address for each file. The large file is sent in parts, and nothing that a
 * broken connection left at the server is sent again.
 *
 * ```sh
 * TUS_URL=https://tus.example.org/files/ TUS_TOKEN=… npx tsx packages/examples/src/upload-to-tus.ts
 * ```
 */
import { ByteSize, ByteSource, Uploader, UploadFile } from "@sluice/core"
import * as Tus from "@sluice/core/destinations/Tus"
import * as TransportNode from "@sluice/core/TransportNode"
import { Config, Console, Effect, Layer, Option } from "effect"
import { runMain } from "./run.js"

const files = [
  UploadFile.fromText("notes/today.txt", "Mend the gate.", { contentType: "text/plain" }),
  // For a file on a disk, use FilesNode.fromPath.
  UploadFile.make("films/holiday.mkv", ByteSource.generate(ByteSize.decode("20 MiB")), {
    contentType: "video/x-matroska"
  })
]

const TusLayer = Layer.unwrapEffect(Effect.gen(function*() {
  const url = yield* Config.string("TUS_URL")
  const token = yield* Config.option(Config.redacted("TUS_TOKEN"))
  return Tus.layer({
    url,
    credentials: Option.getOrUndefined(Option.map(token, Tus.bearer)),
    // Anyone who knows an address may be able to read the file, so only you get it: it appears in no log.
    onStored: ({ key, size, url }) => Console.log(`${key}, ${ByteSize.format(size)}: ${url}`)
  })
}))

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const report = yield* uploader.uploadAll(files)
  yield* Console.log(`${report.files.uploaded} of ${files.length} files uploaded`)
  return report
}).pipe(Effect.provide(
  Uploader.layer({ partSize: "8 MiB" }).pipe(
    Layer.provide(TusLayer),
    Layer.provide(TransportNode.layer())
  )
))

runMain(import.meta.url, program)
