import { assert, describe, it } from "@effect/vitest"
import { Destination, Uploader, UploadFile } from "@sluice/core"
import { Chunk, Effect, Layer, Stream } from "effect"
import type { Scope } from "effect"
import * as Recording from "./support/Recording.js"

const layer = () =>
  Uploader.layer().pipe(Layer.provide(Layer.succeed(Destination.Destination, Recording.make().destination)))

const files = [UploadFile.fromText("a", "hello")]

describe("the types of an uploader's effects", () => {
  // The compiler checks these: the annotations do not fit if an `any` comes in.
  it.scoped("are known where they are composed, without callbacks", () =>
    Effect.gen(function*() {
      const composed: Effect.Effect<ReadonlyArray<number>, never, Uploader.Uploader | Scope.Scope> = Effect.gen(
        function*() {
          const uploader = yield* Uploader.Uploader
          const reports = yield* Effect.all([uploader.uploadAll(files), uploader.uploadAll(files)])
          const [run] = yield* Effect.all([uploader.start(files)])
          const streams = Stream.mergeAll([uploader.stream(files), uploader.stream(files)], { concurrency: 2 })
          const singles = yield* Effect.either(Effect.all([uploader.upload(files[0]!)]))
          return [
            ...reports.map((report) => report.files.uploaded),
            (yield* run.report).files.uploaded,
            Chunk.size(yield* Stream.runCollect(streams)),
            singles._tag === "Right" ? singles.right.length : 0
          ]
        }
      )
      assert.deepStrictEqual(yield* Effect.provide(composed, layer()), [1, 1, 1, 2, 1])
    }))

  it.effect("are those of the callbacks, too", () =>
    Effect.gen(function*() {
      const composed: Effect.Effect<unknown, "stop", Uploader.Uploader> = Effect.flatMap(
        Uploader.Uploader,
        (uploader) => Effect.all([uploader.uploadAll(files, { onResult: () => Effect.fail("stop" as const) })])
      )
      assert.strictEqual(yield* Effect.flip(Effect.provide(composed, layer())), "stop")
    }))
})
