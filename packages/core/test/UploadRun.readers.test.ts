import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, Progress, RetryPolicy, Strategy, UploadFile } from "@sluice/core"
import type { Uploader, UploadEvent, UploadList, UploadResult, UploadRun } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Cause, Chunk, Clock, Duration, Effect, Exit, Fiber, Option, Schedule, Stream } from "effect"
import * as EngineLimits from "../src/internal/limits/engineLimits.js"
import * as Recording from "./support/Recording.js"
import { broken, files, keysOf, leftRunning, one } from "./support/RunFiles.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

describe("progress", () => {
  /** All samples of a run, one every millisecond, and its report. */
  const samples = (
    recording: Recording.Recording,
    list: UploadList.UploadList,
    options: Uploader.Options = {}
  ) =>
    Recording.virtual(Effect.gen(function*() {
      const uploader = yield* Recording.uploader(recording, options)
      const run = yield* uploader.start(list, { progressInterval: 1 })
      const progress = Chunk.toReadonlyArray(yield* Stream.runCollect(run.progress))
      const final = yield* run.currentProgress
      assert.deepStrictEqual(progress.at(-1), final)
      const report = yield* run.report
      // Never backwards in acknowledged bytes and in files, never above the whole.
      progress.forEach((sample, i) => {
        const before = progress[i - 1] ?? sample
        assert.isAtLeast(sample.bytesUploaded, before.bytesUploaded)
        assert.isAtLeast(Progress.filesFinished(sample), Progress.filesFinished(before))
        assert.isAtMost(Option.getOrElse(Progress.fraction(sample), () => 0), 1)
        if (!sample.listing && sample.bytesFound > 0) {
          assert.isAtMost(sample.bytesUploaded + sample.bytesInFlight, sample.bytesFound)
        }
      })
      const fractions = progress.map((sample) => Option.getOrUndefined(Progress.fraction(sample)))
      return { progress, final, report, fractions }
    })).pipe(Effect.map(({ value }) => value))

  it.effect("ends at exactly 1, and is 1 only then", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body }) =>
        Stream.runForEach(body.stream({ blockSize: 1 }), () => Effect.sleep(1))
      )
      const { final, fractions } = yield* samples(recording, files(10), {
        strategy: Strategy.workerPool({ workers: 2 })
      })
      assert.strictEqual(fractions.at(-1), 1)
      assert.isTrue(fractions.slice(0, -1).every((fraction) => fraction! < 1))
      assert.isAbove(new Set(fractions).size, 40)
      assert.deepStrictEqual([final.bytesFound, final.bytesUploaded, final.bytesInFlight], [100, 100, 0])
    }))

  it.effect("is right for zero-byte files and for an empty list", () =>
    Effect.gen(function*() {
      const empty = Array.from({ length: 4 }, (_, i) => UploadFile.fromText(`e${i}`, ""))
      const { fractions } = yield* samples(Recording.make(Recording.takeAfter(10)), empty, { strategy: one })
      assert.deepStrictEqual(Array.from(new Set(fractions)), [0, 0.25, 0.5, 0.75, 1])
      const nothing = yield* samples(Recording.make(), [])
      assert.deepStrictEqual(nothing.fractions, [1])
      const noStream = yield* samples(Recording.make(), Stream.empty)
      assert.strictEqual(noStream.fractions.at(-1), 1)
    }))

  it.effect("takes back what a failed attempt has sent, and counts nothing twice", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) =>
        Stream.runForEach(body.stream({ blockSize: 2 }), () => Effect.sleep(3)).pipe(
          Effect.zipRight(attempt < 4 ? Effect.fail(broken) : Effect.void)
        )
      )
      const { final, fractions, progress, report } = yield* samples(recording, files(3), {
        retry: RetryPolicy.make({ base: 5, jitter: "none" })
      })
      assert.strictEqual(fractions.at(-1), 1)
      assert.deepStrictEqual([final.bytesUploaded, final.bytesFound, final.retries, report.retries], [30, 30, 9, 9])
      // Bytes on their way went back to nothing three times, while three files backed off.
      const backwards = progress.filter((sample, i) => i > 0 && sample.bytesInFlight < progress[i - 1]!.bytesInFlight)
      assert.strictEqual(backwards.length, 4)
      assert.isTrue(progress.some(({ bytesInFlight, inFlight }) => inFlight === 0 && bytesInFlight === 0))
    }))

  it.effect("finds the bytes of files of unknown size while they are sent", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) =>
        Stream.runForEach(body.stream(), () => Effect.sleep(3)).pipe(
          Effect.zipRight(attempt === 1 ? Effect.fail(broken) : Effect.void)
        )
      )
      const bytes = ByteSource.fromText("0123456789")
      const unknown = { key: "unknown", size: undefined, source: { ...bytes, size: undefined } }
      const { final, fractions, progress } = yield* samples(recording, [...files(1), unknown], {
        retry: RetryPolicy.make({ base: 5, jitter: "none" })
      })
      // The share is unknown for as long as the size is: until the file has a result, at its second attempt.
      assert.deepStrictEqual(
        progress.map(({ filesOfUnknownSize }, i) => [filesOfUnknownSize, fractions[i] === undefined]),
        progress.map(({ filesUploaded }) => filesUploaded === 2 ? [0, false] : [1, true])
      )
      assert.strictEqual(fractions.at(-1), 1)
      assert.deepStrictEqual([final.bytesFound, final.bytesUploaded], [20, 20])
    }))

  it.effect("is not 1 when a file has failed or was not begun", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body, key }) => key === "f1" ? Effect.fail(broken) : body.bytes)
      const { final, fractions } = yield* samples(recording, files(3), { retry: RetryPolicy.none })
      assert.isBelow(fractions.at(-1)!, 1)
      assert.deepStrictEqual([final.filesUploaded, final.filesFailed], [2, 1])
    }))

  it.effect("is looked at as often as asked, and at the end", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(250)))
        const run = yield* uploader.start(files(1))
        return yield* Stream.runCollect(
          Stream.mapEffect(run.progress, ({ filesUploaded }) =>
            Effect.map(Clock.currentTimeMillis, (now) => [now, filesUploaded]))
        )
      }))
      assert.deepStrictEqual(Chunk.toReadonlyArray(value), [[100, 0], [200, 0], [250, 1]])
    }))
})

