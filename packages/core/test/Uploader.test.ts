import { assert, describe, it, vi } from "@effect/vitest"
import { Limits, RetryPolicy, Strategy, Uploader, UploadError } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Exit, Fiber, Layer, Random } from "effect"
import * as EngineLimits from "../src/internal/limits/engineLimits.js"
import * as Recording from "./support/Recording.js"
import { broken } from "./support/RunFiles.js"
import { files, inFlight, randomly } from "./support/UploadedFiles.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

describe("an uploader", () => {
  it.effect("shares its limits among its runs, which take turns", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 4 }) })
        const first = yield* uploader.start(files(200, "a"))
        yield* Effect.sleep(55)
        const second = yield* uploader.start(files(40, "b"))
        assert.strictEqual((yield* second.report).files.uploaded, 40)
        assert.strictEqual((yield* first.report).files.uploaded, 200)
      }))
      assert.strictEqual(recording.peak(), 4)
      const started = recording.history.filter(([at, event]) => at >= 60 && event.startsWith("put"))
      // The second run gets its first permit at once, and then half of them, to its end.
      const firstOfSecond = started.findIndex(([, event]) => event.startsWith("put b"))
      assert.isAtMost(firstOfSecond, 4)
      const shared = started.slice(firstOfSecond, firstOfSecond + 70)
      const ofSecond = shared.filter(([, event]) => event.startsWith("put b")).length
      assert.approximately(ofSecond, 35, 4)
    }))

  it.effect("shares its rate among its runs", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAll)
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.rateLimited({ uploadsPerSecond: 10 })
        })
        yield* Effect.all([uploader.uploadAll(files(3, "a")), uploader.uploadAll(files(3, "b"))], {
          concurrency: "unbounded"
        })
      }))
      assert.deepStrictEqual(recording.history.filter(([, event]) => event.startsWith("put")), [
        [0, "put a0"],
        [100, "put a1"],
        // From here on in turns.
        [200, "put b0"],
        [300, "put a2"],
        [400, "put b1"],
        [500, "put b2"]
      ])
    }))

  it.effect("cannot be made to exceed its limits by Effect.forEach over upload", () =>
    Effect.gen(function*() {
      const recording = Recording.make(randomly)
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 5 }) })
        const all = yield* Effect.forEach(files(300), uploader.upload, { concurrency: "unbounded" })
        assert.deepStrictEqual([
          EngineLimits.of(uploader.limits).inFlight.taken,
          EngineLimits.of(uploader.limits).inFlight.waiting
        ], [0, 0])
        return all
      })).pipe(Effect.withRandom(Random.make("forEach")))
      assert.strictEqual(recording.peak(), 5)
      assert.strictEqual(Math.max(...inFlight(recording.history)), 5)
      assert.deepStrictEqual(
        value.map(({ _tag, file }) => `${_tag} ${file.key}`),
        files(300).map(({ key }) => `Uploaded ${key}`)
      )
    }))

  it.effect("gives one upload's failure as its error", () =>
    Effect.gen(function*() {
      const recording = Recording.make(() => Effect.fail(broken))
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        return yield* Effect.flip(uploader.upload(files(1)[0]!))
      })).pipe(Effect.withRandom(Random.fixed([1])))
      assert.strictEqual(value._tag, "Transient")
      // One round of attempts only: 100 + 200 + 400 + 800 ms.
      assert.deepStrictEqual([recording.starts, millis], [[0, 100, 300, 700, 1_500], 1_500])
    }))

  it.effect("interrupts the upload with whoever waits for it", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(1_000))
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const exit = yield* Effect.exit(
          Effect.timeoutFail(uploader.upload(files(1)[0]!), { duration: 300, onTimeout: () => "late" })
        )
        return [exit, EngineLimits.of(uploader.limits).inFlight.taken] as const
      }))
      assert.deepStrictEqual(value, [Exit.fail("late"), 0])
      assert.deepStrictEqual(recording.history, [[0, "put f0"], [300, "interrupted f0"]])
      assert.strictEqual(millis, 300)
    }))

  it.effect("adapts its concurrency and retries by default", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) =>
        Effect.zipRight(Effect.sleep(1), attempt === 1 ? Effect.fail(broken) : body.bytes)
      )
      const { events, report } = yield* Recording.uploadAll(recording, files(400))
      assert.strictEqual(Uploader.defaults.strategy.name, "adaptive")
      assert.strictEqual(Uploader.defaults.strategy.concurrency, 4)
      assert.deepStrictEqual([report.retries, report.files.uploaded], [400, 400])
      const limits = events.flatMap((event) => event._tag === "LimitsChanged" ? [event.concurrency] : [])
      assert.deepStrictEqual(Array.from(new Set(limits)).slice(0, 3), [8, 16, 32])
      assert.strictEqual(report.peakInFlight, Math.max(...limits.map((limit) => limit ?? Infinity)))
    }))

  it.effect("is a layer over a destination", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(
        Effect.gen(function*() {
          const uploader = yield* Uploader.Uploader
          const network = yield* Simulated.Network
          const report = yield* uploader.uploadAll(files(10))
          return [report.files.uploaded, network.objects.size, yield* network.peakInFlight]
        }).pipe(
          Effect.provide(
            Layer.provideMerge(
              Uploader.layer({ strategy: Strategy.workerPool({ workers: 2 }) }),
              Simulated.layer({ latencyPerByte: 10, observe: true })
            )
          )
        )
      )
      assert.deepStrictEqual(value, [10, 10, 2])
    }))

  it.effect("starts its strategy's controllers once, and reports every ended attempt to them", () =>
    Effect.gen(function*() {
      const observations: Array<Limits.Observation> = []
      let started = 0
      const strategy: Strategy.Strategy = {
        ...Strategy.workerPool({ workers: 2 }),
        controllers: [{
          name: "watching",
          start: () =>
            Effect.sync(() => {
              started += 1
              return (observation) => observations.push(observation)
            })
        }]
      }
      const recording = Recording.make(({ attempt, body, key }) =>
        Effect.zipRight(
          Effect.sleep(10),
          key === "f1" && attempt === 1
            ? Effect.fail(new UploadError.Throttled({ detail: "", retryAfterMillis: 5 }))
            : key === "f2"
            ? Effect.fail(new UploadError.Conflict({ detail: "" }))
            : body.bytes
        )
      )
      yield* Recording.uploadAll(recording, files(3), { strategy })
      assert.strictEqual(started, 1)
      assert.deepStrictEqual(observations, [
        { outcome: "Succeeded", durationMillis: 10, bytes: 1, inFlight: 2, retryAfterMillis: undefined },
        { outcome: "Throttled", durationMillis: 10, bytes: 0, inFlight: 2, retryAfterMillis: 5 },
        { outcome: "Failed", durationMillis: 10, bytes: 0, inFlight: 2, retryAfterMillis: undefined },
        { outcome: "Succeeded", durationMillis: 10, bytes: 1, inFlight: 1, retryAfterMillis: undefined }
      ])
    }))
})

