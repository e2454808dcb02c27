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
import { Config, Console, Effect, Layer, Option } from "effect"
import { runMain } from "./run.js"

const files = [
  UploadFile.fromText("notes/today.txt", "Mend the gate.", { contentType: "text/plain", metadata: { author: "Zoë" } }),
  // For files on a disk, use FilesNode.file or FilesNode.directory.
  UploadFile.make("films/holiday.mkv", ByteSource.generate(ByteSize.decode("20 MiB")), {
    contentType: "video/x-matroska"
  })
]

const S3Layer = Layer.unwrapEffect(Effect.gen(function*() {
  const sessionToken = Option.getOrUndefined(yield* Config.option(Config.redacted("AWS_SESSION_TOKEN")))
  const accessKeyId = yield* Config.string("AWS_ACCESS_KEY_ID")
  const secretAccessKey = yield* Config.redacted("AWS_SECRET_ACCESS_KEY")
  return S3.layer({
    bucket: yield* Config.string("S3_BUCKET"),
    prefix: "2026/",
    endpoint: Option.getOrUndefined(yield* Config.option(Config.string("S3_ENDPOINT"))),
    storageClass: "STANDARD_IA",
    // An effect, since credentials may expire: it runs again when they do.
    credentials: Effect.succeed({ accessKeyId, secretAccessKey, sessionToken })
  })
}))

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
