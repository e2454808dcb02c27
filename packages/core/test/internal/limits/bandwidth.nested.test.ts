import { assert, describe, it, vi } from "@effect/vitest"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Clock, Effect, Fiber } from "effect"
import * as fc from "fast-check"
import * as Bandwidth from "../../../src/internal/limits/bandwidth.js"
import * as Property from "../../support/Property.js"
import { worstExcess } from "../../support/Windows.js"
import type { Grant } from "../../support/Windows.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

/** Takes of each limit as many bytes as it gives in `millis`, in requests of `size`. */
const taken = (limits: ReadonlyArray<Bandwidth.Bandwidth>, millis: number, size: (limit: number) => number) =>
  VirtualClock.run(Effect.gen(function*() {
    const grants = limits.map((): Array<Grant> => [])
    const fibers = yield* Effect.forEach(limits, (limit, i) =>
      Effect.fork(Effect.forever(Effect.suspend(() => {
        const bytes = Math.min(size(i), limit.unit)
        return Effect.map(Effect.zipRight(limit.take(bytes), Clock.currentTimeMillis), (now) => {
          grants[i]!.push([now, bytes])
        })
      }))))
    yield* Effect.sleep(millis)
    yield* Fiber.interruptAll(fibers)
    return grants
  })).pipe(Effect.map(({ value }) => value))

const sum = (grants: ReadonlyArray<Grant>) => grants.reduce((sum, [, bytes]) => sum + bytes, 0)

describe("a bandwidth that is part of another", () => {
  it.effect("shares the whole evenly with the others, and takes what they leave", () =>
    Effect.gen(function*() {
      const whole = Bandwidth.make(1_000_000)
      const parts = [Infinity, 1_000_000, 100_000].map((rate) => Bandwidth.make(rate, whole))
      const bytes = (yield* taken(parts, 10_000, () => 20_000)).map(sum)
      assert.closeTo(bytes[2]!, 1_000_000, 60_000)
      assert.closeTo(bytes[0]! / bytes[1]!, 1, 0.02)
      assert.closeTo(bytes.reduce((a, b) => a + b), 10_000_000, 200_000)
    }))

  it.effect("gives a slow part all that it may take, however many others there are", () =>
    Effect.gen(function*() {
      const whole = Bandwidth.make(10_000_000)
      const parts = [100_000, ...Array.from({ length: 30 }, () => Infinity)].map((rate) => Bandwidth.make(rate, whole))
      const [slow, ...others] = (yield* taken(parts, 5_000, () => 1_000_000)).map(sum)
      assert.closeTo(slow!, 500_000, 25_000)
      assert.closeTo(slow! + others.reduce((a, b) => a + b), 50_000_000, 1_000_000)
    }))

  it.effect("takes bytes in pieces that suit both, and is unlimited only if the whole is", () =>
    Effect.gen(function*() {
      const whole = Bandwidth.make(100_000)
      const part = Bandwidth.make(Infinity, whole)
      assert.deepStrictEqual([part.unit, part.isUnlimited, part.bytesPerSecond], [whole.unit, false, Infinity])
      assert.isFalse(part.unsafeTake(yield* Effect.clock, 1))
      yield* whole.setRate(Infinity)
      assert.isTrue(part.isUnlimited)
      assert.isTrue(part.unsafeTake(yield* Effect.clock, 10 ** 9))
    }))

  it.effect("keeps to both limits in every window, whatever they are", () =>
    Property.check(
      fc.record({
        whole: fc.integer({ min: 5_000, max: 1_000_000 }),
        parts: fc.array(fc.oneof(fc.double({ min: 0.2, max: 2, noNaN: true }), fc.constant(Infinity)), {
          minLength: 2,
          maxLength: 3
        }),
        sizes: fc.array(fc.integer({ min: 1_000, max: 50_000 }), { minLength: 3, maxLength: 3 })
      }),
      ({ parts, sizes, whole: rate }) =>
        Effect.gen(function*() {
          const whole = Bandwidth.make(rate)
          const limits = parts.map((part) => Bandwidth.make(part * rate, whole))
          const grants = yield* taken(limits, Math.ceil(10_000_000 / rate) + 500, (i) => sizes[i]!)
          assert.isAtMost(worstExcess(grants.flat().sort(([a], [b]) => a - b), rate), 1)
          grants.forEach((some, i) => {
            if (parts[i]! < Infinity) assert.isAtMost(worstExcess(some, parts[i]! * rate), 1)
            assert.isAbove(some.length, 0)
          })
        }),
      60
    ))
})
