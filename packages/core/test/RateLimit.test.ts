import { assert, describe, it } from "@effect/vitest"
import { RateLimit } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Clock, Duration, Effect, Fiber } from "effect"
import * as fc from "fast-check"

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

/** The window of whole milliseconds, of any length up to `longest`, with the most starts above `rate` × window. */
const worstWindow = (starts: ReadonlyArray<number>, rate: number, longest = 1_000, slackMillis = 0) => {
  const first = starts[0] ?? 0
  const last = starts.at(-1) ?? 0
  const before = new Uint32Array(last - first + 2)
  for (const at of starts) before[at - first + 1]! += 1
  for (let i = 1; i < before.length; i++) before[i]! += before[i - 1]!
  let worst = { millis: 0, from: 0, starts: 0, excess: 0 }
  for (let millis = 1; millis <= longest; millis++) {
    const allowed = Math.ceil((rate * (millis + slackMillis)) / 1000 - 1e-9)
    for (let from = 0; from + 1 < before.length; from++) {
      const count = before[Math.min(from + millis, before.length - 1)]! - before[from]!
      if (count - allowed > worst.excess) worst = { millis, from: from + first, starts: count, excess: count - allowed }
    }
  }
  return worst
}

const within = { millis: 0, from: 0, starts: 0, excess: 0 }

/** A clock whose timers fire late, as real ones do. */
const late = (lateness: () => number) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.clock, (clock) =>
    Effect.withClock(effect, {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanos: clock.currentTimeNanos,
      sleep: (duration) => clock.sleep(Duration.sum(duration, Duration.millis(lateness())))
    }))

describe("RateLimit", () => {
  for (const rate of [0.1, 0.5, 7, 50, 300, 900, 3_000, 5_000]) {
    for (const fibers of [1, 50]) {
      const seconds = rate < 0.5 ? 100 : 10
      it.effect(`starts ${rate} a second, asked by ${fibers} at once, and never more in any window`, () =>
        Effect.gen(function*() {
          const { value: starts } = yield* VirtualClock.run(
            startsUntil(RateLimit.make(rate), seconds * 1000, fibers)
          )
          assert.closeTo(starts.length / (rate * seconds), 1, 0.02)
          assert.deepStrictEqual(worstWindow(starts, rate, rate < 1 ? 20_000 : 1_000), within)
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

  it.effect("answers at once whether a start is there, and never ahead of those who wait", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(Effect.gen(function*() {
        const limit = RateLimit.make(10)
        const answers = [limit.unsafeTake(0), limit.unsafeTake(0)]
        yield* Effect.sleep(99)
        answers.push(limit.unsafeTake(99))
        yield* Effect.sleep(1)
        answers.push(limit.unsafeTake(100))
        const waiter = yield* Effect.fork(limit.take)
        yield* Effect.sleep(100)
        answers.push(limit.unsafeTake(200))
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
      assert.isTrue(limit.unsafeTake(0))
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

    it.effect.prop(
      "never lets more through than the higher of two rates allows",
      [fc.constantFrom(0.5, 7, 50, 300), fc.constantFrom(0.5, 7, 50, 300), fc.integer({ min: 0, max: 3_000 })],
      ([from, to, at]) =>
        Effect.map(changed(from, to, at, at + 3_000), (starts) => {
          assert.deepStrictEqual(worstWindow(starts, Math.max(from, to), 200), within)
          const after = starts.filter((start) => start > at + 1)
          assert.deepStrictEqual(worstWindow(after, to, 200), within)
        }),
      { fastCheck: { numRuns: 60 } }
    )
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

    it.effect.prop(
      "at any instant costs those who stay nothing",
      [fc.array(fc.option(fc.integer({ min: 0, max: 1_000 })), { minLength: 2, maxLength: 12 })],
      ([takers]) =>
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
      { fastCheck: { numRuns: 300 } }
    )
  })

  describe("timers that fire late", () => {
    it.effect("by up to 20 ms are made up for", () =>
      Effect.gen(function*() {
        for (const rate of [300, 900, 3_000]) {
          let turn = 0
          const { value: starts } = yield* VirtualClock.run(
            late(() => (turn++ * 7) % 19)(startsUntil(RateLimit.make(rate), 10_000, 10))
          )
          assert.closeTo(starts.length / (rate * 10), 1, 0.02)
          assert.deepStrictEqual(worstWindow(starts, rate, 1_000, 20), within)
        }
      }))

    it.effect("by more are made up for by 20 ms of starts at most", () =>
      Effect.gen(function*() {
        const { value: starts } = yield* VirtualClock.run(
          late(() => 500)(startsUntil(RateLimit.make(1_000), 10_000, 10))
        )
        const most = Math.max(...Array.from(Map.groupBy(starts, (at) => at).values(), (same) => same.length))
        assert.isAtMost(most, 21)
        assert.deepStrictEqual(worstWindow(starts, 1_000, 400, 20), within)
      }))
  })

  it.effect.prop(
    "never lets more than rate × window through, whatever the rate and the rhythm of asking",
    [
      fc.oneof(fc.double({ min: 0.1, max: 5_000, noNaN: true }), fc.integer({ min: 1, max: 5_000 })),
      fc.array(fc.record({ pause: fc.nat(50), asks: fc.integer({ min: 1, max: 6 }) }), { minLength: 5, maxLength: 15 })
    ],
    ([rate, rhythm]) =>
      Effect.gen(function*() {
        const limit = RateLimit.make(rate)
        const starts: Array<number> = []
        yield* VirtualClock.run(Effect.forEach(rhythm, ({ asks, pause }) =>
          Effect.zipRight(
            Effect.sleep(pause),
            Effect.forEach(Array.from({ length: asks }), () =>
              Effect.map(Effect.zipRight(limit.take, Clock.currentTimeMillis), (now) => {
                starts.push(now)
              }), { concurrency: "unbounded", discard: true })
          )))
        assert.strictEqual(starts.length, rhythm.reduce((total, { asks }) => total + asks, 0))
        for (let i = 0; i < starts.length; i++) {
          for (let j = i; j < starts.length; j++) {
            const window = starts[j]! - starts[i]! + 1
            assert.isAtMost(j - i + 1, Math.ceil((rate * window) / 1000 - 1e-9))
          }
        }
      }),
    { fastCheck: { numRuns: 1000 } }
  )
})
