import { assert, describe, it, vi } from "@effect/vitest"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Option } from "effect"
import * as fc from "fast-check"
import * as InFlight from "../../../src/internal/limits/inFlight.js"
import * as Property from "../../support/Property.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

/** Takers that ask in the given order and hold for a while; answers with who came in when. */
const entries = (limit: number, takers: ReadonlyArray<{ readonly permits: number; readonly holds: number }>) => {
  const budget = InFlight.make(limit)
  const history: Array<readonly [at: number, taker: number]> = []
  return VirtualClock.run(
    Effect.forEach(takers, ({ holds, permits }, taker) =>
      budget.withPermits(permits)(
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          history.push([now, taker])
          return Effect.sleep(holds)
        })
      ), { concurrency: "unbounded", discard: true })
  ).pipe(Effect.map(({ millis }) => ({ budget, history, millis })))
}

describe("InFlight", () => {
  it.effect("lets takes in by weight, in the order of asking", () =>
    Effect.gen(function*() {
      const { budget, history, millis } = yield* entries(4, [
        { permits: 3, holds: 10 },
        { permits: 1, holds: 30 },
        { permits: 2, holds: 10 },
        { permits: 1, holds: 10 },
        { permits: 4, holds: 10 },
        { permits: 1, holds: 10 }
      ])
      assert.deepStrictEqual(history, [[0, 0], [0, 1], [10, 2], [10, 3], [30, 4], [40, 5]])
      assert.strictEqual(millis, 50)
      assert.strictEqual(budget.taken, 0)
    }))

  it.effect("does not let small takes starve a large one", () =>
    Effect.gen(function*() {
      const small = { permits: 1, holds: 10 }
      const { history } = yield* entries(4, [
        ...Array.from({ length: 4 }, (_, i) => ({ permits: 1, holds: 10 + i })),
        { permits: 4, holds: 5 },
        ...Array.from({ length: 20 }, () => small)
      ])
      assert.deepStrictEqual(history.slice(0, 6), [[0, 0], [0, 1], [0, 2], [0, 3], [13, 4], [18, 5]])
    }))

  it.effect("lets a take larger than the budget through, alone", () =>
    Effect.gen(function*() {
      const { budget, history } = yield* entries(3, [
        { permits: 1, holds: 10 },
        { permits: 100, holds: 10 },
        { permits: 3, holds: 10 },
        { permits: 1, holds: 10 }
      ])
      assert.deepStrictEqual(history, [[0, 0], [10, 1], [20, 2], [30, 3]])
      assert.strictEqual(budget.taken, 0)
    }))

  it.effect("wakes waiters that fit when it grows, and waits for released permits when it shrinks", () =>
    Effect.gen(function*() {
      const budget = InFlight.make(1)
      const history: Array<readonly [at: number, taken: number, waiting: number]> = []
      const note = Effect.map(Clock.currentTimeMillis, (now) => {
        history.push([now, budget.taken, budget.waiting])
      })
      yield* VirtualClock.run(Effect.gen(function*() {
        const work = yield* Effect.fork(
          Effect.all(Array.from({ length: 9 }, () => budget.withPermits(1)(Effect.sleep(100))), {
            concurrency: "unbounded"
          })
        )
        yield* Effect.sleep(10)
        yield* note
        yield* budget.resize(4)
        yield* note
        yield* Effect.sleep(10)
        yield* budget.resize(2)
        yield* note
        yield* Effect.sleep(85) // 105: the first is done, three are out, more than there are permits
        yield* note
        yield* Effect.sleep(10) // 115: the three are done, two came in
        yield* note
        yield* budget.resize(Infinity)
        yield* note
        yield* Fiber.join(work)
        yield* note
      }))
      assert.deepStrictEqual(history, [
        [10, 1, 8],
        [10, 4, 5],
        [20, 4, 5],
        [105, 3, 5],
        [115, 2, 3],
        [115, 5, 0],
        [215, 0, 0]
      ])
    }))

  it("takes nothing ahead of waiters", () => {
    const budget = InFlight.make(2)
    assert.isTrue(budget.unsafeTake(2))
    assert.isFalse(budget.unsafeTake(1))
    Effect.runFork(budget.take(2, () => {}))
    return Effect.runPromise(Effect.gen(function*() {
      yield* Effect.yieldNow()
      budget.unsafeRelease(1)
      assert.deepStrictEqual([budget.taken, budget.waiting], [1, 1])
      assert.isFalse(budget.unsafeTake(1))
      budget.unsafeRelease(1)
      assert.deepStrictEqual([budget.taken, budget.waiting], [2, 0])
    }))
  })

  it.effect("gets its permits back however their use ends", () =>
    Effect.gen(function*() {
      const budget = InFlight.make(2)
      const use = budget.withPermits(2)
      const taken = Effect.sync(() => budget.taken)
      assert.strictEqual(yield* use(taken), 2)
      assert.deepStrictEqual(yield* Effect.exit(use(Effect.fail("failed"))), Exit.fail("failed"))
      assert.deepStrictEqual(yield* Effect.exit(use(Effect.die("died"))), Exit.die("died"))
      const fiber = yield* Effect.fork(use(Effect.never))
      yield* Effect.yieldNow()
      assert.strictEqual(budget.taken, 2)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(budget.taken, 0)
    }))

  it.effect("gives up the place of an interrupted waiter, and lets those behind it proceed", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(Effect.gen(function*() {
        const budget = InFlight.make(2)
        budget.unsafeTake(1)
        const large = yield* Effect.fork(budget.take(2, () => assert.fail("granted")))
        const small = yield* Effect.fork(budget.take(1, () => {}))
        yield* Effect.sleep(1)
        assert.deepStrictEqual([budget.taken, budget.waiting], [1, 2])
        yield* Fiber.interrupt(large)
        yield* Fiber.join(small)
        return [budget.taken, budget.waiting]
      }))
      assert.deepStrictEqual(value, [2, 0])
    }))

  it.effect("reports a grant at the same instant, so that an interruption right then loses nothing", () =>
    Effect.gen(function*() {
      const budget = InFlight.make(1)
      let granted = false
      const { value } = yield* VirtualClock.run(Effect.gen(function*() {
        budget.unsafeTake(1)
        const fiber = yield* Effect.fork(Effect.zipRight(budget.take(1, () => granted = true), Effect.never))
        yield* Effect.sleep(1)
        budget.unsafeRelease(1)
        // The fiber has been granted the permit, and has not run since.
        return yield* Fiber.interrupt(fiber)
      }))
      assert.isTrue(Exit.isInterrupted(value))
      assert.isTrue(granted)
      assert.strictEqual(budget.taken, 1)
    }))

  const operation = fc.oneof(
    { weight: 4, arbitrary: fc.record({ op: fc.constant("take" as const), permits: fc.integer({ min: 1, max: 8 }) }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant("release" as const), which: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant("interrupt" as const), which: fc.nat(20) }) },
    {
      weight: 1,
      arbitrary: fc.record({ op: fc.constant("resize" as const), limit: fc.constantFrom(1, 2, 3, 5, 8, Infinity) })
    }
  )

  it.effect("behaves like a plain list, through any history of takes, releases, interruptions and resizes", () =>
    Property.check(
      fc.tuple(fc.integer({ min: 1, max: 6 }), fc.array(operation, { minLength: 5, maxLength: 25 })),
      ([size, operations]) =>
        VirtualClock.run(Effect.gen(function*() {
          const budget = InFlight.make(size)
          const granted: Array<number> = []
          // The model: who waits, in order; who holds; and how many permits there are.
          let limit = size
          const waiting: Array<{ readonly id: number; readonly permits: number }> = []
          const holding: Array<{ readonly id: number; readonly permits: number }> = []
          const expected: Array<number> = []
          const serve = () => {
            for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
              const taken = holding.reduce((total, { permits }) => total + permits, 0)
              if (taken > 0 && taken + first.permits > limit) return
              holding.push(waiting.shift()!)
              expected.push(first.id)
            }
          }
          const fibers = new Map<number, Fiber.RuntimeFiber<void>>()
          const releases = new Map<number, Deferred.Deferred<void>>()
          for (const [id, step] of operations.entries()) {
            if (step.op === "take") {
              const release = yield* Deferred.make<void>()
              releases.set(id, release)
              const use = Effect.suspend(() => {
                granted.push(id)
                return Deferred.await(release)
              })
              fibers.set(id, yield* Effect.fork(budget.withPermits(step.permits)(use)))
              waiting.push({ id, permits: step.permits })
            } else if (step.op === "resize") {
              yield* budget.resize(step.limit)
              limit = step.limit
            } else if (step.op === "release" && holding.length > 0) {
              const [holder] = holding.splice(step.which % holding.length, 1)
              yield* Deferred.succeed(releases.get(holder!.id)!, undefined)
            } else if (step.op === "interrupt" && waiting.length + holding.length > 0) {
              const all = [...waiting, ...holding]
              const one = all[step.which % all.length]!
              const list = waiting.includes(one) ? waiting : holding
              list.splice(list.indexOf(one), 1)
              yield* Fiber.interrupt(fibers.get(one.id)!)
            }
            serve()
            yield* Effect.sleep(0)
            assert.deepStrictEqual(granted, expected)
            assert.strictEqual(budget.taken, holding.reduce((total, { permits }) => total + permits, 0))
            assert.strictEqual(budget.waiting, waiting.length)
          }
          yield* Fiber.interruptAll(Array.from(fibers.values()))
          assert.deepStrictEqual([budget.taken, budget.waiting], [0, 0])
        }))
    ))

  it.effect("loses no permit, wherever between two steps of a fiber an interruption strikes", () =>
    Property.check(
      fc.tuple(
        fc.integer({ min: 1, max: 4 }),
        fc.array(
          fc.record({
            permits: fc.integer({ min: 1, max: 5 }),
            starts: fc.nat(6),
            holds: fc.nat(6),
            interrupted: fc.option(fc.nat(30))
          }),
          { minLength: 2, maxLength: 8 }
        ),
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }),
        // After how many steps fibers take turns: Effect itself needs nearly ten for a turn.
        fc.integer({ min: 10, max: 20 })
      ),
      ([limit, takers, sizes, steps]) =>
        Effect.gen(function*() {
          const budget = InFlight.make(limit)
          const turns = (count: number) => Effect.repeatN(Effect.yieldNow(), count)
          const fibers = yield* Effect.forEach(takers, ({ holds, interrupted, permits, starts }) =>
            Effect.gen(function*() {
              const fiber = yield* Effect.fork(
                Effect.zipRight(turns(starts), budget.withPermits(permits)(turns(holds)))
              )
              if (interrupted !== null) {
                yield* turns(interrupted)
                yield* Fiber.interrupt(fiber)
              }
              return yield* Fiber.await(fiber)
            }).pipe(Effect.fork))
          yield* Effect.forEach(sizes, (size) => Effect.zipRight(turns(3), budget.resize(size)))
          // Waiters that were not interrupted get their turn, so nothing is stuck either.
          yield* Fiber.joinAll(fibers)
          assert.deepStrictEqual([budget.taken, budget.waiting], [0, 0])
        }).pipe(Effect.withMaxOpsBeforeYield(steps))
    ))
})

describe("a budget's limit", () => {
  const noLimits: ReadonlyArray<number> = [NaN, -1, -Infinity, "8" as unknown as number]

  it("is refused at 0, at no number and at less than nothing, and taken at 1", () => {
    for (const limit of [0, ...noLimits]) {
      assert.throws(() => InFlight.make(limit), RangeError, /^limit takes .+, not .+\.$/)
    }
    assert.strictEqual(InFlight.make(1).limit, 1)
  })

  it.effect("cannot be changed to what is none", () =>
    Effect.gen(function*() {
      for (const limit of noLimits) {
        const budget = InFlight.make(1)
        const exit = yield* Effect.exit(budget.resize(limit))
        assert(Exit.isFailure(exit))
        assert.instanceOf(Option.getOrThrow(Cause.dieOption(exit.cause)), RangeError)
        assert.strictEqual(budget.limit, 1)
      }
    }))
})
