/**
 * Calls of `node:fs` replaced for a while, for what has to happen at one exact moment of a call.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import nodeFs from "node:fs"
import { syncBuiltinESMExports } from "node:module"

type Call = (...args: Array<any>) => any

/** Replaces a call until the scope ends; `make` is given the real one. */
export const patched = (
  name:
    | "close"
    | "lstat"
    | "lstatSync"
    | "open"
    | "openSync"
    | "opendir"
    | "read"
    | "readFileSync"
    | "readSync"
    | "stat",
  make: (real: Call) => Call
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const real: Call = nodeFs[name]
      Object.assign(nodeFs, { [name]: make(real.bind(nodeFs)) })
      syncBuiltinESMExports()
      return real
    }),
    (real) =>
      Effect.sync(() => {
        Object.assign(nodeFs, { [name]: real })
        syncBuiltinESMExports()
      })
  ))

/** Runs `after` when a call with a callback has succeeded, before its caller is notified. */
export const afterwards = (after: (...args: Array<any>) => void) => (real: Call): Call => (...args) => {
  const done: Call = args.pop()
  return real(...args, (error: unknown, ...results: Array<unknown>) => {
    if (error === null) after(...args)
    done(error, ...results)
  })
}

/** Counts the calls. */
export const counted = (count: (...args: Array<any>) => void) => (real: Call): Call => (...args) => {
  count(...args)
  return real(...args)
}
