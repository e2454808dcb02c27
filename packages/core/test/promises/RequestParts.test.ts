/**
 * Files out of one request come one after the other: the next when the one before was read or let go of. No file keeps
 * the rest of the request waiting, whatever becomes of it.
 */
import { assert, describe, it } from "@effect/vitest"
import { ByteSource, RetryPolicy, Strategy, UploadError, UploadFile } from "@sluice/core"
import { Deferred, Effect, Stream } from "effect"
import * as Recording from "../support/Recording.js"

/** A request whose parts come in a row, and what was let go of without being read. */
const request = (keys: ReadonlyArray<string>, size = 10) => {
  const letGo: Array<string> = []
  const parts = Stream.mapEffect(Stream.fromIterable(keys), (key) =>
    Effect.map(Deferred.make<void>(), (through) => {
      const content = Stream.ensuring(
        Stream.make(new Uint8Array(size)),
        Deferred.succeed(through, undefined)
      )
      const source = ByteSource.fromStream(content, {
        size,
        onAbandon: Effect.zipRight(Effect.sync(() => letGo.push(key)), Deferred.succeed(through, undefined))
      })
      return { file: UploadFile.make(key, source), through }
    }))
  const files = Stream.rechunk(parts, 1).pipe(
    Stream.flatMap(({ file, through }) => Stream.concat(Stream.make(file), Stream.execute(Deferred.await(through)))),
    Stream.rechunk(1)
  )
  return { files, letGo }
}

const down = new UploadError.Transient({ reason: "Connection", detail: "Nobody is there." })

describe("the files of one request", () => {
  it.effect("continue after one that is refused for its key", () =>
    Effect.gen(function*() {
      const { files, letGo } = request(["a", "../b", "c"])
      const { millis, report, results } = yield* Recording.uploadAll(Recording.make(), files)
      assert.sameMembers(results.map(Recording.summary), ["Uploaded a", "Failed ../b", "Uploaded c"])
      assert.deepStrictEqual([report.ended, letGo, millis], ["Completed", ["../b"], 0])
    }))

  it.effect("continue after one that meets an outage, and that no second round could repeat", () =>
    Effect.gen(function*() {
      const { files, letGo } = request(["a", "b", "c"])
      const recording = Recording.make(({ body, key }) => key === "b" ? Effect.fail(down) : body.bytes)
      const { millis, results } = yield* Recording.uploadAll(recording, files, {
        retry: RetryPolicy.make({ jitter: "none", attempts: 3 })
      })
      assert.deepStrictEqual(results.map(Recording.summary), ["Uploaded a", "Failed b", "Uploaded c"])
      // Two backoffs of one round.
      assert.deepStrictEqual([letGo, millis], [["b"], 300])
    }))

  it.effect("continue after one that is too large", () =>
    Effect.gen(function*() {
      const { files, letGo } = request(["a", "b"], 100)
      const { results } = yield* Recording.uploadAll(Recording.make(Recording.takeAll, { maxPutSize: 50 }), files)
      assert.deepStrictEqual(results.map(Recording.summary), ["Failed a", "Failed b"])
      assert.deepStrictEqual(letGo, ["a", "b"])
    }))

  it.effect("are not released if they were read", () =>
    Effect.gen(function*() {
      const { files, letGo } = request(["a", "b"])
      const recording = Recording.make(({ body }) => Effect.zipRight(body.bytes, Effect.fail(down)))
      const { results } = yield* Recording.uploadAll(recording, files)
      assert.deepStrictEqual(results.map(Recording.summary), ["Failed a", "Failed b"])
      assert.deepStrictEqual(letGo, [])
    }))

  it.effect("are released by a single upload, too", () =>
    Effect.gen(function*() {
      const letGo: Array<string> = []
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make())
        const source = ByteSource.fromStream(Stream.never, { onAbandon: Effect.sync(() => letGo.push("let go")) })
        return yield* Effect.flip(uploader.upload(UploadFile.make("/a", source)))
      }))
      assert.deepStrictEqual([value._tag, letGo], ["Rejected", ["let go"]])
    }))

  it.effect("do not prevent an interruption of the run, however long their release takes", () =>
    Effect.gen(function*() {
      const source = () => ByteSource.fromStream(Stream.never, { onAbandon: Effect.never })
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(() => Effect.never), {
          strategy: Strategy.workerPool({ workers: 1 })
        })
        return yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* uploader.start([UploadFile.make("../a", source()), UploadFile.make("b", source())])
          yield* Effect.sleep(10)
          yield* run.interrupt
          return yield* run.report
        }))
      }))
      assert.deepStrictEqual([value.ended, value.files.failed], ["Interrupted", 1])
      assert.isAtMost(millis, 1_010)
    }))
})
