/**
 * Callback-based Node calls as Effects.
 *
 * Every failure of a call is a value. Node throws synchronously for arguments that it does not accept, such as a path
 * with a NUL in it. A call that finds no free descriptor has not been made: it waits for one, up to a limit.
 */
import * as Effect from "effect/Effect"
import { isFull, patience } from "./tooManyOpenFiles.js"

/**
 * Makes a `stat` fill its own buffer. A plain `stat`, synchronous or with a callback, fills the buffer that Node's
 * `realpath` also reads: after a `stat` of a pipe or a socket, Node 20 mistakes links on the path of a module for their
 * targets.
 */
export const bigint = { bigint: true } as const

export type Failure = NodeJS.ErrnoException

export type Callback<A> = (error: Failure | null, value: A) => void

/** An uninterruptible call: its effect on a descriptor is complete when it returns. */
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

/** The thrown value as an error. */
export const failureOf = (thrown: unknown): Failure => thrown instanceof Error ? thrown : new Error(String(thrown))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const retry = { while: ({ code }: Failure) => isFull(code), schedule: patience }
