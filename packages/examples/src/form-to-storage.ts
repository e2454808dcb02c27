/**
 * A server for HTML forms with files: `POST /forms/{name}` sends each file on to storage while it arrives, so nothing
 * lies on a disk in between, and all requests together take no more memory than the uploader allows. If a client
 * disconnects in the middle, its handler is interrupted, and with it the upload, which is aborted.
 *
 * ```sh
 * npx tsx packages/examples/src/form-to-storage.ts &
 * curl -F photo=@holiday.jpg -F film=@holiday.mkv http://localhost:3000/forms/ada
 * ```
 */
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse, Multipart } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { ByteSource, Uploader, UploadFile } from "@sluice/core"
import type { UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Effect, Layer, Stream } from "effect"
import { createServer } from "node:http"
import { runMain } from "./run.js"

/** A file of a form. It can be read only once, and the parts after it arrive when it has been read. */
const fileOf = (form: string, part: Multipart.File): UploadFile.UploadFile => {
  const source = ByteSource.fromStream(part.content, {
    // A file that is refused, for its name perhaps, must not hold up those after it.
    onAbandon: Effect.ignore(Stream.runDrain(part.content))
  })
  return UploadFile.make(`${form}/${part.name}`, source, { contentType: part.contentType })
}

const answerOf = (result: UploadResult.UploadResult) => ({
  key: result.file.key,
  ...(result._tag === "Failed" ? { error: result.error.message } : { result: result._tag })
})

const router = HttpRouter.empty.pipe(HttpRouter.post(
  "/forms/:form",
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const { multipartStream } = yield* HttpServerRequest.HttpServerRequest
    const { form = "" } = yield* HttpRouter.params
    const answers: Array<ReturnType<typeof answerOf>> = []
    const files = Stream.map(Stream.filter(multipartStream, Multipart.isFile), (part) => fileOf(form, part))
    const report = yield* uploader.uploadAll(files, {
      onResult: (result) => Effect.sync(() => answers.push(answerOf(result)))
    })
    return HttpServerResponse.unsafeJson(answers, { status: report.files.failed === 0 ? 201 : 422 })
  }).pipe(
    Effect.catchTag(
      "MultipartError",
      ({ message }) => Effect.succeed(HttpServerResponse.unsafeJson({ error: message }, { status: 400 }))
    )
  )
))

/** The server, without its port and its storage. */
export const ServerLayer = HttpServer.serve(router)

export const program = Layer.launch(ServerLayer.pipe(
  HttpServer.withLogAddress,
  Layer.provide(Uploader.layer({ memory: "64 MiB" })),
  // Your storage goes here.
  Layer.provide(Simulated.layer()),
  Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 }))
))

runMain(import.meta.url, program)
