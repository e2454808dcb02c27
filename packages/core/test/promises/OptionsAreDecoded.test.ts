/**
 * Options are decoded once, where they come in. What is no good value is refused at once, by name; nothing is without
 * limit, and nothing waits for ever, because of a number that is none.
 */
import { assert, describe, it } from "@effect/vitest"
import { AdaptiveRate, ByteSource, Limits, RetryPolicy, Strategy, Transport, UploadFile } from "@sluice/core"
import type { Uploader, UploadRun } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as FaultProxyNode from "@sluice/core/testing/FaultProxyNode"
import * as AdaptiveMachine from "@sluice/core/unstable/AdaptiveMachine"
import { Cause, Effect, Exit, Fiber, Option, TestClock } from "effect"
import * as Recording from "../support/Recording.js"

const noNumbers: ReadonlyArray<number> = [NaN, -1, -Infinity, "8" as unknown as number]

/** Values that are also valid as text: sizes and durations. */
const takesText =
  /^(bytesPerSecond( of a line)?|delay|jitter|memory|partSize|multipartThreshold|base|cap|throttledBase|retryAfterCap|requestLatency)$/

const files = (count: number) => Array.from({ length: count }, (_, i) => UploadFile.fromText(`f${i}`, `${i}`))

/** How an effect ends at once, or what constructing it throws. */
const refusal = (make: () => Effect.Effect<unknown, unknown, never>): string | undefined => {
  const exit = Effect.runSyncExit(Effect.suspend(make))
  if (Exit.isSuccess(exit)) return undefined
  const defect = Option.getOrUndefined(Cause.dieOption(exit.cause))
  return defect instanceof RangeError ? defect.message : `no RangeError: ${Cause.pretty(exit.cause)}`
}

const now = <A>(make: () => A) => () => Effect.sync(make)

const uploader = (options: Uploader.Options) => () =>
  Effect.scoped(Effect.asVoid(Recording.uploader(Recording.make(), options)))

const run = (options: UploadRun.Options) => () =>
  Effect.scoped(Effect.flatMap(Recording.uploader(Recording.make()), (uploader) => uploader.uploadAll([], options)))

