/**
 * Fibers that nobody waits for while a run goes on: reports of what happens outside its workers, such as a change of the
 * limits. The end of the run waits for them, with a bound.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { endedWithin, patienceMillis } from "../calls/ended.js"
import type { Restore } from "../calls/ended.js"

export class Unawaited {
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  private readonly fibers = new Set<Fiber.RuntimeFiber<void>>()

  constructor(fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>) {
    this.fork = fork
  }

  /**
   * Runs a report in a fiber of its own, which the run can interrupt through `restore`. Returns the wait for its end, for whoever wants to
   * wait.
   */
  run(
    report: (restore: Restore) => Effect.Effect<void>,
    onFailure: (cause: Cause.Cause<never>) => Effect.Effect<void>
  ): Effect.Effect<void> {
    const fiber = this.fork(Effect.uninterruptibleMask((restore) =>
      Effect.catchAllCause(
        report(restore),
        (cause) => Cause.isInterruptedOnly(cause) ? Effect.void : onFailure(cause)
      )
    ))
    this.fibers.add(fiber)
    fiber.addObserver(() => this.fibers.delete(fiber))
    return Effect.asVoid(Fiber.await(fiber))
  }

  interrupt(): void {
    for (const fiber of this.fibers) fiber.unsafeInterruptAsFork(FiberId.none)
  }

  /** Waits for all of them, and interrupts those that do not end. */
  readonly ended: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      this.fibers,
      (fiber) =>
        Effect.zipRight(
          endedWithin(fiber, patienceMillis),
          Effect.sync(() => fiber.unsafeInterruptAsFork(FiberId.none))
        ),
      { discard: true, concurrency: "unbounded" }
    )
  )
}
