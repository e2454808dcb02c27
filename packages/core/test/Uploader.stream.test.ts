import { assert, describe, it } from "@effect/vitest"
import { Strategy } from "@sluice/core"
import { Chunk, Effect, Exit, Stream } from "effect"
import * as Recording from "./support/Recording.js"
import { files, keysOf, leftRunning } from "./support/RunFiles.js"

const options = { strategy: Strategy.workerPool({ workers: 2 }) }

describe("uploader.stream", () => {
  it.effect("does nothing before it is run, and then gives every result, however late it is read", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, options)
        const stream = uploader.stream(files(300))
        yield* Effect.sleep(100)
        const before = recording.history.length
        const results = yield* Stream.runCollect(Stream.tap(stream, () => Effect.yieldNow()))
        return { before, results: keysOf(Chunk.toReadonlyArray(results)).toSorted() }
      }))
      assert.strictEqual(value.before, 0)
      assert.deepStrictEqual(value.results, files(300).map(({ key }) => `Uploaded ${key}`).toSorted())
    }))

  it.effect("runs again each time", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(), options)
        const stream = uploader.stream(files(3))
        return [yield* Stream.runCount(stream), yield* Stream.runCount(stream)]
      }))
      assert.deepStrictEqual(value, [3, 3])
    }))

  it.effect("interrupts what it started when it is left", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, options)
        const left = yield* leftRunning(Effect.map(
          Stream.runCollect(Stream.take(uploader.stream(files(50)), 3)),
          (results) => assert.strictEqual(results.length, 3)
        ))
        return { left, inUse: yield* uploader.limits.inUse, inFlight: recording.inFlight() }
      }))
      assert.deepStrictEqual(value, { left: 0, inUse: 0, inFlight: 0 })
      assert.isBelow(recording.starts.length, 10)
    }))

  it.effect("uploads no faster than it is read", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(1))
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, options)
        yield* Stream.runDrain(
          Stream.tap(Stream.take(uploader.stream(files(2_000)), 10), () => Effect.sleep("1 minute"))
        )
      }))
      assert.isBelow(recording.starts.length, 600)
    }))

  it.effect("fails with the error of the list, after the results of all files before it", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(5)), options)
        const seen: Array<string> = []
        const exit = yield* Effect.exit(Stream.runForEach(
          uploader.stream(Stream.concat(Stream.fromIterable(files(3)), Stream.fail("no more"))),
          (result) => Effect.sync(() => seen.push(Recording.summary(result)))
        ))
        return { seen: seen.toSorted(), exit }
      }))
      assert.deepStrictEqual(value, { seen: ["Uploaded f0", "Uploaded f1", "Uploaded f2"], exit: Exit.fail("no more") })
    }))

  it.effect("fails with the error of a callback", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(5)), options)
        return yield* Effect.exit(Stream.runDrain(
          uploader.stream(files(30), {
            onResult: ({ file }) => file.key === "f3" ? Effect.fail("refused") : Effect.void
          })
        ))
      }))
      assert.deepStrictEqual(value, Exit.fail("refused"))
    }))
})
