/**
 * The watch for attempts that make no progress: of small files and of parts.
 *
 * A stalled attempt of a small file is interrupted in the fiber that runs it, which then takes the interruption back. A
 * fiber for each attempt would be simpler, but would double the memory of a hundred thousand uploads in flight.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import type { UploadError } from "../../UploadError.js"
import { stalled } from "../bytes/watch.js"
import type { Moving, Watched } from "../bytes/watch.js"
import type { Restore } from "../calls/ended.js"

/** What an attempt moves: bytes of its own, or those of its parts. */
interface Attempted extends Moving {
  readonly large: boolean
  readonly transfers: Set<Watched>
  readonly moved: () => void
}

/** An attempt on its way, and the fiber that runs it. */
interface Guarded {
  readonly upload: Attempted
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  isCut: boolean
}

export class Stalls {
  private readonly clock: Clock.Clock
  private readonly millis: number
  private readonly guarded = new Set<Guarded>()
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
   * Runs an attempt, which fails if it stalls. For fibers of our own that can be interrupted only through `restore`: an
   * interruption also reaches the children of a fiber. Fails with the cause if the fiber itself is interrupted.
   */
  guard<A, B>(
    upload: Attempted,
    attempt: Effect.Effect<A, UploadError>,
    restore: Restore,
    { onFailure, onSuccess }: {
      readonly onSuccess: (value: A) => Effect.Effect<B>
      readonly onFailure: (cause: Cause.Cause<UploadError>) => Effect.Effect<B>
    }
  ): Effect.Effect<B> {
    return Effect.withFiberRuntime<B>((fiber) => {
      const guarded: Guarded = { upload, fiber, isCut: false }
      this.guarded.add(guarded)
      const failed = (cause: Cause.Cause<UploadError>): Effect.Effect<B> =>
        isInterrupted(fiber) ? Effect.failCause(interruptionOf(cause)) : onFailure(cause)
      const watched = this.watchAlone()
      const result = Effect.matchCauseEffect(restore(attempt), {
        onSuccess: (value) => {
          this.release(guarded)
          return guarded.isCut ? Effect.zipRight(this.takenBack, onSuccess(value)) : onSuccess(value)
        },
        onFailure: (cause) => {
          this.release(guarded)
          if (!guarded.isCut) return failed(cause)
          // A driver may die of its cleanup: what ended the attempt is the stall.
          const error = Option.isNone(Cause.failureOption(cause)) ? Cause.fail(stalled(upload, this.millis)) : cause
          return Effect.flatMap(this.takenBack, () => failed(error))
        }
      })
      return watched === undefined ? result : Effect.zipRight(watched, result)
    })
  }

  /**
   * Interrupts stalled attempts. It sleeps until the first instant at which one can be overdue. The observable progress
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

  private release(guarded: Guarded): void {
    this.guarded.delete(guarded)
    if (this.isClosed) this.rest()
  }

  private rest(): void {
    if (this.guarded.size > 0) return
    this.isWatched = false
    this.watching?.unsafeInterruptAsFork(this.id)
  }

  /** Looks at all attempts, and sleeps until the next look. */
  private readonly look: Effect.Effect<void> = Effect.suspend(() => {
    const { clock, guarded, millis } = this
    const now = clock.unsafeCurrentTimeMillis()
    let wait = millis / 2
    const looks: Array<Effect.Effect<void>> = []
    const look = (transfer: Moving & { readonly moved: () => void }, isUnderWay: () => boolean, cut: () => void) => {
      if (transfer.waits > 0) return
      const { lastByteAt, track } = transfer
      const left = lastByteAt + millis - now
      const tracked = track !== undefined && !track.isSeenSince(lastByteAt)
      if (left > 0) wait = Math.min(wait, tracked && left > millis / 2 ? left - millis / 2 : left)
      if (track === undefined) return left <= 0 ? cut() : undefined
      if (left > (tracked ? millis / 2 : 0)) return
      looks.push(Effect.map(track.look(lastByteAt, millis / 2), (moved) => {
        if (transfer.lastByteAt !== lastByteAt || transfer.waits > 0 || !isUnderWay()) return
        if (moved) transfer.moved()
        else if (left <= 0) cut()
      }))
    }
    for (const one of guarded) {
      const { upload } = one
      if (upload.large) {
        const { transfers } = upload
        for (const part of transfers) look(part, () => transfers.has(part), () => part.unsafeStall(millis))
      } else {
        look(upload, () => guarded.has(one), () => this.cut(one))
      }
    }
    // On a clock with fractions, the rest may be too small for the clock to advance.
    const sleep = clock.sleep(Duration.millis(Math.max(1, wait)))
    return looks.length === 0
      ? sleep
      : Effect.zipRight(Effect.all(looks, { concurrency: "unbounded", discard: true }), sleep)
  })

  /** Interrupts only once: each further interruption would only lengthen the cause of the first. */
  private cut(guarded: Guarded): void {
    if (guarded.isCut) return
    guarded.isCut = true
    guarded.fiber.unsafeInterruptAsFork(this.id)
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

const isInterrupted = (fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean =>
  !Cause.isEmpty(fiber.getFiberRef(FiberRef.interruptedCause))

/** The interruption in a cause, without what the cleanup after it failed or died of. */
const interruptionOf = (cause: Cause.Cause<unknown>): Cause.Cause<never> =>
  Cause.isInterrupted(cause) ? Cause.interrupt(FiberId.none) : Cause.stripFailures(cause)
