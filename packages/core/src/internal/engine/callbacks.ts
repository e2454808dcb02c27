/**
 * The callbacks of users. They run in the fibers of a run, with the services of whoever started it, can be interrupted
 * with it, and may fail, which ends the run.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CallbackFailure, inCause } from "../calls/callbackFailure.js"
import { interruptedMillis } from "../calls/ended.js"
import type { Restore } from "../calls/ended.js"
import { kindOf } from "../calls/ownFunction.js"
import { within } from "../calls/within.js"
import { isInterrupted } from "../upload/stalls.js"

/** A callback as the engine sees it: its services are those of the fiber, and its failure goes around the uploads. */
export type Callback<A> = (value: A) => Effect.Effect<void, unknown, never>

/**
 * Calls a callback, in a region that can be interrupted only through `restore`. What has happened is told even if the
 * fiber was interrupted already, but briefly; an interruption that comes meanwhile ends the callback.
 *
 * Callbacks may be written without types: they may return `undefined` or an Effect; anything else is a mistake, and so
 * is an effect that interrupts itself, such as an offer to a queue that was shut down.
 */
export const tell = (
  name: string,
  call: () => Effect.Effect<void, unknown>,
  restore: Restore
): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    const effect = Effect.suspend(() => {
      const answer: unknown = call()
      if (answer === undefined) return Effect.void
      return Effect.isEffect(answer)
        ? answer as Effect.Effect<void, unknown>
        : Effect.die(new TypeError(`${name} has to give an Effect, not ${kindOf(answer)}.`))
    })
    const told = isInterrupted(fiber) ? briefly(effect) : restore(effect)
    return Effect.catchAllCause(told, (cause) => {
      if (Cause.isInterruptedOnly(cause)) {
        return isInterrupted(fiber) ? Effect.void : Effect.die(new Error(`The effect of ${name} interrupted itself.`))
      }
      return Effect.die(new CallbackFailure(cause))
    })
  })

/** The cause that a run ends with: that of the callback that failed, if one did. */
export const causeOf = (cause: Cause.Cause<never>): Cause.Cause<unknown> =>
  Option.getOrElse(inCause(cause), (): Cause.Cause<unknown> => cause)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const late = Symbol()

const briefly = (effect: Effect.Effect<void, unknown>): Effect.Effect<void, unknown> =>
  Effect.catchAll(
    within(Effect.disconnect(effect), interruptedMillis, () => late),
    (error) => error === late ? Effect.void : Effect.fail(error)
  )
