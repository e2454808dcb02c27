/**
 * A budget of weighted permits, granted in FIFO order, whose size can change while it is in use.
 *
 * It bounds uploads, requests or bytes in flight. `Effect.Semaphore` wakes whichever waiter fits, so small takes can
 * starve a large one; here a large take waits at the head of the line and gets its turn. A take larger than the whole
 * budget is granted alone.
 *
 * There are two lanes, for whole files and for parts of large ones. While both wait, the one that holds fewer permits
 * is served first: each lane is guaranteed half, and may use everything that the other leaves.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Decode from "../values/decode.js"
import { WaitQueue } from "./waitQueue.js"

/**
 * The kind of taker: a whole file, or a part of a large one.
 */
export type Lane = "files" | "parts"

export interface InFlight {
  /** The number of permits; may be `Infinity`. */
  readonly limit: number
  /** The number of permits taken. */
  readonly taken: number
  /** The number of takes waiting. */
  readonly waiting: number
  /** Takes `permits` now and returns `true`, or returns `false`. The lane defaults to `files`. */
  readonly unsafeTake: (permits: number, lane?: Lane) => boolean
  /** Gives back `permits` of a lane and wakes the takes that can now proceed. */
  readonly unsafeRelease: (permits: number, lane?: Lane) => void
  /**
   * Waits in line for `permits`, and calls `granted` at the very instant they are granted. From then on the caller must
   * give them back, even if an interruption arrives before the fiber runs again; a take interrupted before that leaves
   * the line and holds nothing. Where the use has a scope, prefer `withPermits`.
   */
  readonly take: (permits: number, granted: () => void, lane?: Lane) => Effect.Effect<void>
  /** Runs an effect while holding `permits`. The wait beforehand goes through `waiting`, if given. */
  readonly withPermits: (
    permits: number,
    waiting?: (turn: Effect.Effect<void>) => Effect.Effect<void>
  ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /**
   * Changes the number of permits. Permits already taken stay taken until they are given back. With 0 no take is
   * granted until the number is raised again; `NaN` and negative numbers die with a `RangeError`.
   */
  readonly resize: (limit: number) => Effect.Effect<void>
}

/**
 * A budget of `limit` permits, more than 0 or `Infinity`. Throws a `RangeError` for anything else.
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

/** The takes that wait in a lane, and the permits that the lane holds. */
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

  // The take joins the queue in an uninterruptible region, so that an interruption cannot come before there is a way to
  // leave the line: the canceler of `Effect.async` is in place only one step after its registration.
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
