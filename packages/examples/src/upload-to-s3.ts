/**
 * Uploads to S3, or to any server that speaks it: small files in one request each, large ones in parts, and each with a
 * checksum that the server compares with what has arrived.
 *
 * ```sh
 * S3_BUCKET=backups AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… npx tsx packages/examples/src/upload-to-s3.ts
 * ```
 *
 * For a server other than AWS, add `S3_ENDPOINT=https://s3.example.org`.
 */
import { ByteSize, ByteSource, Uploader, UploadFile, UploadResult } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import * as TransportNode from "@sluice/core/TransportNode"
import { Config, Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

const files = [
  UploadFile.fromText("notes/today.txt", "Mend the gate.", { contentType: "text/plain", metadata: { author: "Zoë" } }),
  // For files on a disk, use FilesNode.file or FilesNode.directory.
  UploadFile.make("films/holiday.mkv", ByteSource.generate(ByteSize.decode("20 MiB")), {
    contentType: "video/x-matroska"
  })
]

const S3Layer = S3.layerConfig({
  bucket: Config.string("S3_BUCKET"),
  prefix: Config.succeed("2026/"),
  endpoint: Config.withDefault(Config.string("S3_ENDPOINT"), undefined),
  storageClass: Config.succeed("STANDARD_IA"),
  // AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. For credentials that expire, pass an effect: it
  // runs again when they do.
  credentials: S3.credentialsConfig
})

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  for (const file of files) {
    const result = yield* uploader.upload(file)
    // Without a journal nothing is skipped.
    if (!UploadResult.isUploaded(result)) continue
    const { bytes, checksum, file: { key } } = result
    const sum = checksum === undefined ? "" : `, ${checksum.algorithm} ${checksum.value}`
    yield* Console.log(`${key}: ${ByteSize.format(bytes)}${sum}`)
  }
}).pipe(Effect.provide(
  Uploader.layer({ partSize: "8 MiB" }).pipe(
    Layer.provide(S3Layer),
    Layer.provide(TransportNode.layer())
  )
))

runMain(import.meta.url, program)
