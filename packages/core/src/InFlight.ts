/**
 * A budget of permits that are taken in the order of asking, by weight, and whose size can change while it is in use.
 *
 * It bounds uploads, requests or bytes in flight. `Effect.Semaphore` wakes whichever waiter fits, so that small takes
 * starve a large one; here a large take waits at the head of the line and gets its turn. A take larger than the whole
 * budget is let through alone.
 *
 * There are two lanes, for whole files and for parts of large ones. While both wait, the one that holds fewer permits is
 * served first: each lane is sure of half, and may have all that the other leaves.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import { WaitQueue } from "./internal/limits/waitQueue.js"
import * as Decode from "./internal/values/decode.js"

/**
 * Who asks: a whole file, or a part of a large one.
 *
 * @since 0.1.0
 * @category models
 */
export type Lane = "files" | "parts"

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
  /** Takes `permits` now and answers `true`, or answers `false`. The lane defaults to `files`. */
  readonly unsafeTake: (permits: number, lane?: Lane) => boolean
  /** Gives `permits` of a lane back and wakes those who can go on. */
  readonly unsafeRelease: (permits: number, lane?: Lane) => void
  /**
   * Waits in line for `permits`, and calls `granted` in the very instant in which they are given. From then on they are
   * the caller's to give back, even where an interruption arrives before the fiber runs again; interrupted before that,
   * it leaves the line and holds nothing. Where a scope of use can be written down, use `withPermits`.
   */
  readonly take: (permits: number, granted: () => void, lane?: Lane) => Effect.Effect<void>
  /** Runs an effect while holding `permits`. What is waited for beforehand goes through `waiting`, if that is given. */
  readonly withPermits: (
    permits: number,
    waiting?: (turn: Effect.Effect<void>) => Effect.Effect<void>
  ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /**
   * Changes the number of permits. Those that are out stay out until they are given back. With 0 nobody gets one until
   * there are more again; `NaN` and negative numbers die as a `RangeError`.
   */
  readonly resize: (limit: number) => Effect.Effect<void>
}

/**
 * A budget of `limit` permits, which is more than 0 and may be `Infinity`; a `RangeError` is thrown for anything else.
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
export const make = (limit: number): InFlight => new Budget(Decode.rate("limit", limit))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

class Waiter {
  readonly permits: number
  private readonly granted: () => void
  private isGranted = false
  private resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined

  constructor(permits: number, granted: () => void) {
    this.permits = permits
    this.granted = granted
  }

  grant(): void {
    this.granted()
    this.isGranted = true
    this.resume?.(Effect.void)
  }

  readonly turn: Effect.Effect<void> = Effect.async((resume) => {
    if (this.isGranted) resume(Effect.void)
    else this.resume = resume
  })
}

/** Those who wait in a lane, and what the lane holds. */
class Queue {
  readonly line = new WaitQueue<Waiter>()
  taken = 0
}

class Budget implements InFlight {
  limit: number
  private readonly files = new Queue()
  private readonly parts = new Queue()
  private servedLast = this.parts

  constructor(limit: number) {
    this.limit = limit
  }

  get taken(): number {
    return this.files.taken + this.parts.taken
  }

  get waiting(): number {
    return this.files.line.size + this.parts.line.size
  }

  private fits(permits: number): boolean {
    const { taken } = this
    return taken + permits <= this.limit || (taken === 0 && this.limit > 0)
  }

  private queue(lane: Lane): Queue {
    return lane === "files" ? this.files : this.parts
  }

  unsafeTake(permits: number, lane: Lane = "files"): boolean {
    if (this.waiting > 0 || !this.fits(permits)) return false
    this.queue(lane).taken += permits
    return true
  }

  unsafeRelease(permits: number, lane: Lane = "files"): void {
    this.queue(lane).taken -= permits
    this.wake()
  }

  /** The lane whose turn it is. */
  private get next(): Queue {
    const { files, parts } = this
    if (files.line.size === 0) return parts
    if (parts.line.size === 0) return files
    if (files.taken !== parts.taken) return files.taken < parts.taken ? files : parts
    return this.servedLast === parts ? files : parts
  }

  private wake(): void {
    for (;;) {
      const { next } = this
      const { first } = next.line
      if (first === undefined || !this.fits(first.value.permits)) return
      next.line.leave(first)
      next.taken += first.value.permits
      this.servedLast = next
      first.value.grant()
    }
  }

  take(permits: number, granted: () => void, lane: Lane = "files"): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.unsafeTake(permits, lane)) return this.wait(permits, granted, lane)
      granted()
      return Effect.void
    })
  }

  // Joined where no interruption can come before there is somebody to leave the line again: the canceler of
  // `Effect.async` is in place only a step after its registration.
  private wait(permits: number, granted: () => void, lane: Lane): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) => {
      if (this.unsafeTake(permits, lane)) {
        granted()
        return Effect.void
      }
      const { line } = this.queue(lane)
      const waiter = new Waiter(permits, granted)
      const place = line.join(waiter)
      return Effect.catchAllCause(restore(waiter.turn), (interruption) => {
        if (line.leave(place)) this.wake()
        return Effect.failCause(interruption)
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
      this.limit = Decode.adjusted("limit", limit)
      this.wake()
    })
  }
}
