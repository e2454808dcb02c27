/**
 * Waiting for one's own fiber inside an uninterruptible region.
 *
 * Such a fiber is a daemon, because a fiber that receives an interruption passes it on to all its children at once,
 * even when it cannot be interrupted itself.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** Makes a region interruptible again. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Waits for the end of a fiber and continues with its exit; interrupts it if the wait is interrupted. For callers that
 * can be interrupted only in this wait. (`Fiber.await` with `Effect.onInterrupt` does the same, at the cost of three
 * masks.)
 */
export const ended = <A, E, B, E2>(
  fiber: Fiber.RuntimeFiber<A, E>,
  restore: Restore,
  interrupt: (fiber: Fiber.RuntimeFiber<A, E>) => Effect.Effect<unknown>,
  next: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2>
): Effect.Effect<B, E2> =>
  Effect.matchCauseEffect(
    restore(Effect.async<Exit.Exit<A, E>>((resume) => {
      fiber.addObserver((exit) => resume(Effect.succeed(exit)))
    })),
    {
      onSuccess: next,
      onFailure: (interruption) => Effect.zipRight(interrupt(fiber), Effect.failCause(interruption))
    }
  )

/**
 * How long the end of a run or of an upload waits for callbacks that do not return and drivers that cannot be
 * interrupted, in milliseconds. All that can be expected takes less: an abort and its retries have a minute and a half.
 */
export const patienceMillis = 120_000

/** How long what begins after an interruption may take: a callback, or the release of a source; in milliseconds. */
export const interruptedMillis = 1_000

/** Waits for the end of a fiber that runs foreign code, for at most `millis`. */
export const endedWithin = (fiber: Fiber.RuntimeFiber<unknown, unknown>, millis: number): Effect.Effect<void> =>
  Effect.suspend(() =>
    fiber.unsafePoll() === null
      ? Effect.raceFirst(
        Effect.interruptible(Effect.asVoid(Fiber.await(fiber))),
        Effect.interruptible(Effect.sleep(millis))
      )
      : Effect.void
  )
