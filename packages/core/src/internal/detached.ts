/**
 * Effects that race, inside of what may not be interrupted.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/**
 * Runs an effect that may be interrupted in a fiber of its own, and waits for it. A race waits for its loser, which in an
 * uninterruptible region is for ever; and a fiber that is told of an interruption passes it on to all its children at
 * once, even where it cannot be interrupted itself. A daemon is nobody's child.
 */
export const detached = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDaemon(Effect.interruptible(effect)),
      (fiber) => Effect.onInterrupt(restore(Fiber.join(fiber)), () => Fiber.interrupt(fiber))
    )
  )
