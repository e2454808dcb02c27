/**
 * Byte sources: where an upload's bytes come from.
 *
 * A source is re-openable: it can be read from any offset, as often as asked, because retries, parallel parts and
 * resume all read it again. The exception is {@link fromStream} over a stream that runs only once, such as standard
 * input: it says so in `reopenable`, and an upload of it is not tried again once its first byte was taken.
 *
 * A source on a disk has a fingerprint, which changes when the file does; sources in memory have none.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { SourceUnreadable } from "./UploadError.js"
import type { SourceError } from "./UploadError.js"

/**
 * A range of a source: `length` bytes from `offset`; to the end where `length` is absent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Range {
  readonly offset: number
  readonly length?: number | undefined
  /** What the source's fingerprint has to be from the first byte to the last: see `checksFingerprint`. */
  readonly fingerprint?: string | undefined
  /** How large blocks should be, in bytes, where the source can choose. Defaults to 256 KiB. */
  readonly blockSize?: number | undefined
  /** Gives memory of at least a size to read into, to a source that has none of its own. Defaults to fresh memory. */
  readonly into?: ((size: number) => Uint8Array) | undefined
  /** Who watches the read for stalls, where somebody does. */
  readonly watch?: Watch | undefined
}

/**
 * Who watches a read: a source that gives nothing for the stall timeout has failed. A source needs to say something only
 * where it would be taken for stalled and is not.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watch {
  /** Bytes have been read, but not been given yet. */
  readonly moved: () => void
  /** Runs what is waited for on this side, such as a turn to have a file open: it counts as no stall. */
  readonly unwatched: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/**
 * A source as it is at a moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Latest {
  readonly source: ByteSource
  readonly fingerprint: string | undefined
  /** When the content last changed, in milliseconds since the epoch. */
  readonly modifiedAt: number | undefined
  /** The permission bits, where it has any. */
  readonly mode?: number | undefined
}

/**
 * Something that bytes can be read from, as often as asked.
 *
 * A read that stalls, or that nobody waits for any more, is interrupted: what it does has to be interruptible. Of
 * {@link fromStream} the first pull need not be: a connection that never comes about is left behind.
 *
 * @since 0.1.0
 * @category models
 */
export interface ByteSource {
  /** The size in bytes; `undefined` when nobody knows before the end. */
  readonly size: number | undefined
  /** Whether the source can be read more than once. */
  readonly reopenable: boolean
  /** The bytes of a range, in blocks of any size. A range past the end gives what there is. */
  readonly read: (range: Range) => Stream.Stream<Uint8Array, SourceError>
  /** The bytes of a range as one array: for ranges that are known to be small. */
  readonly bytes: (range: Range) => Effect.Effect<Uint8Array, SourceError>
  /**
   * The same in the call itself, where nothing has to be waited for; `undefined` where something has, and `bytes` is to
   * be asked. For sources whose files are many and small.
   */
  readonly unsafeBytes?:
    | ((range: Range, clock: Clock.Clock) => Exit.Exit<Uint8Array, SourceError> | undefined)
    | undefined
  /** Changes whenever the content may have changed; `undefined` where the content cannot change. */
  readonly fingerprint: Effect.Effect<string, SourceError> | undefined
  /**
   * Whether a read itself fails with `SourceChanged` when the source is not what `Range.fingerprint` says: it can look at
   * the very file that it has open. Without it the source's `fingerprint` is asked around each read.
   */
  readonly checksFingerprint?: boolean | undefined
  /**
   * Lets go of a source of which no byte was read, and none will be: for what else waits for it to be read, such as the
   * next part of a request. Runs once, when the file's result has been told.
   */
  readonly abandon?: Effect.Effect<void> | undefined
  /** The source as it is now, which may be of another size: for those who go on with what has changed. */
  readonly latest?: Effect.Effect<Latest, SourceError> | undefined
}

/**
 * Bytes in memory. They are not copied: do not write to the array while the upload runs.
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
 * A source of `size` bytes that are computed when they are read: `fill(offset, length)` gives the bytes of one block
 * of at most 256 KiB, always the same for the same arguments. Without `fill` the bytes are zeros.
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
 * A source over a stream that can be run once only. Its first read takes the stream; another fails with
 * `SourceUnreadable`, reason `Consumed`, and so does a read that does not start at the first byte.
 *
 * An upload of it never waits for a second round: whoever sends the stream may be waiting, too. Where more comes after
 * the stream, `onAbandon` is for a file that is refused before its first byte is read:
 *
 * @example
 * ```ts
 * import type { Multipart } from "@effect/platform"
 * import { ByteSource } from "@sluice/core"
 * import { Effect, Stream } from "effect"
 *
 * // The next part of a form comes when this one was read to its end.
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
    /** How many bytes there will be, where that is known. */
    readonly size?: number | undefined
    /** Runs where the stream is not run at all: its file was refused, or skipped. Defaults to nothing. */
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
 * A stream whose first pull ends at once when it is interrupted: a connection that is being made may not be cut, and who
 * waits for it would wait for ever.
 */
const beginningAtOnce = <A, E>(stream: Stream.Stream<A, E>): Stream.Stream<A, E> =>
  Stream.fromPull(Effect.map(Stream.toPull(stream), (pull) => {
    let state: "New" | "Beginning" | "Begun" = "New"
    const first = Effect.onExit(Effect.disconnect(pull), (exit) =>
      Effect.sync(() => {
        if (!Exit.isInterrupted(exit)) state = "Begun"
      }))
    return Effect.suspend(() => {
      // Whoever pulls while it still begins comes after somebody who has given up.
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
