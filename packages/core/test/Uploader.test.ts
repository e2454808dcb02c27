import { assert, describe, it, vi } from "@effect/vitest"
import { Bandwidth, ByteSource, Limits, RetryPolicy, Strategy, Uploader, UploadError, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Clock, Effect, Exit, Fiber, Layer, Random, Stream } from "effect"
import * as Recording from "./support/Recording.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

const files = (count: number, prefix = "f"): Array<UploadFile.UploadFile> =>
  Array.from({ length: count }, (_, i) => UploadFile.fromText(`${prefix}${i}`, `${i}`))

function* lazily(count: number) {
  for (let i = 0; i < count; i++) yield UploadFile.make(`f${i}`, ByteSource.generate(0))
}

/** Takes all bytes after a random while of 1 to 100 ms. */
const randomly = ({ body }: Recording.Put) =>
  Effect.zipRight(Effect.flatMap(Random.nextIntBetween(1, 101), (millis) => Effect.sleep(millis)), body.bytes)

/** How many were in flight after each entry of a history. */
const inFlight = (history: ReadonlyArray<Recording.Entry>): Array<number> => {
  let count = 0
  return history.map(([, event]) => count += event.startsWith("put") ? 1 : -1)
}

/** Of all windows of whole milliseconds up to `longest`, the most starts above `rate` × window, rounded up. */
const worstExcess = (starts: ReadonlyArray<number>, rate: number, longest = 1_000): number => {
  let worst = 0
  for (let first = 0; first < starts.length; first++) {
    if (starts[first] === starts[first - 1]) continue
    for (let last = first; last < starts.length; last++) {
      const window = starts[last]! - starts[first]! + 1
      if (window > longest) break
      worst = Math.max(worst, last - first + 1 - Math.ceil((rate * window) / 1000 - 1e-9))
    }
  }
  return worst
}

describe("a worker pool", () => {
  for (const workers of [1, 3, 16]) {
    it.effect(`of ${workers} never has more in flight, and never fewer while files are left`, () =>
      Effect.gen(function*() {
        const recording = Recording.make(randomly)
        const { millis, report } = yield* Recording.uploadAll(recording, files(200), {
          strategy: Strategy.workerPool({ workers })
        }).pipe(Effect.withRandom(Random.make(workers)))
        const counts = inFlight(recording.history)
        assert.strictEqual(Math.max(...counts), workers)
        assert.strictEqual(report.peakInFlight, workers)
        assert.strictEqual(recording.objects.size, 200)
        // At every instant but those after the last start, all workers are busy.
        const lastStart = recording.starts.at(-1)!
        recording.history.forEach(([at, event], i) => {
          const endOfInstant = recording.history[i + 1]?.[0] !== at
          if (at < lastStart && endOfInstant) assert.strictEqual(counts[i], workers, `at ${at}, after ${event}`)
        })
        assert.strictEqual(counts.at(-1), 0)
        assert.isAtMost(millis, 200 * 100 / workers + 100)
      }))
  }

  it.effect("is never exceeded while attempts fail, back off and come back", () =>
    Effect.gen(function*() {
      const recording = Recording.make((put) =>
        Effect.flatMap(Random.next, (chance) =>
          chance < 0.4 ? Effect.zipRight(Effect.sleep(5), Effect.fail(broken)) : randomly(put))
      )
      const { report } = yield* Recording.uploadAll(recording, files(200), {
        strategy: Strategy.workerPool({ workers: 7 })
      }).pipe(Effect.withRandom(Random.make("retries")))
      assert.strictEqual(Math.max(...inFlight(recording.history)), 7)
      assert.isAbove(report.retries, 50)
      assert.strictEqual(report.files.uploaded, 200)
    }))

  it.effect("takes the next file in the very instant in which one ends", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.uploadAll(recording, files(5), { strategy: Strategy.workerPool({ workers: 2 }) })
      assert.deepStrictEqual(recording.starts, [0, 0, 10, 10, 20])
    }))
})

