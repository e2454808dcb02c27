/**
 * An HTTP server that passes request bodies on to S3 while they arrive: `PUT /films/holiday.mkv` creates the object
 * `films/holiday.mkv`. A large body is sent in parts, so that only a few of them are in memory at once, whatever the
 * clients send. All requests share the uploader's memory, so a client that sends faster than S3 accepts has to wait. A
 * client that sends nothing for 30 seconds is cut off, and the next one takes its place.
 *
 * ```sh
 * S3_BUCKET=films AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… npx tsx packages/examples/src/stream-request-to-s3.ts
 * ```
 */
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { ByteSource, Uploader, UploadError, UploadFile, UploadResult } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import * as TransportNode from "@sluice/core/TransportNode"
import { Config, Effect, Layer, Option } from "effect"
import { createServer } from "node:http"
import { runMain } from "./run.js"

const keyOf = (url: string) => Effect.option(Effect.try(() => decodeURIComponent(url.replace(/[?#].*$/s, "").slice(1))))

/** The status by cause: the client, for its key or for a body that stopped arriving, or the storage. */
const statusOf = (error: { readonly _tag: string }): number =>
  error instanceof UploadError.SourceUnreadable || error instanceof UploadError.SourceChanged
    ? 408
    : error instanceof UploadError.Rejected
    ? 400
    : 502

const router = HttpRouter.empty.pipe(HttpRouter.put(
  "*",
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const request = yield* HttpServerRequest.HttpServerRequest
    const key = Option.getOrElse(yield* keyOf(request.url), () => "")
    const length = request.headers["content-length"]
    // A body can be read only once: after its first bytes, only the client can retry.
    const source = ByteSource.fromStream(request.stream, { size: length === undefined ? undefined : Number(length) })
    const result = yield* uploader.upload(
      UploadFile.make(key, source, { contentType: request.headers["content-type"] })
    )
    return UploadResult.isUploaded(result)
      ? HttpServerResponse.unsafeJson({ key, bytes: result.bytes, attempts: result.attempts }, { status: 201 })
      : HttpServerResponse.unsafeJson({ key, skipped: result.reason }, { status: 200 })
  }).pipe(Effect.catchAll((error) =>
    Effect.succeed(
      HttpServerResponse.unsafeJson({ error: error.message }, { status: statusOf(error) })
    )
  ))
))

const S3Layer = S3.layerConfig({
  bucket: Config.string("S3_BUCKET"),
  endpoint: Config.withDefault(Config.string("S3_ENDPOINT"), undefined),
  credentials: S3.credentialsConfig
})

/** The server, without the port that it listens on. */
export const ServerLayer = HttpServer.serve(router).pipe(
  Layer.provide(Uploader.layer({ memory: "64 MiB", partSize: "8 MiB", multipartThreshold: "8 MiB" })),
  Layer.provide(S3Layer),
  Layer.provide(TransportNode.layer())
)

export const program = Layer.launch(ServerLayer.pipe(
  HttpServer.withLogAddress,
  Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 }))
))

runMain(import.meta.url, program)
