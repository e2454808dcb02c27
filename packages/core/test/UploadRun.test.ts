import { assert, describe, it, vi } from "@effect/vitest"
import {
  ByteSource,
  Destination,
  Progress,
  RetryPolicy,
  Strategy,
  Uploader,
  UploadError,
  UploadFile,
  UploadReport,
  UploadResult,
  UploadRun
} from "@sluice/core"
import type { UploadEvent, UploadList } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Cause, Chunk, Clock, Deferred, Duration, Effect, Exit, Fiber, Option, Random, Schedule, Stream } from "effect"
import * as Recording from "./support/Recording.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

const files = (count: number, prefix = "f"): Array<UploadFile.UploadFile> =>
  Array.from({ length: count }, (_, i) => UploadFile.fromText(`${prefix}${i}`, "x".repeat(10)))

const one = Strategy.workerPool({ workers: 1 })

const keysOf = (results: ReadonlyArray<UploadResult.UploadResult>) => results.map(Recording.summary)

/** Runs a program and says how many fibers it has left running. */
const leftRunning = <A, E>(program: Effect.Effect<A, E>): Effect.Effect<number, E> =>
  Effect.gen(function*() {
    const before = new Set(yield* Fiber.roots)
    yield* program
    yield* Effect.sleep(1)
    return (yield* Fiber.roots).filter((fiber) => !before.has(fiber)).length
  })

describe("a run", () => {
  it.effect("tells the whole story, in order", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        Effect.zipRight(
          Effect.sleep(10),
          key === "f1" && attempt === 1 || key === "f2" && attempt < 3 ? Effect.fail(broken) : body.bytes
        )
      )
      const { events, report, results } = yield* Recording.uploadAll(recording, files(3), {
        strategy: Strategy.workerPool({ workers: 2 }),
        retry: RetryPolicy.make({ attempts: 2, base: 5, jitter: "none" })
      })
      assert.deepStrictEqual(events.map(Recording.told), [
        [0, "listed 3"],
        [0, "started f0 #1"],
        [0, "started f1 #1"],
        [10, "Uploaded f0 #1"],
        [10, "started f2 #1"],
        [10, "retrying f1 #1 of 2 after 5"],
        [15, "started f1 #2"],
        [20, "retrying f2 #1 of 2 after 5"],
        [25, "Uploaded f1 #2"],
        [25, "started f2 #2"],
        [35, "deferred f2 #2"],
        [35, "started f2 #3"],
        [45, "Uploaded f2 #3"]
      ])
      assert.deepStrictEqual(keysOf(results), ["Uploaded f0", "Uploaded f1", "Uploaded f2"])
      assert.deepStrictEqual(report, {
        _tag: "Report",
        version: 1,
        ended: "Completed",
        files: { total: 3, uploaded: 3, skipped: 0, failed: 0, interrupted: 0, notStarted: 0 },
        bytes: { total: 30, uploaded: 30, resumed: 0 },
        attempts: 6,
        retries: 3,
        peakInFlight: 2,
        durationMillis: 45,
        throughputBytesPerSecond: 30_000 / 45,
        failures: [],
        abortsFailed: 0,
        leftBehind: []
      })
    }))

  it.effect("of the same seed has the same history, event by event", () =>
    Effect.gen(function*() {
      const history = (seed: string) =>
        VirtualClock.run(
          Effect.gen(function*() {
            const { destination } = yield* Simulated.make({
              requestLatency: 7,
              latencyPerByte: 1,
              sharedBytesPerSecond: 2_000,
              failureRate: 0.3,
              maxInFlight: 12,
              retryAfter: 50
            })
            const uploader = yield* Uploader.make({
              strategy: Strategy.stack(
                Strategy.workerPool({ workers: 16 }),
                Strategy.rateLimited({ uploadsPerSecond: 90 })
              )
            }).pipe(Effect.provideService(Destination.Destination, destination))
            const events: Array<UploadEvent.UploadEvent> = []
            const sizes = yield* Effect.forEach(files(100), () => Random.nextIntBetween(0, 200))
            const report = yield* uploader.uploadAll(
              sizes.map((size, i) => UploadFile.make(`f${i}`, ByteSource.generate(size))),
              { onEvent: (event) => Effect.sync(() => events.push(event)) }
            )
            return { events, report }
          }).pipe(Effect.scoped, Effect.withRandom(Random.make(seed)))
        ).pipe(Effect.map(({ value }) => JSON.stringify(value)))
      const first = yield* history("a")
      assert.isAbove(first.length, 10_000)
      assert.strictEqual(yield* history("a"), first)
      assert.notStrictEqual(yield* history("b"), first)
    }))

  it.effect("says what its defaults say", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(UploadRun.defaults, {
        paused: false,
        lookahead: 10_000,
        progressInterval: "100 millis",
        stallTimeout: "30 seconds",
        failuresKept: 10_000,
        onSourceChange: "fail"
      })
      // The report names a hundred failures and counts all.
      const recording = Recording.make(() => Effect.fail(broken))
      const { report } = yield* Recording.uploadAll(recording, files(150), { retry: RetryPolicy.none })
      assert.strictEqual(report.files.failed, 150)
      assert.deepStrictEqual(report.failures.map(({ key }) => key), files(100).map(({ key }) => key))
    }))

  it.effect("shows what is in flight", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body }) =>
        Stream.runForEach(body.stream({ blockSize: 4 }), () => Effect.sleep(10))
      )
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 2 }) })
        const run = yield* uploader.start(files(3))
        yield* Effect.sleep(15)
        const early = yield* run.inFlight
        yield* Effect.sleep(20)
        const later = yield* run.inFlight
        yield* run.report
        return [early, later, yield* run.inFlight]
      }))
      const transfer = { size: 10, attempt: 1 }
      assert.deepStrictEqual(value, [
        [{ key: "f0", sent: 8, startedAt: 0, ...transfer }, { key: "f1", sent: 8, startedAt: 0, ...transfer }],
        [{ key: "f2", sent: 4, startedAt: 30, ...transfer }],
        []
      ])
    }))

  it.effect("measures its throughput", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: one })
        const run = yield* uploader.start(files(20))
        yield* Effect.sleep(1_000)
        const running = yield* run.throughput
        yield* run.report
        yield* Effect.sleep(18_000)
        return [running, yield* run.throughput]
      }))
      assert.deepStrictEqual(value, [{ current: 90, overall: 90 }, { current: 0, overall: 10 }])
    }))
})