describe("unlimited", () => {
  it.effect("starts each file as soon as it is listed", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const listed = Stream.mapEffect(Stream.fromIterable(files(5)), (file) => Effect.as(Effect.sleep(3), file))
      const { report } = yield* Recording.uploadAll(recording, Stream.rechunk(listed, 1), {
        strategy: Strategy.unlimited
      })
      assert.deepStrictEqual(recording.starts, [3, 6, 9, 12, 15])
      assert.strictEqual(report.peakInFlight, 4)
    }))

  it.effect("has thousands in flight at once", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const { millis, report } = yield* Recording.uploadAll(recording, lazily(2_000), { strategy: Strategy.unlimited })
      assert.deepStrictEqual([report.peakInFlight, report.files.uploaded, millis], [2_000, 2_000, 10])
    }))
})

describe("a start rate", () => {
  for (const rate of [0.5, 7, 50, 300, 900, 3_000]) {
    it.effect(`of ${rate} a second starts so many, and never more in any window`, () =>
      Effect.gen(function*() {
        const seconds = 10
        const recording = Recording.make(Recording.takeAfter(20))
        const { report } = yield* Recording.uploadAll(recording, lazily(rate * seconds), {
          strategy: Strategy.rateLimited({ uploadsPerSecond: rate })
        })
        const within = recording.starts.filter((at) => at < seconds * 1000).length
        assert.closeTo(within / (rate * seconds), 1, 0.02)
        assert.strictEqual(worstExcess(recording.starts, rate), 0)
        assert.strictEqual(report.files.uploaded, rate * seconds)
      }))
  }

  it.effect("stacks with a pool: the tightest holds", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { report } = yield* Recording.uploadAll(recording, files(12), {
        strategy: Strategy.stack(Strategy.workerPool({ workers: 3 }), Strategy.rateLimited({ uploadsPerSecond: 100 }))
      })
      assert.deepStrictEqual(recording.starts, [0, 10, 20, 100, 110, 120, 200, 210, 220, 300, 310, 320])
      assert.strictEqual(report.peakInFlight, 3)
    }))
})

describe("a bandwidth cap", () => {
  for (const rate of [10 * 1024, 1024 ** 2, 50 * 1024 ** 2]) {
    it.effect(`of ${rate} bytes a second holds for small files and large ones together`, () =>
      Effect.gen(function*() {
        const sent: Array<readonly [at: number, bytes: number]> = []
        const note = (block: Uint8Array) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            sent.push([now, block.length])
          })
        const recording = Recording.make(({ body }) =>
          body.inOnePiece ? Effect.asVoid(Effect.tap(body.bytes, note)) : Stream.runForEach(body.stream(), note)
        )
        // Ten seconds' worth: half of it in one file, a quarter in ten, the rest in small ones.
        const unit = Bandwidth.make(rate).unit
        const small = Math.ceil(rate * 2.5 / unit)
        const list = [
          UploadFile.make("large", ByteSource.generate(rate * 5)),
          ...Array.from({ length: 10 }, (_, i) => UploadFile.make(`m${i}`, ByteSource.generate(rate / 4))),
          ...Array.from({ length: small }, (_, i) => UploadFile.make(`s${i}`, ByteSource.generate(unit)))
        ]
        const { millis, report } = yield* Recording.uploadAll(recording, list, {
          strategy: Strategy.stack(
            Strategy.workerPool({ workers: 8 }),
            Strategy.bandwidth({ bytesPerSecond: rate })
          )
        })
        const bytes = report.bytes.uploaded
        assert.strictEqual(sent.reduce((total, [, size]) => total + size, 0), bytes)
        assert.closeTo(bytes * 1000 / millis / rate, 0.995, 0.015)
        let first = 0
        let inSecond = 0
        let most = 0
        for (const [at, size] of sent) {
          inSecond += size
          while (sent[first]![0] <= at - 1000) inSecond -= sent[first++]![1]
          most = Math.max(most, inSecond)
        }
        assert.isAtMost(most, rate + Bandwidth.burst(rate) + 1)
      }))
  }
})

