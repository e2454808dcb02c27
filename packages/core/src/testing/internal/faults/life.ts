/**
 * A simulated process: once killed, it does nothing more, not even clean up.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { ended } from "../../../internal/calls/ended.js"

/** Waits forever. (`Effect.never` keeps a real timer.) */
export const never: Effect.Effect<never> = Effect.async<never>(() => {})

export class Life {
  isDead = false
  private readonly death = Deferred.unsafeMake<void>(FiberId.none)
  /** Callbacks for the death of the process: the journal loses its unwritten notes. */
  readonly onDeath: Array<() => void> = []
  private readonly calls = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  private readonly clock: Clock.Clock

  /** The clock is the world's. */
  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  kill(): void {
    if (this.isDead) return
    this.isDead = true
    for (const told of this.onDeath) told()
    for (const call of this.calls) call.unsafeInterruptAsFork(FiberId.none)
    Deferred.unsafeDone(this.death, Effect.void)
  }

  /** Waits for the death of the process. */
  get dies(): Effect.Effect<void> {
    return Deferred.await(this.death)
  }

  /** Waits until nothing that the process had requested is running. */
  get silence(): Effect.Effect<void> {
    return Effect.suspend(() => Effect.forEach([...this.calls], (call) => Fiber.await(call), { discard: true }))
  }

  /** A clock that stops for a dead process. */
  get mortalClock(): Clock.Clock {
    const { clock } = this
    return {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanos: clock.currentTimeNanos,
      sleep: (duration) =>
        Effect.suspend(() => this.isDead ? never : Effect.zipRight(clock.sleep(duration), this.lives))
    }
  }

  /** Continues only while the process lives. */
  readonly lives: Effect.Effect<void> = Effect.suspend(() => this.isDead ? never : Effect.void)

  /** Makes a call to the world, which ends if the process dies; its answer then never arrives. */
  call<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        Effect.forkDaemon(Effect.interruptible(Effect.withClock(effect, this.clock))),
        (fiber) => {
          this.calls.add(fiber)
          fiber.addObserver(() => this.calls.delete(fiber))
          return ended(fiber, restore, Fiber.interrupt, (exit) => this.isDead ? never : exit)
        }
      )
    )
  }
}