describe("the second round", () => {
  const retry = RetryPolicy.make({ attempts: 1 })

  it.effect("tries each failed file once more, at the end", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        key === "f0" && attempt === 1 || key === "f2" ? Effect.fail(broken) : Recording.takeAfter(10)({ body })
      )
      const { events, report } = yield* Recording.uploadAll(recording, files(4), { retry, strategy: one })
      assert.deepStrictEqual(events.map(Recording.told), [
        [0, "listed 4"],
        [0, "started f0 #1"],
        [0, "deferred f0 #1"],
        [0, "started f1 #1"],
        [10, "Uploaded f1 #1"],
        [10, "started f2 #1"],
        [10, "deferred f2 #1"],
        [10, "started f3 #1"],
        [20, "Uploaded f3 #1"],
        [20, "started f0 #2"],
        [30, "Uploaded f0 #2"],
        [30, "started f2 #2"],
        [30, "Failed f2 #2"]
      ])
      assert.deepStrictEqual([report.files.uploaded, report.files.failed, report.retries], [3, 1, 2])
    }))

  it.effect("is left out where nothing could be uploaded, and where the policy says so", () =>
    Effect.gen(function*() {
      const dead = Recording.make(() => Effect.fail(broken))
      const { report } = yield* Recording.uploadAll(dead, files(4), { retry })
      assert.deepStrictEqual([report.attempts, report.files.failed], [4, 4])
      const half = Recording.make(({ body, key }) => key === "f0" ? Effect.fail(broken) : body.bytes)
      const { report: once } = yield* Recording.uploadAll(half, files(4), {
        retry: RetryPolicy.make({ attempts: 1, secondRound: false })
      })
      assert.deepStrictEqual([once.attempts, once.files.failed], [4, 1])
    }))

  it.effect("is for as many files as are kept", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        key !== "f0" && attempt === 1 ? Effect.fail(broken) : body.bytes
      )
      const { report } = yield* Recording.uploadAll(recording, files(10), { retry, run: { failuresKept: 3 } })
      assert.deepStrictEqual([report.files.uploaded, report.files.failed], [4, 6])
      assert.deepStrictEqual(report.failures.map(({ key }) => key), ["f4", "f5", "f6", "f7", "f8", "f9"])
    }))

  const secondRound = (steer: (run: UploadRun.UploadRun) => Effect.Effect<void>) =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        key !== "f0" && attempt === 1 ? Effect.fail(broken) : Recording.takeAfter(500)({ body })
      )
      const results: Array<UploadResult.UploadResult> = []
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          retry,
          strategy: Strategy.rateLimited({ uploadsPerSecond: 1 })
        })
        const run = yield* uploader.start(files(4), { onResult: (result) => Effect.sync(() => results.push(result)) })
        yield* steer(run)
        const report = yield* run.report
        assert.strictEqual(uploader.limits.inFlight.taken, 0)
        return report
      }))
      return { recording, report: value, results: keysOf(results) }
    })

  it.effect("can be paused between two of its files", () =>
    Effect.gen(function*() {
      // Starts at 0, 1, 2 and 3 s are the first round; f1 starts again at 4 s.
      const { recording, report, results } = yield* secondRound((run) =>
        Effect.gen(function*() {
          yield* Effect.sleep(4_600)
          yield* run.pause
          yield* Effect.sleep(3_000)
          yield* run.resume
        })
      )
      assert.deepStrictEqual(recording.starts, [0, 1_000, 2_000, 3_000, 4_000, 7_600, 8_600])
      assert.deepStrictEqual(results, ["Uploaded f0", "Uploaded f1", "Uploaded f2", "Uploaded f3"])
      assert.strictEqual(report.attempts, 7)
    }))

  it.effect("tells of each of its files once when it is interrupted", () =>
    Effect.gen(function*() {
      const { recording, report, results } = yield* secondRound((run) =>
        Effect.zipRight(Effect.sleep(4_100), run.interrupt)
      )
      assert.deepStrictEqual(recording.history.at(-1), [4_100, "interrupted f1"])
      assert.deepStrictEqual(results.sort(), ["Failed f2", "Failed f3", "Interrupted f1", "Uploaded f0"])
      assert.deepStrictEqual(report.files, {
        total: 4,
        uploaded: 1,
        skipped: 0,
        failed: 2,
        interrupted: 1,
        notStarted: 0
      })
    }))

  it.effect("starts no more of its files when it is drained", () =>
    Effect.gen(function*() {
      const { report, results } = yield* secondRound((run) => Effect.zipRight(Effect.sleep(4_100), run.drain))
      assert.deepStrictEqual(results.sort(), ["Failed f2", "Failed f3", "Uploaded f0", "Uploaded f1"])
      assert.deepStrictEqual([report.ended, report.attempts], ["Drained", 5])
    }))
})

