import { Effect, TestClock } from "effect"
import type { Fiber } from "effect"

/** Moves the clock second by second until a fiber has ended, and returns how many seconds that took. */
export const elapse = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, each: Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    let seconds = 0
    while ((yield* fiber.poll)._tag === "None") {
      yield* each
      yield* Effect.promise(() => new Promise((resume) => setImmediate(resume)))
      yield* TestClock.adjust("1 second")
      seconds += 1
    }
    return seconds
  })
