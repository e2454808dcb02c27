/**
 * The stall watch: when bytes last moved, which side is waited for, and how a stalled transfer is ended.
 */
import * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as ByteSource from "../../ByteSource.js"
import { SourceUnreadable, Transient } from "../../UploadError.js"
import type { SourceError } from "../../UploadError.js"
import { endedWithin } from "../calls/ended.js"
import { within } from "../calls/within.js"

/** The state of something that moves bytes, or should. */
export interface Moving {
  /** When bytes last moved or were last asked for, as a clock time in milliseconds. */
  readonly lastByteAt: number
  /** The number of current waits that are neither the source's fault nor the destination's. */
  readonly waits: number
  /** Whether the source owes bytes. */
  readonly asking: boolean
  /** How far the bytes handed to the destination have come, if that is visible. */
  readonly track: Track | undefined
}

/** The observed position of bytes in transit: a new position means that they move. */
export class Track {
  private readonly position: Effect.Effect<string>
  private seen: { readonly position: string; readonly since: number } | undefined = undefined

  constructor(position: Effect.Effect<string>) {
    this.position = position
  }

  /** Whether there has been an observation since bytes last moved, to compare the next one with. */
  isSeenSince(lastByteAt: number): boolean {
    return this.seen?.since === lastByteAt
  }

  /**
   * Looks, for at most `millis`, and returns whether bytes have moved since the last look. The first look only sets the
   * baseline.
   */
  look(since: number, millis: number): Effect.Effect<boolean> {
    return Effect.map(lookedAt(this.position, millis), (position) => {
      const { seen } = this
      this.seen = { position, since }
      return seen !== undefined && seen.position !== position
    })
  }
}

/** A look neither takes long nor dies. */
const lookedAt = (position: Effect.Effect<string>, millis: number): Effect.Effect<string> =>
  Effect.catchAllCause(
    Effect.orElseSucceed(within(Effect.disconnect(position), millis, () => "late" as const), () => ""),
    (cause) => Cause.isInterrupted(cause) ? Effect.failCause(cause) : Effect.succeed("")
  )

/** The failure of a transfer that has not moved for this long. */
export const stalled = ({ asking }: Pick<Moving, "asking">, millis: number): SourceUnreadable | Transient => {
  const time = Duration.format(Duration.millis(millis))
  return asking
    ? new SourceUnreadable({ reason: "Stalled", detail: `The source gave no bytes for ${time}.` })
    : new Transient({ reason: "Stalled", detail: `No bytes moved for ${time}.` })
}

/** The failure of a source that died, attributed to the source. */
export const died = (cause: Cause.Cause<unknown>): SourceUnreadable =>
  new SourceUnreadable({
    reason: "Failed",
    detail: `The source failed unexpectedly: ${Cause.pretty(cause).split("\n", 1)[0]}`,
    cause: Cause.squash(cause)
  })

/** The source's error in a cause, unless the cause is an interruption. */
export const sourceErrorOf = (cause: Cause.Cause<SourceError>): SourceError | undefined =>
  Option.getOrElse(Cause.failureOption(cause), () => Cause.isInterrupted(cause) ? undefined : died(cause))

/**
 * Runs an effect written by a source's author: a defect in it, or a throw before it exists, is the source's failure.
 */
export const ofSource = <A>(effect: () => Effect.Effect<A, SourceError>): Effect.Effect<A, SourceError> =>
  Effect.catchAllCause(Effect.suspend(effect), (cause) => {
    const error = sourceErrorOf(cause)
    return error === undefined ? Effect.failCause(cause) : Effect.fail(error)
  })

/** The same for a stream. */
export const sourceStream = (
  stream: () => Stream.Stream<Uint8Array, SourceError>
): Stream.Stream<Uint8Array, SourceError> =>
  Stream.catchAllCause(Stream.suspend(stream), (cause) => {
    const error = sourceErrorOf(cause)
    return error === undefined ? Stream.failCause(cause) : Stream.fail(error)
  })

/** How long an interrupted reader waits for the finalizers of a source, in milliseconds. */
const closeMillis = 1_000

/**
 * The blocks of a source's stream, pulled one after the other. An interrupted or failed reader waits at most a second
 * for the stream's finalizers: those of an async generator that was asked for a block and never yields it never end.
 */
export const sourcePull = (
  stream: Stream.Stream<Uint8Array, SourceError>
): Effect.Effect<Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<SourceError>>, never, Scope.Scope> =>
  Effect.flatMap(Scope.make(), (scope) =>
    Effect.zipRight(
      Effect.addFinalizer((exit) =>
        Exit.isFailure(exit)
          ? Effect.flatMap(
            Effect.forkDaemon(Effect.interruptible(Scope.close(scope, exit))),
            (fiber) => endedWithin(fiber, closeMillis)
          )
          : Scope.close(scope, exit)
      ),
      Scope.extend(Stream.toPull(stream), scope)
    ))

/** Runs over all blocks of a source's stream, until `use` returns that it has enough. */
export const eachBlock = (
  stream: Stream.Stream<Uint8Array, SourceError>,
  use: (block: Uint8Array) => boolean
): Effect.Effect<void, SourceError> =>
  Effect.scoped(Effect.flatMap(sourcePull(stream), (pull) => {
    const next: Effect.Effect<void, SourceError> = Effect.matchEffect(pull, {
      onSuccess: (blocks) => {
        for (const block of blocks) if (use(block)) return Effect.void
        return next
      },
      onFailure: Option.match({ onNone: () => Effect.void, onSome: (error) => Effect.fail(error) })
    })
    return next
  }))

/** The watch that a source reports to: it passes reports on to the current reader, if there is one. */
export const watchOf = (reader: () => Reader | undefined): ByteSource.Watch => ({
  moved: () => reader()?.onAsk(),
  unwatched: (effect) =>
    Effect.suspend(() => {
      const waiting = reader()
      if (waiting === undefined) return effect
      waiting.onWait()
      return Effect.ensuring(effect, Effect.sync(() => waiting.onGo()))
    })
})

/** What a read reports to its watch. */
interface Reader {
  readonly onAsk: () => void
  readonly onWait: () => void
  readonly onGo: () => void
}

/** Something that moves bytes on its own: a part in flight, or a source that is read ahead. */
export class Watched implements Moving {
  readonly clock: Clock.Clock
  lastByteAt: number
  waits = 0
  asking = false
  track: Track | undefined = undefined
  /** The fiber that runs it, while it is watched. */
  fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined = undefined
  /** Whether it was interrupted because it stalled. */
  isCut = false

  constructor(clock: Clock.Clock) {
    this.clock = clock
    this.lastByteAt = clock.unsafeCurrentTimeMillis()
  }

  onWait(): void {
    this.waits += 1
  }

  onGo(): void {
    this.waits -= 1
    this.moved()
  }

  onAsk(): void {
    this.asking = true
    this.moved()
  }

  onRead(): void {
    this.asking = false
    this.moved()
  }

  onTrack(position: Effect.Effect<string>): void {
    this.track = new Track(position)
  }

  moved(): void {
    this.lastByteAt = this.clock.unsafeCurrentTimeMillis()
  }
}
