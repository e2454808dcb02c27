import { assert, describe, it, vi } from "@effect/vitest"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option } from "effect"
import * as fc from "fast-check"
import * as RateLimit from "../../../src/internal/limits/rateLimit.js"
import * as Property from "../../support/Property.js"
import { within, worstWindow } from "../../support/Windows.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

/** Takes starts as fast as they come until `horizon`, by some fibers, and answers with their instants. */
const startsUntil = (limit: RateLimit.RateLimit, horizon: number, fibers = 1): Effect.Effect<Array<number>> =>
  Effect.suspend(() => {
    const starts: Array<number> = []
    const taker = Effect.repeat(
      Effect.zipRight(limit.take, Clock.currentTimeMillis),
      {
        until: (now) => {
          if (now < horizon) starts.push(now)
          return now >= horizon
        }
      }
    )
    return Effect.as(
      Effect.all(Array.from({ length: fibers }, () => taker), { concurrency: "unbounded" }),
      starts
    )
  })

const withClock =
  (change: (clock: Clock.Clock) => Partial<Clock.Clock>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Effect.clock, (clock) =>
      Effect.withClock(effect, {
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: clock.unsafeCurrentTimeMillis,
        unsafeCurrentTimeNanos: clock.unsafeCurrentTimeNanos,
        currentTimeMillis: clock.currentTimeMillis,
        currentTimeNanos: clock.currentTimeNanos,
        sleep: clock.sleep,
        ...change(clock)
      }))

/** A clock whose timers fire late, as real ones do. */
const late = (lateness: () => number) =>
  withClock((clock) => ({
    sleep: (duration) => clock.sleep(Duration.sum(duration, Duration.millis(lateness())))
  }))

/** A clock that is ahead. */
const shifted = (millis: number) =>
  withClock((clock) => ({
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + millis,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis)
  }))

