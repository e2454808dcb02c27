/**
 * Calls that have a time, and are not cut before it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"

/**
 * Runs a call that an interruption must not cut, for at most `millis`; then it counts as stalled. (A time bound inside
 * an uninterruptible region could not cut the call: it runs in a fiber of its own.)
 */
export const bounded = <A>(call: Effect.Effect<A, UploadError>, millis: number): Effect.Effect<A, UploadError> =>
  Effect.flatMap(
    Effect.forkDaemon(Effect.interruptible(Effect.timeoutFail(call, {
      duration: Duration.millis(millis),
      onTimeout: () =>
        new Transient({
          reason: "Stalled",
          detail: `The destination did not answer within ${Duration.format(Duration.millis(millis))}.`
        })
    }))),
    Fiber.join
  )
