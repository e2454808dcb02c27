/**
 * A destination for a server that Sluice does not know: WebDAV, in one driver over `Transport`. It creates the
 * collections of a key (`MKCOL`) and puts the file; limits, retries, progress and source checks come from the engine.
 *
 * ```sh
 * WEBDAV_URL=https://dav.example.org/files/ada WEBDAV_USER=ada WEBDAV_PASSWORD=… \
 *   npx tsx packages/examples/src/upload-to-webdav.ts
 * ```
 */
import { Destination, Strategy, Transport, Uploader, UploadFile } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import { Config, Console, Effect, Layer, Option, Redacted } from "effect"
import { runMain } from "./run.js"

interface Options {
  readonly url: string
  readonly credentials: Http.Credentials
}

/** `a/` and `a/b/` for the key `a/b/c`. */
const collectionsOf = (key: string) => Array.from(key.matchAll(/\//g), ({ index }) => key.slice(0, index + 1))

const make = ({ credentials, url }: Options) =>
  Effect.gen(function*() {
    const transport = yield* Transport.Transport
    const authorization = Redacted.value(credentials)
    const addressOf = (path: string) => `${url}/${path.split("/").map(encodeURIComponent).join("/")}`

    // Sends a request, and accepts its success and some other statuses. `refused` knows what the rest means: which
    // statuses are worth a retry, and when. Its message shows no password, even if the server repeats it.
    const send = (request: Transport.Request, ...alsoFine: ReadonlyArray<number>) =>
      Effect.flatMap(transport.send(request), (answer) =>
        (answer.status >= 200 && answer.status < 300) || alsoFine.includes(answer.status)
          ? Effect.succeed(answer)
          : Transport.refused(request, answer))

    // A server refuses (409) a file whose collection is missing, so these come first, outermost first.
    const known = new Set<string>()
    const create = (collection: string) =>
      known.has(collection)
        ? Effect.void
        // 405: it exists.
        : Effect.map(send({ method: "MKCOL", url: addressOf(collection), headers: { authorization } }, 405), () => {
          known.add(collection)
        })

    return Destination.Destination.of({
      name: Transport.renderUrl(url),
      capabilities: { maxPutSize: Infinity, unknownSize: false },
      put: ({ body, contentType = "application/octet-stream", key }) =>
        Effect.gen(function*() {
          yield* Effect.forEach(collectionsOf(key), create)
          const headers = { authorization, "content-type": contentType }
          const answer = yield* send({ method: "PUT", url: addressOf(key), headers, body })
          return { etag: answer.headers["etag"] }
        }),
      // With `head`, the engine can tell a server that is away from one that refuses, and wait for it.
      head: (key) =>
        Effect.map(
          send({ method: "HEAD", url: addressOf(key), headers: { authorization } }, 404),
          ({ headers, status }) =>
            status === 404 ? Option.none() : Option.some({ size: Number(headers["content-length"]) })
        )
    })
  })

const WebDavLayer = Layer.effect(
  Destination.Destination,
  Effect.gen(function*() {
    const user = yield* Config.string("WEBDAV_USER")
    const password = yield* Config.redacted("WEBDAV_PASSWORD")
    return yield* make({ url: yield* Config.string("WEBDAV_URL"), credentials: Http.basic(user, password) })
  })
)

export const program = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const report = yield* uploader.uploadAll([
    UploadFile.fromText("2026/may/notes & drafts.txt", "Mend the gate.", { contentType: "text/plain" }),
    UploadFile.fromText("2026/may/list.txt", "Nails."),
    UploadFile.fromText("2026/june/list.txt", "Paint."),
    UploadFile.fromText("private/diary.txt", "Rain.")
  ])
  yield* Console.log(`${report.files.uploaded} of ${report.files.total} files uploaded; retries: ${report.retries}`)
  for (const { error, key } of report.failures) yield* Console.log(`${key}: ${error.message}`)
}).pipe(Effect.provide(
  Uploader.layer({ strategy: Strategy.workerPool({ workers: 4 }) }).pipe(
    Layer.provide(WebDavLayer),
    Layer.provide(TransportNode.layer())
  )
))

runMain(import.meta.url, program)
