import { assert, describe, it } from "@effect/vitest"
import { Destination, Strategy, Uploader, UploadError } from "@sluice/core"
import * as FilesNode from "@sluice/core/FilesNode"
import { Effect, Layer, Stream } from "effect"
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { bufferPool } from "../../../src/internal/bytes/bufferPool.js"
import * as TemporaryDirectory from "../../support/TemporaryDirectory.js"
import { pattern } from "../../support/TestSource.js"

const mib = 1024 * 1024

const hashOf = (bytes: Uint8Array): string => crypto.createHash("sha256").update(bytes).digest("hex")

/** Takes each body in a way of its own. */
const taking = (
  take: (body: Destination.Body, key: string) => Effect.Effect<unknown, UploadError.UploadError>,
  capabilities: Partial<Destination.Capabilities> = {}
) =>
  Layer.succeed(Destination.Destination, {
    name: "taking",
    capabilities: { maxPutSize: Infinity, unknownSize: true, ...capabilities },
    put: ({ body, key }) => Effect.as(take(body, key), {})
  })

/** Uploads files of these sizes one after the other. */
const upload = (sizes: ReadonlyArray<number>, destination: Layer.Layer<Destination.Destination>) =>
  Effect.gen(function*() {
    const root = yield* TemporaryDirectory.TemporaryDirectory
    const contents = sizes.map((size, i) => pattern(size, i + 1))
    for (const [i, bytes] of contents.entries()) fs.writeFileSync(path.join(root, `${i}`), bytes)
    const report = yield* Effect.flatMap(Uploader.Uploader, (uploader) => uploader.uploadAll(FilesNode.directory(root)))
      .pipe(
        Effect.provide(
          Uploader.layer({ strategy: Strategy.workerPool({ workers: 1 }), multipartThreshold: "1 GiB" }).pipe(
            Layer.provide(destination)
          )
        )
      )
    return { contents, report }
  }).pipe(Effect.provide(TemporaryDirectory.layer))

describe("the memory of bytes on their way", () => {
  it("is kept up to 32 MiB while nothing is in use, and reused first", () => {
    bufferPool.rest()
    const take = () => Array.from({ length: 6 }, () => bufferPool.take(9 * mib))
    const first = take()
    assert.strictEqual(new Set(first).size, 6)
    for (const block of first) bufferPool.give(block)
    bufferPool.rest()
    const second = take()
    assert.lengthOf(second.filter((block) => first.includes(block)), 3)
    for (const block of second) bufferPool.give(block)
    bufferPool.rest()
    const third = take()
    assert.lengthOf(third.filter((block) => second.includes(block)), 3)
    // A dropped block may still be read, so it is not reused.
    for (const block of third) bufferPool.drop(block)
    const fourth = take()
    assert.isFalse(fourth.some((block) => third.includes(block)))
    for (const block of fourth) bufferPool.drop(block)
  })

  it.live("of a stream that lends them is as it was until two more blocks have been pulled, whatever is released", () =>
    Effect.gen(function*() {
      const hashes: Array<string> = []
      const memory = new Set<ArrayBufferLike>()
      const destination = taking((body) => {
        const last: Array<Uint8Array> = []
        const all = crypto.createHash("sha256")
        const look = () => {
          all.update(last.shift()!)
        }
        return Stream.runForEach(body.stream({ lent: true, blockSize: 64 * 1024 }), (block) =>
          Effect.sync(() => {
            last.push(block)
            memory.add(block.buffer)
            // There is more to come: this is too early to have any effect.
            body.release()
            // Two more have been pulled, and the next pull may use its memory.
            if (last.length === 3) look()
          })).pipe(Effect.map(() => {
            while (last.length > 0) look()
            hashes.push(all.digest("hex"))
            body.release()
          }))
      })
      const { contents } = yield* upload([3 * mib + 1, 2 * mib], destination)
      assert.deepStrictEqual(hashes, contents.map(hashOf))
      assert.strictEqual(memory.size, 4)
    }))

  it.live("of a stream that gives them away is never used again", () =>
    Effect.gen(function*() {
      const kept: Array<Array<Uint8Array>> = []
      const destination = taking((body) =>
        Effect.map(Stream.runCollect(body.stream()), (blocks) => {
          kept.push([...blocks])
          body.release()
        })
      )
      const { contents } = yield* upload([3 * mib, 2 * mib], destination)
      assert.deepStrictEqual(kept.map((blocks) => hashOf(Buffer.concat(blocks))), contents.map(hashOf))
    }))

  for (const way of ["bytes", "whole"] as const) {
    it.live(`of ${way} is used again only where it has been released`, () =>
      Effect.gen(function*() {
        const sizes = [200_000, 200_000, 200_000, 200_000]
        const kept: Array<Uint8Array> = []
        const destination = taking((body, key) =>
          Effect.map(way === "bytes" ? body.bytes : Effect.flatMap(body.whole, (whole) => whole.bytes), (bytes) => {
            kept.push(bytes)
            if (key === "1") body.release()
          })
        )
        const { contents } = yield* upload(sizes, destination)
        assert.strictEqual(kept[1]!.buffer, kept[2]!.buffer)
        assert.deepStrictEqual([0, 2, 3].map((i) => hashOf(kept[i]!)), [0, 2, 3].map((i) => hashOf(contents[i]!)))
      }))
  }

  it.live("of an attempt that failed is not used again", () =>
    Effect.gen(function*() {
      const kept: Array<Uint8Array> = []
      const destination = taking((body) =>
        Effect.flatMap(body.bytes, (bytes) => {
          kept.push(bytes)
          return kept.length === 1
            ? Effect.fail(new UploadError.Rejected({ reason: "Unsupported", detail: "Not this one." }))
            : Effect.void
        })
      )
      const { contents, report } = yield* upload([100_000, 100_000], destination)
      assert.strictEqual(report.files.failed, 1)
      assert.deepStrictEqual(kept.slice(0, 2).map(hashOf), contents.map(hashOf))
    }))
})