describe("the workers of a run", () => {
  it.effect("are few while nothing is in flight, however many there were", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.virtual(Effect.gen(function*() {
        const before = (yield* Fiber.roots).length
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.unlimited })
        const run = yield* uploader.start(Stream.concat(Stream.fromIterable(files(1_000)), Stream.never))
        yield* Effect.sleep(5)
        assert.isAtLeast((yield* Fiber.roots).length - before, 1_000)
        yield* Effect.sleep(95)
        assert.strictEqual(recording.objects.size, 1_000)
        assert.isAtMost((yield* Fiber.roots).length - before, 70)
        yield* run.interrupt
      }))
    }))

  it.effect("take no more files while many are in a backoff", () =>
    Effect.gen(function*() {
      const recording = Recording.make(() =>
        Effect.fail(new UploadError.Throttled({ detail: "", retryAfterMillis: 60_000 }))
      )
      const pulled: Array<string> = []
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 4 }) })
        const list = function*() {
          for (const file of files(1_000)) {
            pulled.push(file.key)
            yield file
          }
        }
        const run = yield* uploader.start(list())
        yield* Effect.sleep(59_999)
        assert.approximately(pulled.length, 64, 2)
        assert.approximately(recording.starts.length, 64, 1)
        yield* run.interrupt
      }))
    }))
})

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

