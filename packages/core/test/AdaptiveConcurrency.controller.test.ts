import { assert, describe, it } from "@effect/vitest"
import { AdaptiveConcurrency, Limits } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, TestClock } from "effect"
import { constants } from "../src/internal/limits/adaptiveSteps.js"
import * as EngineLimits from "../src/internal/limits/engineLimits.js"

const succeeded = (inFlight: number, durationMillis: number, bytes = 1_000): Limits.Observation => ({
  outcome: "Succeeded",
  durationMillis,
  bytes,
  inFlight
})

const started = Effect.gen(function*() {
  const limits = Limits.make({ concurrency: 4, uploadsPerSecond: Infinity, bytesPerSecond: Infinity })
  const windows: Array<number> = []
  const observe = yield* AdaptiveConcurrency.controller({
    seed: 1,
    onWindow: ({ limit }) => Effect.sync(() => windows.push(limit))
  }).start(Limits.forController(limits))
  /** Ends attempts of 100 ms, one every 100 ms. */
  const attemptsEnd = (count: number) =>
    Effect.gen(function*() {
      for (let i = 0; i < count; i++) {
        yield* TestClock.adjust(100)
        observe({ outcome: "Succeeded", durationMillis: 100, bytes: 1_000, inFlight: 4, retryAfterMillis: undefined })
      }
      yield* TestClock.adjust(1)
    })
  return { attemptsEnd, limits, observe, windows }
})

describe("AdaptiveConcurrency.controller", () => {
  it.scoped("learns nothing while the uploader is paused", () =>
    Effect.gen(function*() {
      const { attemptsEnd, limits, observe, windows } = yield* started
      yield* attemptsEnd(50)
      const before = windows.length
      assert.isAbove(before, 0)
      yield* limits.set({ concurrency: 0 }, "paused")
      yield* attemptsEnd(200)
      observe({ outcome: "Throttled", durationMillis: 50, bytes: 0, inFlight: 1, retryAfterMillis: 60_000 })
      assert.isTrue(EngineLimits.of(limits).rate.unsafeTake(yield* Effect.clock))
      assert.lengthOf(windows, before)
      assert.deepStrictEqual([(yield* limits.current).concurrency, yield* limits.reason], [0, "paused"])
      yield* limits.set({ concurrency: 4 })
      yield* attemptsEnd(100)
      assert.isAbove(windows.length, before)
    }))

  it("is called adaptive", () => assert.strictEqual(AdaptiveConcurrency.controller().name, "adaptive"))

  it.effect("counts nothing that began in the instant in which the limit fell", () =>
    VirtualClock.run(Effect.scoped(Effect.gen(function*() {
      const counted: Array<readonly [limit: number, ended: number, busyMillis: number]> = []
      const limits = Limits.make({ concurrency: 8, uploadsPerSecond: Infinity, bytesPerSecond: Infinity })
      const observe = yield* AdaptiveConcurrency.controller({
        initial: 8,
        seed: 1,
        onWindow: ({ busyMillis, ended, limit }) => Effect.sync(() => counted.push([limit, ended, busyMillis]))
      }).start(limits)
      yield* Effect.sleep(1_000)
      observe({ ...succeeded(8, 100, 0), outcome: "Throttled" })
      yield* Effect.sleep(900)
      // Began with the others, when there were 8.
      observe(succeeded(6, 900))
      yield* Effect.sleep(100)
      for (let i = 0; i < constants.completions; i++) observe(succeeded(6, 100))
      yield* Effect.yieldNow()
      assert.deepStrictEqual(counted, [[8, 1, 100], [6, constants.completions, 1_000]])
    }))))
})
