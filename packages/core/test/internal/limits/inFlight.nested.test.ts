import { assert, describe, it, vi } from "@effect/vitest"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Clock, Deferred, Effect, Exit, Fiber } from "effect"
import * as fc from "fast-check"
import * as InFlight from "../../../src/internal/limits/inFlight.js"
import * as Property from "../../support/Property.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

/** Takes that hold for 10 ms each, as many as given of each part, and who came in when. */
const entries = (whole: InFlight.InFlight, parts: Readonly<Record<string, readonly [InFlight.InFlight, number]>>) => {
  const history: Array<readonly [at: number, part: string]> = []
  const takes = Object.entries(parts).flatMap(([name, [part, count]]) =>
    Array.from({ length: count }, () =>
      part.withPermits(1)(
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          history.push([now, name])
          return Effect.sleep(10)
        })
      ))
  )
  return VirtualClock.run(Effect.all(takes, { concurrency: "unbounded", discard: true })).pipe(
    Effect.map(({ millis }) => ({ history, millis, left: whole.taken + whole.waiting }))
  )
}

describe("a budget that is part of another", () => {
  it.effect("keeps to its own limit and to that of the whole", () =>
    Effect.gen(function*() {
      const whole = InFlight.make(3)
      const { history, left, millis } = yield* entries(whole, {
        a: [InFlight.make(2, whole), 4],
        b: [InFlight.make(2, whole), 2]
      })
      assert.deepStrictEqual(history, [[0, "a"], [0, "a"], [0, "b"], [10, "b"], [10, "a"], [10, "a"]])
      assert.deepStrictEqual([millis, left], [20, 0])
    }))

  it.effect("takes turns with the others, however many of one wait", () =>
    Effect.gen(function*() {
      const whole = InFlight.make(1)
      const { history } = yield* entries(whole, {
        flood: [InFlight.make(Infinity, whole), 6],
        small: [InFlight.make(1, whole), 2],
        other: [InFlight.make(1, whole), 2]
      })
      assert.deepStrictEqual(history.map(([, part]) => part), [
        "flood",
        "flood",
        "small",
        "other",
        "flood",
        "small",
        "flood",
        "other",
        "flood",
        "flood"
      ])
    }))

  it.effect("does not hold a permit of its own while it waits for the whole", () =>
    Effect.gen(function*() {
      const whole = InFlight.make(1)
      const part = InFlight.make(2, whole)
      assert.isTrue(whole.unsafeTake(1))
      const fiber = yield* Effect.fork(part.withPermits(1)(Effect.void))
      yield* Effect.yieldNow()
      assert.deepStrictEqual([part.taken, part.waiting, whole.taken, whole.waiting], [0, 1, 1, 1])
      whole.unsafeRelease(1)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([part.taken, part.waiting, whole.taken, whole.waiting], [0, 0, 0, 0])
    }))

  it.effect("waits while the whole is paused, and goes on when it is not", () =>
    Effect.gen(function*() {
      const whole = InFlight.make(2)
      const parts = [InFlight.make(1, whole), InFlight.make(Infinity, whole)]
      yield* whole.resize(0)
      const fibers = yield* Effect.forEach(parts, (part) => Effect.fork(part.withPermits(1)(Effect.void)))
      yield* Effect.yieldNow()
      assert.deepStrictEqual(parts.map(({ taken, waiting }) => [taken, waiting]), [[0, 1], [0, 1]])
      yield* whole.resize(1)
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual([whole.taken, whole.waiting], [0, 0])
    }))

  it.effect("lets the next one go when it leaves the line, or its own limit falls", () =>
    Effect.gen(function*() {
      const whole = InFlight.make(4)
      const large = InFlight.make(4, whole)
      const small = InFlight.make(4, whole)
      for (const leave of ["interrupted", "paused"] as const) {
        assert.isTrue(whole.unsafeTake(2))
        const first = yield* Effect.fork(large.withPermits(3)(Effect.void))
        yield* Effect.yieldNow()
        const second = yield* Effect.fork(small.withPermits(1)(Effect.void))
        yield* Effect.yieldNow()
        assert.strictEqual(small.waiting, 1, leave)
        yield* leave === "interrupted" ? Fiber.interrupt(first) : large.resize(0)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(second)), leave)
        yield* Fiber.interrupt(first)
        whole.unsafeRelease(2)
        yield* large.resize(4)
        assert.deepStrictEqual([whole.taken, whole.waiting, large.waiting], [0, 0, 0], leave)
      }
    }))

  it.effect("lets the next one of its own go when the first leaves, who asked for more than the whole had", () =>
    Effect.gen(function*() {
      const whole = InFlight.make(4)
      const part = InFlight.make(4, whole)
      assert.isTrue(whole.unsafeTake(2))
      const large = yield* Effect.fork(part.withPermits(3)(Effect.void))
      yield* Effect.yieldNow()
      const small = yield* Effect.fork(part.withPermits(1)(Effect.void))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(large)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(small)))
    }))

  it.effect("can be part of a part, and lets through what is larger than the whole, alone", () =>
    Effect.gen(function*() {
      const all = InFlight.make(2)
      const half = InFlight.make(10, all)
      const leaf = InFlight.make(10, half)
      const other = InFlight.make(1, all)
      const gate = yield* Deferred.make<void>()
      const held = yield* Effect.fork(other.withPermits(1)(Deferred.await(gate)))
      yield* Effect.yieldNow()
      const large = yield* Effect.fork(leaf.withPermits(5)(Effect.sync(() => [all.taken, half.taken, leaf.taken])))
      yield* Effect.yieldNow()
      assert.deepStrictEqual([all.waiting, half.waiting, leaf.waiting, leaf.taken], [1, 1, 1, 0])
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(large), [5, 5, 5])
      yield* Fiber.join(held)
      assert.deepStrictEqual([all.taken, half.taken, leaf.taken], [0, 0, 0])
    }))

  it.effect("keeps every limit through any history, loses no permit, and lets every part go on", () =>
    Property.check(
      fc.record({
        whole: fc.integer({ min: 1, max: 6 }),
        middle: fc.integer({ min: 1, max: 6 }),
        parts: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 4 }),
        takes: fc.array(
          fc.record({
            part: fc.nat(3),
            at: fc.nat(20),
            permits: fc.integer({ min: 1, max: 4 }),
            holds: fc.nat(8),
            lane: fc.constantFrom<InFlight.Lane>("files", "parts"),
            interruptedAfter: fc.option(fc.nat(12), { nil: undefined })
          }),
          { minLength: 1, maxLength: 40 }
        ),
        resizes: fc.array(
          fc.record({ at: fc.nat(30), budget: fc.nat(5), limit: fc.integer({ min: 0, max: 5 }) }),
          { maxLength: 8 }
        )
      }),
      ({ middle: middleLimit, parts: limits, resizes, takes, whole: wholeLimit }) =>
        Effect.gen(function*() {
          const whole = InFlight.make(wholeLimit)
          const middle = InFlight.make(middleLimit, whole)
          // The first part belongs to the whole itself, the others to a part of it.
          const parts = limits.map((limit, i) => InFlight.make(limit, i === 0 ? whole : middle))
          const budgets = [whole, middle, ...parts]
          const loosest = budgets.map(({ limit }) => limit)
          const entered: Array<number> = []
          const look = (permits: number) => {
            budgets.forEach(({ taken }, i) => {
              const most = Math.max(loosest[i]!, permits, 4)
              assert.isTrue(taken >= 0 && taken <= most, `${taken} of ${loosest[i]} taken`)
            })
            assert.strictEqual(whole.taken, middle.taken + parts[0]!.taken)
            assert.strictEqual(middle.taken, parts.slice(1).reduce((sum, { taken }) => sum + taken, 0))
          }
          const take = ({ at, holds, interruptedAfter, lane, part, permits }: (typeof takes)[number], i: number) => {
            const budget = parts[part % parts.length]!
            let held = false
            const use = Effect.zipRight(
              budget.take(permits, () => {
                held = true
              }, lane),
              Effect.suspend(() => {
                entered.push(i)
                look(permits)
                return Effect.sleep(holds)
              })
            ).pipe(Effect.ensuring(Effect.sync(() => held && budget.unsafeRelease(permits, lane))))
            return Effect.gen(function*() {
              yield* Effect.sleep(at)
              const fiber = yield* Effect.fork(use)
              if (interruptedAfter === undefined) return yield* Fiber.join(fiber)
              yield* Effect.sleep(interruptedAfter)
              yield* Fiber.interrupt(fiber)
            })
          }
          const resize = ({ at, budget, limit }: (typeof resizes)[number]) =>
            Effect.zipRight(
              Effect.sleep(at),
              Effect.suspend(() => {
                const i = budget % budgets.length
                loosest[i] = Math.max(loosest[i]!, limit)
                return budgets[i]!.resize(limit)
              })
            )
          yield* VirtualClock.run(Effect.gen(function*() {
            const fibers = yield* Effect.forEach(takes, (one, i) => Effect.fork(take(one, i)))
            yield* Effect.forEach(resizes, resize, { concurrency: "unbounded", discard: true })
            // Whatever was paused goes on.
            yield* Effect.forEach(budgets, (budget) => budget.resize(Math.max(1, budget.limit)), { discard: true })
            yield* Fiber.joinAll(fibers)
          }))
          const uninterrupted = takes.flatMap(({ interruptedAfter }, i) => interruptedAfter === undefined ? [i] : [])
          assert.deepStrictEqual(uninterrupted.filter((i) => !entered.includes(i)), [])
          assert.deepStrictEqual(budgets.map(({ taken, waiting }) => [taken, waiting]), budgets.map(() => [0, 0]))
        }),
      400
    ))
})
