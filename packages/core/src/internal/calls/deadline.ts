/**
 * Calls that have a deadline and are not interrupted before it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { Transient } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { ended } from "./ended.js"

/**
 * Runs a call that an interruption must not cut, for at most `millis`; after that it counts as stalled. (A time limit
 * inside an uninterruptible region could not cut the call, so it runs in its own fiber.) If the caller can be
 * interrupted after all, the call ends with it.
 */
export const withDeadline = <A>(call: Effect.Effect<A, UploadError>, millis: number): Effect.Effect<A, UploadError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      let isLate = false
      const fiber = yield* Effect.forkDaemon(Effect.interruptible(call))
      const timer = yield* Effect.forkDaemon(Effect.interruptible(Effect.map(Effect.sleep(millis), () => {
        isLate = true
        fiber.unsafeInterruptAsFork(FiberId.none)
      })))
      fiber.addObserver(() => timer.unsafeInterruptAsFork(FiberId.none))
      return yield* ended(
        fiber,
        restore,
        Fiber.interrupt,
        (exit) => isLate && Exit.isInterrupted(exit) ? stalled(millis) : exit
      )
    })
  )

const stalled = (millis: number) =>
  new Transient({
    reason: "Stalled",
    detail: `The destination did not answer within ${Duration.format(Duration.millis(millis))}.`
  })
