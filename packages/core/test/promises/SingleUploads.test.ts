/**
 * One file by itself is an Effect like any other: it answers with a value, whatever an earlier process has done.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  ByteSource,
  Destination,
  Journal,
  RetryPolicy,
  Strategy,
  Uploader,
  UploadError,
  UploadFile,
  UploadMetrics
} from "@sluice/core"
import type { UploadResult } from "@sluice/core"
import { Deferred, Effect, Exit, Fiber, Layer, Metric, Scope, Stream } from "effect"
import * as EngineLimits from "../../src/internal/limits/engineLimits.js"
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

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

const retry = RetryPolicy.make({ attempts: 3, jitter: "none", base: "1 second" })

describe("an upload without a run", () => {
  it.effect("tells its events, and has one round of attempts", () =>
    Effect.gen(function*() {
      const recording = Recording.make(() => Effect.fail(broken))
      const events: Array<Recording.Entry> = []
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { retry })
        return yield* Effect.flip(uploader.upload(UploadFile.fromText("a", "a"), {
          onEvent: (event) => Effect.sync(() => events.push(Recording.told(event)))
        }))
      }))
      assert.deepStrictEqual([value._tag, value.message], [broken._tag, broken.message])
      assert.deepStrictEqual(recording.starts, [0, 1_000, 3_000])
      assert.deepStrictEqual(events, [
        [0, "started a #1"],
        [0, "retrying a #1 of 3 after 1000"],
        [1_000, "started a #2"],
        [1_000, "retrying a #2 of 3 after 2000"],
        [3_000, "started a #3"],
        [3_000, "Failed a #3"]
      ])
    }))

  it.effect("fails its attempt when it stalls, at its own time, and interrupts nothing else", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) => attempt === 1 ? Effect.never : body.bytes)
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { retry })
        const child = yield* Effect.fork(Effect.as(Effect.sleep("1 hour"), "child"))
        const one = yield* uploader.upload(UploadFile.fromText("a", "a"), { stallTimeout: "7 seconds" })
        return [tagged(one), one._tag === "Uploaded" && one.attempts, yield* Fiber.join(child)]
      }))
      assert.deepStrictEqual(value, ["Uploaded a", 2, "child"])
      assert.deepStrictEqual(recording.history, [
        [0, "put a"],
        [7_000, "interrupted a"],
        [8_000, "put a"],
        [8_000, "stored a"]
      ])
    }))

  it.effect("is watched for stalls again after a while in which there was none", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        key === "b" && attempt === 1 ? Effect.never : body.bytes
      )
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { retry })
        yield* uploader.upload(UploadFile.fromText("a", "a"))
        yield* Effect.sleep("5 minutes")
        yield* uploader.upload(UploadFile.fromText("b", "b"))
      }))
      assert.deepStrictEqual(recording.history.slice(2), [
        [300_000, "put b"],
        [330_000, "interrupted b"],
        [331_000, "put b"],
        [331_000, "stored b"]
      ])
    }))

  it.effect("holds a permit of the uploader's, together with all others, and gives it back when it is interrupted", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(1_000))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 2 }) })
        const listed = yield* Effect.fork(
          uploader.uploadAll(["l1", "l2", "l3"].map((key) => UploadFile.fromText(key, key)))
        )
        const singles = yield* Effect.fork(Effect.forEach(files, uploader.upload, { concurrency: "unbounded" }))
        yield* Effect.sleep(1_500)
        yield* Fiber.interrupt(singles)
        yield* Fiber.join(listed)
        const { inFlight } = EngineLimits.of(uploader.limits)
        return [inFlight.taken, inFlight.waiting]
      }))
      assert.deepStrictEqual(value, [0, 0])
      assert.strictEqual(recording.peak(), 2)
      assert.strictEqual(recording.inFlight(), 0)
      assert.includeMembers(Array.from(recording.objects.keys()), ["l1", "l2", "l3"])
    }))

  it.effect("counts in the metrics of its caller", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const tag = { key: "test", value: "single" } as const
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        yield* Effect.tagMetrics(uploader.upload(UploadFile.fromText("a", "12345")), tag.key, tag.value)
      }))
      const tagMetric = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>) =>
        Metric.value(Metric.tagged(metric, tag.key, tag.value))
      const uploads = yield* tagMetric(UploadMetrics.uploads.Uploaded)
      const bytes = yield* tagMetric(UploadMetrics.uploadedBytes)
      const inFlight = yield* tagMetric(UploadMetrics.inFlight)
      assert.deepStrictEqual([Number(uploads.count), Number(bytes.count), Number(inFlight.value)], [1, 5, 0])
    }))

  it.effect("dies of what its callback dies of", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const exit = yield* Effect.exit(
          uploader.upload(UploadFile.fromText("a", "a"), { onEvent: () => Effect.die("boom") })
        )
        return [exit, yield* uploader.limits.inUse]
      }))
      assert.deepStrictEqual(value, [Exit.die("boom"), 0])
    }))

  it.effect("is watched for stalls after a long backoff, too", () =>
    Effect.gen(function*() {
      const throttled = new UploadError.Throttled({ detail: "later", retryAfterMillis: 60_000 })
      const recording = Recording.make(({ attempt, body }) =>
        attempt === 1 ? Effect.fail(throttled) : attempt === 2 ? Effect.never : body.bytes
      )
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { retry })
        return tagged(yield* uploader.upload(UploadFile.fromText("a", "a")))
      }))
      assert.strictEqual(value, "Uploaded a")
      assert.deepStrictEqual(recording.starts.slice(0, 2), [0, 60_000])
      assert.deepStrictEqual(recording.history[3], [90_000, "interrupted a"])
    }))

  for (const where of ["in a finalizer of the uploader's own scope", "after the uploader is closed"]) {
    it.effect(`is watched for stalls ${where}`, () =>
      Effect.gen(function*() {
        const recording = Recording.make(() => Effect.never)
        const make = Recording.uploader(recording, { retry: RetryPolicy.none })
        const upload = (uploader: Uploader.Uploader["Type"]) =>
          Effect.exit(uploader.upload(UploadFile.fromText("a", "a")))
        yield* Recording.virtual(
          where.startsWith("after")
            ? Effect.flatMap(Effect.scoped(make), upload)
            : Effect.scoped(Effect.flatMap(make, (uploader) => Effect.addFinalizer(() => upload(uploader))))
        )
        assert.deepStrictEqual(recording.history, [[0, "put a"], [30_000, "interrupted a"]])
      }))
  }

  it.effect("lets go of its source when it is interrupted before it began", () =>
    Effect.gen(function*() {
      let abandoned = 0
      const source = ByteSource.fromStream(Stream.make(new Uint8Array(3)), {
        onAbandon: Effect.sync(() => {
          abandoned += 1
        })
      })
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(() => Effect.never), {
          strategy: Strategy.workerPool({ workers: 1 })
        })
        yield* Effect.forkScoped(uploader.upload(UploadFile.fromText("first", "a")))
        yield* Effect.sleep(10)
        const waiting = yield* Effect.fork(uploader.upload(UploadFile.make("second", source)))
        yield* Effect.sleep(10)
        yield* Fiber.interrupt(waiting)
        assert.strictEqual(EngineLimits.of(uploader.limits).inFlight.waiting, 0)
      }))
      assert.strictEqual(abandoned, 1)
    }))

  it.effect("is remembered by the journal while another one is in flight when the uploader closes", () =>
    Effect.gen(function*() {
      const recording = PartsRecordings.make()
      const memory = yield* LargeRun.memoryJournal
      const log: Array<string> = []
      const journal: Journal.Journal["Type"] = {
        ...memory,
        finished: (file) => {
          log.push(file.key)
          memory.finished(file)
        },
        runEnded: Effect.zipRight(Effect.sync(() => log.push("run ended")), memory.runEnded)
      }
      yield* Recording.virtual(Effect.gen(function*() {
        const slow = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
        yield* process(recording, journal, (uploader) =>
          Effect.gen(function*() {
            yield* uploader.upload(files[0]!)
            yield* Deferred.succeed(slow, yield* Effect.forkDaemon(uploader.upload(files[1]!)))
            yield* Effect.yieldNow()
          }))
        yield* Effect.flatMap(Deferred.await(slow), Fiber.await)
      }))
      assert.deepStrictEqual(log, ["a", "b"])
    }))
})
