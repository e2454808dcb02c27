/**
 * The body of one request: bytes of the source, counted, paced, summed and checked on their way to the destination.
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
import * as Checksum from "../Checksum.js"
import type * as Destination from "../Destination.js"
import { SourceChanged } from "../UploadError.js"
import type { SourceError } from "../UploadError.js"

/** Bodies up to this size are read in one piece where nothing speaks against it. */
const onePiece = 1024 * 1024

const defaultBlockSize = 256 * 1024

/**
 * How much memory a body of `size` is reckoned with, in bytes, where its destination does not take it whole: a block that
 * is read, one that is held back, one that is on its way, and those that wait for the garbage collector, which comes late
 * to what is not on the heap.
 */
const buffered = (size: number | undefined): number =>
  size !== undefined && size <= onePiece ? size : 8 * defaultBlockSize

/** How much memory a body of `size` takes, in bytes, on its way to a destination. */
export const memoryOf = (
  { wholeBodies }: Pick<Destination.Capabilities, "wholeBodies">,
  size: number | undefined
): number => wholeBodies === true && size !== undefined ? size : buffered(size)

/** Whose bytes these are, and who is told of what happens to them. */
export interface Owner {
  readonly source: ByteSource.ByteSource
  /** Where in the source the body begins. */
  readonly offset: number
  readonly size: number | undefined
  /** Whether the body goes to the end of the source, which then must not have more. */
  readonly toEnd: boolean
  /** What the source's fingerprint has to be at the end, where it has one. */
  readonly fingerprint: string | undefined
  readonly checksum: Checksum.Algorithm | undefined
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

/** What a body with its bytes at hand and one without have in common. */
abstract class OwnedBody {
  protected readonly owner: Owner
  protected readonly bandwidth: Bandwidth.Bandwidth

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

  unwatched<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.owner.onWait()
      return Effect.tap(effect, () => {
        this.owner.onGo()
      })
    })
  }

  protected sliceSize(blockSize: number): number {
    return this.bandwidth.bytesPerSecond === Infinity ? blockSize : Math.min(blockSize, this.bandwidth.unit)
  }

  /** Called at the moment at which the block is to go: where the bandwidth allows, it goes in the call. */
  protected handOut(block: Uint8Array, all: boolean): Effect.Effect<Uint8Array> {
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

export class UploadBody extends OwnedBody implements Destination.Body {
  checksum: Checksum.Checksum | undefined = undefined

  get bytes(): Effect.Effect<Uint8Array, SourceError> {
    return Effect.flatMap(this.read, (block) => this.handOut(block, true))
  }

  get whole(): Effect.Effect<Destination.Body, SourceError> {
    return Effect.map(this.read, (bytes) => new WholeBody(this.owner, this.bandwidth, bytes, this.checksum))
  }

  stream({ blockSize = defaultBlockSize }: { readonly blockSize?: number | undefined } = {}): Stream.Stream<
    Uint8Array,
    SourceError
  > {
    const { owner } = this
    return Stream.suspend(() => {
      let reading = false
      owner.onOpen()
      owner.onWait()
      const heard = Effect.sync(() => {
        if (reading) owner.onRead()
        else owner.onGo()
        reading = true
      })
      const fold = owner.checksum === undefined ? undefined : Checksum.make(owner.checksum)
      const summed = Effect.sync(() => {
        this.checksum = fold?.checksum()
      })
      // An empty source is heard from at its end.
      const blocks = Stream.concat(Stream.tap(owner.source.read(this.range), () => heard), Stream.execute(heard))
      const checked = heldBack(
        slices(blocks, () => this.sliceSize(blockSize)),
        owner.size,
        Effect.zipRight(this.unchanged ?? Effect.void, summed),
        (block) => fold?.update(block)
      )
      return this.unchanged === undefined ? checked : Stream.concat(Stream.execute(this.unchanged), checked)
    }).pipe(
      Stream.mapEffect((block) => this.handOut(block, false)),
      Stream.concat(Stream.execute(Effect.sync(() => owner.onEnd()))),
      Stream.tapError((error) => Effect.sync(() => owner.onSourceError(error)))
    )
  }

  /** What to read: at the end of the source one byte more than there should be, so that growth is seen. */
  private get range(): ByteSource.Range {
    const { fingerprint, offset, size, toEnd } = this.owner
    return size === undefined ? { fingerprint, offset } : { fingerprint, offset, length: toEnd ? size + 1 : size }
  }

  /** All bytes, checked. */
  private get read(): Effect.Effect<Uint8Array, SourceError> {
    return Effect.suspend(() => {
      const { owner } = this
      owner.onOpen()
      owner.onWait()
      return Effect.flatMap(owner.source.bytes(this.range), (block) => {
        owner.onGo()
        const problem = wrongSize(owner.size, block.length)
        if (problem !== undefined) return Effect.fail(problem)
        if (owner.checksum !== undefined) this.checksum = Checksum.of(owner.checksum, block)
        const { unchanged } = this
        return unchanged === undefined ? Effect.succeed(block) : Effect.as(unchanged, block)
      })
      // Not `tapError`: that has a step for success too.
    }).pipe(Effect.catchAllCause((cause) => {
      const error = Cause.failureOption(cause)
      if (Option.isSome(error)) this.owner.onSourceError(error.value)
      return Effect.failCause(cause)
    }))
  }

  /** Checks that the source is still what it was; nothing where it cannot change, or where reads check it. */
  private get unchanged(): Effect.Effect<unknown, SourceError> | undefined {
    const { fingerprint, source } = this.owner
    return source.fingerprint === undefined || source.checksFingerprint === true || fingerprint === undefined
      ? undefined
      : Effect.filterOrFail(source.fingerprint, (now) => now === fingerprint, modified)
  }
}

/** A body whose bytes are in memory, and have been checked. */
class WholeBody extends OwnedBody implements Destination.Body {
  private readonly all: Uint8Array
  readonly checksum: Checksum.Checksum | undefined

  constructor(
    owner: Owner,
    bandwidth: Bandwidth.Bandwidth,
    all: Uint8Array,
    checksum: Checksum.Checksum | undefined
  ) {
    super(owner, bandwidth)
    this.all = all
    this.checksum = checksum
  }

  override get size(): number {
    return this.all.length
  }

  get bytes(): Effect.Effect<Uint8Array> {
    return Effect.suspend(() => this.handOut(this.all, true))
  }

  get whole(): Effect.Effect<Destination.Body> {
    return Effect.succeed(this)
  }

  sum(algorithm: Checksum.Algorithm): Checksum.Checksum {
    return this.checksum?.algorithm === algorithm ? this.checksum : Checksum.of(algorithm, this.all)
  }

  stream({ blockSize = defaultBlockSize }: { readonly blockSize?: number | undefined } = {}): Stream.Stream<
    Uint8Array
  > {
    const { all, owner } = this
    return slices(all.length === 0 ? Stream.empty : Stream.succeed(all), () => this.sliceSize(blockSize)).pipe(
      Stream.mapEffect((block) => this.handOut(block, false)),
      Stream.concat(Stream.execute(Effect.sync(() => owner.onEnd())))
    )
  }
}

/** The failure of a source that is not what it was. */
export const modified = (): SourceChanged =>
  new SourceChanged({ reason: "Modified", detail: "The file was modified while it was uploaded." })

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
  atEnd: Effect.Effect<unknown, SourceError>,
  onBlock: (block: Uint8Array) => void
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
      onBlock(block)
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