describe("construction", () => {
  const knobs: Record<string, (value: number) => () => Effect.Effect<unknown, unknown>> = {
    workers: (workers) => now(() => Strategy.workerPool({ workers })),
    uploadsPerSecond: (uploadsPerSecond) => now(() => Strategy.rateLimited({ uploadsPerSecond })),
    bytesPerSecond: (bytesPerSecond) => now(() => Strategy.bandwidth({ bytesPerSecond })),
    base: (base) => now(() => Strategy.adaptiveRate({ base })),
    "floor": (floor) => now(() => AdaptiveRate.initial({ base: 1, floor })),
    "ceiling": (ceiling) => now(() => Strategy.adaptiveRate({ base: 1, ceiling })),
    min: (min) => now(() => Strategy.adaptive({ min })),
    max: (max) => now(() => Strategy.progressive({ max })),
    initial: (initial) => now(() => AdaptiveMachine.initial({ initial })),
    attempts: (attempts) => now(() => RetryPolicy.make({ attempts })),
    "retry.attempts": (attempts) => uploader({ retry: { ...RetryPolicy.none, attempts } }),
    concurrency: (concurrency) => uploader({ strategy: { ...Strategy.unlimited, concurrency } }),
    memory: (memory) => uploader({ memory }),
    partSize: (partSize) => uploader({ partSize }),
    partConcurrency: (partConcurrency) => uploader({ partConcurrency }),
    stallTimeout: (stallTimeout) => run({ stallTimeout }),
    progressInterval: (progressInterval) => run({ progressInterval }),
    lookahead: (lookahead) => run({ lookahead }),
    "bytesPerSecond of a line": (bytesPerSecond) => now(() => FaultProxyNode.bandwidth({ bytesPerSecond })),
    maxInFlight: (maxInFlight) => () => Simulated.make({ maxInFlight })
  }
  for (const [name, make] of Object.entries(knobs)) {
    it(`refuses ${name} of 0, of no number and of less than nothing, and takes 1`, () => {
      for (const value of [0, ...noNumbers]) {
        if (typeof value === "string" && takesText.test(name)) continue
        const message = refusal(make(value))
        assert.match(
          message ?? "taken",
          new RegExp(`^${name.replace(" of a line", "").replaceAll(".", "\\.")} takes .+, not .+\\.$`),
          String(value)
        )
        assert.include(message, String(value))
      }
      assert.isUndefined(refusal(make(1)))
    })
  }

  const orNone: Record<string, (value: number) => () => Effect.Effect<unknown, unknown>> = {
    base: (base) => now(() => RetryPolicy.make({ base })),
    cap: (cap) => now(() => RetryPolicy.make({ cap })),
    throttledBase: (throttledBase) => now(() => RetryPolicy.make({ throttledBase })),
    retryAfterCap: (retryAfterCap) => now(() => RetryPolicy.make({ retryAfterCap })),
    "budget.tokens": (tokens) => now(() => RetryPolicy.make({ budget: { tokens, retryCost: 5, successRefund: 1 } })),
    "budget.retryCost": (retryCost) =>
      now(() => RetryPolicy.make({ budget: { tokens: 5, retryCost, successRefund: 1 } })),
    multipartThreshold: (multipartThreshold) => uploader({ multipartThreshold }),
    failuresKept: (failuresKept) => run({ failuresKept }),
    failureRate: (failureRate) => () => Simulated.make({ failureRate }),
    stallRate: (stallRate) => () => Simulated.make({ stallRate }),
    noise: (noise) => () => Simulated.make({ noise }),
    "capabilities.maxPutSize": (maxPutSize) => () =>
      Effect.scoped(Recording.uploader(Recording.make(Recording.takeAll, { maxPutSize }))),
    probability: (probability) => now(() => FaultProxyNode.latency({ probability })),
    times: (times) => now(() => FaultProxyNode.down({ times })),
    delay: (delay) => now(() => FaultProxyNode.latency({ delay })),
    jitter: (jitter) => now(() => FaultProxyNode.latency({ jitter })),
    cpus: (cpus) => now(() => Strategy.optimalWorkerCount({ cpus, openFiles: 1024 })),
    requestLatency: (requestLatency) => () => Simulated.make({ requestLatency })
  }
  for (const [name, make] of Object.entries(orNone)) {
    it(`refuses ${name} of no number and of less than nothing, and takes 0`, () => {
      for (const value of noNumbers) {
        if (typeof value === "string" && takesText.test(name)) continue
        assert.match(refusal(make(value)) ?? "taken", new RegExp(`^${name} takes .+, not .+\\.$`), String(value))
      }
      assert.isUndefined(refusal(make(0)))
    })
  }

  it("accepts Infinity as no limit, where that is allowed", () => {
    const unlimited = [
      now(() => Strategy.workerPool({ workers: Infinity })),
      now(() => Strategy.rateLimited({ uploadsPerSecond: Infinity })),
      now(() => Strategy.bandwidth({ bytesPerSecond: Infinity })),
      uploader({ partConcurrency: Infinity }),
      run({ stallTimeout: Infinity, lookahead: Infinity, failuresKept: Infinity })
    ]
    for (const make of unlimited) assert.isUndefined(refusal(make))
  })

  const words: Record<string, (value: never) => () => Effect.Effect<unknown, unknown>> = {
    checksum: (checksum) => uploader({ checksum }),
    gate: (gate) => uploader({ gate }),
    onInterrupt: (onInterrupt) => run({ onInterrupt }),
    onSourceChange: (onSourceChange) => run({ onSourceChange }),
    onResult: (onResult) => run({ onResult }),
    onEvent: (onEvent) => run({ onEvent }),
    parts: (parts) => () =>
      Effect.provideService(Http.make({ url: "http://127.0.0.1:1/", parts }), Transport.Transport, {
        send: () => Effect.dieMessage("Nothing is asked."),
        open: () => Effect.dieMessage("Nothing is asked.")
      })
  }
  for (const [name, make] of Object.entries(words)) {
    it(`refuses ${name} that is none of its words`, () => {
      for (const value of ["x", 1, NaN, {}]) {
        assert.match(refusal(make(value as never)) ?? "taken", new RegExp(`^${name} takes .+, not .+\\.$`), `${value}`)
      }
      assert.isUndefined(refusal(make(undefined as never)))
    })
  }

  it("says what it takes", () => {
    assert.strictEqual(
      refusal(run({ onInterrupt: "stop" as "keep" })),
      "onInterrupt takes \"abort\" or \"keep\", not \"stop\"."
    )
    assert.strictEqual(
      refusal(now(() => Strategy.workerPool({ workers: NaN }))),
      "workers takes a whole number of at least 1, or Infinity for no limit, not NaN."
    )
    assert.strictEqual(
      refusal(uploader({ memory: "much" })),
      "memory takes a size of at least 1 byte: bytes, or a number with a unit, such as \"8 MiB\", not \"much\"."
    )
    assert.strictEqual(
      refusal(run({ stallTimeout: "soon" as unknown as number })),
      "stallTimeout takes a duration above 0, such as \"30 seconds\", not \"soon\"."
    )
  })
})

