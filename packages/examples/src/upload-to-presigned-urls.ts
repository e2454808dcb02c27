/**
 * Uploads to addresses that somebody else has signed: the client has no credentials, and can write only to these
 * addresses. They come from a manifest, `{ "key": "https://…?signature" }`; a key that is not in it is refused.
 *
 * ```sh
 * MANIFEST=urls.json npx tsx packages/examples/src/upload-to-presigned-urls.ts
 * ```
 */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Uploader, UploadFile } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import { Config, Console, Effect, Layer, Schema } from "effect"
import { runMain } from "./run.js"

const Manifest = Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.String }))

const files = [
  UploadFile.fromText("reports/june.csv", "day,visits\n1,204\n"),
  UploadFile.fromText("reports/july.csv", "day,visits\n1,198\n"),
  UploadFile.fromText("reports/august.csv", "day,visits\n")
]

const PresignedLayer = Layer.unwrapEffect(Effect.gen(function*() {
  const fileSystem = yield* FileSystem.FileSystem
  const urls = yield* Schema.decode(Manifest)(yield* fileSystem.readFileString(yield* Config.string("MANIFEST")))
  // Instead of a manifest you can pass a function that asks your own server for an address, once for every attempt.
  return Http.layerPresigned({ urls })
}))

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const report = yield* uploader.uploadAll(files)
  yield* Console.log(`${report.files.uploaded} of ${files.length} files uploaded`)
  // Messages show addresses without their query: the signature stays a secret.
  for (const { error, key } of report.failures) yield* Console.log(`${key}: ${error.message}`)
  return report
}).pipe(Effect.provide(
  Uploader.layer().pipe(
    Layer.provide(PresignedLayer),
    Layer.provide(TransportNode.layer()),
    Layer.provide(NodeContext.layer)
  )
))

runMain(import.meta.url, program)