describe("a run whose limits are changed", () => {
  it.effect("tells of it when it happens, with where they stand and why", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: one })
        const history: Array<Recording.Entry> = []
        const run = yield* uploader.start(files(3), {
          onEvent: (event) => Effect.sync(() => event._tag === "LimitsChanged" && history.push(Recording.told(event)))
        })
        yield* Effect.sleep(10)
        yield* run.limits.set({ concurrency: 2 }, "by hand")
        yield* Effect.sleep(10)
        yield* run.limits.set({ uploadsPerSecond: 5, bytesPerSecond: 1_000 })
        const reason = yield* run.limits.reason
        yield* run.report
        yield* run.limits.set({ concurrency: 9 }, "nobody is there any more")
        return { history, reason, last: yield* run.limits.reason }
      }))
      assert.deepStrictEqual(value, {
        history: [
          [10, "limits 2, Infinity/s, Infinity B/s: by hand"],
          [20, "limits 2, 5/s, 1000 B/s: no reason"]
        ],
        reason: undefined,
        last: "nobody is there any more"
      })
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
        assert.deepStrictEqual([uploader.limits.inFlight.taken, uploader.limits.inFlight.waiting], [0, 0])
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
          assert.strictEqual(uploader.limits.inFlight.taken, 0)
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

  it.effect("leaves nothing behind, at 200 random instants of an upload of 1,000 files", () =>
    Effect.gen(function*() {
      const sizes = new Map(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, (i * 7919) % 300]))
      const list = Array.from(sizes, ([key, size]) => UploadFile.make(key, ByteSource.generate(size)))
      const strategies = [
        Strategy.workerPool({ workers: 50 }),
        Strategy.stack(Strategy.workerPool({ workers: 50 }), Strategy.rateLimited({ uploadsPerSecond: 1_500 })),
        Strategy.stack(Strategy.workerPool({ workers: 50 }), Strategy.bandwidth({ bytesPerSecond: 200_000 })),
        Strategy.workerPool({ workers: 100 })
      ]
      const random = Random.make("200 instants")
      for (let instant = 0; instant < 200; instant++) {
        // More of them early on: that costs less, and there is more to interrupt.
        const at = Math.floor(900 * (yield* Effect.withRandom(Random.next, random)) ** 2)
        yield* VirtualClock.run(leftRunning(Effect.scoped(Effect.gen(function*() {
          const { destination, network } = yield* Simulated.make({
            observe: true,
            requestLatency: 3,
            latencyPerByte: "200 micros",
            failureRate: instant % 2 === 0 ? 0.1 : 0,
            maxInFlight: 60
          })
          const uploader = yield* Uploader.make({ strategy: strategies[instant % 4]! }).pipe(
            Effect.provideService(Destination.Destination, destination)
          )
          const results: Array<UploadResult.UploadResult> = []
          const run = yield* uploader.start(
            instant % 3 === 0 ? list : instant % 3 === 1 ? list.values() : Stream.fromIterable(list),
            { lookahead: 100, onResult: (result) => Effect.sync(() => results.push(result)) }
          )
          yield* Effect.sleep(at)
          yield* run.interrupt
          const report = yield* run.report
          const { inFlight } = uploader.limits
          assert.deepStrictEqual([yield* network.inFlight, inFlight.taken, inFlight.waiting], [0, 0, 0], `at ${at}`)
          assert.strictEqual(yield* Clock.currentTimeMillis, at)
          // What is stored is whole, and every file that was finished has kept its result.
          const partial = Array.from(network.objects).filter(([key, { bytes }]) => bytes.length !== sizes.get(key))
          assert.deepStrictEqual(partial, [])
          const uploaded = results.filter(UploadResult.isUploaded)
          assert.deepStrictEqual(uploaded.map(({ file }) => file.key).sort(), Array.from(network.objects.keys()).sort())
          assert.strictEqual(new Set(results.map(({ file }) => file.key)).size, results.length)
          const { files } = report
          assert.strictEqual(files.uploaded, uploaded.length)
          assert.strictEqual(files.uploaded + files.failed + files.interrupted, results.length)
          assert.strictEqual(files.total, results.length + files.notStarted)
          const progress = yield* run.currentProgress
          assert.deepStrictEqual([progress.inFlight, progress.bytesInFlight], [0, 0])
        })))).pipe(
          Effect.map(({ value }) => assert.strictEqual(value, 0, `fibers left running at ${at}`)),
          Effect.withRandom(Random.make(instant))
        )
      }
    }), 60_000)
})

