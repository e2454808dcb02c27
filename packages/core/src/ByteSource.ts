/**
 * Byte sources: where an upload's bytes come from.
 *
 * A source can be reopened: it can be read from any offset, any number of times, because retries, parallel parts and
 * resume all read it again. The exception is {@link fromStream} over a stream that runs only once, such as standard
 * input: its `reopenable` is false, and its upload is not retried once its first byte has been taken.
 *
 * A source on disk has a fingerprint, which changes when the file does; sources in memory have none.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { SourceUnreadable } from "./UploadError.js"
import type { SourceError } from "./UploadError.js"

/**
 * A range of a source: `length` bytes from `offset`; to the end if `length` is absent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Range {
  readonly offset: number
  readonly length?: number | undefined
  /** The fingerprint that the source must have from the first byte to the last: see `checksFingerprint`. */
  readonly fingerprint?: string | undefined
  /** The preferred size of blocks, in bytes, if the source can choose. Defaults to 256 KiB. */
  readonly blockSize?: number | undefined
  /**
   * Allocates memory of at least the given size, for a source that has no memory of its own. Defaults to fresh memory.
   */
  readonly into?: ((size: number) => Uint8Array) | undefined
  /** The stall watch of this read, if there is one. */
  readonly watch?: Watch | undefined
}

/**
 * A stall watch over a read: a source that produces no bytes for the stall timeout fails. A source reports to it only
 * when it would otherwise be taken for stalled.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watch {
  /** Reports that bytes have been read but not yet emitted. */
  readonly moved: () => void
  /** Runs a wait on this side, such as for a turn to open a file; it does not count as a stall. */
  readonly unwatched: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/**
 * The state of a source at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Latest {
  readonly source: ByteSource
  readonly fingerprint: string | undefined
  /** When the content last changed, in milliseconds since the epoch. */
  readonly modifiedAt: number | undefined
  /** The permission bits, if it has any. */
  readonly mode?: number | undefined
}

/**
 * A source of bytes that can be read repeatedly.
 *
 * A read that stalls, or whose result is no longer needed, is interrupted, so it must be interruptible. The first pull
 * of {@link fromStream} is exempt: a connection that is never established is left behind.
 *
 * @since 0.1.0
 * @category models
 */
export interface ByteSource {
  /** The size in bytes; `undefined` if it is not known before the end. */
  readonly size: number | undefined
  /** Whether the source can be read more than once. */
  readonly reopenable: boolean
  /** The bytes of a range, in blocks of any size. A range past the end yields the bytes that exist. */
  readonly read: (range: Range) => Stream.Stream<Uint8Array, SourceError>
  /** The bytes of a range as one array, for ranges that are known to be small. */
  readonly bytes: (range: Range) => Effect.Effect<Uint8Array, SourceError>
  /** Changes whenever the content may have changed; `undefined` if the content cannot change. */
  readonly fingerprint: Effect.Effect<string, SourceError> | undefined
  /**
   * Whether a read itself fails with `SourceChanged` when the source does not match `Range.fingerprint`: it can check
   * the very file that it has open. Otherwise the engine asks for the source's `fingerprint` before and after each
   * read.
   */
  readonly checksFingerprint?: boolean | undefined
  /**
   * Releases a source of which no byte was or will be read, for whatever else waits for it to be read, such as the next
   * part of a request. Runs once, after the file's result has been reported.
   */
  readonly abandon?: Effect.Effect<void> | undefined
  /** The current state of the source, whose size may differ; used to continue with a source that has changed. */
  readonly latest?: Effect.Effect<Latest, SourceError> | undefined
}

