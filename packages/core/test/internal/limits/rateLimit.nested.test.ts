import { assert, describe, it, vi } from "@effect/vitest"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Clock, Effect, Fiber } from "effect"
import * as fc from "fast-check"
import * as RateLimit from "../../../src/internal/limits/rateLimit.js"
import * as Property from "../../support/Property.js"
import { within, worstWindow } from "../../support/Windows.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

/** Takes starts of each limit as fast as they come until `horizon`, by some fibers, and answers with their instants. */
const startsUntil = (limits: ReadonlyArray<RateLimit.RateLimit>, horizon: number, fibers = 2) =>
  VirtualClock.run(Effect.gen(function*() {
    const starts = limits.map((): Array<number> => [])
    const taking = yield* Effect.forEach(
      limits.flatMap((limit, i) => Array.from({ length: fibers }, () => [limit, starts[i]!] as const)),
      ([limit, starts]) =>
        Effect.fork(
          Effect.forever(Effect.map(Effect.zipRight(limit.take, Clock.currentTimeMillis), (now) => {
            starts.push(now)
          }))
        )
    )
    yield* Effect.sleep(horizon - 1)
    yield* Fiber.interruptAll(taking)
    return starts
  })).pipe(Effect.map(({ value }) => value))

describe("a rate that is part of another", () => {
  it.effect("shares the rate of the whole with the others in turns", () =>
    Effect.gen(function*() {
      const whole = RateLimit.make(10)
      const starts = yield* startsUntil([Infinity, Infinity, 100].map((rate) => RateLimit.make(rate, { whole })), 900)
      assert.deepStrictEqual(starts, [[0, 100, 400, 700], [200, 500, 800], [300, 600]])
    }))

  it.effect("leaves to the others what it may not take itself, and uses all of the whole", () =>
    Effect.gen(function*() {
      const whole = RateLimit.make(100)
      const [slow, fast] = yield* startsUntil([RateLimit.make(20, { whole }), RateLimit.make(500, { whole })], 10_000)
      // It waits for a start of the whole before each of its own.
      assert.closeTo(slow!.length, 10_000 / 60, 2)
      assert.closeTo(slow!.length + fast!.length, 1_000, 20)
    }))

  it.effect("waits while the whole is paused, without saving starts for later", () =>
    Effect.gen(function*() {
      const whole = RateLimit.make(1_000)
      const limit = RateLimit.make(10, { whole })
      const starts: Array<number> = []
      yield* VirtualClock.run(Effect.gen(function*() {
        yield* whole.setRate(0)
        const fiber = yield* Effect.fork(
          Effect.repeatN(
            Effect.flatMap(limit.take, () => Effect.map(Clock.currentTimeMillis, (now) => starts.push(now))),
            3
          )
        )
        yield* Effect.sleep(5_000)
        yield* whole.setRate(1_000)
        yield* Fiber.join(fiber)
      }))
      assert.deepStrictEqual(starts, [5_000, 5_100, 5_200, 5_300])
    }))

  it.effect("does not stand in the way of the others when it is paused in line, or interrupted", () =>
    Effect.gen(function*() {
      for (const leave of ["paused", "interrupted"] as const) {
        const whole = RateLimit.make(1)
        const [first, second] = [RateLimit.make(10, { whole }), RateLimit.make(10, { whole })]
        const { millis } = yield* VirtualClock.run(Effect.gen(function*() {
          yield* whole.take
          const waiting = yield* Effect.fork(first.take)
          yield* Effect.sleep(100)
          const other = yield* Effect.fork(second.take)
          yield* Effect.sleep(100)
          yield* leave === "paused" ? first.setRate(0) : Fiber.interrupt(waiting)
          yield* Fiber.join(other)
          yield* Fiber.interrupt(waiting)
        }))
        assert.deepStrictEqual([millis, whole.waiting, first.waiting, second.waiting], [1_000, 0, 0, 0], leave)
      }
    }))

  it.effect("keeps to both rates in every window, whatever they are, and uses the whole as far as it may", () =>
    Property.check(
      fc.record({
        whole: fc.double({ min: 2, max: 2_000, noNaN: true }),
        parts: fc.array(fc.oneof(fc.double({ min: 1, max: 1_000, noNaN: true }), fc.constant(Infinity)), {
          minLength: 2,
          maxLength: 4
        }),
        fibers: fc.integer({ min: 1, max: 3 })
      }),
      ({ fibers, parts, whole: rate }) =>
        Effect.gen(function*() {
          const horizon = Math.ceil(60_000 / rate)
          const whole = RateLimit.make(rate)
          const starts = yield* startsUntil(parts.map((part) => RateLimit.make(part, { whole })), horizon, fibers)
          const all = starts.flat().sort((a, b) => a - b)
          assert.deepStrictEqual(worstWindow(all, rate, Infinity), within)
          starts.forEach((some, i) => {
            if (parts[i]! < Infinity) assert.deepStrictEqual(worstWindow(some, parts[i]!, Infinity), within)
            assert.isAbove(some.length, 0)
          })
          // At worst, each waits for a turn of all others before each start of its own.
          const turn = parts.length / rate
          const least = parts.reduce((sum, part) => sum + horizon / 1_000 / (1 / part + turn), 0)
          assert.isAtLeast(all.length, Math.floor(least * 0.95) - parts.length)
        }),
      200
    ))
})