describe("RateLimit", () => {
  for (const rate of [0.1, 0.5, 7, 50, 300, 900, 3_000, 5_000]) {
    for (const fibers of rate === 300 ? [1, 50] : [1]) {
      const seconds = rate < 0.5 ? 100 : 10
      it.effect(`starts ${rate} a second, asked by ${fibers} at once, and never more in any window`, () =>
        Effect.gen(function*() {
          const { value: starts } = yield* VirtualClock.run(
            startsUntil(RateLimit.make(rate), seconds * 1000, fibers)
          )
          assert.closeTo(starts.length / (rate * seconds), 1, 0.02)
          assert.deepStrictEqual(worstWindow(starts, rate, rate < 1 ? 100_000 : 1_000), within)
        }))
    }
  }

  it.effect("spaces starts evenly from the first one on", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(startsUntil(RateLimit.make(50), 100, 10))
      assert.deepStrictEqual(value, [0, 20, 40, 60, 80])
      const { value: thirds } = yield* VirtualClock.run(startsUntil(RateLimit.make(300), 21))
      assert.deepStrictEqual(thirds, [0, 4, 7, 10, 14, 17, 20])
    }))

  it.effect("has no burst after a quiet spell", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(Effect.gen(function*() {
        const limit = RateLimit.make(10)
        const first = yield* startsUntil(limit, 150)
        yield* Effect.sleep(60_000)
        return [...first, ...(yield* startsUntil(limit, 60_600))]
      }))
      assert.deepStrictEqual(value, [0, 100, 60_200, 60_300, 60_400, 60_500])
    }))

  it.effect("has no burst after demand that was lower than the rate", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(Effect.gen(function*() {
        const limit = RateLimit.make(5_000)
        yield* Effect.repeatN(Effect.zipRight(limit.take, Effect.sleep(1)), 99)
        return yield* startsUntil(limit, 200, 10)
      }))
      assert.deepStrictEqual(worstWindow(value, 5_000), within)
      assert.closeTo(value.length / 500, 1, 0.02)
    }))

  it.effect("keeps to the rate at any time of day", () =>
    Effect.gen(function*() {
      // Fractions of a millisecond are coarser in a number as large as today's.
      const today = 1_760_000_000_000
      for (const rate of [7, 300, 3_000]) {
        const { value: starts } = yield* VirtualClock.run(
          shifted(today)(startsUntil(RateLimit.make(rate), today + 3_000, 3))
        )
        assert.closeTo(starts.length / (rate * 3), 1, 0.02)
        assert.deepStrictEqual(worstWindow(starts, rate), within)
      }
    }))

  it.effect("says at once whether a start is available, and never ahead of waiters", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(Effect.gen(function*() {
        const limit = RateLimit.make(10)
        const ask = Effect.map(Effect.clock, (clock) => limit.unsafeTake(clock))
        const answers = [yield* ask, yield* ask]
        yield* Effect.sleep(99)
        answers.push(yield* ask)
        yield* Effect.sleep(1)
        answers.push(yield* ask)
        const waiter = yield* Effect.fork(limit.take)
        yield* Effect.sleep(100)
        answers.push(yield* ask)
        yield* Fiber.join(waiter)
        return answers
      }))
      assert.deepStrictEqual(value, [true, false, false, true, false])
    }))

  it.effect("gives starts in the order of asking", () =>
    Effect.gen(function*() {
      const limit = RateLimit.make(100)
      const order: Array<readonly [at: number, taker: number]> = []
      yield* VirtualClock.run(
        Effect.forEach(Array.from({ length: 6 }, (_, i) => i), (taker) =>
          Effect.map(Effect.zipRight(limit.take, Clock.currentTimeMillis), (now) => {
            order.push([now, taker])
          }), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(order, [[0, 0], [10, 1], [20, 2], [30, 3], [40, 4], [50, 5]])
    }))

  it.effect("does not limit at Infinity", () =>
    Effect.gen(function*() {
      const limit = RateLimit.make(Infinity)
      const { millis } = yield* VirtualClock.run(Effect.repeatN(limit.take, 9_999))
      assert.strictEqual(millis, 0)
      assert.isTrue(limit.unsafeTake(yield* Effect.clock))
    }))

  describe("a change of the rate", () => {
    const changed = (from: number, to: number, at: number, horizon: number) =>
      VirtualClock.run(Effect.gen(function*() {
        const limit = RateLimit.make(from)
        const fiber = yield* Effect.fork(startsUntil(limit, horizon, 3))
        yield* Effect.sleep(at)
        yield* limit.setRate(to)
        assert.strictEqual(limit.uploadsPerSecond, to)
        return yield* Fiber.join(fiber)
      })).pipe(Effect.map(({ value }) => value))

    it.effect("speeds up whoever waits, at the exact instant", () =>
      Effect.gen(function*() {
        // At 3,000 ms seven tenths of a start are owed: 700 ms at the new rate.
        assert.deepStrictEqual(yield* changed(0.1, 1, 3_000, 6_000), [0, 3_700, 4_700, 5_700])
      }))

    it.effect("slows down whoever waits", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* changed(10, 1, 250, 4_000), [0, 100, 200, 750, 1_750, 2_750, 3_750])
      }))

    it.effect("lets all go when the limit goes", () =>
      Effect.gen(function*() {
        const { value } = yield* VirtualClock.run(Effect.gen(function*() {
          const limit = RateLimit.make(0.1)
          const fiber = yield* Effect.fork(
            Effect.forEach([1, 2, 3], () => Effect.zipRight(limit.take, Clock.currentTimeMillis), {
              concurrency: "unbounded"
            })
          )
          yield* Effect.sleep(1_234)
          yield* limit.setRate(Infinity)
          return yield* Fiber.join(fiber)
        }))
        assert.deepStrictEqual(value, [0, 1_234, 1_234])
      }))

    it.effect("from no limit to one has no burst", () =>
      Effect.gen(function*() {
        const { value } = yield* VirtualClock.run(Effect.gen(function*() {
          const limit = RateLimit.make(Infinity)
          yield* Effect.repeatN(limit.take, 99)
          yield* Effect.sleep(1_000)
          yield* limit.setRate(10)
          return yield* startsUntil(limit, 1_300, 5)
        }))
        assert.deepStrictEqual(value, [1_000, 1_100, 1_200])
      }))

    it.effect("never lets more through than the higher of two rates allows", () =>
      Property.check(
        fc.tuple(
          fc.constantFrom(0.5, 7, 50),
          fc.constantFrom(0.5, 7, 50),
          fc.integer({ min: 0, max: 3_000 })
        ),
        ([from, to, at]) =>
          Effect.map(changed(from, to, at, at + 3_000), (starts) => {
            assert.deepStrictEqual(worstWindow(starts, Math.max(from, to)), within)
            const after = starts.filter((start) => start > at + 1)
            assert.deepStrictEqual(worstWindow(after, to), within)
          }),
        60
      ))
  })

  describe("an interruption", () => {
    it.effect("of the head of the line, or of its middle, leaves no gap behind", () =>
      Effect.gen(function*() {
        const limit = RateLimit.make(1)
        const order: Array<readonly [at: number, taker: number]> = []
        yield* VirtualClock.run(Effect.gen(function*() {
          const fibers = yield* Effect.forEach([0, 1, 2, 3, 4, 5], (taker) =>
            Effect.fork(
              Effect.map(Effect.zipRight(limit.take, Clock.currentTimeMillis), (now) => {
                order.push([now, taker])
              })
            ))
          yield* Effect.sleep(500)
          yield* Fiber.interrupt(fibers[1]!)
          yield* Fiber.interrupt(fibers[3]!)
          yield* Effect.sleep(1_000)
          yield* Fiber.interrupt(fibers[4]!)
          yield* Effect.forEach(fibers, Fiber.await)
        }))
        assert.deepStrictEqual(order, [[0, 0], [1_000, 2], [2_000, 5]])
      }))

    it.effect("at any instant costs the remaining waiters nothing", () =>
      Property.check(
        fc.array(fc.option(fc.integer({ min: 0, max: 1_000 })), { minLength: 2, maxLength: 12 }),
        (takers) =>
          Effect.gen(function*() {
            const limit = RateLimit.make(10)
            const starts: Array<number> = []
            yield* VirtualClock.run(Effect.forEach(takers, (interruptedAt) =>
              Effect.gen(function*() {
                const fiber = yield* Effect.fork(
                  Effect.map(Effect.zipRight(limit.take, Clock.currentTimeMillis), (now) => {
                    starts.push(now)
                  })
                )
                if (interruptedAt !== null) {
                  yield* Effect.sleep(interruptedAt)
                  yield* Fiber.interrupt(fiber)
                }
                yield* Fiber.await(fiber)
              }), { concurrency: "unbounded" }))
            // One after the other, with no gap while somebody waits; all that stayed have had theirs.
            assert.deepStrictEqual(starts, Array.from({ length: starts.length }, (_, i) => i * 100))
            assert.isAtLeast(starts.length, takers.filter((at) => at === null).length)
          }),
        300
      ))
  })

  describe("timers that fire late", () => {
    it.effect("by up to 20 ms are made up for", () =>
      Effect.gen(function*() {
        for (const rate of [300, 900, 3_000]) {
          let turn = 0
          const { value: starts } = yield* VirtualClock.run(
            late(() => (turn++ * 7) % 19)(startsUntil(RateLimit.make(rate), 3_000, 10))
          )
          assert.closeTo(starts.length / (rate * 3), 1, 0.02)
          assert.deepStrictEqual(worstWindow(starts, rate, 1_000, 20), within)
        }
      }))

    it.effect("by more are made up for with at most 20 ms of starts", () =>
      Effect.gen(function*() {
        const { value: starts } = yield* VirtualClock.run(
          late(() => 500)(startsUntil(RateLimit.make(1_000), 6_000, 10))
        )
        const most = Math.max(...starts.map((start) => starts.filter((other) => other === start).length))
        assert.isAtMost(most, 21)
        assert.deepStrictEqual(worstWindow(starts, 1_000, 1_000, 20), within)
      }))
  })

  it.effect("never lets more than rate × window through, whatever the rate and the rhythm of asking", () =>
    Property.check(
      fc.tuple(
        fc.oneof(fc.double({ min: 0.1, max: 5_000, noNaN: true }), fc.integer({ min: 1, max: 5_000 })),
        fc.array(fc.record({ pause: fc.nat(50), asks: fc.integer({ min: 1, max: 6 }) }), {
          minLength: 5,
          maxLength: 15
        })
      ),
      ([rate, rhythm]) =>
        Effect.gen(function*() {
          const limit = RateLimit.make(rate)
          const starts: Array<number> = []
          yield* VirtualClock.run(Effect.forEach(rhythm, ({ asks, pause }) =>
            Effect.zipRight(
              Effect.sleep(pause),
              Effect.forEach(
                Array.from({ length: asks }),
                () =>
                  Effect.map(Effect.zipRight(limit.take, Clock.currentTimeMillis), (now) => {
                    starts.push(now)
                  }),
                { concurrency: "unbounded", discard: true }
              )
            )))
          assert.strictEqual(starts.length, rhythm.reduce((total, { asks }) => total + asks, 0))
          assert.deepStrictEqual(worstWindow(starts, rate, Infinity), within)
        })
    ))
})