describe("the limits of a running upload", () => {
  /** Turns the knobs of an uploader at given instants, while it uploads. */
  const turning = (
    recording: Recording.Recording,
    list: Iterable<UploadFile.UploadFile>,
    strategy: Strategy.Strategy,
    turns: ReadonlyArray<readonly [at: number, settings: Partial<Limits.Settings>]>
  ) =>
    Recording.virtual(Effect.gen(function*() {
      const uploader = yield* Recording.uploader(recording, { strategy })
      const run = yield* uploader.start(list)
      for (const [at, settings] of turns) {
        yield* Effect.sleep(at - (yield* Clock.currentTimeMillis))
        yield* run.limits.set(settings)
      }
      yield* run.report
      return yield* uploader.limits.current
    }))

  it.effect("can be raised and lowered: concurrency", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { value } = yield* turning(recording, files(23), Strategy.workerPool({ workers: 2 }), [
        [150, { concurrency: 5 }],
        [360, { concurrency: 1 }],
        [650, { concurrency: 4 }]
      ])
      assert.deepStrictEqual(
        recording.starts,
        [
          [0, 0, 100, 100, 150, 150, 150],
          [200, 200, 250, 250, 250, 300, 300, 350, 350, 350],
          // Those in flight end; from 450 on it is one at a time.
          [450, 550, 650, 650, 650, 650]
        ].flat()
      )
      assert.strictEqual(value.concurrency, 4)
    }))

  it.effect("can be raised and lowered: concurrency without a limit", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      yield* turning(recording, files(300), Strategy.workerPool({ workers: 1 }), [[50, { concurrency: Infinity }]])
      assert.deepStrictEqual(recording.starts, [0, ...Array.from({ length: 299 }, () => 50)])
    }))

  it.effect("can be raised and lowered: starts a second", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAll)
      yield* turning(recording, files(12), Strategy.rateLimited({ uploadsPerSecond: 1 }), [
        [1_500, { uploadsPerSecond: 10 }],
        [1_800, { uploadsPerSecond: 2 }],
        [3_600, { uploadsPerSecond: Infinity }]
      ])
      // At 1,500 half a start is owed: 50 ms at 10 a second. At 1,800 too: 250 ms at 2 a second.
      assert.deepStrictEqual(
        recording.starts,
        [
          [0, 1_000, 1_550, 1_650, 1_750],
          [2_050, 2_550, 3_050, 3_550],
          [3_600, 3_600, 3_600]
        ].flat()
      )
    }))

  it.effect("can be raised and lowered: bandwidth", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeStream)
      const megabyte = [UploadFile.make("a", ByteSource.generate(1_000_000))]
      const { millis } = yield* turning(recording, megabyte, Strategy.bandwidth({ bytesPerSecond: 100_000 }), [
        [2_000, { bytesPerSecond: 1_000_000 }],
        [2_500, { bytesPerSecond: 50_000 }],
        [4_500, { bytesPerSecond: Infinity }]
      ])
      // 200,000 + 500,000 + 100,000 bytes by then, and the rest at once.
      assert.strictEqual(millis, 4_500)
      const slow = Recording.make(Recording.takeStream)
      const { millis: slowMillis } = yield* turning(slow, megabyte, Strategy.bandwidth({ bytesPerSecond: 100_000 }), [
        [2_000, { bytesPerSecond: 1_000_000 }],
        [2_500, { bytesPerSecond: 50_000 }]
      ])
      // A unit of the old rate that was being waited for takes 400 ms at the new one.
      assert.isTrue(slowMillis >= 2_500 + 300_000 / 50 && slowMillis <= 2_500 + 330_000 / 50, `${slowMillis}`)
    }))

  it.effect("has room for one at least, while it has any", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { millis, value } = yield* turning(recording, files(4), Strategy.workerPool({ workers: 2 }), [
        [50, { concurrency: 0.4 }]
      ])
      assert.strictEqual(value.concurrency, 1)
      assert.strictEqual(millis, 300)
    }))
})

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
        assert.deepStrictEqual([uploader.limits.inFlight.taken, uploader.limits.inFlight.waiting], [0, 0])
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
        return [exit, uploader.limits.inFlight.taken] as const
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
        [limits.inFlight.limit, limits.rate.uploadsPerSecond, limits.bandwidth.bytesPerSecond],
        [5, 2.5, 1_000]
      )
      assert.strictEqual(changes, 2)
      yield* Effect.asVoid(Fiber.join(yield* Effect.fork(limits.rate.take)))
    }))
})