describe("the gate of a rate", () => {
  it.effect("is asked before each start, one at a time, and holds what is in line while it is closed", () =>
    Effect.gen(function*() {
      const history: Array<readonly [at: number, what: string]> = []
      const note = (what: string) => Effect.map(Clock.currentTimeMillis, (now) => void history.push([now, what]))
      const gate = Effect.gen(function*() {
        yield* note("asked")
        const now = yield* Clock.currentTimeMillis
        if (now < 1_000) yield* Effect.sleep(1_000 - now)
      })
      const limit = RateLimit.make(10, { gate })
      yield* VirtualClock.run(Effect.gen(function*() {
        assert.isFalse(limit.unsafeTake(yield* Effect.clock))
        const take = Effect.zipRight(limit.take, note("start"))
        yield* Effect.all([take, take, take], { concurrency: "unbounded" })
      }))
      // The first one comes late, and that is not made up for.
      assert.deepStrictEqual(history, [
        [0, "asked"],
        [1_000, "start"],
        [1_100, "asked"],
        [1_100, "start"],
        [1_200, "asked"],
        [1_200, "start"]
      ])
    }))

  it.effect("is asked again when the wait for the whole is over", () =>
    Effect.gen(function*() {
      const asked: Array<number> = []
      const gate = Effect.map(Clock.currentTimeMillis, (now) => void asked.push(now))
      const whole = RateLimit.make(1)
      const limit = RateLimit.make(Infinity, { whole, gate })
      const { millis } = yield* VirtualClock.run(Effect.zipRight(whole.take, limit.take))
      assert.deepStrictEqual([asked, millis], [[0, 1_000], 1_000])
    }))

  it.effect("is asked again if the rate was lowered while it was closed", () =>
    Effect.gen(function*() {
      const asked: Array<number> = []
      const limit = RateLimit.make(10, {
        gate: Effect.zipRight(
          Effect.map(Clock.currentTimeMillis, (now) => void asked.push(now)),
          Effect.sleep(50)
        )
      })
      const { millis } = yield* VirtualClock.run(Effect.gen(function*() {
        const fiber = yield* Effect.fork(limit.take)
        yield* Effect.sleep(10)
        yield* limit.setRate(0)
        yield* Effect.sleep(500)
        yield* limit.setRate(10)
        yield* Fiber.join(fiber)
      }))
      assert.deepStrictEqual(asked.length, 2)
      assert.isAtLeast(millis, 560)
    }))

  it.effect("can be interrupted while it is closed, and leaves nothing in line", () =>
    Effect.gen(function*() {
      const limit = RateLimit.make(10, { gate: Effect.never })
      yield* VirtualClock.run(Effect.gen(function*() {
        const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(limit.take))
        yield* Effect.sleep(10)
        assert.strictEqual(limit.waiting, 3)
        yield* Fiber.interruptAll(fibers)
      }))
      assert.strictEqual(limit.waiting, 0)
    }))
})