/**
 * Bytes in memory. They are not copied, so do not write to the array while the upload runs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBytes = (bytes: Uint8Array): ByteSource => {
  const slice = ({ length, offset }: Range) =>
    offset === 0 && (length === undefined || length >= bytes.length)
      ? bytes
      : bytes.subarray(offset, length === undefined ? undefined : offset + length)
  return {
    size: bytes.length,
    reopenable: true,
    read: (range) => Stream.sync(() => slice(range)),
    bytes: (range) => Effect.sync(() => slice(range)),
    fingerprint: undefined
  }
}

/**
 * Text, as UTF-8.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromText = (text: string): ByteSource => fromBytes(new TextEncoder().encode(text))

/**
 * A `Blob` or a browser's `File`, read piece by piece.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBlob = (blob: Blob): ByteSource => {
  const slice = ({ length, offset }: Range) => blob.slice(offset, length === undefined ? blob.size : offset + length)
  const unreadable = (cause: unknown) =>
    new SourceUnreadable({ reason: "Failed", detail: "The blob could not be read.", cause })
  return {
    size: blob.size,
    reopenable: true,
    read: (range) => Stream.fromReadableStream(() => slice(range).stream(), unreadable),
    bytes: (range) =>
      Effect.map(
        Effect.tryPromise({ try: () => slice(range).arrayBuffer(), catch: unreadable }),
        (buffer) => new Uint8Array(buffer)
      ),
    fingerprint: undefined
  }
}

/**
 * A source of `size` bytes that are computed when read: `fill(offset, length)` returns the bytes of one block of at
 * most 256 KiB, always the same for the same arguments. Without `fill` the bytes are zeros.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { ByteSource } from "@sluice/core"
 * import { Effect } from "effect"
 *
 * const source = ByteSource.generate(3, (offset, length) => Uint8Array.from({ length }, (_, i) => offset + i))
 *
 * assert.deepStrictEqual(
 *   Effect.runSync(source.bytes({ offset: 1 })),
 *   Uint8Array.of(1, 2)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const generate = (
  size: number,
  fill: (offset: number, length: number) => Uint8Array = zeros
): ByteSource => new Generated(size, fill)

/**
 * A source over a stream that can be run only once. Its first read takes the stream; another fails with
 * `SourceUnreadable`, reason `Consumed`, and so does a read that does not start at the first byte.
 *
 * Its upload never waits for a second round, because the sender of the stream may be waiting, too. If more data follows
 * the stream, use `onAbandon` to skip past a file that is refused before its first byte is read:
 *
 * @example
 * ```ts
 * import type { Multipart } from "@effect/platform"
 * import { ByteSource } from "@sluice/core"
 * import { Effect, Stream } from "effect"
 *
 * // The next part of a form arrives only after this one has been read to its end.
 * const sourceOf = (part: Multipart.File) =>
 *   ByteSource.fromStream(part.content, { onAbandon: Effect.ignore(Stream.runDrain(part.content)) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromStream = <E>(
  stream: Stream.Stream<Uint8Array, E>,
  options: {
    /** The number of bytes, if known. */
    readonly size?: number | undefined
    /** Runs if the stream is never run because its file was refused or skipped. Defaults to nothing. */
    readonly onAbandon?: Effect.Effect<void> | undefined
  } = {}
): ByteSource => {
  let consumed = false
  const blocks = Stream.mapError(
    beginningAtOnce(stream),
    (cause) => new SourceUnreadable({ reason: "Failed", detail: "The stream failed before its end.", cause })
  )
  const read = ({ length, offset }: Range): Stream.Stream<Uint8Array, SourceError> =>
    Stream.suspend(() => {
      if (consumed || offset > 0) {
        return Stream.fail(
          new SourceUnreadable({
            reason: "Consumed",
            detail: "The stream can be read only once, from its start."
          })
        )
      }
      consumed = true
      return length === undefined ? blocks : takeBytes(blocks, length)
    })
  return {
    size: options.size,
    reopenable: false,
    read,
    bytes: (range) => Effect.map(Stream.runCollect(read(range)), (chunk) => concat(Array.from(chunk))),
    fingerprint: undefined,
    abandon: options.onAbandon
  }
}

/**
 * Joins blocks into one array.
 *
 * @since 0.1.0
 * @category combinators
 */
export const concat = (blocks: ReadonlyArray<Uint8Array>): Uint8Array => {
  if (blocks.length === 1) return blocks[0]!
  const joined = new Uint8Array(blocks.reduce((total, block) => total + block.length, 0))
  let offset = 0
  for (const block of blocks) {
    joined.set(block, offset)
    offset += block.length
  }
  return joined
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/**
 * A stream whose first pull returns at once when it is interrupted: connecting may be uninterruptible, and a fiber that
 * waits for it would wait forever.
 */
const beginningAtOnce = <A, E>(stream: Stream.Stream<A, E>): Stream.Stream<A, E> =>
  Stream.fromPull(Effect.map(Stream.toPull(stream), (pull) => {
    let state: "New" | "Beginning" | "Begun" = "New"
    const first = Effect.onExit(Effect.disconnect(pull), (exit) =>
      Effect.sync(() => {
        if (!Exit.isInterrupted(exit)) state = "Begun"
      }))
    return Effect.suspend(() => {
      // A pull that finds the stream still beginning follows one that was interrupted.
      if (state !== "New") return state === "Begun" ? pull : Effect.never
      state = "Beginning"
      return first
    })
  }))

const generatedBlock = 256 * 1024

const zeroBlock = new Uint8Array(generatedBlock)

const zeros = (_offset: number, length: number): Uint8Array =>
  length <= generatedBlock ? zeroBlock.subarray(0, length) : new Uint8Array(length)

class Generated implements ByteSource {
  readonly size: number
  readonly fill: (offset: number, length: number) => Uint8Array

  constructor(size: number, fill: (offset: number, length: number) => Uint8Array) {
    this.size = size
    this.fill = fill
  }

  get reopenable(): true {
    return true
  }

  get fingerprint(): undefined {
    return undefined
  }

  private end({ length, offset }: Range): number {
    return length === undefined ? this.size : Math.min(this.size, offset + length)
  }

  bytes(range: Range): Effect.Effect<Uint8Array> {
    return Effect.sync(() => {
      const length = Math.max(0, this.end(range) - range.offset)
      if (length <= generatedBlock || this.fill === zeros) return this.fill(range.offset, length)
      const bytes = new Uint8Array(length)
      for (let at = 0; at < length; at += generatedBlock) {
        bytes.set(this.fill(range.offset + at, Math.min(generatedBlock, length - at)), at)
      }
      return bytes
    })
  }

  read(range: Range): Stream.Stream<Uint8Array> {
    const end = this.end(range)
    return Stream.unfold(range.offset, (offset) => {
      if (offset >= end) return nothingMore
      const length = Math.min(generatedBlock, end - offset)
      return someBlock(this.fill(offset, length), offset + length)
    })
  }
}

const nothingMore = Option.none<readonly [Uint8Array, number]>()

const someBlock = (block: Uint8Array, next: number) => Option.some([block, next] as const)

const takeBytes = <E>(blocks: Stream.Stream<Uint8Array, E>, length: number): Stream.Stream<Uint8Array, E> =>
  blocks.pipe(
    Stream.mapAccum(0, (taken, block) => [taken + block.length, [taken, block] as const]),
    Stream.takeUntil(([taken, block]) => taken + block.length >= length),
    Stream.map(([taken, block]) => block.subarray(0, length - taken))
  )
