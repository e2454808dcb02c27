/**
 * The body of one request: bytes of the source, which it counts, paces, sums and checks on their way to the
 * destination.
 *
 * The last block is held back until the source has ended where it should with an unchanged fingerprint, so a
 * destination never completes an object from a source that was cut short, grew or changed.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ByteSource from "../../ByteSource.js"
import * as Checksum from "../../Checksum.js"
import type * as Destination from "../../Destination.js"
import * as AtOnce from "../../unstable/AtOnce.js"
import { SourceChanged } from "../../UploadError.js"
import type { SourceError } from "../../UploadError.js"
import { defaultBlockSize, largestBlock, lentBlocks } from "./blockSizes.js"
import { RestOwner } from "./bodyOwner.js"
import type { Owner } from "./bodyOwner.js"
import { BorrowedBuffers, isWorthIt } from "./bufferPool.js"
import { OwnedBody } from "./ownedBody.js"
import type { Pull } from "./ownedBody.js"
import { died, eachBlock, ofSource, sourceErrorOf, sourcePull } from "./watch.js"
import { WholeBody } from "./wholeBody.js"

/** The most bytes that are read in one call without progress reports; 2 KiB a second is enough not to stall. */
const inOneCall = 64 * 1024

export class UploadBody extends OwnedBody implements Destination.Body {
  checksum: Checksum.Checksum | undefined = undefined
  private borrowed: BorrowedBuffers | undefined = undefined
  private isAtEnd = false
  private taken = 0
  private later: UploadBody | undefined = undefined

  // A body that has not been taken completely may still be read into.
  release(): void {
    if (this.isAtEnd) this.borrowed?.release()
  }

  override onEnd(): void {
    this.isAtEnd = true
    super.onEnd()
  }

  /** The bytes are being taken again: they are in use until all of them have been taken. */
  begun(): void {
    this.isAtEnd = false
  }

  /** The attempt is over. The destination may have kept anything that it has not released. */
  ended(): void {
    this.borrowed?.drop()
    for (let body = this.later; body !== undefined; body = body.later) body.borrowed?.drop()
  }

  rest(from: number): Destination.Body | undefined {
    return this.restOf(this.taken, from)
  }

  /**
   * The body from `from` on, after `taken` bytes. It is read again, because a driver that has stored some bytes has
   * released all of them.
   */
  restOf(taken: number, from: number): Destination.Body | undefined {
    const { bandwidth, owner } = this
    if (!owner.source.reopenable || owner.size === undefined) return undefined
    owner.onTakenBack(taken - from)
    return this.later = new UploadBody(new RestOwner(owner, from, owner.size - from), bandwidth)
  }

  protected override handedOut(block: Uint8Array, all: boolean): Uint8Array {
    this.taken += block.length
    return super.handedOut(block, all)
  }

  get bytes(): Effect.Effect<Uint8Array, SourceError> {
    return this.read((block) => this.handOut(block, true))
  }

  get whole(): Effect.Effect<Destination.Body, SourceError> {
    return this.read((bytes) => Effect.succeed(new WholeBody(this.owner, this.bandwidth, bytes, this)))
  }

  blocks(
    { lent = false, blockSize = lent ? largestBlock : defaultBlockSize }: Destination.StreamOptions = {}
  ): Effect.Effect<Pull, SourceError, Scope.Scope> {
    return Effect.suspend(() => {
      const { owner } = this
      owner.onOpen()
      owner.onAsk()
      const range = this.range(Math.min(blockSize, largestBlock), lent ? new BorrowedBuffers(lentBlocks) : undefined)
      const pulling = sourcePull(Stream.suspend(() => owner.source.read(range)))
      const { unchanged } = this
      return Effect.map(
        unchanged === undefined ? pulling : Effect.zipRight(this.noting(unchanged), pulling),
        (pull) => this.handingOut(pull, blockSize)
      )
    })
  }

