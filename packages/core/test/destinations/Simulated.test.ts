import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { UploadError, UploadEvent, UploadReport, UploadResult, UploadRun } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Clock, Deferred, Duration, Effect, Fiber, Layer, Random } from "effect"
import * as TestBody from "../support/TestBody.js"
import { pattern, sameBytes } from "../support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

interface Settings {
  readonly strategy?: Strategy.Strategy
  readonly retry?: RetryPolicy.RetryPolicy
  readonly run?: UploadRun.Options
}

interface History {
  readonly report: UploadReport.UploadReport
  readonly events: ReadonlyArray<UploadEvent.UploadEvent>
  readonly results: ReadonlyMap<string, UploadResult.UploadResult>
  readonly peakInFlight: number
  /** Virtual milliseconds from start to end. */
  readonly millis: number
}

/**
 * Uploads files over a simulated network, by virtual time, all at once, each by one request and without retries unless
 * told otherwise.
 */
const simulate = (
  options: Simulated.Options,
  files: Iterable<UploadFile.UploadFile>,
  { retry = RetryPolicy.none, run, strategy = Strategy.unlimited }: Settings = {}
): Effect.Effect<History> =>
  Effect.gen(function*() {
    const events: Array<UploadEvent.UploadEvent> = []
    const results = new Map<string, UploadResult.UploadResult>()
    const uploader = yield* Uploader.Uploader
    const network = yield* Simulated.Network
    const report = yield* uploader.uploadAll(files, {
      ...run,
      onEvent: (event) => Effect.sync(() => events.push(event)),
      onResult: (result) => Effect.sync(() => results.set(result.file.key, result))
    })
    return { report, events, results, peakInFlight: yield* network.peakInFlight }
  }).pipe(
    Effect.provide(
      Layer.provideMerge(Uploader.layer({ strategy, retry }), Simulated.layer({ parts: false, ...options }))
    ),
    VirtualClock.run,
    Effect.map(({ millis, value }) => ({ ...value, millis }))
  )

const file = (size: number, key = `${size} bytes`) => UploadFile.make(key, ByteSource.generate(size))

const files = (count: number, size: number) => Array.from({ length: count }, (_, i) => file(size, String(i)))

/** How long one upload takes. */
const millisOf = (options: Simulated.Options, size: number, settings?: Settings) =>
  Effect.map(simulate(options, [file(size)], settings), ({ millis, report }) => {
    assert.strictEqual(report.files.uploaded, 1, JSON.stringify(report.failures))
    assert.strictEqual(report.attempts, 1)
    return millis
  })

const errorsOf = (history: History): ReadonlyArray<UploadError.UploadError> =>
  [...history.results.values()].flatMap((result) => result._tag === "Failed" ? [result.error] : [])

/** Thousands of failures: their stack traces would cost ten times what they cost themselves. */
const withoutTraces = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const limit = Error.stackTraceLimit
      Error.stackTraceLimit = 0
      return limit
    }),
    () => effect,
    (limit) =>
      Effect.sync(() => {
        Error.stackTraceLimit = limit
      })
  )

/** What many attempts of 1,000 bytes each, one after the other, fail with, and how long each of these took. */
const attempts = (options: Simulated.Options, count: number) =>
  Effect.gen(function*() {
    const { destination } = yield* Simulated.make(options)
    const bytes = new Uint8Array(1_000)
    const failures: Array<{ readonly attempt: number; readonly message: string; readonly millis: number }> = []
    for (let attempt = 0; attempt < count; attempt++) {
      const start = yield* Clock.currentTimeMillis
      const outcome = yield* Effect.either(
        destination.put({ key: String(attempt), body: TestBody.make(bytes, { inOnePiece: true }) })
      )
      if (outcome._tag === "Right") continue
      const { _tag, message } = outcome.left
      failures.push({ attempt, message: `${_tag}: ${message}`, millis: (yield* Clock.currentTimeMillis) - start })
    }
    return failures
  }).pipe(withoutTraces, VirtualClock.run, Effect.map(({ value }) => value))

/** Four standard deviations: one fair seed in 16,000 falls outside. */
const assertBinomial = (actual: number, count: number, rate: number) =>
  assert.isAtMost(Math.abs(actual - count * rate), 4 * Math.sqrt(count * rate * (1 - rate)), `${actual} of ${count}`)

