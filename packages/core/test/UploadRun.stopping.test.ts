import { assert, describe, it, vi } from "@effect/vitest"
import { RetryPolicy, Strategy, UploadError, UploadReport } from "@sluice/core"
import type { UploadEvent, UploadResult, UploadRun } from "@sluice/core"
import { Chunk, Clock, Deferred, Duration, Effect, Fiber, Stream } from "effect"
import * as EngineLimits from "../src/internal/limits/engineLimits.js"
import * as Interruptions from "./support/Interruptions.js"
import * as Recording from "./support/Recording.js"
import { broken, files, keysOf, one } from "./support/RunFiles.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

describe("a paused run", () => {
  it.effect("starts no more files, lets those in flight go on with their retries, and starts again", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        Effect.zipRight(Effect.sleep(100), key === "f1" && attempt === 1 ? Effect.fail(broken) : body.bytes)
      )
      const events: Array<UploadEvent.UploadEvent> = []
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.workerPool({ workers: 2 }),
          retry: RetryPolicy.make({ base: 50, jitter: "none" })
        })
        const run = yield* uploader.start(files(4), { onEvent: (event) => Effect.sync(() => events.push(event)) })
        yield* Effect.sleep(30)
        yield* run.pause
        yield* run.pause
        yield* Effect.sleep(1_000)
        yield* run.resume
        yield* run.report
      }))
      assert.deepStrictEqual(events.map(Recording.told), [
        [0, "listed 4"],
        [0, "started f0 #1"],
        [0, "started f1 #1"],
        [30, "Paused"],
        [100, "Uploaded f0 #1"],
        [100, "retrying f1 #1 of 5 after 50"],
        [150, "started f1 #2"],
        [250, "Uploaded f1 #2"],
        [1_030, "Running"],
        [1_030, "started f2 #1"],
        [1_030, "started f3 #1"],
        [1_130, "Uploaded f2 #1"],
        [1_130, "Uploaded f3 #1"]
      ])
    }))

  it.effect("holds no permit: another run goes on", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: one })
        const first = yield* uploader.start(files(5, "a"))
        yield* Effect.sleep(15)
        yield* first.pause
        const report = yield* uploader.uploadAll(files(5, "b"))
        assert.strictEqual(report.files.uploaded, 5)
        assert.strictEqual(yield* Clock.currentTimeMillis, 70)
        yield* first.resume
        yield* first.report
      }))
      assert.deepStrictEqual(recording.starts, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90])
    }))

  it.effect("that starts paused gives readers every event and every result", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: one })
        const run = yield* uploader.start(files(2), { paused: true })
        const results = yield* Effect.fork(Stream.runCollect(run.results))
        const events = yield* Effect.fork(Stream.runCollect(run.events))
        const late = yield* Effect.fork(Effect.delay(Stream.runCollect(run.results), 5))
        yield* Effect.sleep(100)
        assert.deepStrictEqual(recording.history, [])
        yield* run.resume
        yield* run.report
        return {
          results: keysOf(Chunk.toReadonlyArray(yield* Fiber.join(results))),
          late: keysOf(Chunk.toReadonlyArray(yield* Fiber.join(late))),
          events: Chunk.toReadonlyArray(yield* Fiber.join(events)).map(Recording.told),
          afterwards: yield* Stream.runCount(run.results)
        }
      }))
      assert.deepStrictEqual(value, {
        results: ["Uploaded f0", "Uploaded f1"],
        late: ["Uploaded f0", "Uploaded f1"],
        events: [
          [100, "Running"],
          [100, "started f0 #1"],
          [100, "Uploaded f0 #1"],
          [100, "started f1 #1"],
          [100, "Uploaded f1 #1"]
        ],
        afterwards: 0
      })
    }))

  it.effect("can be drained, and interrupted", () =>
    Effect.gen(function*() {
      for (const [verb, ended] of [["drain", "Drained"], ["interrupt", "Interrupted"]] as const) {
        const recording = Recording.make()
        const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording)
          const run = yield* uploader.start(files(3), { paused: true })
          const readers = yield* Effect.fork(
            Effect.all([Stream.runCount(run.results), Stream.runCount(run.events), Stream.runDrain(run.progress)], {
              concurrency: "unbounded"
            })
          )
          yield* Effect.sleep(10)
          yield* run[verb]
          yield* run.resume
          assert.deepStrictEqual(yield* Fiber.join(readers), [0, 1, undefined])
          return yield* run.report
        }))
        assert.deepStrictEqual([value.ended, value.files.notStarted, millis], [ended, 3, 10])
        assert.deepStrictEqual(recording.history, [])
      }
    }))
})

