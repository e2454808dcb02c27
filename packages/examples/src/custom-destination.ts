/**
 * A destination for your own storage consists of a name, its capabilities and one verb. This one keeps each content
 * once, under its hash, as git does. Limits, retries, progress and source checks come from the engine.
 */
import { Destination, Uploader, UploadError, UploadFile } from "@sluice/core"
import { Console, Effect, Stream } from "effect"
import { createHash } from "node:crypto"
import { runMain } from "./run.js"

interface Store {
  readonly contents: Map<string, number>
  readonly names: Map<string, string>
}

const makeDestination = (store: Store) =>
  Destination.Destination.of({
    name: "store:",
    capabilities: { maxPutSize: 1024 * 1024, unknownSize: true },
    // `put` must be atomic: nothing is visible under the key before the last byte has been read. It reads the bytes
    // from `body`, never from the source, so that the engine can count, pace and check them.
    put: ({ body, key }) =>
      Effect.gen(function*() {
        // Failures are UploadErrors. Their class decides whether the engine retries; it does not retry this one.
        if (key.endsWith(".exe")) {
          return yield* new UploadError.Rejected({ reason: "Forbidden", detail: "No programs, please." })
        }
        const hash = createHash("sha256")
        let size = 0
        yield* Stream.runForEach(body.stream(), (block) =>
          Effect.sync(() => {
            hash.update(block)
            size += block.length
          }))
        const etag = hash.digest("hex")
        store.contents.set(etag, size)
        store.names.set(key, etag)
        return { etag }
      })
  })

export const program = Effect.gen(function*() {
  const store: Store = { contents: new Map(), names: new Map() }
  // `Uploader.make` is `Uploader.layer` without the layer. An application would write a layer for the destination.
  const uploader = yield* Effect.provideService(Uploader.make(), Destination.Destination, makeDestination(store))
  const report = yield* uploader.uploadAll([
    UploadFile.fromText("a/hello.txt", "hello"),
    UploadFile.fromText("b/hello-again.txt", "hello"),
    UploadFile.fromText("b/bye.txt", "bye"),
    UploadFile.fromText("b/bye.exe", "MZ")
  ])
  for (const [key, etag] of store.names) yield* Console.log(`${etag.slice(0, 8)}  ${key}`)
  for (const { error, key } of report.failures) yield* Console.log(`refused   ${key}: ${error.message}`)
  yield* Console.log(`${store.names.size} names, ${store.contents.size} contents`)
  return { report, store }
}).pipe(Effect.scoped)

runMain(import.meta.url, program)
