/**
 * Trees of files that a test plants, lists and uploads.
 */
import { RetryPolicy, Strategy, Uploader, UploadList } from "@sluice/core"
import type { ByteSource, Destination, UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as FilesNode from "@sluice/core/FilesNode"
import { Chunk, Effect, Layer, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { errorName } from "./ErrorName.js"

/** Writes files by name, with the directories that they need. */
export const plant = (root: string, files: Readonly<Record<string, string | Uint8Array>>): void => {
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    fs.writeFileSync(path.join(root, name), content)
  }
}

export const list = (root: string, options?: FilesNode.DirectoryOptions) =>
  Effect.map(Stream.runCollect(FilesNode.directory(root, options)), (items) => Chunk.toArray(items))

export const filesOf = (items: ReadonlyArray<UploadList.Item>) => items.filter(UploadList.isFile)

export const keysOf = (items: ReadonlyArray<UploadList.Item>) => filesOf(items).map((file) => file.key).sort()

/** What is not a file: why, by key. */
export const othersOf = (items: ReadonlyArray<UploadList.Item>) =>
  Object.fromEntries(
    items.flatMap((item) =>
      UploadList.isFile(item) ? [] : [[item.file.key, item._tag === "Skipped" ? item.reason : errorName(item.error)]]
    )
  )

export const collect = (source: ByteSource.ByteSource, range: ByteSource.Range) =>
  Effect.map(Stream.runCollect(source.read(range)), (blocks) => Buffer.concat(Chunk.toArray(blocks)))

/** Uploads a list, without retries, and tells what became of each key. */
export const outcomesOf = <E>(files: UploadList.UploadList<E>, destination: Layer.Layer<Destination.Destination>) =>
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const outcomes: Record<string, string> = {}
    yield* uploader.uploadAll(files, {
      onResult: (result: UploadResult.UploadResult) =>
        Effect.sync(() => {
          outcomes[result.file.key] = result._tag === "Failed" ? errorName(result.error) : result._tag
        })
    })
    return outcomes
  }).pipe(
    Effect.provide(
      Layer.provide(Uploader.layer({ strategy: Strategy.unlimited, retry: RetryPolicy.none }), destination)
    )
  )

export const forgetful = Simulated.layer()

export const longAgo = new Date("2001-02-03T04:05:06.789Z")