describe("a drained run", () => {
  it.effect("takes no more files and lets those that were begun come to their end, retries included", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        Effect.zipRight(Effect.sleep(100), key === "f0" && attempt === 1 ? Effect.fail(broken) : body.bytes)
      )
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.workerPool({ workers: 2 }),
          retry: RetryPolicy.make({ base: 50, jitter: "none" })
        })
        const run = yield* uploader.start(files(10))
        yield* Effect.sleep(120)
        yield* run.drain
        return yield* run.report
      }))
      assert.deepStrictEqual(recording.history, [
        [0, "put f0"],
        [0, "put f1"],
        [100, "Transient f0"],
        [100, "put f2"],
        [100, "stored f1"],
        [100, "put f3"],
        [200, "stored f2"],
        [200, "put f0"],
        [200, "stored f3"],
        [300, "stored f0"]
      ])
      assert.deepStrictEqual([value.ended, value.files.uploaded, value.files.notStarted], ["Drained", 4, 6])
      assert.isFalse(UploadReport.isComplete(value))
    }))

  it.effect("does not wait for a list that has nothing to say", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const run = yield* uploader.start(Stream.concat(Stream.fromIterable(files(3)), Stream.never))
        yield* Effect.sleep(100)
        yield* run.drain
        return yield* run.report
      }))
      assert.deepStrictEqual([value.ended, value.files.uploaded, millis], ["Drained", 3, 100])
    }))

  it.effect("gives files that have failed no second round", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body, key }) =>
        key === "f1" ? Effect.fail(broken) : Recording.takeAfter(100)({ body })
      )
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.workerPool({ workers: 2 }),
          retry: RetryPolicy.make({ attempts: 1 })
        })
        const run = yield* uploader.start(files(4))
        yield* Effect.sleep(50)
        yield* run.drain
        return yield* run.report
      }))
      assert.deepStrictEqual(value.files, {
        total: 4,
        uploaded: 2,
        skipped: 0,
        failed: 1,
        interrupted: 0,
        notStarted: 1
      })
      assert.deepStrictEqual(value.failures.map(({ key }) => key), ["f1"])
    }))

  it.effect("can be interrupted still, but not resumed", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const states: Array<string> = []
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: one })
        const run = yield* uploader.start(files(3), {
          onEvent: (event) => Effect.sync(() => event._tag === "RunChanged" && states.push(event.state))
        })
        yield* Effect.sleep(10)
        yield* run.drain
        yield* run.pause
        yield* run.resume
        yield* Effect.sleep(10)
        yield* run.interrupt
        return yield* run.report
      }))
      assert.deepStrictEqual(states, ["Draining", "Interrupting"])
      assert.deepStrictEqual([value.ended, value.files.interrupted, millis], ["Interrupted", 1, 20])
    }))
})

