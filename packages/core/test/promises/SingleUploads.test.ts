/**
 * One file by itself is an Effect like any other: it answers with a value, whatever an earlier process has done.
 */
import { assert, describe, it } from "@effect/vitest"
import { Destination, Journal, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { UploadError, UploadResult } from "@sluice/core"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import * as LargeRun from "../support/LargeRun.js"
import type { PartsRecording } from "../support/PartsRecording.js"
import * as PartsRecordings from "../support/PartsRecording.js"
import * as Recording from "../support/Recording.js"

const files = ["a", "b", "c"].map((key, i) => LargeRun.onDisk(key, 5, i))

const tagged = (result: UploadResult.Uploaded | UploadResult.Skipped): string => `${result._tag} ${result.file.key}`

/** A process: an uploader with a journal, whose scope ends as the process does. */
const process = <A>(
  recording: PartsRecording,
  journal: Journal.Journal["Type"],
  program: (uploader: Uploader.Uploader["Type"]) => Effect.Effect<A, UploadError.UploadError>,
  options: Uploader.Options = {}
): Effect.Effect<Exit.Exit<A, UploadError.UploadError>> =>
  Effect.exit(Effect.scoped(Effect.flatMap(
    Uploader.make({ strategy: Strategy.workerPool({ workers: 2 }), checksum: "none", ...options }),
    program
  ))).pipe(
    Effect.provide(Layer.merge(
      Layer.succeed(Destination.Destination, recording.destination),
      Layer.succeed(Journal.Journal, journal)
    ))
  )

/** A process that is killed: its scope never ends. */
const killed = <A>(
  recording: PartsRecording,
  journal: Journal.Journal["Type"],
  program: (uploader: Uploader.Uploader["Type"]) => Effect.Effect<A, UploadError.UploadError>,
  options: Uploader.Options = {}
): Effect.Effect<A, UploadError.UploadError> =>
  Effect.flatMap(
    Scope.make(),
    (scope) =>
      Effect.flatMap(Scope.extend(Uploader.make({ checksum: "none", ...options }), scope), program).pipe(
        Effect.provide(Layer.merge(
          Layer.succeed(Destination.Destination, recording.destination),
          Layer.succeed(Journal.Journal, journal)
        ))
      )
  )

const one = (uploader: Uploader.Uploader["Type"]) => Effect.map(uploader.upload(files[0]!), tagged)

const all = (uploader: Uploader.Uploader["Type"]) =>
  Effect.forEach(files, (file) => Effect.map(uploader.upload(file), tagged))

describe("upload", () => {
  it.effect("answers with `Skipped` for a file that an earlier process has uploaded", () =>
    Effect.gen(function*() {
      const recording = PartsRecordings.make()
      const journal = yield* LargeRun.memoryJournal
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const before = yield* killed(recording, journal, one)
        return [before, yield* process(recording, journal, one)]
      }))
      assert.deepStrictEqual(value, ["Uploaded a", Exit.succeed("Skipped a")])
    }))

  it.effect("does not forget what was uploaded before it in the same process", () =>
    Effect.gen(function*() {
      const recording = PartsRecordings.make()
      const journal = yield* LargeRun.memoryJournal
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        yield* killed(recording, journal, all)
        return yield* process(recording, journal, all)
      }))
      assert.deepStrictEqual(value, Exit.succeed(["Skipped a", "Skipped b", "Skipped c"]))
    }))

  it.effect("does not forget it because of a whole list that was uploaded in the meantime, either", () =>
    Effect.gen(function*() {
      const recording = PartsRecordings.make()
      const journal = yield* LargeRun.memoryJournal
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        yield* killed(
          recording,
          journal,
          (uploader) => Effect.zipRight(one(uploader), uploader.uploadAll([LargeRun.onDisk("list", 5)]))
        )
        return yield* process(recording, journal, all)
      }))
      assert.deepStrictEqual(value, Exit.succeed(["Skipped a", "Uploaded b", "Uploaded c"]))
    }))

  it.effect("is forgotten when the uploader closes normally, so that the next process uploads again", () =>
    Effect.gen(function*() {
      const recording = PartsRecordings.make()
      const journal = yield* LargeRun.memoryJournal
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        yield* process(recording, journal, all)
        return yield* process(recording, journal, all)
      }))
      assert.deepStrictEqual(value, Exit.succeed(["Uploaded a", "Uploaded b", "Uploaded c"]))
    }))

  const bad: Record<string, (uploader: Uploader.Uploader["Type"]) => Effect.Effect<unknown, UploadError.UploadError>> =
    {
      "one of its uploads failed": (uploader) =>
        Effect.zipRight(all(uploader), Effect.ignore(uploader.upload(UploadFile.fromText("../up", "")))),
      "one of its uploads was interrupted": (uploader) =>
        Effect.gen(function*() {
          yield* all(uploader)
          const late = yield* Effect.fork(uploader.upload(LargeRun.onDisk("late", 5)))
          yield* Effect.yieldNow()
          yield* Fiber.interrupt(late)
        }),
      "its scope ended with a failure": (uploader) => Effect.zipRight(all(uploader), Effect.die("boom"))
    }
  for (const [what, program] of Object.entries(bad)) {
    it.effect(`is remembered for the next process where ${what}`, () =>
      Effect.gen(function*() {
        const recording = PartsRecordings.make()
        const journal = yield* LargeRun.memoryJournal
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          yield* process(recording, journal, program)
          return yield* process(recording, journal, all)
        }))
        assert.deepStrictEqual(value, Exit.succeed(["Skipped a", "Skipped b", "Skipped c"]))
      }))
  }

  for (
    const [what, options] of [["in one request", {}], ["in parts", { multipartThreshold: 2, partSize: 2 }]] as const
  ) {
    it.effect(`sends again what somebody has replaced since, though it is of the same size: ${what}`, () =>
      Effect.gen(function*() {
        const recording = PartsRecordings.make({ headTells: "etag" })
        const journal = yield* LargeRun.memoryJournal
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          yield* killed(recording, journal, all, options)
          recording.objects.set("b", LargeRun.bytesOf(5, 77))
          return yield* process(recording, journal, all, options)
        }))
        assert.deepStrictEqual(value, Exit.succeed(["Skipped a", "Uploaded b", "Skipped c"]))
        assert.deepStrictEqual(recording.objects.get("b"), LargeRun.bytesOf(5, 1))
      }))
  }

  it.effect("is a value of a large file, too", () =>
    Effect.gen(function*() {
      const recording = PartsRecordings.make()
      const journal = yield* LargeRun.memoryJournal
      const film = LargeRun.onDisk("film", 100)
      const make = Uploader.make({ checksum: "none", multipartThreshold: 10, partSize: 10 }).pipe(
        Effect.provideService(Destination.Destination, recording.destination),
        Effect.provideService(Journal.Journal, journal)
      )
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const first = yield* make
        yield* first.upload(film)
        const second = yield* make
        return tagged(yield* second.upload(film))
      }))
      assert.strictEqual(value, "Skipped film")
    }))
})