describe("a retry budget", () => {
  it.effect("that is drained makes failures final at once, for all runs of the uploader", () =>
    Effect.gen(function*() {
      const recording = Recording.make(() => Effect.fail(broken))
      const retry = RetryPolicy.make({
        attempts: 1_000,
        base: 10,
        jitter: "none",
        cap: 10,
        secondRound: false,
        budget: { tokens: 22, retryCost: 5, successRefund: 1 }
      })
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { retry, strategy: Strategy.workerPool({ workers: 1 }) })
        const first = yield* uploader.uploadAll(files(2, "a"))
        const second = yield* uploader.uploadAll(files(50, "b"))
        return [first.retries, first.files.failed, second.retries, second.files.failed]
      }))
      // 22 tokens pay for four retries.
      assert.deepStrictEqual(value, [4, 2, 0, 50])
      assert.strictEqual(recording.starts.length, 2 + 4 + 50)
      assert.strictEqual(millis, 20)
    }))

  it.effect("is filled again by successes", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        key.startsWith("a") || attempt > 1 ? body.bytes : Effect.fail(broken)
      )
      const retry = RetryPolicy.make({
        base: 10,
        jitter: "none",
        secondRound: false,
        budget: { tokens: 5, retryCost: 5, successRefund: 1 }
      })
      const { report } = yield* Recording.uploadAll(
        recording,
        // A retry that succeeds gives its price back; five successes at once pay for a retry.
        [...files(2, "b"), ...files(5, "a"), ...files(2, "c")],
        { retry, strategy: Strategy.workerPool({ workers: 1 }) }
      )
      assert.deepStrictEqual([report.files.uploaded, report.files.failed, report.retries], [7, 2, 2])
    }))
})