describe("an interrupted run", () => {
  it.effect("ends at once, with a result for every file that was begun", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body, key }) =>
        key === "f1" ? Effect.fail(broken) : Recording.takeAfter(100)({ body })
      )
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.workerPool({ workers: 3 }),
          retry: RetryPolicy.make({ base: 1_000, jitter: "none" })
        })
        const results: Array<UploadResult.UploadResult> = []
        const run = yield* uploader.start(files(20), {
          onResult: (result) => Effect.sync(() => results.push(result))
        })
        yield* Effect.sleep(150)
        yield* run.interrupt
        assert.deepStrictEqual([
          EngineLimits.of(uploader.limits).inFlight.taken,
          EngineLimits.of(uploader.limits).inFlight.waiting
        ], [0, 0])
        assert.strictEqual(recording.inFlight(), 0)
        return { report: yield* run.report, results: keysOf(results).sort() }
      }))
      assert.strictEqual(millis, 150)
      assert.deepStrictEqual(value.results, [
        "Interrupted f1", // in its backoff
        "Interrupted f4",
        "Interrupted f5",
        "Interrupted f6",
        "Uploaded f0",
        "Uploaded f2",
        "Uploaded f3"
      ])
      assert.deepStrictEqual(value.report.files, {
        total: 20,
        uploaded: 3,
        skipped: 0,
        failed: 0,
        interrupted: 4,
        notStarted: 13
      })
      assert.strictEqual(value.report.ended, "Interrupted")
      assert.deepStrictEqual(value.report.failures, [])
    }))

  it.effect("is one whose scope closes, or whose uploadAll is interrupted", () =>
    Effect.gen(function*() {
      for (const way of ["scope", "uploadAll"] as const) {
        const recording = Recording.make(Recording.takeAfter(100))
        const { millis } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording)
          yield* way === "scope"
            ? Effect.scoped(Effect.zipRight(uploader.start(files(2)), Effect.sleep(30)))
            : Effect.timeoutOption(uploader.uploadAll(files(2)), 30)
          assert.strictEqual(EngineLimits.of(uploader.limits).inFlight.taken, 0)
        }))
        assert.deepStrictEqual([millis, recording.history.slice(2)], [30, [
          [30, "interrupted f0"],
          [30, "interrupted f1"]
        ]])
      }
    }))

  it.effect("may be one that has not begun, and one that has ended", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const early = yield* uploader.start(files(2))
        yield* early.interrupt
        const paused = yield* uploader.start(files(2), { paused: true })
        yield* paused.interrupt
        const done = yield* uploader.start(files(2))
        yield* done.report
        yield* done.interrupt
        return (yield* Effect.all([early.report, paused.report, done.report])).map(({ ended, files }) => [
          ended,
          files.uploaded
        ])
      }))
      assert.deepStrictEqual(value, [["Interrupted", 0], ["Interrupted", 0], ["Completed", 2]])
      assert.strictEqual(millis, 100)
    }))

  it.effect("waits for what cannot be interrupted in the destination", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body }) =>
        Effect.zipRight(Effect.uninterruptible(Effect.sleep(100)), body.bytes)
      )
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const run = yield* uploader.start(files(2))
        yield* Effect.sleep(30)
        yield* run.interrupt
        return yield* run.report
      }))
      assert.deepStrictEqual([millis, value.files.interrupted], [100, 2])
    }))

  it.effect("may be so by its own reader, however slow", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const run = yield* uploader.start(files(2_000), { paused: true })
        const reader = yield* Effect.fork(
          Stream.runForEach(run.results, () => Effect.zipRight(Effect.sleep(10), run.interrupt))
        )
        yield* Effect.sleep(1)
        yield* run.resume
        const report = yield* run.report
        yield* Fiber.join(reader)
        return report
      }))
      assert.strictEqual(value.ended, "Interrupted")
      assert.isBelow(value.files.uploaded, 1_000)
      assert.isAtMost(millis, 11 + 10 * value.files.uploaded)
    }))

  it.effect("may be so from its own callbacks", () =>
    Effect.gen(function*() {
      for (const fiber of ["worker", "forked"] as const) {
        const recording = Recording.make(({ key }) =>
          key === "f0"
            ? Effect.zipRight(Effect.sleep(10), Effect.fail(new UploadError.Conflict({ detail: "" })))
            : Effect.sleep("1 hour")
        )
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording)
          const started = yield* Deferred.make<UploadRun.UploadRun>()
          const interrupt = Effect.flatMap(Deferred.await(started), (run) => run.interrupt)
          const run = yield* uploader.start(files(3), {
            stallTimeout: Duration.infinity,
            onResult: (result) =>
              result._tag === "Uploaded" ? Effect.void : fiber === "worker" ? interrupt : Effect.forkDaemon(interrupt)
          })
          yield* Deferred.succeed(started, run)
          return yield* run.report
        }))
        assert.deepStrictEqual([value.ended, value.files.failed, value.files.uploaded], ["Interrupted", 1, 0])
      }
    }))

  it.effect("keeps the result of a file that is being told of", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const results: Array<UploadResult.UploadResult> = []
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const run = yield* uploader.start(files(3), {
          onEvent: (event) => event._tag === "UploadFinished" ? Effect.sleep(10) : Effect.void,
          onResult: (result) => Effect.sync(() => results.push(result))
        })
        yield* Effect.sleep(5)
        yield* run.interrupt
        return yield* run.report
      }))
      assert.deepStrictEqual([value.files.uploaded, recording.objects.size], [3, 3])
      assert.deepStrictEqual(keysOf(results), ["Uploaded f0", "Uploaded f1", "Uploaded f2"])
    }))

  it.effect("lets go of a list that is still being read", () =>
    Effect.gen(function*() {
      for (const verb of ["interrupt", "drain"] as const) {
        const closed: Array<string> = []
        const close = (what: string) => {
          closed.push(what)
        }
        const lists = {
          *generator() {
            try {
              while (true) yield* files(1)
            } finally {
              close("generator")
            }
          },
          async *asyncGenerator() {
            try {
              while (true) yield* files(1)
            } finally {
              close("async generator")
            }
          },
          stream: Stream.ensuring(Stream.forever(Stream.fromIterable(files(3))), Effect.sync(() => close("stream"))),
          hanging: Stream.ensuring(
            Stream.concat(Stream.fromIterable(files(3)), Stream.never),
            Effect.sync(() => close("hanging"))
          )
        }
        for (const list of [lists.generator(), lists.stream, lists.hanging]) {
          const recording = Recording.make(Recording.takeAfter(10))
          yield* Recording.virtual(Effect.gen(function*() {
            const uploader = yield* Recording.uploader(recording, { strategy: one })
            const run = yield* uploader.start(list, { lookahead: 100 })
            yield* Effect.sleep(15)
            yield* run[verb]
            const { files } = yield* run.report
            // Before the scope closes.
            assert.strictEqual(closed.length, 1)
            assert.strictEqual(files.uploaded, verb === "drain" ? 2 : 1)
          }))
          closed.splice(0)
        }
      }
    }))

  it.effect(
    "leaves nothing behind, at 16 random instants of an upload of 1,000 files",
    () => Interruptions.atRandomInstants(16),
    60_000
  )
})