describe("Limits.shared", () => {
  it("refuses memory and limits that are none, and takes none at all", () => {
    const shared = (options: Limits.SharedOptions) => () => Effect.scoped(Limits.shared(options))
    for (const memory of [0, ...noNumbers]) {
      assert.match(
        refusal(shared({ memory })) ?? (memory as unknown === "8" ? "memory takes, not 8." : "taken"),
        /^memory takes/
      )
    }
    for (const knob of ["concurrency", "uploadsPerSecond", "bytesPerSecond"] as const) {
      for (const value of [0, ...noNumbers]) {
        const strategy = { ...Strategy.unlimited, [knob]: value }
        assert.match(refusal(shared({ strategy })) ?? "taken", new RegExp(`^${knob} takes .+, not`), String(value))
      }
    }
    assert.isUndefined(refusal(shared({})))
  })
})

describe("limits.set", () => {
  for (const knob of ["concurrency", "uploadsPerSecond", "bytesPerSecond"] as const) {
    it(`refuses ${knob} of no number and of less than nothing, and changes nothing`, () => {
      for (const value of noNumbers) {
        const limits = Limits.make(Strategy.workerPool({ workers: 3 }))
        const before = Effect.runSync(limits.current)
        assert.match(
          refusal(() => limits.set({ concurrency: 7, [knob]: value })) ?? "taken",
          new RegExp(`^${knob} takes .+ at least 0, which pauses`),
          String(value)
        )
        assert.deepStrictEqual(Effect.runSync(limits.current), before)
      }
    })
  }

  it.effect("treats 0 starts per second as a pause, and continues at the rate that it is raised to", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      yield* Recording.virtual(Effect.gen(function*() {
        const { limits, uploadAll } = yield* Recording.uploader(recording, {
          strategy: Strategy.rateLimited({ uploadsPerSecond: 10 })
        })
        const fiber = yield* Effect.fork(uploadAll(files(10)))
        yield* Effect.sleep(350)
        yield* limits.set({ uploadsPerSecond: 0 })
        yield* limits.set({ uploadsPerSecond: 0 })
        yield* Effect.sleep(100_000)
        yield* limits.set({ uploadsPerSecond: 20 })
        yield* Fiber.join(fiber)
      }))
      const resumed = Array.from({ length: 6 }, (_, i) => 100_350 + 50 * i)
      assert.deepStrictEqual(recording.starts.slice(0, 4), [0, 100, 200, 300])
      assert.lengthOf(recording.starts, 10)
      recording.starts.slice(4).forEach((at, i) => assert.closeTo(at, resumed[i]!, 50, `start ${i + 4}`))
    }))

  it.effect("takes a rate of 0 from the very start on", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      yield* Recording.virtual(Effect.gen(function*() {
        const { limits, uploadAll } = yield* Recording.uploader(recording, { strategy: Strategy.unlimited })
        yield* limits.set({ uploadsPerSecond: 0 })
        const fiber = yield* Effect.fork(uploadAll(files(3)))
        yield* Effect.sleep(1_000)
        yield* limits.set({ uploadsPerSecond: 10 })
        yield* Fiber.join(fiber)
      }))
      assert.deepStrictEqual(recording.starts, [1_000, 1_100, 1_200])
    }))

  it.effect("treats 0 bytes per second as a pause, which is not a stall", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeStream)
      const { millis } = yield* Recording.virtual(Effect.gen(function*() {
        const { limits, uploadAll } = yield* Recording.uploader(recording, {
          strategy: Strategy.bandwidth({ bytesPerSecond: 10_000 }),
          retry: RetryPolicy.none
        })
        const fiber = yield* Effect.fork(
          uploadAll([UploadFile.make("a", ByteSource.generate(20_000))], { stallTimeout: 1_000 })
        )
        yield* Effect.sleep(500)
        yield* limits.set({ bytesPerSecond: 0 })
        yield* Effect.sleep(60_000)
        assert.isFalse(recording.objects.has("a"))
        yield* limits.set({ bytesPerSecond: 10_000 })
        const { files } = yield* Fiber.join(fiber)
        assert.strictEqual(files.uploaded, 1)
      }))
      assert.closeTo(millis, 62_000, 300)
    }))

  it.effect("takes 0 uploads in flight as a pause: those in flight end, and no other begins", () =>
    Effect.gen(function*() {
      for (const strategy of [Strategy.workerPool({ workers: 2 }), Strategy.adaptive({ initial: 2 })]) {
        const recording = Recording.make(Recording.takeAfter(100))
        yield* Recording.virtual(Effect.gen(function*() {
          const { limits, uploadAll } = yield* Recording.uploader(recording, { strategy })
          const fiber = yield* Effect.fork(uploadAll(files(40)))
          yield* Effect.sleep(150)
          yield* limits.set({ concurrency: 0 })
          yield* Effect.sleep(10_000)
          assert.strictEqual((yield* limits.current).concurrency, 0, strategy.name)
          const stored = recording.objects.size
          yield* Effect.sleep(10_000)
          assert.strictEqual(recording.objects.size, stored, strategy.name)
          assert.strictEqual(recording.inFlight(), 0, strategy.name)
          yield* limits.set({ concurrency: 2 })
          yield* Fiber.join(fiber)
        }))
        assert.strictEqual(recording.objects.size, 40, strategy.name)
      }
    }))

  it.effect("keeps an adaptive rate paused, too", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.virtual(Effect.gen(function*() {
        const { limits, uploadAll } = yield* Recording.uploader(recording, {
          strategy: Strategy.adaptiveRate({ base: 1 })
        })
        const fiber = yield* Effect.fork(uploadAll(files(8)))
        yield* Effect.sleep(3_500)
        yield* limits.set({ uploadsPerSecond: 0 })
        yield* Effect.sleep(60_000)
        assert.strictEqual(recording.objects.size, 4)
        yield* limits.set({ uploadsPerSecond: 1 })
        yield* Fiber.join(fiber)
      }))
      assert.strictEqual(recording.objects.size, 8)
    }))
})