  /**
   * Emits the next block on each call: a block once the next has arrived, the last once the source has been checked.
   */
  private handingOut(
    pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<SourceError>>,
    blockSize: number
  ): Pull {
    const { owner } = this
    const fold = owner.checksum === undefined ? undefined : Checksum.make(owner.checksum)
    /** Blocks that were pulled and not yet processed. */
    let pulled: ReadonlyArray<Uint8Array> = []
    let looked = 0
    let read = 0
    let held: Uint8Array | undefined
    /** The block being emitted, slice by slice. */
    let current = nothing
    let from = 0
    let ended = false

    const more = Effect.matchCauseEffect(pull, {
      onSuccess: (blocks) => {
        owner.onRead()
        pulled = Chunk.toReadonlyArray(blocks)
        looked = 0
        return next
      },
      onFailure: (cause) => {
        const failure = Option.getOrUndefined(Cause.failureOption(cause))
        if (failure === undefined) {
          return Cause.isInterrupted(cause) ? Effect.interrupt : this.failing(died(cause))
        }
        if (Option.isSome(failure)) return this.failing(failure.value)
        owner.onRead()
        return Effect.flatMap(this.proved(read), () => {
          this.checksum = fold?.checksum()
          ended = true
          current = held ?? nothing
          from = 0
          return next
        })
      }
    })
    const next: Pull = Effect.suspend(() => {
      if (from < current.length) {
        const slice = current.subarray(from, from + this.sliceSize(blockSize))
        from += slice.length
        return this.handOut(slice, false)
      }
      if (ended) {
        this.onEnd()
        return Effect.fail(Option.none())
      }
      while (looked < pulled.length) {
        const block = pulled[looked++]!
        if (block.length === 0) continue
        read += block.length
        fold?.update(block)
        if (owner.size !== undefined && read > owner.size) return this.failing(wrongSize(owner, read)!)
        const previous = held
        held = block
        if (previous === undefined) continue
        current = previous
        from = 0
        return next
      }
      owner.onAsk()
      return more
    })
    return next
  }

  /** Fails unless the source has ended where it should and is unchanged. */
  private proved(read: number): Effect.Effect<unknown, Option.Option<SourceError>> {
    const problem = wrongSize(this.owner, read)
    if (problem !== undefined) return this.failing(problem)
    const { unchanged } = this
    return unchanged === undefined ? Effect.void : Effect.mapError(this.noting(unchanged), Option.some)
  }

  private failing(error: SourceError): Effect.Effect<never, Option.Option<SourceError>> {
    this.owner.onSourceError(error)
    return Effect.fail(Option.some(error))
  }

  private noting<A>(effect: Effect.Effect<A, SourceError>): Effect.Effect<A, SourceError> {
    return Effect.tapError(effect, (error) => Effect.sync(() => this.owner.onSourceError(error)))
  }

  /** The range to read, and its memory: at the end of the source one byte more than expected, to detect growth. */
  private range(blockSize: number | undefined, borrowed: BorrowedBuffers | undefined): ByteSource.Range {
    const { fingerprint, offset } = this.owner
    this.borrowed = borrowed
    return { fingerprint, offset, length: this.wantedLength, blockSize, into: borrowed?.into, watch: this.watch }
  }

  private get watch(): ByteSource.Watch {
    return { moved: () => this.owner.onAsk(), unwatched: (effect) => this.unwatched(effect) }
  }

  private get wantedLength(): number | undefined {
    const { size, toEnd } = this.owner
    return size !== undefined && toEnd ? size + 1 : size
  }

