/**
 * A budget of permits that are taken in the order of asking, by weight, and whose size can change while it is in use.
 *
 * It bounds uploads, requests or bytes in flight. `Effect.Semaphore` wakes whichever waiter fits, so that small takes
 * starve a large one; here a large take waits at the head of the line and gets its turn. A take larger than the whole
 * budget is let through alone.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import { Line } from "./internal/line.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface InFlight {
  /** How many permits there are; may be `Infinity`. */
  readonly limit: number
  /** How many are taken. */
  readonly taken: number
  /** How many takes are waiting. */
  readonly waiting: number
  /** Takes `permits` now and answers `true`, or answers `false`. */
  readonly unsafeTake: (permits: number) => boolean
  /** Gives `permits` back and wakes those who can go on. */
  readonly unsafeRelease: (permits: number) => void
  /**
   * Waits in line for `permits`, and calls `granted` in the very instant in which they are given. From then on they are
   * the caller's to give back, even where an interruption arrives before the fiber runs again; interrupted before that,
   * it leaves the line and holds nothing. Where a scope of use can be written down, use `withPermits`.
   */
  readonly take: (permits: number, granted: () => void) => Effect.Effect<void>
  /** Runs an effect while holding `permits`. What is waited for beforehand goes through `waiting`, if that is given. */
  readonly withPermits: (
    permits: number,
    waiting?: (turn: Effect.Effect<void>) => Effect.Effect<void>
  ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Changes the number of permits. Those that are out stay out until they are given back. */
  readonly resize: (limit: number) => Effect.Effect<void>
}

/**
 * A budget of `limit` permits.
 *
 * @example
 * ```ts
 * import { InFlight } from "@sluice/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const budget = InFlight.make(2)
 *   const work = budget.withPermits(1)(Effect.sleep("10 millis"))
 *   yield* Effect.all([work, work, work], { concurrency: "unbounded" })
 * })
 * Effect.runFork(program)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (limit: number): InFlight => new Budget(limit)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Waiter {
  readonly permits: number
  readonly grant: () => void
}

class Budget implements InFlight {
  limit: number
  taken = 0
  private readonly line = new Line<Waiter>()

  constructor(limit: number) {
    this.limit = limit
  }

  get waiting(): number {
    return this.line.size
  }

  private fits(permits: number): boolean {
    return this.taken + permits <= this.limit || (this.taken === 0 && this.limit > 0)
  }

  unsafeTake(permits: number): boolean {
    if (this.line.size > 0 || !this.fits(permits)) return false
    this.taken += permits
    return true
  }

  unsafeRelease(permits: number): void {
    this.taken -= permits
    this.wake()
  }

  private wake(): void {
    for (let { first } = this.line; first !== undefined && this.fits(first.value.permits); first = this.line.first) {
      this.line.leave(first)
      this.taken += first.value.permits
      first.value.grant()
    }
  }

  take(permits: number, granted: () => void): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      if (this.unsafeTake(permits)) {
        granted()
        return resume(Effect.void)
      }
      const place = this.line.join({
        permits,
        grant: () => {
          granted()
          resume(Effect.void)
        }
      })
      return Effect.sync(() => {
        if (this.line.leave(place)) this.wake()
      })
    })
  }

  withPermits(
    permits: number,
    waiting: (turn: Effect.Effect<void>) => Effect.Effect<void> = identity
  ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> {
    return (effect) =>
      Effect.suspend(() => {
        let held = false
        return Effect.zipRight(waiting(this.take(permits, () => held = true)), effect).pipe(
          Effect.ensuring(Effect.sync(() => {
            if (held) this.unsafeRelease(permits)
          }))
        )
      })
  }

  resize(limit: number): Effect.Effect<void> {
    return Effect.sync(() => {
      this.limit = limit
      this.wake()
    })
  }
}
