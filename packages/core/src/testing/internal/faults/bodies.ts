/**
 * Bodies that are observed, changed or cut in transit, and bodies that outlive their request.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as ByteSource from "../../../ByteSource.js"
import type { Checksum } from "../../../Checksum.js"
import type { Body, StreamOptions } from "../../../Destination.js"
import type { UploadError } from "../../../UploadError.js"

/** Maps a block that passes; `from` is the number of bytes before it. */
type Pass = (block: Uint8Array, from: number) => Effect.Effect<Uint8Array, UploadError>

/** A body whose blocks pass through a function. */
export const passing = (body: Body, pass: Pass): Body => {
  let passed = 0
  const next = (block: Uint8Array) => {
    const from = passed
    passed += block.length
    return pass(block, from)
  }
  return {
    size: body.size,
    inOnePiece: body.inOnePiece,
    stream: (options) => Stream.mapEffect(body.stream(options), next),
    blocks: (options) =>
      Effect.map(
        body.blocks(options),
        (pull) => Effect.flatMap(pull, (block) => Effect.mapError(next(block), Option.some))
      ),
    bytes: Effect.flatMap(body.bytes, next),
    whole: Effect.map(body.whole, (whole) => passing(whole, pass)),
    get checksum() {
      return body.checksum
    },
    sum: body.sum,
    again: body.again && (() => {
      passed = 0
      body.again?.()
    }),
    unwatched: (effect) => body.unwatched(effect),
    release: () => body.release()
  }
}

/** A body that fails with `error` after `after` bytes. */
export const cut = (body: Body, after: number, error: UploadError): Body =>
  passing(body, (block, from) => from + block.length > after ? Effect.fail(error) : Effect.succeed(block))

/** Takes all bytes of a body. */
export const take = (body: Body): Effect.Effect<Uint8Array, UploadError> => {
  const blocks: Array<Uint8Array> = []
  return Effect.map(
    Stream.runForEach(body.stream(), (block) => Effect.sync(() => blocks.push(block.slice()))),
    () => blocks.length === 0 ? new Uint8Array(0) : ByteSource.concat(blocks)
  )
}

/** A body of bytes taken earlier, with their checksum. */
export const ofBytes = (bytes: Uint8Array, checksum: Checksum | undefined): Body => {
  const stream = ({ blockSize = 256 * 1024 }: StreamOptions = {}): Stream.Stream<Uint8Array> =>
    Stream.unfold(0, (at) =>
      at >= bytes.length
        ? Option.none()
        : Option.some([bytes.subarray(at, at + blockSize), at + blockSize] as const))
  const body: Body = {
    size: bytes.length,
    inOnePiece: true,
    stream,
    blocks: (options) =>
      Stream.toPull(Stream.rechunk(stream(options), 1)).pipe(
        Effect.map(Effect.map((chunk) => ByteSource.concat(Array.from(chunk))))
      ),
    bytes: Effect.succeed(bytes),
    whole: Effect.suspend(() => Effect.succeed(body)),
    checksum,
    again: () => {},
    unwatched: (effect) => effect,
    release: () => {}
  }
  return body
}

/** The bytes with one bit flipped. */
export const flipped = (bytes: Uint8Array): Uint8Array => {
  const copy = bytes.slice()
  if (copy.length > 0) copy[copy.length >> 1]! ^= 1
  return copy
}
