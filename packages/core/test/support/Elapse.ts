import { Effect, TestClock } from "effect"
import type { Fiber } from "effect"

/** Moves the clock until a fiber has ended, second by second, and tells how many that took in all. */
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