const assertWithin = (actual: number, expected: number, part: number, what: string) =>
  assert.isAtMost(Math.abs(actual - expected), expected * part, `${what}: ${actual} instead of ${expected}`)

describe("Simulated", () => {
  describe("time", () => {
    it.effect("is nothing unless asked for", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* simulate({}, files(100, 2 * mib))).millis, 0)
      }))

    it.effect("of latency goes by bytes", () =>
      Effect.gen(function*() {
        const options = { latencyPerByte: "1 millis" } as const
        for (const size of [0, 1, 100, 1_100, 9_999, 10_000, 10_001, 64 * kib, 100_000]) {
          assert.strictEqual(yield* millisOf(options, size), size)
        }
        assert.strictEqual(yield* millisOf({ latencyPerByte: "1 seconds" }, 60), 60_000)
        assert.strictEqual(yield* millisOf({ latencyPerByte: Duration.micros(250n) }, 4_000), 1_000)
      }))

    it.effect("of a request comes before its bytes", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* millisOf({ requestLatency: "20 millis" }, 0), 20)
        assert.strictEqual(yield* millisOf({ requestLatency: "20 millis" }, 5 * mib), 20)
        assert.strictEqual(yield* millisOf({ requestLatency: "20 millis", latencyPerByte: "2 millis" }, 50), 120)
      }))

    it.effect("of a connection is that of its bandwidth, each for itself", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* millisOf({ bytesPerSecond: 1_000 }, 2_500), 2_500)
        assert.strictEqual(yield* millisOf({ bytesPerSecond: "1 MiB" }, 10 * mib), 10_000)
        // A part has a connection of its own.
        assert.strictEqual(yield* millisOf({ bytesPerSecond: "1 MiB", parts: {} }, 10 * mib), 8_000)
        for (const bytesPerSecond of [7, 300, 3_000, 999_999]) {
          const size = bytesPerSecond * 20
          assertWithin(yield* millisOf({ bytesPerSecond }, size), 20_000, 0.001, `${bytesPerSecond} B/s`)
        }
        const { millis } = yield* simulate({ bytesPerSecond: 1_000 }, files(50, 3_000))
        assert.strictEqual(millis, 3_000)
      }))

    it.effect("of uploads that run at once is that of the longest, to the millisecond", () =>
      Effect.gen(function*() {
        const sizes = Array.from({ length: 100 }, (_, i) => 100 + (i * 7_919) % 1_001)
        const { events, millis } = yield* simulate(
          { latencyPerByte: "1 millis" },
          sizes.map((size, i) => file(size, `${i}`))
        )
        assert.strictEqual(millis, Math.max(...sizes))
        const ended = new Map(
          events.flatMap((event) => event._tag === "UploadFinished" ? [[event.key, event.at] as const] : [])
        )
        assert.deepStrictEqual(sizes.map((_, i) => ended.get(`${i}`)), sizes)
      }))

    it.effect("of uploads one by one is their sum", () =>
      Effect.gen(function*() {
        const settings = { strategy: Strategy.workerPool({ workers: 1 }) }
        const { millis } = yield* simulate(
          { requestLatency: "5 millis", latencyPerByte: "1 millis" },
          files(40, 25),
          settings
        )
        assert.strictEqual(millis, 40 * 30)
      }))
  })

  describe("shared bandwidth", () => {
    it.effect("is what all connections have together", () =>
      Effect.gen(function*() {
        for (
          const [bytesPerSecond, count, size] of [
            [10_000, 1, 100_000],
            [10_000, 10, 10_000],
            [1_000_000, 1, 10_000_000],
            [1_000_000, 7, 3_000_000],
            [1_000_000, 100, 100_000]
          ] as const
        ) {
          const { millis, report } = yield* simulate({ sharedBytesPerSecond: bytesPerSecond }, files(count, size))
          assert.strictEqual(report.files.uploaded, count)
          assertWithin(
            millis,
            count * size * 1000 / bytesPerSecond,
            0.01,
            `${count} x ${size} at ${bytesPerSecond} B/s`
          )
        }
      }))

    it.effect("is shared fairly", () =>
      Effect.gen(function*() {
        // Nine of the same size end together; one of half the size has had its share and ends at about half the time.
        const list = [...files(9, 10_000_000), file(5_000_000, "half")]
        const { results } = yield* simulate({ sharedBytesPerSecond: 1_000_000 }, list)
        const seconds = (key: string) => {
          const result = results.get(key)!
          return result._tag === "Uploaded" ? Duration.toSeconds(result.duration) : NaN
        }
        assertWithin(seconds("half"), 50, 0.02, "the one of half the size")
        for (let i = 0; i < 9; i++) assertWithin(seconds(`${i}`), 95, 0.01, `the one of ${i}`)
      }))

    it.effect("and a connection's own hold together: the tighter decides", () =>
      Effect.gen(function*() {
        for (
          const [count, size, own, shared, seconds] of [
            [10, 2_000_000, 100_000, 2_000_000, 20],
            [10, 2_000_000, 100_000, 500_000, 40],
            [10, 2_000_000, 100_000, 950_000, 21.05],
            [10, 2_000_000, 1_000_000, 1_000_000, 20],
            [2, 50_000, 1_000, 2_000, 50]
          ] as const
        ) {
          const options = { bytesPerSecond: own, sharedBytesPerSecond: shared }
          const { millis } = yield* simulate(options, files(count, size))
          assertWithin(millis / 1000, seconds, 0.01, `${count} x ${own} of ${shared} B/s`)
        }
        const alone = yield* millisOf({ bytesPerSecond: 100_000, sharedBytesPerSecond: 100_000 }, 2_000_000)
        assertWithin(alone / 1000, 20, 0.01, "one connection that may have all")
      }))
  })

  describe("a link", () => {
    /** When each file ended, in milliseconds. */
    const ends = (options: Simulated.Options, list: Iterable<UploadFile.UploadFile>) =>
      Effect.map(
        simulate(options, list),
        ({ results }) =>
          Array.from(results.values()).flatMap((result) =>
            result._tag === "Uploaded" ? [[result.file.key, Duration.toMillis(result.duration)] as const] : []
          )
      )

    it.effect("is shared in equal parts by all that send at the time, to the millisecond", () =>
      Effect.gen(function*() {
        // Three share 1,000 B/s: the least ends after 300 ms; two are left, with 400 and 900 of their bytes less 100.
        assert.deepStrictEqual(
          yield* ends({ sharedBytesPerSecond: 1_000 }, [file(900, "c"), file(100, "a"), file(400, "b")]),
          [["a", 300], ["b", 900], ["c", 1_400]]
        )
        // No one is faster than its own line, and what one leaves is for the others.
        assert.deepStrictEqual(
          yield* ends({ sharedBytesPerSecond: 1_000, bytesPerSecond: 400 }, [
            file(100, "a"),
            file(400, "b"),
            file(900, "c")
          ]),
          [["a", 300], ["b", 1_050], ["c", 2_300]]
        )
      }))

    it.effect("changes its capacity on schedule", () =>
      Effect.gen(function*() {
        const sharedBytesPerSecond = [
          { at: 0, bytesPerSecond: 1_000 },
          { at: "1 second", bytesPerSecond: 250 },
          { at: "3 seconds", bytesPerSecond: 2_000 }
        ] as const
        // 1,000 bytes in the first second, 500 in the next two, then 2 in a millisecond.
        assert.deepStrictEqual(
          yield* ends({ sharedBytesPerSecond }, [file(1_000, "a"), file(2_000, "b")]),
          [["a", 3_250], ["b", 3_750]]
        )
      }))

    it.effect("goes to those that are left when one is interrupted", () =>
      Effect.gen(function*() {
        const { millis } = yield* VirtualClock.run(Effect.gen(function*() {
          const { destination } = yield* Simulated.make({ sharedBytesPerSecond: 1_000 })
          const put = (key: string) =>
            destination.put({ key, body: TestBody.make(pattern(1_000)), contentType: undefined, metadata: undefined })
          const first = yield* Effect.fork(put("first"))
          const second = yield* Effect.fork(put("second"))
          yield* Effect.sleep(500)
          yield* Fiber.interrupt(first)
          yield* Fiber.join(second)
        }))
        assert.strictEqual(millis, 500 + 750)
      }))

    it.effect("comes after the round trip and the server's own time", () =>
      Effect.gen(function*() {
        const options = { roundTrip: "80 millis", requestLatency: "20 millis", sharedBytesPerSecond: 1_000 } as const
        assert.deepStrictEqual(yield* ends(options, [file(100, "a")]), [["a", 200]])
      }))
  })

  describe("noise", () => {
    it.effect("varies the time of requests, and keeps their mean", () =>
      Effect.gen(function*() {
        const millis = (seed: number) =>
          Effect.map(
            simulate({ bytesPerSecond: 1_000, requestLatency: 500, noise: 0.2, seed }, files(2_000, 500)),
            ({ results }) =>
              Array.from(
                results.values(),
                (result) => result._tag === "Uploaded" ? Duration.toMillis(result.duration) : NaN
              )
          )
        const all = yield* millis(1)
        const mean = all.reduce((sum, one) => sum + one) / all.length
        const deviation = Math.sqrt(all.reduce((sum, one) => sum + (Math.log(one / 1_000) + 0.02) ** 2, 0) / all.length)
        assertWithin(mean, 1_000, 0.02, "the mean")
        assertWithin(deviation, 0.2, 0.1, "the deviation")
        assert.deepStrictEqual(yield* millis(1), all)
        assert.notDeepEqual(yield* millis(2), all)
      }))
  })

  describe("stalls", () => {
    it.effect("are cut by the engine, and tried again", () =>
      Effect.gen(function*() {
        const options = { bytesPerSecond: 1_000, stallRate: 0.3, seed: 7 }
        const { events, report } = yield* simulate(options, files(200, 1_000), {
          retry: RetryPolicy.make({ attempts: 20 }),
          run: { stallTimeout: "5 seconds" }
        })
        const errors = events.flatMap((event) => event._tag === "UploadRetrying" ? [event.error.reason] : [])
        assert.strictEqual(report.files.uploaded, 200)
        assert.deepStrictEqual(Array.from(new Set(errors)), ["Stalled"])
        assertBinomial(errors.length, report.attempts, 0.3)
      }))
  })

  describe("failures", () => {
    const count = 10_000

    const failed = (history: History) =>
      [...history.results.values()].flatMap((result) =>
        result._tag === "Failed" ? [[result.file.key, result.error.message]] : []
      )

    for (const failureRate of [0.05, 0.3]) {
      it.effect(`come at the asked rate, and the same for the same seed: ${failureRate * 100} %`, () =>
        Effect.gen(function*() {
          const seen = new Set<string>()
          for (const seed of ["a", "b", 1]) {
            const failures = yield* attempts({ failureRate, seed }, count)
            assertBinomial(failures.length, count, failureRate)
            seen.add(JSON.stringify(failures))
            if (seed !== 1) continue
            const again = yield* attempts({ failureRate, seed }, count / 5)
            assert.deepStrictEqual(again, failures.slice(0, again.length))
          }
          assert.strictEqual(seen.size, 3, "seeds differ")
        }))
    }

    it.effect("are the engine's to count", () =>
      Effect.gen(function*() {
        const history = yield* simulate({ failureRate: 0.3, seed: "engine" }, files(1_000, 1_000))
        assertBinomial(failed(history).length, 1_000, 0.3)
        assert.strictEqual(history.report.files.failed, failed(history).length)
        assert.deepStrictEqual(
          failed(yield* simulate({ failureRate: 0.3, seed: "engine" }, files(1_000, 1_000))),
          failed(history)
        )
      }))

    it.effect("are broken connections, at any point of the bytes", () =>
      Effect.gen(function*() {
        const failures = yield* attempts({ failureRate: 0.5, seed: "points", latencyPerByte: "1 millis" }, 4_000)
        assertBinomial(failures.length, 4_000, 0.5)
        const points = failures.map(({ message, millis }) => {
          const bytes = Number(/^Transient: .* after (\d+) bytes/.exec(message)?.[1])
          // It takes as long as the bytes that got through.
          assert.strictEqual(millis, bytes)
          return bytes
        })
        assert.isTrue(points.every((point) => point >= 0 && point < 1_000))
        for (let tenth = 0; tenth < 10; tenth++) {
          assertBinomial(points.filter((point) => Math.floor(point / 100) === tenth).length, points.length, 0.1)
        }
      }))

    it.effect("are none, or all, as configured; also for empty files and those of unknown size", () =>
      Effect.gen(function*() {
        const list = [file(0), file(1), file(3 * mib), { ...file(5, "unknown"), size: undefined }]
        const good = yield* simulate({ failureRate: 0, seed: 1 }, list)
        assert.strictEqual(good.report.files.uploaded, 4)
        const bad = yield* simulate({ failureRate: 1, seed: 1 }, list)
        assert.strictEqual(bad.report.files.failed, 4)
      }))

    it.effect("follow the Random of the context if there is no seed", () =>
      Effect.gen(function*() {
        const run = (seed: string) =>
          Effect.map(Effect.withRandom(simulate({ failureRate: 0.3 }, files(300, 10)), Random.make(seed)), failed)
        const first = yield* run("one")
        assert.isAbove(first.length, 50)
        assert.deepStrictEqual(yield* run("one"), first)
        assert.notDeepEqual(yield* run("two"), first)
      }))

    it.effect("leave nothing behind", () =>
      Effect.gen(function*() {
        const { destination, network } = yield* Simulated.make({ failureRate: 1, seed: 1, observe: true })
        assert.strictEqual(destination.name, "sim:")
        const error = yield* Effect.flip(
          Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(file(3 * mib))).pipe(
            Effect.provide(
              Layer.provide(
                Uploader.layer({ retry: RetryPolicy.none }),
                Simulated.layer({ failureRate: 1, seed: 1, observe: true })
              )
            )
          )
        )
        assert.strictEqual(error._tag, "Transient")
        assert.strictEqual(network.objects.size, 0)
      }))

    it.effect("and retries have the same history every time", () =>
      Effect.gen(function*() {
        const options = {
          failureRate: 0.3,
          seed: "history",
          requestLatency: "20 millis",
          latencyPerByte: "1 millis"
        } as const
        const settings = { retry: RetryPolicy.make(), strategy: Strategy.workerPool({ workers: 8 }) }
        const once = Effect.suspend(() =>
          Effect.map(
            Effect.withRandom(simulate(options, files(200, 500), settings), Random.make("jitter")),
            ({ events, millis }) => ({ events, millis })
          )
        )
        const first = yield* once
        assert.isAbove(first.events.filter((event) => event._tag === "UploadRetrying").length, 40)
        assert.deepStrictEqual(yield* once, first)
      }))
  })

  describe("throttling", () => {
    it.effect("refuses requests above the limit, and says how long to wait", () =>
      Effect.gen(function*() {
        const options = { maxInFlight: 3, requestLatency: "1 seconds" } as const
        const quiet = yield* simulate(options, files(10, 1))
        assert.strictEqual(quiet.report.files.uploaded, 3)
        assert.strictEqual(quiet.peakInFlight, 3)
        const told = yield* simulate({ ...options, retryAfter: "2 seconds" }, files(10, 1))
        for (const [history, expected] of [[quiet, undefined], [told, 2_000]] as const) {
          const errors = errorsOf(history)
          assert.lengthOf(errors, 7)
          for (const error of errors) {
            assert.strictEqual(error._tag, "Throttled")
            assert.strictEqual(error._tag === "Throttled" ? error.retryAfterMillis : NaN, expected)
          }
        }
      }))

    it.effect("is waited for by the engine, and everything gets through", () =>
      Effect.gen(function*() {
        const options = { maxInFlight: 3, requestLatency: "900 millis", retryAfter: "1 seconds" } as const
        const history = yield* simulate(options, files(10, 1), { retry: RetryPolicy.make() })
        assert.strictEqual(history.report.files.uploaded, 10)
        assert.strictEqual(history.peakInFlight, 3)
        // Three a second: 3, 3, 3 and 1.
        assert.strictEqual(history.millis, 3_900)
        assert.strictEqual(history.report.retries, 7 + 4 + 1)
      }))
  })

  describe("presets", () => {
    it.effect("are what they say", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* millisOf(Simulated.presets.slow, 321), 321)
        for (const [preset, rate] of [[Simulated.presets.flaky, 0.05], [Simulated.presets.broken, 0.3]] as const) {
          const failures = yield* attempts({ ...preset, seed: "preset" }, 5_000)
          assertBinomial(failures.length, 5_000, rate)
          assert.isTrue(failures.every(({ millis }) => millis === 20))
        }
      }))
  })

  describe("a slow network", () => {
    const slow: Readonly<Record<string, readonly [options: Simulated.Options, size: number, millis: number]>> = {
      "by latency": [{ latencyPerByte: "1 millis" }, 200_000, 200_000],
      "by a very long latency": [{ latencyPerByte: "20 seconds" }, 10, 200_000],
      "by its own bandwidth": [{ bytesPerSecond: 500 }, 100_000, 200_000],
      "by the shared bandwidth": [{ sharedBytesPerSecond: 500 }, 100_000, 200_000],
      "by a shared bandwidth that one piece waits for": [{ sharedBytesPerSecond: 10_000 }, mib, mib / 10]
    }

    it.effect("does not look stalled to the many who share it", () =>
      Effect.gen(function*() {
        const { millis, report } = yield* simulate({ sharedBytesPerSecond: 10_000 }, files(200, 2_000))
        assert.strictEqual(report.files.uploaded, 200)
        assertWithin(millis, 40_000, 0.01, "200 at once")
      }))

    for (const [name, [options, size, expected]] of Object.entries(slow)) {
      it.effect(`does not look stalled: ${name}`, () =>
        Effect.gen(function*() {
          assertWithin(yield* millisOf(options, size), expected, 0.01, name)
        }))
    }

    it.effect("shows progress on the way", () =>
      Effect.gen(function*() {
        const seen = yield* Effect.gen(function*() {
          const uploader = yield* Uploader.Uploader
          const run = yield* uploader.start([file(100_000)])
          const sent: Array<number> = []
          for (let second = 0; second < 100; second += 10) {
            sent.push((yield* run.currentProgress).bytesInFlight)
            yield* Effect.sleep("10 seconds")
          }
          yield* run.report
          return sent
        }).pipe(
          Effect.scoped,
          Effect.provide(Layer.provide(Uploader.layer(), Simulated.layer(Simulated.presets.slow))),
          VirtualClock.run
        )
        for (const [i, sent] of seen.value.entries()) {
          assert.isAtMost(Math.abs(sent - i * 10_000), 1_000, `after ${i * 10} seconds`)
        }
      }))
  })

  describe("what can be seen of it", () => {
    it.effect("are copies of the objects, and nothing unless asked for", () =>
      Effect.gen(function*() {
        const bytes = pattern(1_000)
        const original = bytes.slice()
        const put = (options: Simulated.Options) =>
          Effect.gen(function*() {
            const network = yield* Simulated.Network
            const uploader = yield* Uploader.Uploader
            yield* uploader.upload(UploadFile.fromBytes("key", bytes, { contentType: "a/b", metadata: { c: "d" } }))
            return network
          }).pipe(Effect.provide(Layer.provideMerge(Uploader.layer(), Simulated.layer(options))))
        const network = yield* put({ observe: true })
        bytes.fill(0)
        const stored = network.objects.get("key")!
        assert.isTrue(sameBytes(stored.bytes, original))
        assert.strictEqual(stored.contentType, "a/b")
        assert.deepStrictEqual(stored.metadata, { c: "d" })
        assert.strictEqual((yield* put({})).objects.size, 0)
      }))

    it.live("are the requests in flight, until they end or are interrupted", () =>
      Effect.gen(function*() {
        const network = yield* Simulated.Network
        const uploader = yield* Uploader.Uploader
        const started = yield* Deferred.make<void>()
        let count = 0
        const fiber = yield* Effect.fork(uploader.uploadAll(files(20, 10), {
          onEvent: (event) =>
            Effect.suspend(() =>
              event._tag === "UploadStarted" && ++count === 20 ? Deferred.succeed(started, undefined) : Effect.void
            )
        }))
        yield* Deferred.await(started)
        yield* Effect.repeat(Effect.zipRight(Effect.yieldNow(), network.inFlight), { until: (now) => now === 20 })
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* network.inFlight, 0)
        assert.strictEqual(yield* network.peakInFlight, 20)
      }).pipe(
        Effect.provide(
          Layer.provideMerge(
            Uploader.layer({ strategy: Strategy.unlimited }),
            Simulated.layer({ observe: true, requestLatency: "1 hour" })
          )
        )
      ))
  })
})
