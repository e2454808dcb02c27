import { assert, describe, it } from "@effect/vitest"
import { Destination, Strategy, Uploader, UploadError, UploadFile, UploadResult } from "@sluice/core"
import type { UploadRun } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Cause, Chunk, Effect, Exit, Fiber, Layer, Stream } from "effect"
import * as Recording from "./support/Recording.js"
import { files } from "./support/UploadedFiles.js"

const conflict = new UploadError.Conflict({ detail: "It is there." })

const script = ({ key }: UploadFile.UploadFile) =>
  key === "f1"
    ? Effect.fail(conflict)
    : key === "f2"
    ? Effect.succeed(UploadResult.skipped(key, "not today"))
    : Effect.void

const provided = Effect.provide(Uploader.layerTest({ upload: script }))

const keys = Effect.flatMap(Uploader.TestUploads, ({ files }) => Effect.map(files, (all) => all.map(({ key }) => key)))

describe("Uploader.layerTest", () => {
  it.effect("answers as its script says, and keeps the files that it was given", () =>
    Effect.gen(function*() {
      const { upload } = yield* Uploader.Uploader
      const exits = yield* Effect.forEach(files(3), (file) => Effect.exit(upload(file)))
      assert.deepStrictEqual(
        exits.map((exit) => Exit.match(exit, { onSuccess: ({ _tag }) => _tag, onFailure: (cause) => cause })),
        ["Uploaded", Cause.fail(conflict), "Skipped"]
      )
      assert.deepStrictEqual(yield* keys, ["f0", "f1", "f2"])
    }).pipe(provided))

  it.effect("uploads everything if there is no script", () =>
    Effect.gen(function*() {
      const { uploadAll } = yield* Uploader.Uploader
      const report = yield* uploadAll(files(3))
      assert.deepStrictEqual([report.ended, report.files.uploaded, report.bytes.uploaded], ["Completed", 3, 3])
    }).pipe(Effect.provide(Uploader.layerTest())))

  it.effect("takes lists of every kind, in order, and reports what the uploader would report", () =>
    Effect.gen(function*() {
      const uploader = yield* Uploader.Uploader
      async function* later() {
        yield* files(4)
      }
      for (const list of [files(4), new Set(files(4)), later(), Stream.fromIterable(files(4))]) {
        const told: Array<string> = []
        const report = yield* uploader.uploadAll(list, {
          onResult: ({ _tag, file }) => Effect.sync(() => told.push(`${_tag} ${file.key}`)),
          onEvent: (event) => Effect.sync(() => told.push(event._tag))
        })
        assert.deepStrictEqual(
          told,
          ["Uploaded f0", "Failed f1", "Skipped f2", "Uploaded f3"].flatMap((result) => [
            "UploadFinished",
            result
          ])
        )
        const recording = Recording.make(({ body, key }) => key === "f1" ? Effect.fail(conflict) : body.bytes)
        const skipped = UploadResult.skipped("f2", "not today")
        const real = yield* Recording.uploadAll(recording, [...files(2), skipped, files(4)[3]!], {
          strategy: Strategy.workerPool({ workers: 1 })
        })
        assert.deepStrictEqual(
          { ...report, durationMillis: 0, bytes: 0 },
          { ...real.report, durationMillis: 0, bytes: 0 }
        )
      }
    }).pipe(provided))

  it.effect("fails with the list's own failure, and with what its author throws", () =>
    Effect.gen(function*() {
      const uploader = yield* Uploader.Uploader
      const list = Stream.concat(Stream.fromIterable(files(1)), Stream.fail("no more"))
      assert.deepStrictEqual(yield* Effect.exit(uploader.uploadAll(list)), Exit.fail("no more"))
      assert.deepStrictEqual(yield* keys, ["f0"])
    }).pipe(provided))

  it.effect("gives all results and events, whenever they are read, and the final progress", () =>
    Effect.scoped(Effect.gen(function*() {
      const uploader = yield* Uploader.Uploader
      const run: UploadRun.UploadRun = yield* uploader.start(files(4))
      yield* run.report
      const results = Chunk.toReadonlyArray(yield* Stream.runCollect(run.results))
      assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["Uploaded", "Failed", "Skipped", "Uploaded"])
      assert.strictEqual(yield* Stream.runCount(run.events), 4)
      const [progress] = Chunk.toReadonlyArray(yield* Stream.runCollect(run.progress))
      assert.deepStrictEqual(
        [progress!.listing, progress!.filesFound, progress!.filesUploaded, progress!.filesFailed],
        [false, 4, 2, 1]
      )
    })).pipe(provided))

  it.effect("can be paused, drained and interrupted", () =>
    Effect.gen(function*() {
      const endings = {
        Completed: (run: UploadRun.UploadRun) => run.resume,
        Drained: (run: UploadRun.UploadRun) => run.drain,
        Interrupted: (run: UploadRun.UploadRun) => run.interrupt
      }
      for (const [ended, end] of Object.entries(endings)) {
        yield* Effect.scoped(Effect.gen(function*() {
          const uploader = yield* Uploader.Uploader
          const run = yield* uploader.start(files(3), { paused: true })
          yield* Effect.repeatN(Effect.yieldNow(), 100)
          yield* end(run)
          const report = yield* run.report
          assert.deepStrictEqual([report.ended, report.files.notStarted], [ended, ended === "Completed" ? 0 : 3])
        }))
      }
    }).pipe(Effect.provide(Uploader.layerTest())))

  it.effect("interrupts its script with its caller", () =>
    Effect.gen(function*() {
      const { uploadAll } = yield* Uploader.Uploader
      const fiber = yield* Effect.fork(uploadAll(files(2)))
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.deepStrictEqual(yield* keys, ["f0"])
    }).pipe(Effect.provide(Uploader.layerTest({ upload: () => Effect.never }))))
})

describe("Uploader.Tag", () => {
  class Avatars extends Uploader.Tag("Avatars")<Avatars>() {}
  class Exports extends Uploader.Tag("Exports")<Exports>() {}

  it.effect("makes uploaders that each have their own destination and limits", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* Simulated.make({ observe: true }), yield* Simulated.make({ observe: true })]
      const layer = ({ destination }: typeof first) => Layer.succeed(Destination.Destination, destination)
      yield* Effect.gen(function*() {
        const avatars = yield* Avatars
        const exports = yield* Exports
        yield* avatars.upload(UploadFile.fromText("a", "a"))
        yield* exports.upload(UploadFile.fromText("b", "b"))
        assert.deepStrictEqual(
          [(yield* avatars.limits.current).concurrency, (yield* exports.limits.current).concurrency],
          [2, 3]
        )
      }).pipe(Effect.provide(Layer.merge(
        Layer.provide(Avatars.layer({ strategy: Strategy.workerPool({ workers: 2 }) }), layer(first)),
        Layer.provide(Exports.layer({ strategy: Strategy.workerPool({ workers: 3 }) }), layer(second))
      )))
      assert.deepStrictEqual([first, second].map(({ network }) => Array.from(network.objects.keys())), [["a"], ["b"]])
    }))

  it.effect("has its own layer for tests", () =>
    Effect.gen(function*() {
      yield* (yield* Avatars).upload(UploadFile.fromText("a", "a"))
      assert.deepStrictEqual(yield* keys, ["a"])
    }).pipe(Effect.provide(Avatars.layerTest())))
})