describe("a flaky network", () => {
  it.effect("where 30 % of attempts fail: the report equals the history, file by file", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body }) =>
        Effect.zipRight(
          Effect.sleep(7),
          Effect.flatMap(Random.next, (chance) => chance < 0.3 ? Effect.fail(broken) : body.bytes)
        )
      )
      for (const secondRound of [true, false]) {
        recording.history.length = 0
        const { report, results } = yield* Recording.uploadAll(recording, files(100), {
          retry: RetryPolicy.make({ attempts: 4, secondRound }),
          strategy: Strategy.workerPool({ workers: 8 })
        }).pipe(Effect.withRandom(Random.make(`30 % ${secondRound}`)))
        const attempts = (key: string) => recording.history.filter(([, event]) => event === `put ${key}`).length
        const uploaded = (key: string) => recording.history.some(([, event]) => event === `stored ${key}`)
        assert.deepStrictEqual(
          results.map((result) => [
            result.file.key,
            result._tag,
            result._tag === "Skipped" ? 0 : result.attempts
          ]).sort(),
          files(100).map(({ key }) => [key, uploaded(key) ? "Uploaded" : "Failed", attempts(key)]).sort()
        )
        const stored = files(100).filter(({ key }) => uploaded(key))
        assert.deepStrictEqual(report.files, {
          total: 100,
          uploaded: stored.length,
          skipped: 0,
          failed: 100 - stored.length,
          interrupted: 0,
          notStarted: 0
        })
        assert.strictEqual(report.attempts, recording.history.length / 2)
        assert.strictEqual(report.retries, report.attempts - 100)
        assert.isAbove(report.retries, 20)
        assert.strictEqual(report.bytes.uploaded, stored.reduce((total, { size }) => total + size!, 0))
        assert.deepStrictEqual(
          report.failures.map(({ attempts, key }) => [key, attempts]).sort(),
          files(100).filter(({ key }) => !uploaded(key)).map(({ key }) => [key, attempts(key)]).sort()
        )
      }
    }))
})

describe("a controller", () => {
  it.effect("ends with the uploader's scope", () =>
    Effect.gen(function*() {
      let beats = 0
      const strategy: Strategy.Strategy = {
        ...Strategy.unlimited,
        controllers: [{
          name: "beating",
          start: () =>
            Effect.as(
              Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(10), Effect.sync(() => beats++)))),
              () => {}
            )
        }]
      }
      yield* VirtualClock.run(Effect.gen(function*() {
        const recording = Recording.make(Recording.takeAfter(45))
        yield* Effect.scoped(
          Effect.flatMap(Recording.uploader(recording, { strategy }), (uploader) => uploader.uploadAll(files(1)))
        )
        yield* Effect.sleep(100)
      }))
      assert.strictEqual(beats, 4)
    }))
})

describe("Limits", () => {
  it.effect("have the strategy's values, and then those that were set", () =>
    Effect.gen(function*() {
      let changes = 0
      const limits = Limits.make(Strategy.workerPool({ workers: 3 }), () => changes++)
      assert.deepStrictEqual(yield* limits.current, {
        concurrency: 3,
        uploadsPerSecond: Infinity,
        bytesPerSecond: Infinity
      })
      yield* limits.set({ concurrency: 5, uploadsPerSecond: 2.5, bytesPerSecond: 1_000 })
      yield* limits.set({})
      assert.deepStrictEqual(yield* limits.current, { concurrency: 5, uploadsPerSecond: 2.5, bytesPerSecond: 1_000 })
      assert.deepStrictEqual(
        [
          EngineLimits.of(limits).inFlight.limit,
          EngineLimits.of(limits).rate.uploadsPerSecond,
          EngineLimits.of(limits).bandwidth.bytesPerSecond
        ],
        [5, 2.5, 1_000]
      )
      assert.strictEqual(changes, 2)
      yield* Effect.asVoid(Fiber.join(yield* Effect.fork(EngineLimits.of(limits).rate.take)))
    }))
})
