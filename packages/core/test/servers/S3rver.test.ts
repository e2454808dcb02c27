import { assert, describe, it, vi } from "@effect/vitest"
import { Destination, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer, Option, Redacted, Stream } from "effect"
import { inject } from "vitest"
import { pattern, sameBytes } from "../support/TestSource.js"

vi.setConfig({ testTimeout: 60_000 })

const mib = 1024 ** 2

const contents = new Map([
  ["empty", pattern(0)],
  ["folder/ü &+%.txt", pattern(1000)],
  ["large", pattern(11 * mib)]
])

const server = inject("s3rver")

// It checks nothing and knows little: this says only that we understand each other.
describe("s3rver", () => {
  if ("skipped" in server) return it.skip(`skipped: ${server.skipped}`, () => {})
  it.live("takes files, in parts too, shows them, and removes them", () =>
    Effect.gen(function*() {
      const uploader = yield* Uploader.Uploader
      const { head, list, read, remove } = yield* Destination.Destination
      const report = yield* uploader.uploadAll(Array.from(contents, ([key, bytes]) => UploadFile.fromBytes(key, bytes)))
      assert.deepStrictEqual([report.failures, report.files.uploaded], [[], contents.size])
      const listed = Array.from(yield* Stream.runCollect(list ?? Stream.empty))
      assert.deepStrictEqual(
        listed.map(({ key, size }) => [key, size]).toSorted(),
        Array.from(contents, ([key, { length }]) => [key, length]).toSorted()
      )
      for (const [key, bytes] of contents) {
        const there = yield* head?.(key) ?? Effect.succeedNone
        assert.strictEqual(Option.getOrUndefined(there)?.size, bytes.length)
        const blocks = Array.from(yield* Stream.runCollect(read?.(key) ?? Stream.empty))
        assert.isTrue(sameBytes(Buffer.concat(blocks), bytes), key)
        yield* remove?.(key) ?? Effect.void
        assert.isTrue(Option.isNone(yield* head?.(key) ?? Effect.succeedNone))
      }
    }).pipe(Effect.provide(
      Uploader.layer({
        strategy: Strategy.workerPool({ workers: 4 }),
        partSize: 5 * mib,
        multipartThreshold: 5 * mib
      }).pipe(
        Layer.provideMerge(S3.layer({
          bucket: "smoke",
          prefix: "some/prefix/",
          endpoint: `http://127.0.0.1:${server.port}`,
          region: "us-east-1",
          credentials: Effect.succeed({ accessKeyId: "S3RVER", secretAccessKey: Redacted.make("S3RVER") })
        })),
        Layer.provide(TransportNode.layer({ connections: 4 }))
      )
    )))
})