describe("readers", () => {
  it.effect("that are slow slow the run, and see everything", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const seen: Array<UploadResult.UploadResult> = []
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const run = yield* uploader.start(files(2_000), { paused: true })
        const reader = yield* Effect.fork(
          Stream.runForEach(run.results, (result) =>
            Effect.zipRight(Effect.sleep(1), Effect.sync(() => seen.push(result))))
        )
        yield* Effect.sleep(1)
        yield* run.resume
        let ahead = 0
        yield* Effect.repeat(
          Effect.sync(() => {
            ahead = Math.max(ahead, recording.objects.size - seen.length)
          }),
          {
            schedule: Schedule.spaced(5),
            until: () =>
              seen.length === 2_000
          }
        )
        yield* Fiber.join(reader)
        return { ahead, report: yield* run.report }
      }))
      assert.deepStrictEqual(keysOf(seen).sort(), files(2_000).map(({ key }) => `Uploaded ${key}`).sort())
      // What the broadcast holds, what the reader's stream holds, and one for each worker.
      assert.isAtMost(value.ahead, 600)
      assert.strictEqual(value.report.files.uploaded, 2_000)
    }))

  it.effect("that leave do not hold the run up", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const run = yield* uploader.start(files(2_000), { paused: true })
        const reader = yield* Effect.fork(Stream.runCollect(Stream.take(run.results, 3)))
        const stuck = yield* Effect.fork(Stream.runForEach(run.events, () => Effect.never))
        yield* Effect.sleep(1)
        yield* run.resume
        const few = yield* Fiber.join(reader)
        yield* Effect.sleep(100)
        assert.isBelow(recording.objects.size, 1_000)
        yield* Fiber.interrupt(stuck)
        return [Chunk.size(few), (yield* run.report).files.uploaded]
      }))
      assert.deepStrictEqual(value, [3, 2_000])
    }))

  it.effect("come to their end with the run, however it ends", () =>
    Effect.gen(function*() {
      for (const end of ["complete", "drain", "interrupt", "scope"] as const) {
        const recording = Recording.make(Recording.takeAfter(100))
        const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 16 }) })
          const readers = yield* Effect.scoped(Effect.gen(function*() {
            const run = yield* uploader.start(files(20))
            const readers = yield* Effect.all([
              Effect.forkDaemon(Stream.runCount(run.results)),
              Effect.forkDaemon(Stream.runCount(run.events)),
              Effect.forkDaemon(Stream.runCount(run.progress))
            ])
            yield* Effect.sleep(50)
            if (end === "complete") yield* run.report
            else if (end !== "scope") yield* run[end]
            if (end === "drain") yield* run.report
            return readers
          }))
          return yield* Fiber.join(Fiber.all(readers))
        }))
        const ended = end === "complete" ? 200 : end === "drain" ? 100 : 50
        assert.strictEqual(millis, ended)
        assert.strictEqual(value[0], end === "complete" ? 20 : 16)
      }
    }))

  it.effect("of an interrupted run see every result that they have room for", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 16 }) })
        const run = yield* uploader.start(files(200), { paused: true })
        const reader = yield* Effect.fork(Stream.runCollect(Stream.tap(run.results, () => Effect.sleep(5))))
        yield* Effect.sleep(1)
        yield* run.resume
        yield* Effect.sleep(64)
        yield* run.interrupt
        const { files: counts } = yield* run.report
        return { seen: keysOf(Chunk.toReadonlyArray(yield* Fiber.join(reader))), counts }
      }))
      assert.strictEqual(value.seen.length, value.counts.uploaded + value.counts.interrupted)
      assert.deepStrictEqual([value.counts.uploaded, value.counts.interrupted], [96, 16])
    }))
})

