import { assert, describe, it, vi } from "@effect/vitest"
import {
  ByteSource,
  Destination,
  RetryPolicy,
  Strategy,
  Uploader,
  UploadError,
  UploadFile,
  UploadRun
} from "@sluice/core"
import type { UploadEvent, UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Fiber, Random, Stream } from "effect"
import * as EngineLimits from "../src/internal/limits/engineLimits.js"
import * as Recording from "./support/Recording.js"
import { broken, files, keysOf, one } from "./support/RunFiles.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

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
        assert.strictEqual(EngineLimits.of(uploader.limits).inFlight.taken, 0)
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
