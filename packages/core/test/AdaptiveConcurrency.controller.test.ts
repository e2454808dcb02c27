import { assert, describe, it } from "@effect/vitest"
import { AdaptiveConcurrency, Limits } from "@sluice/core"
import { Effect, TestClock } from "effect"

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
      assert.isTrue(limits.rate.unsafeTake(yield* Effect.clock))
      assert.lengthOf(windows, before)
      assert.deepStrictEqual([(yield* limits.current).concurrency, yield* limits.reason], [0, "paused"])
      yield* limits.set({ concurrency: 4 })
      yield* attemptsEnd(100)
      assert.isAbove(windows.length, before)
    }))
})
