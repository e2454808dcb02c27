/**
 * Ctrl-C and its kin, read by the command instead of ending the process: once means finish what is in flight, twice or
 * SIGTERM means stop now, and once more after that leaves at once.
 */
import type { UploadRun } from "@sluice/core/UploadRun"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP"

/** Signals as they come, until the scope closes. */
export const listen: Effect.Effect<Queue.Dequeue<Signal>, never, Scope.Scope> = Effect.gen(function*() {
  const received = yield* Queue.unbounded<Signal>()
  const onSignal = (signal: Signal) => {
    received.unsafeOffer(signal)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => signals.forEach((signal) => process.on(signal, onSignal))),
    () => Effect.sync(() => signals.forEach((signal) => process.off(signal, onSignal)))
  )
  return received
})

/** How a run can be steered, and who is told. */
export interface Steered {
  readonly run: Pick<UploadRun<never>, "drain" | "currentProgress">
  /** Interrupts everything. */
  readonly stop: Effect.Effect<void>
  readonly say: (line: string) => Effect.Effect<void>
  /** Leaves without waiting for anything. */
  readonly leave: Effect.Effect<void>
}

/** Steers a run by signals, until it is interrupted. */
export const steer = (received: Queue.Dequeue<Signal>, steered: Steered): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { leave, run, say, stop } = steered
    const first = yield* received.take
    if (first === "SIGINT") {
      const { inFlight } = yield* run.currentProgress
      yield* run.drain
      yield* say(
        inFlight === 0
          ? "Stopping: nothing more is started; press Ctrl-C again to stop at once."
          : `Stopping: finishing ${inFlight} upload${
            inFlight === 1 ? "" : "s"
          } in flight; press Ctrl-C again to stop at once.`
      )
      yield* received.take
    }
    yield* say("Stopping at once.")
    yield* Effect.forkDaemon(stop)
    yield* received.take
    yield* leave
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