  /** Continues with all bytes, checked: within this step if the source has them at once. */
  private read<A>(use: (bytes: Uint8Array) => Effect.Effect<A>): Effect.Effect<A, SourceError> {
    return Effect.suspend(() => {
      const { owner } = this
      const { wantedLength } = this
      // Reads into reusable memory if that is worth it.
      const isLent = wantedLength !== undefined && isWorthIt(wantedLength)
      const range = this.range(undefined, isLent ? new BorrowedBuffers(1) : undefined)
      owner.onOpen()
      const atOnce = AtOnce.ofSource(owner.source, range, owner.clock)
      if (atOnce === undefined) {
        owner.onAsk()
        return Effect.matchCauseEffect(this.allBytes(range), {
          onFailure: (cause) => this.unread(cause),
          onSuccess: (block) => {
            owner.onRead()
            return this.checked(block, use)
          }
        })
      }
      if (Exit.isFailure(atOnce)) return this.unread(atOnce.cause)
      owner.onRead()
      return this.checked(atOnce.value, use)
    })
  }

  /**
   * All bytes of a range. In one call if they are few or the source reports its progress; otherwise block by block, so
   * that progress is visible.
   */
  private allBytes(range: ByteSource.Range): Effect.Effect<Uint8Array, SourceError> {
    const { owner: { source, size }, owner } = this
    if (AtOnce.isSource(source) || (source.reopenable && size !== undefined && size <= inOneCall)) {
      return Effect.suspend(() => source.bytes(range))
    }
    const blocks: Array<Uint8Array> = []
    let total = 0
    // All blocks are kept, so none may be read into the memory of another.
    const stream = Stream.suspend(() => source.read({ ...range, into: undefined }))
    return Effect.map(
      eachBlock(stream, (block) => {
        owner.onAsk()
        blocks.push(block)
        total += block.length
        return size !== undefined && total > size
      }),
      () => ByteSource.concat(blocks)
    )
  }

  private checked<A>(block: Uint8Array, use: (bytes: Uint8Array) => Effect.Effect<A>): Effect.Effect<A, SourceError> {
    const { owner, unchanged } = this
    const problem = wrongSize(owner, block.length)
    if (problem !== undefined) return this.unread(Cause.fail(problem))
    if (owner.checksum !== undefined) this.checksum = Checksum.of(owner.checksum, block)
    return unchanged === undefined ? use(block) : Effect.flatMap(this.noting(unchanged), () => use(block))
  }

  private unread(cause: Cause.Cause<SourceError>): Effect.Effect<never, SourceError> {
    const error = sourceErrorOf(cause)
    if (error === undefined) return Effect.failCause(cause)
    this.owner.onSourceError(error)
    return Effect.fail(error)
  }

  /** Checks that the source is unchanged; `undefined` if it cannot change or its reads check it. */
  private get unchanged(): Effect.Effect<unknown, SourceError> | undefined {
    const { fingerprint, source } = this.owner
    if (fingerprint === undefined || source.checksFingerprint === true) return undefined
    const current = source.fingerprint
    if (current === undefined) return undefined
    const asked = Effect.suspend(() => {
      this.owner.onAsk()
      return ofSource(() => current)
    })
    const heard = Effect.map(asked, (now) => {
      this.owner.onRead()
      return now
    })
    return Effect.filterOrFail(heard, (now) => now === fingerprint, modified)
  }
}

const nothing: Uint8Array = new Uint8Array(0)

/** The failure of a source that has changed. */
export const modified = (): SourceChanged =>
  new SourceChanged({ reason: "Modified", detail: "The file was modified while it was uploaded." })

/** A read may cover a part; the message describes the whole source. */
const wrongSize = (
  { offset, size, toEnd }: Pick<Owner, "offset" | "size" | "toEnd">,
  bytes: number
): SourceChanged | undefined =>
  size === undefined || bytes === size
    ? undefined
    : bytes < size
    ? new SourceChanged({
      reason: "EndedEarly",
      detail: `The source ended after ${offset + bytes} bytes; it was listed with ${toEnd ? offset + size : "more"}.`
    })
    : new SourceChanged({
      reason: "Grew",
      detail: `The source has more than the ${offset + size} bytes it was listed with.`
    })
