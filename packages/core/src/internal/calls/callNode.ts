/**
 * Calls of Node that end in a callback, as Effects.
 *
 * Whatever a call does, it fails as a value: Node throws at once where an argument is none that it takes, such as a path
 * with a NUL in it. A call for which no descriptor is left has not been made: it waits until one is, for a while.
 */
import * as Effect from "effect/Effect"
import { isFull, patience } from "./descriptors.js"

/**
 * Has a `stat` fill a buffer that is its own. A plain one, synchronous or with a callback, fills the one that Node's
 * `realpath` reads too: after that of a pipe or a socket, Node 20 takes links on the way to a module for what they lead to.
 */
export const bigint = { bigint: true } as const

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
  return Effect.catchAll(once, (error) => isFull(error.code) ? Effect.retry(once, retry) : Effect.fail(error))
}

/** What was thrown, as an error. */
export const failureOf = (thrown: unknown): Failure => thrown instanceof Error ? thrown : new Error(String(thrown))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const retry = { while: ({ code }: Failure) => isFull(code), schedule: patience }