describe("a callback", () => {
  it.effect("is waited for", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { millis } = yield* Recording.uploadAll(recording, files(3), {
        strategy: one,
        run: { onResult: () => Effect.sleep(10), onEvent: () => Effect.sleep(1) }
      })
      // ListingFinished, and for each file two events and a result.
      assert.strictEqual(millis, 1 + 3 * 12)
    }))

  const dying = (when: (event: UploadEvent.UploadEvent) => boolean) => (event: UploadEvent.UploadEvent) =>
    when(event) ? Effect.die("boom") : Effect.void

  const cases: ReadonlyArray<
    readonly [name: string, list: () => UploadList.UploadList, options: UploadRun.Options, millis: number]
  > = [
    ["onEvent of a start", () => files(20), { onEvent: dying((event) => event._tag === "UploadStarted") }, 0],
    ["onEvent of a result", () => files(20), { onEvent: dying((event) => event._tag === "UploadFinished") }, 10],
    [
      "onEvent of a retry",
      () => files(20),
      { onEvent: dying((event) => event._tag === "UploadRetrying") },
      10
    ],
    ["onEvent of a deferral", () => files(20), { onEvent: dying((event) => event._tag === "UploadDeferred") }, 10],
    ["onEvent of anything", () => files(20).values(), { onEvent: () => Effect.die("boom") }, 0],
    [
      "onEvent of a result or a change",
      () => files(20),
      { onEvent: dying(({ _tag }) => _tag === "UploadFinished" || _tag === "RunChanged") },
      10
    ],
    [
      "onEvent of a stream's end",
      () => Stream.fromIterable(files(2)),
      { onEvent: dying((event) => event._tag === "ListingFinished") },
      0
    ],
    [
      "onEvent of an iterable's end",
      () => files(2).values(),
      { onEvent: dying((event) => event._tag === "ListingFinished") },
      0
    ],
    ["onResult", () => files(20), { onResult: () => Effect.die("boom") }, 10]
  ]

  for (const [name, list, options, ended] of cases) {
    it.effect(`that dies ends the run with its defect and leaves nothing behind: ${name}`, () =>
      Effect.gen(function*() {
        // One ends at once, one fails and is deferred, one fails and backs off, the others take their time.
        const recording = Recording.make(({ attempt, body, key }) =>
          key === "f1" || key === "f2" && attempt === 1
            ? Effect.zipRight(Effect.sleep(10), Effect.fail(broken))
            : Recording.takeAfter(key === "f0" ? 10 : 100)({ body })
        )
        const { value } = yield* VirtualClock.run(leftRunning(Effect.scoped(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording, {
            strategy: Strategy.workerPool({ workers: 4 }),
            retry: name.includes("deferral")
              ? RetryPolicy.make({ attempts: 1 })
              : RetryPolicy.make({ attempts: 2, base: 20, jitter: "none" })
          })
          const run = yield* uploader.start(list(), { ...options, stallTimeout: Duration.infinity })
          const readers = yield* Effect.fork(
            Effect.all([Stream.runDrain(run.events), Stream.runDrain(run.results)], { concurrency: "unbounded" })
          )
          const exit = yield* Effect.exit(run.report)
          assert.deepStrictEqual(
            Exit.isFailure(exit) && Chunk.toReadonlyArray(Cause.defects(exit.cause)),
            ["boom"]
          )
          assert.strictEqual(yield* Clock.currentTimeMillis, ended)
          assert.deepStrictEqual([
            EngineLimits.of(uploader.limits).inFlight.taken,
            EngineLimits.of(uploader.limits).inFlight.waiting
          ], [0, 0])
          assert.strictEqual(recording.inFlight(), 0)
          yield* Fiber.join(readers)
        }))))
        assert.strictEqual(value, 0, "fibers left running")
      }))
  }

  it.effect("that dies of the end of an interrupted run does not hold it up", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const run = yield* uploader.start(files(2), {
          stallTimeout: Duration.infinity,
          onEvent: dying((event) => event._tag === "UploadFinished" && event.outcome === "Interrupted")
        })
        yield* Effect.sleep(10)
        yield* run.interrupt
        return yield* Effect.exit(run.report)
      }))
      assert.isTrue(Exit.isFailure(value) && Cause.isDie(value.cause))
      assert.strictEqual(millis, 10)
      assert.strictEqual(recording.inFlight(), 0)
    }))

  it.effect("that dies of a result without a second round leaves nothing behind", () =>
    Effect.gen(function*() {
      const recording = Recording.make(() => Effect.fail(broken))
      const { value } = yield* VirtualClock.run(leftRunning(Effect.scoped(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { retry: RetryPolicy.make({ attempts: 1 }) })
        const run = yield* uploader.start(files(2), {
          stallTimeout: Duration.infinity,
          onEvent: dying((event) => event._tag === "UploadFinished")
        })
        const reader = yield* Effect.fork(Stream.runDrain(run.events))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(run.report)))
        yield* Fiber.join(reader)
      }))))
      assert.strictEqual(value, 0)
    }))

  it.effect("that dies of the last file ends the run before its second round", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body, key }) => key === "f1" ? Effect.fail(broken) : body.bytes)
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: one,
          retry: RetryPolicy.make({ attempts: 1 })
        })
        return yield* Effect.exit(
          uploader.uploadAll(files(2), { onEvent: dying((event) => event._tag === "UploadDeferred") })
        )
      }))
      assert.isTrue(Exit.isFailure(value))
      assert.deepStrictEqual(recording.history.map(([, event]) => event), [
        "put f0",
        "stored f0",
        "put f1",
        "Transient f1"
      ])
    }))
})