describe("a list of things that are not files", () => {
  const wrong: Record<string, unknown> = {
    nothing: undefined,
    null: null,
    "a number": 7,
    "a name": "a.txt",
    "an empty object": {},
    "a key that is no text": { key: 7, source: ByteSource.fromText("x") },
    "a source that is none": { key: "k", source: "x" },
    "a source without bytes": { key: "k", source: { read: () => {} } },
    "a size that is no number": { ...UploadFile.fromText("k", "x"), size: NaN },
    "a size below nothing": { ...UploadFile.fromText("k", "x"), size: -1 },
    "half a byte": { ...UploadFile.fromText("k", "x"), size: 1.5 }
  }
  for (const [what, item] of Object.entries(wrong)) {
    it.effect(`fails for that alone: ${what}`, () =>
      Effect.gen(function*() {
        const items = [...files(2), item as UploadFile.UploadFile, UploadFile.fromText("last", "last")]
        async function* later() {
          yield* items
        }
        for (const list of [items, new Set(items)]) {
          const { report, results } = yield* Recording.uploadAll(Recording.make(), list)
          assert.deepStrictEqual([report.files.uploaded, report.files.failed], [3, 1])
          const failed = results.find(({ _tag }) => _tag === "Failed")!
          assert(failed._tag === "Failed")
          assert.deepStrictEqual([failed.error._tag, failed.attempts], ["Rejected", 0])
          assert.isFalse(Number.isNaN(report.bytes.uploaded))
        }
        const recording = Recording.make()
        const report = yield* Effect.scoped(
          Effect.flatMap(Recording.uploader(recording), (uploader) => uploader.uploadAll(later()))
        )
        assert.deepStrictEqual([report.files.uploaded, report.files.failed], [3, 1])
      }).pipe(Effect.provide(TestClock.defaultTestClock)))
  }

  it.effect("is refused as a list if it cannot be iterated", () =>
    Effect.gen(function*() {
      const lists: ReadonlyArray<readonly [unknown, string]> = [
        [undefined, "undefined"],
        [null, "null"],
        [7, "7"],
        ["a.txt", "a.txt"],
        [{}, "{}"],
        [Promise.resolve([]), "a Promise: await it first"],
        [Effect.succeed([]), "an Effect: run it first"]
      ]
      for (const [list, named] of lists) {
        const exit = yield* Effect.exit(Recording.uploadAll(Recording.make(), list as never))
        const defect = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined
        assert.instanceOf(defect, TypeError, named)
        assert.include((defect as TypeError).message, named)
        assert.match(
          (defect as TypeError).message,
          /^A list of files is an array, an iterable, an async iterable or a Stream/
        )
      }
    }))
})
