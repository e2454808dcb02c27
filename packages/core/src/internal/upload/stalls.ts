/**
 * The watch for attempts that make no progress: small files, parts, and sources that are read ahead.
 *
 * A stalled attempt is interrupted in the fiber that runs it, which then takes the interruption back. A fiber for each
 * attempt would be simpler, but would double the memory of a hundred thousand uploads in flight.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import type { SourceUnreadable, Transient } from "../../UploadError.js"
import { stalled, Watched } from "../bytes/watch.js"
import type { Restore } from "../calls/ended.js"

export class Stalls {
  private readonly clock: Clock.Clock
  private readonly millis: number
  private readonly guarded = new Set<Watched>()
  /** The watch interrupts under a name of its own, by which its interruptions are told from all others. */
  private readonly id = FiberId.unsafeMake()

  /** Whether it watches by itself while there is something to watch. */
  private readonly isAlone: boolean
  private isWatched = false
  private watching: Fiber.RuntimeFiber<void> | undefined = undefined
  private isClosed = false

  constructor(clock: Clock.Clock, millis: number, isAlone = false) {
    this.isAlone = isAlone
    this.clock = clock
    this.millis = millis
  }

  /**
   * Runs an effect, which fails if it stalls. For fibers of our own, outside of what can be interrupted: an interruption
   * also reaches the children of a fiber.
   */
  guard<A, E>(
    watched: Watched,
    effect: Effect.Effect<A, E>,
    restore: Restore
  ): Effect.Effect<A, E | SourceUnreadable | Transient> {
    return Effect.withFiberRuntime<A, E | SourceUnreadable | Transient>((fiber) => {
      watched.fiber = fiber
      watched.isCut = false
      this.guarded.add(watched)
      const watching = this.watchAlone()
      const result = Effect.matchCauseEffect(restore(effect), {
        onSuccess: (value) => this.ended(watched, Exit.succeed(value)),
        onFailure: (cause) => this.ended(watched, Exit.failCause(cause))
      })
      return watching === undefined ? result : Effect.zipRight(watching, result)
    })
  }

  /** Reads a source ahead of any request: `use` reports when it asks and when bytes arrive. */
  reading<A, E>(use: (watched: Watched) => Effect.Effect<A, E>): Effect.Effect<A, E | SourceUnreadable | Transient> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const watched = new Watched(this.clock)
        watched.onAsk()
        return this.guard(watched, use(watched), restore)
      })
    )
  }

  /**
   * Interrupts what stalls. It sleeps until the first instant at which something can be overdue. The observable progress
   * of bytes in transit is checked twice: halfway through the stall timeout, and at its end.
   */
  readonly watch: Effect.Effect<void> = Effect.suspend(() =>
    this.millis === Infinity ? Effect.void : Effect.zipRight(this.look, this.watch)
  )

  /** Starts a watch that lasts as long as there is something to watch, unless there is one. */
  private watchAlone(): Effect.Effect<void> | undefined {
    if (!this.isAlone || this.isWatched || this.millis === Infinity) return undefined
    this.isWatched = true
    const watch: Effect.Effect<void> = Effect.flatMap(this.look, () => {
      if (this.guarded.size > 0) return watch
      this.isWatched = false
      return Effect.void
    })
    return Effect.map(Effect.forkDaemon(Effect.interruptible(watch)), (fiber) => {
      this.watching = fiber
    })
  }

  /** Ends that watch: at once if there is nothing to watch, and otherwise after the last attempt. */
  close(): void {
    this.isClosed = true
    this.rest()
  }

  private rest(): void {
    if (this.guarded.size > 0) return
    this.isWatched = false
    this.watching?.unsafeInterruptAsFork(this.id)
  }

  /** What something that was guarded has ended with: if it was cut, and by nobody else, it has stalled. */
  private ended<A, E>(watched: Watched, exit: Exit.Exit<A, E>): Effect.Effect<A, E | SourceUnreadable | Transient> {
    this.guarded.delete(watched)
    watched.fiber = undefined
    if (this.isClosed) this.rest()
    if (!watched.isCut) return exit
    return Effect.zipRight(
      this.takenBack,
      Effect.withFiberRuntime<A, E | SourceUnreadable | Transient>((fiber) => {
        if (exit._tag === "Success") return exit
        if (isInterrupted(fiber)) return Effect.interrupt
        // A driver may die of its cleanup: what ended the attempt is the stall.
        return Option.isNone(Cause.failureOption(exit.cause))
          ? Effect.fail(stalled(watched, this.millis))
          : exit
      })
    )
  }

  /** Looks at everything, and sleeps until the next look. */
  private readonly look: Effect.Effect<void> = Effect.suspend(() => {
    const { clock, guarded, millis } = this
    const now = clock.unsafeCurrentTimeMillis()
    let wait = millis / 2
    const looks: Array<Effect.Effect<void>> = []
    for (const watched of guarded) {
      const { lastByteAt, track, waits } = watched
      if (waits > 0) continue
      const left = lastByteAt + millis - now
      const tracked = track !== undefined && !track.isSeenSince(lastByteAt)
      if (left > 0) wait = Math.min(wait, tracked && left > millis / 2 ? left - millis / 2 : left)
      if (track === undefined) {
        if (left <= 0) this.cut(watched)
        continue
      }
      if (left > (tracked ? millis / 2 : 0)) continue
      looks.push(Effect.map(track.look(lastByteAt, millis / 2), (moved) => {
        if (watched.lastByteAt !== lastByteAt || watched.waits > 0 || !guarded.has(watched)) return
        if (moved) watched.moved()
        else if (left <= 0) this.cut(watched)
      }))
    }
    // On a clock with fractions, the rest may be too small for the clock to advance.
    const sleep = clock.sleep(Duration.millis(Math.max(1, wait)))
    return looks.length === 0
      ? sleep
      : Effect.zipRight(Effect.all(looks, { concurrency: "unbounded", discard: true }), sleep)
  })

  /** Interrupts only once: each further interruption would only lengthen the cause of the first. */
  private cut(watched: Watched): void {
    if (watched.isCut) return
    watched.isCut = true
    watched.fiber?.unsafeInterruptAsFork(this.id)
  }

  /** Takes back the interruption of a stall. It may still be on its way, and has arrived a step later. */
  private readonly takenBack: Effect.Effect<void> = Effect.zipRight(
    Effect.yieldNow(),
    FiberRef.update(
      FiberRef.interruptedCause,
      (cause) => this.isOurs(cause) ? Cause.empty : Cause.filter(cause, (part) => !this.isOurs(part))
    )
  )

  private isOurs(cause: Cause.Cause<unknown>): boolean {
    return Cause.isInterruptedOnly(cause) && HashSet.every(Cause.interruptors(cause), (id) => id === this.id)
  }
}

/** Whether a fiber was interrupted, even if it has not noticed yet. */
export const isInterrupted = (fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean =>
  !Cause.isEmpty(fiber.getFiberRef(FiberRef.interruptedCause))