describe("a list", () => {
  const listed = <E>(list: UploadList.UploadList<E>, run?: UploadRun.Options) =>
    Recording.uploadAll(Recording.make(), list, { strategy: one, run })

  async function* asynchronously<A>(items: Iterable<A>) {
    yield* items
  }

  it.effect("may be an array, a generator or a stream, empty or not", () =>
    Effect.gen(function*() {
      for (const count of [0, 1, 5]) {
        const lists = [
          files(count),
          new Set(files(count)),
          files(count).values(),
          Chunk.fromIterable(files(count)),
          Stream.fromIterable(files(count)),
          Stream.rechunk(Stream.fromIterable(files(count)), 1)
        ]
        for (const list of lists) {
          const { events, report, results } = yield* listed(list)
          assert.deepStrictEqual(keysOf(results), files(count).map(({ key }) => `Uploaded ${key}`))
          assert.strictEqual(report.files.total, count)
          assert.isTrue(UploadReport.isComplete(report))
          const totals = events.filter((event) => event._tag === "ListingFinished")
          assert.deepStrictEqual(totals.map(({ bytes, files }) => [files, bytes]), [[count, count * 10]])
        }
      }
    }))

  it.live("may be an async iterable", () =>
    Effect.gen(function*() {
      // An async iterable waits for promises, so not under virtual time.
      const recording = Recording.make()
      const results: Array<UploadResult.UploadResult> = []
      const report = yield* Effect.flatMap(Recording.uploader(recording, { strategy: one }), (uploader) =>
        uploader.uploadAll(asynchronously(files(5)), {
          onResult: (result) =>
            Effect.sync(() => results.push(result))
        }))
      assert.deepStrictEqual(
        keysOf(results),
        files(5).map(({ key }) =>
          `Uploaded ${key}`
        )
      )
      assert.deepStrictEqual(report.files.total, 5)
      const failing = async function*() {
        yield* files(2)
        throw new Error("No more.")
      }
      const exit = yield* Effect.exit(Effect.flatMap(Recording.uploader(recording), (uploader) =>
        uploader.uploadAll(failing(), {
          onResult: (result) => Effect.sync(() => results.push(result))
        })))
      assert.strictEqual(results.length, 7)
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
    }).pipe(Effect.scoped))

  it.effect("that fails fails the report with its own error, when the files before that have their results", () =>
    Effect.gen(function*() {
      for (const chunk of [1, 100]) {
        const recording = Recording.make(Recording.takeAfter(10))
        const results: Array<UploadResult.UploadResult> = []
        const list = Stream.concat(
          Stream.rechunk(Stream.fromIterable(files(5)), chunk),
          Stream.fail("no more" as const)
        )
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording, { strategy: one })
          return yield* Effect.flip(
            uploader.uploadAll(list, { onResult: (result) => Effect.sync(() => results.push(result)) })
          )
        }))
        assert.strictEqual(value, "no more")
        assert.deepStrictEqual(keysOf(results), files(5).map(({ key }) => `Uploaded ${key}`))
      }
    }))

  it.effect("whose iterator throws dies of it, when the files before that have their results", () =>
    Effect.gen(function*() {
      const list = function*() {
        yield* files(3)
        throw new Error("No more.")
      }
      const results: Array<UploadResult.UploadResult> = []
      const exit = yield* Effect.exit(
        listed(list(), { onResult: (result) => Effect.sync(() => results.push(result)) })
      )
      assert.deepStrictEqual(keysOf(results), files(3).map(({ key }) => `Uploaded ${key}`))
      assert.isTrue(Exit.isFailure(exit) && Option.isSome(Cause.dieOption(exit.cause)))
    }))

  it.effect("may hold results that are known already", () =>
    Effect.gen(function*() {
      const unreadable: UploadResult.Failed = {
        _tag: "Failed",
        file: { key: "dir", size: undefined },
        attempts: 0,
        error: new UploadError.SourceUnreadable({ reason: "Forbidden", detail: "No." }),
        duration: Duration.zero
      }
      const link = UploadResult.skipped("link", "a link")
      const items = [link, ...files(2), unreadable, ...files(1, "g"), link]
      for (const list of [items, items.values(), Stream.fromIterable(items)]) {
        const { events, report, results } = yield* listed(list)
        assert.deepStrictEqual(keysOf(results), [
          "Skipped link",
          "Uploaded f0",
          "Uploaded f1",
          "Failed dir",
          "Uploaded g0",
          "Skipped link"
        ])
        assert.deepStrictEqual(report.files, {
          total: 6,
          uploaded: 3,
          skipped: 2,
          failed: 1,
          interrupted: 0,
          notStarted: 0
        })
        assert.deepStrictEqual([report.attempts, report.bytes.total], [3, 30])
        const finished = events.filter((event) => event._tag === "UploadFinished")
        assert.deepStrictEqual(finished[0], {
          _tag: "UploadFinished",
          version: 1,
          at: 0,
          key: "link",
          outcome: "Skipped",
          attempts: 0,
          bytes: 0,
          durationMillis: 0,
          reason: "a link"
        })
      }
    }))

  it.effect("that is an iterable is pulled one by one, as uploads start", () =>
    Effect.gen(function*() {
      const pulled: Array<number> = []
      const list = function*(clock: Clock.Clock) {
        for (const file of files(6)) {
          pulled.push(clock.unsafeCurrentTimeMillis())
          yield file
        }
      }
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 2 }) })
        yield* uploader.uploadAll(list(yield* Effect.clock))
      }))
      assert.deepStrictEqual(recording.starts, [0, 0, 10, 10, 20, 20])
      // At most one waits ahead of the limits.
      assert.isTrue(pulled.every((at, i) => i === 0 || at >= recording.starts[i - 1]!))
    }))

  it.effect("that is a stream is read no more than the lookahead and a chunk ahead", () =>
    Effect.gen(function*() {
      for (const [lookahead, chunk] of [[1, 1], [2, 1], [10, 1], [10, 7], [100, 1], [5_000, 1]] as const) {
        let read = 0
        const list = files(12_000)
        const stream = Stream.fromIterable(list).pipe(
          Stream.rechunk(chunk),
          Stream.mapChunks((items) => {
            read += items.length
            return items
          })
        )
        const recording = Recording.make(Recording.takeAfter(10))
        yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording, { strategy: one })
          const run = yield* uploader.start(stream, { lookahead })
          for (let i = 0; i < 50; i++) {
            yield* Effect.sleep(10)
            // One in flight and one that waits for its permit.
            assert.isAtMost(read - recording.starts.length, lookahead + chunk + 1, `lookahead ${lookahead}`)
          }
          assert.isAtLeast(read - recording.starts.length, Math.floor(lookahead / 2))
          yield* run.interrupt
        }))
      }
    }))
})

describe("progress", () => {
  /** All samples of a run, one every millisecond, and its report. */
  const samples = (
    recording: Recording.Recording,
    list: UploadList.UploadList,
    options: Recording.Options = {}
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
        assert.isAtMost(Progress.fraction(sample), 1)
        if (!sample.listing && sample.bytesFound > 0) {
          assert.isAtMost(sample.bytesUploaded + sample.bytesInFlight, sample.bytesFound)
        }
      })
      return { progress, final, report, fractions: progress.map(Progress.fraction) }
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
      assert.isTrue(fractions.slice(0, -1).every((fraction) => fraction < 1))
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
      const { final, fractions } = yield* samples(recording, [unknown, ...files(1)], {
        retry: RetryPolicy.make({ base: 5, jitter: "none" })
      })
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
      // As a list that fails does: when the files before that have their results.
      80
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
          assert.deepStrictEqual([uploader.limits.inFlight.taken, uploader.limits.inFlight.waiting], [0, 0])
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
