/**
 * Fibers that nobody waits for while a run goes on: reports of what happens outside its workers, such as a change of the
 * limits. The end of the run waits for them, with a bound.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { endedWithin, patienceMillis } from "../calls/ended.js"

export class Unawaited {
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  private readonly fibers = new Set<Fiber.RuntimeFiber<void>>()

  constructor(fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>) {
    this.fork = fork
  }

  /** Runs an effect in a fiber of its own. Returns the wait for its end, for whoever wants to wait. */
  run(effect: Effect.Effect<void>): Effect.Effect<void> {
    const fiber = this.fork(effect)
    this.fibers.add(fiber)
    fiber.addObserver(() => this.fibers.delete(fiber))
    return Effect.asVoid(Fiber.await(fiber))
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
      { discard: true }
    )
  )
}
