/**
 * Waiting for a fiber of one's own, inside of what may not be interrupted.
 *
 * Such a fiber is a daemon: a fiber that is told of an interruption passes it on to all its children at once, even where
 * it cannot be interrupted itself.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** What lets an interruption through again. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Waits for the end of a fiber, which is interrupted where the wait is: for those who cannot be interrupted but for this
 * wait. (`Fiber.await` with `Effect.onInterrupt` comes to the same, and costs three masks.)
 */
export const ended = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, restore: Restore): Effect.Effect<Exit.Exit<A, E>> => {
  const exit = Effect.async<Exit.Exit<A, E>>((resume) => {
    fiber.addObserver((exit) => resume(Effect.succeed(exit)))
  })
  return Effect.catchAllCause(
    restore(exit),
    (interruption) => Effect.zipRight(Fiber.interrupt(fiber), Effect.failCause(interruption))
  )
}

/** Waits for the end of a fiber, for so many milliseconds at most: for those that run code of somebody else's. */
export const endedWithin = (fiber: Fiber.RuntimeFiber<unknown, unknown>, millis: number): Effect.Effect<void> =>
  Effect.suspend(() =>
    fiber.unsafePoll() === null
      ? Effect.raceFirst(
        Effect.interruptible(Effect.asVoid(Fiber.await(fiber))),
        Effect.interruptible(Effect.sleep(millis))
      )
      : Effect.void
  )
