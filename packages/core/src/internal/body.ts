/**
 * The body of one attempt: the source's bytes, counted, paced and checked on their way to the destination.
 *
 * The last block is held back until the source has ended where it should and its fingerprint is what it was, so that a
 * destination never completes an object from a source that was cut short, grew or changed.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Bandwidth from "../Bandwidth.js"
import type * as ByteSource from "../ByteSource.js"
import type * as Destination from "../Destination.js"
import { SourceChanged } from "../UploadError.js"
import type { SourceError } from "../UploadError.js"

/** Bodies up to this size are read in one piece where nothing speaks against it. */
const onePiece = 1024 * 1024

const defaultBlockSize = 256 * 1024

/** Whose bytes these are, and who is told of what happens to them. */
export interface Owner {
  readonly source: ByteSource.ByteSource
  readonly size: number | undefined
  /** What the source's fingerprint has to be at the end, where it has one. */
  readonly fingerprint: string | undefined
  readonly clock: Clock.Clock
  /** The source is about to be read. */
  readonly onOpen: () => void
  /** From here to `onGo` no bytes can move, and that is not the destination's fault. */
  readonly onWait: () => void
  readonly onGo: () => void
  /** The source gave bytes. */
  readonly onRead: () => void
  /** Bytes are handed to the destination. */
  readonly onSent: (bytes: number) => void
  /** All bytes have been handed to the destination. */
  readonly onEnd: () => void
  /** The source failed: this, not what the destination makes of it, is the reason. */
  readonly onSourceError: (error: SourceError) => void
}

export class UploadBody implements Destination.Body {
  private readonly owner: Owner
  private readonly bandwidth: Bandwidth.Bandwidth

  constructor(owner: Owner, bandwidth: Bandwidth.Bandwidth) {
    this.owner = owner
    this.bandwidth = bandwidth
  }

  get size(): number | undefined {
    return this.owner.size
  }

  get inOnePiece(): boolean {
    const { bandwidth, size } = this
    return size !== undefined && size <= onePiece && (bandwidth.bytesPerSecond === Infinity || size <= bandwidth.unit)
  }

  get bytes(): Effect.Effect<Uint8Array, SourceError> {
    return Effect.suspend(() => {
      this.owner.onOpen()
      this.owner.onWait()
      return Effect.flatMap(this.owner.source.bytes(wholeSource), (block) => {
        this.owner.onGo()
        const problem = wrongSize(this.size, block.length)
        if (problem !== undefined) return Effect.fail(problem)
        const { unchanged } = this
        return unchanged === undefined
          ? this.handOut(block, true)
          : Effect.flatMap(unchanged, () => this.handOut(block, true))
      })
      // Not `tapError`: that has a step for success too.
    }).pipe(Effect.catchAllCause((cause) => {
      const error = Cause.failureOption(cause)
      if (Option.isSome(error)) this.owner.onSourceError(error.value)
      return Effect.failCause(cause)
    }))
  }

  stream({ blockSize = defaultBlockSize }: { readonly blockSize?: number | undefined } = {}): Stream.Stream<
    Uint8Array,
    SourceError
  > {
    const { bandwidth, owner } = this
    const sliceSize = () => bandwidth.bytesPerSecond === Infinity ? blockSize : Math.min(blockSize, bandwidth.unit)
    return Stream.suspend(() => {
      let reading = false
      owner.onOpen()
      owner.onWait()
      const heard = Effect.sync(() => {
        if (reading) owner.onRead()
        else owner.onGo()
        reading = true
      })
      // An empty source is heard from at its end.
      const blocks = Stream.concat(Stream.tap(owner.source.read(wholeSource), () => heard), Stream.execute(heard))
      const checked = heldBack(slices(blocks, sliceSize), owner.size, this.unchanged ?? Effect.void)
      return this.unchanged === undefined ? checked : Stream.concat(Stream.execute(this.unchanged), checked)
    }).pipe(
      Stream.mapEffect((block) => this.handOut(block, false)),
      Stream.concat(Stream.execute(Effect.sync(() => owner.onEnd()))),
      Stream.tapError((error) => this.noteSourceError(error))
    )
  }

  unwatched<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.owner.onWait()
      return Effect.tap(effect, () => {
        this.owner.onGo()
      })
    })
  }

  private noteSourceError(error: SourceError): Effect.Effect<void> {
    return Effect.sync(() => this.owner.onSourceError(error))
  }

  /** Checks that the source is still what it was; nothing where it cannot change. */
  private get unchanged(): Effect.Effect<unknown, SourceError> | undefined {
    const { fingerprint, source } = this.owner
    return source.fingerprint === undefined || fingerprint === undefined
      ? undefined
      : Effect.filterOrFail(
        source.fingerprint,
        (now) => now === fingerprint,
        () => new SourceChanged({ reason: "Modified", detail: "The file was modified while it was uploaded." })
      )
  }

  /** Called at the moment at which the block is to go: where the bandwidth allows, it goes in the call. */
  private handOut(block: Uint8Array, all: boolean): Effect.Effect<Uint8Array> {
    const { bandwidth, owner } = this
    const sent = () => {
      owner.onSent(block.length)
      if (all) owner.onEnd()
      return block
    }
    return bandwidth.unsafeTake(owner.clock, block.length)
      ? Effect.succeed(sent())
      : Effect.map(this.unwatched(bandwidth.take(block.length)), sent)
  }
}

const wholeSource: ByteSource.Range = { offset: 0 }

const wrongSize = (size: number | undefined, bytes: number): SourceChanged | undefined =>
  size === undefined || bytes === size
    ? undefined
    : bytes < size
    ? new SourceChanged({
      reason: "EndedEarly",
      detail: `The source ended after ${bytes} bytes; it was listed with ${size}.`
    })
    : new SourceChanged({ reason: "Grew", detail: `The source has more than the ${size} bytes it was listed with.` })

/** Cuts blocks to a size that may change while the stream runs. */
const slices = <E>(
  blocks: Stream.Stream<Uint8Array, E>,
  sliceSize: () => number
): Stream.Stream<Uint8Array, E> =>
  Stream.flatMap(blocks, (block) =>
    block.length <= sliceSize()
      ? Stream.succeed(block)
      : Stream.unfold(0, (offset) =>
        offset >= block.length
          ? Option.none()
          : Option.map(Option.some(Math.min(sliceSize(), block.length - offset)), (length) =>
            [block.subarray(offset, offset + length), offset + length] as const)))

/** Lets each block through when the next one has come, and the last one when `atEnd` has succeeded. */
const heldBack = (
  blocks: Stream.Stream<Uint8Array, SourceError>,
  size: number | undefined,
  atEnd: Effect.Effect<unknown, SourceError>
): Stream.Stream<Uint8Array, SourceError> => {
  let read = 0
  let held: Uint8Array | undefined
  const swap = (block: Uint8Array | undefined): Option.Option<Uint8Array> => {
    const previous = held
    held = block
    return Option.fromNullable(previous)
  }
  const passing = Stream.mapEffect(
    Stream.filter(blocks, (block) => block.length > 0),
    (block) => {
      read += block.length
      return size !== undefined && read > size ? Effect.fail(wrongSize(size, read)!) : Effect.succeed(swap(block))
    }
  )
  const last = Effect.suspend(() => {
    const problem = wrongSize(size, read)
    return problem === undefined ? Effect.as(atEnd, undefined) : Effect.fail(problem)
  })
  return Stream.concat(
    passing,
    Stream.fromEffect(Effect.map(last, swap))
  ).pipe(Stream.filterMap((block) => block))
}
