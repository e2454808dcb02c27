/**
 * Calls of Node that end in a callback, as Effects.
 *
 * Whatever a call does, it fails as a value: Node throws at once where an argument is none that it takes, such as a path
 * with a NUL in it. A call for which no descriptor is left has not been made: it waits until one is, for a while.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

export type Failure = NodeJS.ErrnoException

export type Callback<A> = (error: Failure | null, value: A) => void

/** A call that is not interruptible: what it does to a descriptor has ended when it returns. */
export const call = <A = void>(start: (done: Callback<A>) => void): Effect.Effect<A, Failure> => {
  const once = Effect.uninterruptible(
    Effect.async<A, Failure>((resume) => {
      try {
        start((error, value) => resume(error === null ? Effect.succeed(value) : Effect.fail(error)))
      } catch (error) {
        resume(Effect.fail(failureOf(error)))
      }
    })
  )
  return Effect.catchAll(once, (error) => isFull(error) ? Effect.retry(once, patience) : Effect.fail(error))
}

/** Whether the process, or the system, has as many files open as it may have. */
export const isFull = ({ code }: Failure): boolean => code === "EMFILE" || code === "ENFILE"

/** What was thrown, as an error. */
export const failureOf = (thrown: unknown): Failure => thrown instanceof Error ? thrown : new Error(String(thrown))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** About 25 seconds, for others to close what they have open. */
const patience = {
  while: isFull,
  schedule: Schedule.exponential("5 millis").pipe(
    Schedule.union(Schedule.spaced("250 millis")),
    Schedule.intersect(Schedule.recurs(100))
  )
}
