/**
 * Bytes as the engine hands them to a destination, without the engine: for tests of a driver's verbs alone.
 */
import { ByteSource } from "@sluice/core"
import type { Checksum, Destination, UploadError } from "@sluice/core"
import { Chunk, Effect, Stream } from "effect"

export interface Options {
  /** Whether the bytes may be taken in one piece. Defaults to `false`, so that every block is its own write. */
  readonly inOnePiece?: boolean | undefined
  /** The size that the body claims. Defaults to the true one. */
  readonly size?: number | undefined
  /** The checksum that it claims after it has been read. */
  readonly checksum?: Checksum.Checksum | undefined
  /** How large blocks are at most, whatever is asked for, in bytes. Defaults to 512 KiB. */
  readonly largestBlock?: number | undefined
  /** Done before every block but the first. */
  readonly between?: Effect.Effect<unknown, UploadError.UploadError> | undefined
}

/** A body of bytes in memory. It counts how often it waits for a turn on the destination's side. */
export const make = (
  bytes: Uint8Array,
  options: Options = {}
): Destination.Body & { readonly turns: () => number } => {
  let read = false
  let turns = 0
  const noteRead = Effect.sync(() => {
    read = true
  })
  const body: Destination.Body = {
    size: options.size ?? bytes.length,
    inOnePiece: options.inOnePiece ?? false,
    stream: ({ blockSize: asked = 256 * 1024 } = {}) => {
      const blockSize = Math.min(asked, options.largestBlock ?? 512 * 1024)
      const blocks = Array.from(
        { length: Math.ceil(bytes.length / blockSize) },
        (_, i) => bytes.subarray(i * blockSize, (i + 1) * blockSize)
      )
      return Stream.concat(
        Stream.mapEffect(
          Stream.fromIterable(blocks.entries()),
          ([i, block]) => i === 0 ? Effect.succeed(block) : Effect.as(options.between ?? Effect.void, block)
        ),
        Stream.execute(noteRead)
      )
    },
    blocks: (options) =>
      Effect.map(Stream.toPull(Stream.rechunk(body.stream(options), 1)), Effect.map(Chunk.unsafeHead)),
    bytes: Effect.as(noteRead, bytes),
    get whole() {
      return Effect.as(noteRead, body)
    },
    get checksum() {
      return read ? options.checksum : undefined
    },
    release: () => {},
    unwatched: (effect) =>
      Effect.suspend(() => {
        turns += 1
        return effect
      })
  }
  return Object.defineProperties(
    { turns: () => turns } as Destination.Body & { readonly turns: () => number },
    Object.getOwnPropertyDescriptors(body)
  )
}

/** A body of all bytes of a stream. */
export const collect = <E>(stream: Stream.Stream<Uint8Array, E>): Effect.Effect<Uint8Array, E> =>
  Effect.map(Stream.runCollect(stream), (blocks) => ByteSource.concat(Array.from(blocks)))
