/**
 * A budget of weighted permits, granted in FIFO order, whose size can change while it is in use.
 *
 * It bounds uploads, requests or bytes in flight. `Effect.Semaphore` wakes whichever waiter fits, so small takes can
 * starve a large one; here a large take waits at the head of the line and gets its turn. A take larger than the whole
 * budget is granted alone.
 *
 * There are two lanes, for whole files and for parts of large ones. While both wait, the one that holds fewer permits
 * is served first: each lane is guaranteed half, and may use everything that the other leaves.
 *
 * A budget can be part of another. A permit of it is then a permit of the other, too, and both are granted in one
 * instant: nothing holds the one while it waits for the other. In the line of the whole, each part has one place,
 * however many of its takes wait, and goes to the end when a take of it has been granted: parts take turns.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Decode from "../values/decode.js"
import { WaitQueue } from "./waitQueue.js"
import type { Place } from "./waitQueue.js"

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
 * A budget of `limit` permits, more than 0 or `Infinity`, of which each is also one of `whole`. Throws a `RangeError`
 * for anything else.
 */
export const make = (limit: number, whole?: InFlight): InFlight => new Budget(Decode.rate("limit", limit), whole)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** What waits in a line: a take, or a part of the budget that has one. */
interface Candidate {
  /** The permits that it asks for. */
  readonly permits: number
  readonly grant: () => void
}

class Waiter implements Candidate {
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

/** The line of a lane, and the permits that the lane holds. */
class Queue {
  readonly line = new WaitQueue<Candidate>()
  taken = 0
}

class Budget implements InFlight, Candidate {
  limit: number
  private readonly whole: Budget | undefined
  private readonly files = new Queue()
  private readonly parts = new Queue()
  private servedLast = this.parts
  /** Where this budget stands in line for the whole, while its next take waits for nothing else. */
  private place: { readonly line: WaitQueue<Candidate>; readonly at: Place<Candidate> } | undefined = undefined

  constructor(limit: number, whole: InFlight | undefined) {
    this.limit = limit
    // There is no other implementation.
    this.whole = whole as Budget | undefined
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

  /** Whether a take need not wait, here or in what this is part of. */
  private isFree(permits: number): boolean {
    return this.waiting === 0 && this.fits(permits) && this.whole?.isFree(permits) !== false
  }

  private add(permits: number, lane: Lane): void {
    this.queue(lane).taken += permits
    this.whole?.add(permits, lane)
  }

  private queue(lane: Lane): Queue {
    return lane === "files" ? this.files : this.parts
  }

  unsafeTake(permits: number, lane: Lane = "files"): boolean {
    if (!this.isFree(permits)) return false
    this.add(permits, lane)
    return true
  }

  unsafeRelease(permits: number, lane: Lane = "files"): void {
    this.add(-permits, lane)
    this.freed()
  }

  /** The lane whose turn it is. */
  private get next(): Queue {
    const { files, parts } = this
    if (files.line.size === 0) return parts
    if (parts.line.size === 0) return files
    if (files.taken !== parts.taken) return files.taken < parts.taken ? files : parts
    return this.servedLast === parts ? files : parts
  }

  /** Permits were given back, here and in all that this is part of. */
  private freed(): void {
    this.whole?.freed()
    this.serve()
  }

  /** Grants what can be granted to those that wait here, and asks the whole for the next one. */
  private serve(): void {
    for (;;) {
      const { next, whole } = this
      const { first } = next.line
      if (first === undefined || !this.fits(first.value.permits)) return this.leaveWhole()
      if (this.place !== undefined) return
      if (whole?.isFree(first.value.permits) === false) return this.join(whole)
      this.grantNext()
    }
  }

  private grantNext(): void {
    const { next } = this
    const { first } = next.line
    if (first === undefined) return
    next.line.leave(first)
    this.servedLast = next
    first.value.grant()
  }

  /** Gets in line for a permit of the whole. */
  private join(whole: Budget): void {
    const { line } = this.next === this.files ? whole.files : whole.parts
    this.place = { line, at: line.join(this) }
    // This may be what the whole has been waiting for, or it may have to get in line itself.
    whole.serve()
  }

  /** In the line of the whole: what the next take asks for. */
  get permits(): number {
    return this.next.line.first?.value.permits ?? 0
  }

  /** In the line of the whole: it is the turn of this budget. */
  grant(): void {
    this.place = undefined
    this.grantNext()
    this.serve()
  }

  /** The next take waits for this budget alone, or there is none. */
  private leaveWhole(): void {
    const { place } = this
    if (place === undefined) return
    this.place = undefined
    if (place.line.leave(place.at)) this.whole?.left()
  }

  /** Somebody in line has left: the next one may ask for less. */
  private left(): void {
    this.serve()
    if (this.place !== undefined) this.whole?.left()
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
      const waiter = new Waiter(permits, () => {
        this.add(permits, lane)
        granted()
      })
      const place = line.join(waiter)
      this.serve()
      return Effect.catchAllCause(restore(waiter.turn), (interruption) => {
        if (line.leave(place)) this.left()
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
      this.serve()
    })
  }
}