describe("RateLimit.unsafeHold", () => {
  const held = (rate: number) =>
    VirtualClock.run(Effect.gen(function*() {
      const limit = RateLimit.make(rate)
      const clock = yield* Effect.clock
      assert.isTrue(limit.unsafeTake(clock))
      limit.unsafeHold(clock, 10_000)
      limit.unsafeHold(clock, 1_000)
      assert.isFalse(limit.unsafeTake(clock))
      yield* Effect.all([limit.take, limit.take], { concurrency: "unbounded" })
    }))

  it.effect("lets nothing start until its end, whatever the rate", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* held(Infinity)).millis, 10_000)
      // Credit for the pause is not given: the second of the two comes a whole interval after the first.
      assert.isAtLeast((yield* held(10)).millis, 10_080)
    }))
})

describe("a limit's rate", () => {
  it.effect("cannot be changed to no number or to less than nothing", () =>
    Effect.gen(function*() {
      for (const rate of [NaN, -1, -Infinity, "8" as unknown as number]) {
        const limit = RateLimit.make(1)
        const exit = yield* Effect.exit(limit.setRate(rate))
        assert(Exit.isFailure(exit))
        assert.instanceOf(Option.getOrThrow(Cause.dieOption(exit.cause)), RangeError)
        assert.strictEqual(limit.uploadsPerSecond, 1)
      }
    }))
})
