import { assert, describe, it, vi } from "@effect/vitest"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Cause, Clock, Effect, Exit, Fiber, Option } from "effect"
import * as fc from "fast-check"
import * as Bandwidth from "../../../src/internal/limits/bandwidth.js"
import * as Property from "../../support/Property.js"
import { worstExcess } from "../../support/Windows.js"
import type { Grant } from "../../support/Windows.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

/** Takes `sizes` one after the other and writes down when each was granted. */
const takeAll = (bandwidth: Bandwidth.Bandwidth, grants: Array<Grant>, sizes: Iterable<number>): Effect.Effect<void> =>
  Effect.forEach(
    sizes,
    (bytes) =>
      Effect.map(Effect.zipRight(bandwidth.take(bytes), Clock.currentTimeMillis), (now) => {
        grants.push([now, bytes])
      }),
    { discard: true }
  )

const total = (grants: ReadonlyArray<Grant>) => grants.reduce((sum, [, bytes]) => sum + bytes, 0)

const rates = [
  ["10 KiB/s", 10 * 1024],
  ["100 kB/s", 100_000],
  ["1 MiB/s", 1024 ** 2],
  ["50 MiB/s", 50 * 1024 ** 2],
  ["1 GiB/s", 1024 ** 3]
] as const

describe("Bandwidth", () => {
  for (const [name, rate] of rates) {
    it.effect(`lets ${name} through, and never more than the burst above it in any second`, () =>
      Effect.gen(function*() {
        const bandwidth = Bandwidth.make(rate)
        const grants: Array<Grant> = []
        const unit = bandwidth.unit
        const share = Math.ceil(rate / 8 / unit)
        // For a second of quiet, then by eight takers at once.
        const { millis } = yield* VirtualClock.run(Effect.gen(function*() {
          yield* takeAll(bandwidth, grants, Array.from({ length: share }, () => unit))
          yield* Effect.sleep(1_000)
          yield* Effect.all(
            Array.from({ length: 8 }, () => takeAll(bandwidth, grants, Array.from({ length: share }, () => unit))),
            { concurrency: "unbounded" }
          )
        }))
        assert.isAtMost(worstExcess(grants, rate), 1)
        assert.strictEqual(total(grants), 9 * share * unit)
        assert.isAtLeast(millis, 1_000 + (total(grants) - Bandwidth.burst(rate)) * 1_000 / rate - 1)
        assert.isAtMost(millis, 1_000 + total(grants) * 1_000 / rate + 2)
      }))

    it.effect(`keeps to ${name} over 10 s with many requests that are larger than the burst`, () =>
      Effect.gen(function*() {
        const bandwidth = Bandwidth.make(rate)
        const size = Math.round(rate / 4)
        assert.isAbove(size, Bandwidth.burst(rate))
        const grants: Array<Grant> = []
        const { millis } = yield* VirtualClock.run(
          Effect.all(Array.from({ length: 20 }, () => takeAll(bandwidth, grants, [size, size])), {
            concurrency: "unbounded"
          })
        )
        assert.strictEqual(total(grants), size * 40)
        // Ten seconds' worth takes ten seconds: 98 to 101 % of the rate.
        assert.isAtLeast(millis, 10_000 / 1.01)
        assert.isAtMost(millis, 10_000 / 0.98)
        // Never ahead of the rate, from the start on: the burst has to be earned.
        let bytes = 0
        for (const [at, granted] of grants) {
          bytes += granted
          assert.isAtMost(bytes, (rate * at) / 1000 + 1)
        }
      }))
  }

  it.effect("starts empty: the first byte has to be earned", () =>
    Effect.gen(function*() {
      const grants: Array<Grant> = []
      yield* VirtualClock.run(takeAll(Bandwidth.make(1_000_000), grants, [20_000, 20_000, 1_000]))
      assert.deepStrictEqual(grants, [[20, 20_000], [40, 20_000], [41, 1_000]])
    }))

  it.effect("saves no more than the burst in a quiet spell", () =>
    Effect.gen(function*() {
      const rate = 1_000_000
      assert.strictEqual(Bandwidth.burst(rate), 100_000)
      const grants: Array<Grant> = []
      const bandwidth = Bandwidth.make(rate)
      yield* VirtualClock.run(Effect.gen(function*() {
        yield* bandwidth.take(1)
        yield* Effect.sleep(60_000)
        yield* takeAll(bandwidth, grants, Array.from({ length: 8 }, () => 20_000))
      }))
      assert.deepStrictEqual(grants.map(([at]) => at - 60_001), [0, 0, 0, 0, 0, 20, 40, 60])
    }))

  it.effect("serves requests in order, unit by unit, so that a large one starves nobody", () =>
    Effect.gen(function*() {
      const bandwidth = Bandwidth.make(1_000_000)
      const order: Array<readonly [at: number, taker: string]> = []
      const taker = (name: string, bytes: number) =>
        Effect.map(Effect.zipRight(bandwidth.take(bytes), Clock.currentTimeMillis), (now) => {
          order.push([now, name])
        })
      yield* VirtualClock.run(
        Effect.all([taker("large", 100_000), taker("a", 20_000), taker("b", 20_000)], { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(order, [[40, "a"], [60, "b"], [140, "large"]])
    }))

  it.effect("does not limit at Infinity", () =>
    Effect.gen(function*() {
      const bandwidth = Bandwidth.make(Infinity)
      const { millis } = yield* VirtualClock.run(Effect.repeatN(bandwidth.take(1024 ** 3), 99))
      assert.strictEqual(millis, 0)
      assert.strictEqual(bandwidth.bytesPerSecond, Infinity)
    }))

  it.effect("lets no bytes through at once", () =>
    Effect.gen(function*() {
      const { millis } = yield* VirtualClock.run(Bandwidth.make(10).take(0))
      assert.strictEqual(millis, 0)
    }))

  describe("a change of the limit", () => {
    const changed = (from: number, to: number, bytes: number) =>
      VirtualClock.run(Effect.gen(function*() {
        const bandwidth = Bandwidth.make(from)
        const busy = yield* Effect.fork(Effect.forever(bandwidth.take(bandwidth.unit)))
        yield* Effect.sleep(2_000)
        yield* Fiber.interrupt(busy)
        yield* bandwidth.setRate(to)
        assert.strictEqual(bandwidth.bytesPerSecond, to)
        yield* bandwidth.take(bytes)
        return (yield* Clock.currentTimeMillis) - 2_000
      })).pipe(Effect.map(({ value }) => value))

    it.effect("downwards takes effect at once, without debt from before", () =>
      Effect.gen(function*() {
        // What could go at once before can go at once now: up to the new burst, of 100 ms.
        assert.approximately(yield* changed(50 * 1024 ** 2, 100_000, 100_000), 950, 51)
        assert.approximately(yield* changed(1024 ** 3, 10 * 1024, 10 * 1024), 950, 51)
      }))

    it.effect("upwards takes effect at once, without a burst", () =>
      Effect.gen(function*() {
        assert.approximately(yield* changed(10 * 1024, 1024 ** 2, 1024 ** 2), 1_000, 110)
        assert.approximately(yield* changed(100_000, 50 * 1024 ** 2, 50 * 1024 ** 2), 1_000, 21)
      }))

    it.effect("wakes whoever waits, at the exact instant", () =>
      Effect.gen(function*() {
        const { value } = yield* VirtualClock.run(Effect.gen(function*() {
          const bandwidth = Bandwidth.make(1_000)
          const fiber = yield* Effect.fork(Effect.zipRight(bandwidth.take(1_000), Clock.currentTimeMillis))
          yield* Effect.sleep(400)
          yield* bandwidth.setRate(6_000)
          return yield* Fiber.join(fiber)
        }))
        // 400 of the 1,000 bytes were earned; the other 600 take 100 ms.
        assert.strictEqual(value, 500)
      }))

    it.effect("to none lets all go that wait", () =>
      Effect.gen(function*() {
        const { millis } = yield* VirtualClock.run(Effect.gen(function*() {
          const bandwidth = Bandwidth.make(10)
          const fiber = yield* Effect.fork(
            Effect.all([bandwidth.take(5_000), bandwidth.take(5_000)], { concurrency: "unbounded" })
          )
          yield* Effect.sleep(1_234)
          yield* bandwidth.setRate(Infinity)
          yield* Fiber.join(fiber)
        }))
        assert.strictEqual(millis, 1_234)
      }))
  })

  it.effect("returns what an interrupted take had not been granted", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(Effect.gen(function*() {
        const bandwidth = Bandwidth.make(1_000_000)
        const first = yield* Effect.fork(bandwidth.take(1_000_000))
        const second = yield* Effect.fork(Effect.zipRight(bandwidth.take(20_000), Clock.currentTimeMillis))
        yield* Effect.sleep(10)
        yield* Fiber.interrupt(first)
        return yield* Fiber.join(second)
      }))
      assert.strictEqual(value, 20)
    }))

  it.effect("never lets more than rate × window + burst through, for any requests at any time", () =>
    Property.check(
      fc.record({
        rate: fc.integer({ min: 1_000, max: 10_000_000 }),
        asks: fc.array(
          fc.record({ pause: fc.oneof(fc.nat(5), fc.nat(300)), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
          { minLength: 5, maxLength: 20 }
        )
      }),
      ({ asks, rate }) =>
        Effect.gen(function*() {
          const bandwidth = Bandwidth.make(rate)
          const grants: Array<Grant> = []
          yield* VirtualClock.run(
            Effect.forEach(asks, ({ part, pause }) =>
              Effect.zipRight(
                Effect.sleep(pause),
                takeAll(bandwidth, grants, [Math.round(part * bandwidth.unit)])
              ))
          )
          assert.isAtMost(worstExcess(grants, rate, Infinity), 1)
        })
    ))
})

describe("a bandwidth's rate", () => {
  it.effect("cannot be changed to no number or to less than nothing", () =>
    Effect.gen(function*() {
      for (const rate of [NaN, -1, -Infinity, "8" as unknown as number]) {
        const bandwidth = Bandwidth.make(1)
        const exit = yield* Effect.exit(bandwidth.setRate(rate))
        assert(Exit.isFailure(exit))
        assert.instanceOf(Option.getOrThrow(Cause.dieOption(exit.cause)), RangeError)
        assert.strictEqual(bandwidth.bytesPerSecond, 1)
      }
    }))
})
