/**
 * Effects that have a fiber of their own, inside of what may not be interrupted.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Runs an effect that may be interrupted in a fiber of its own, and waits for it. A race waits for its loser, which in an
 * uninterruptible region is for ever; and a fiber that is told of an interruption passes it on to all its children at
 * once, even where it cannot be interrupted itself. A daemon is nobody's child.
 */
export const detached = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDaemon(Effect.interruptible(effect)),
      (fiber) => Effect.flatten(ended(fiber, restore))
    )
  )

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
