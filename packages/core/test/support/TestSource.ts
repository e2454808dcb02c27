/**
 * Sources for tests: bytes that can be told apart wherever they are cut, and sources that do as they are told.
 */
import { ByteSource } from "@sluice/core"
import type { UploadError } from "@sluice/core"
import { Effect, Stream } from "effect"

/** `size` bytes without a short period, the same for the same seed. */
export const pattern = (size: number, seed = 1): Uint8Array => {
  const words = new Uint32Array(Math.ceil(size / 4))
  let state = (seed * 0x9e3779b9) >>> 0 || 1
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer, 0, size)
}

/** Bytes to give out, or something to do in between. */
export type Step = Uint8Array | Effect.Effect<unknown, UploadError.SourceError>

export interface Script {
  readonly size: number | undefined
  readonly steps: ReadonlyArray<Step>
  readonly fingerprint?: Effect.Effect<string, UploadError.SourceError> | undefined
}

/** A source that gives out what its script says, again at every read from its start. */
export const scripted = (script: Script): ByteSource.ByteSource => {
  const blocks = Stream.flatMap(
    Stream.fromIterable(script.steps),
    (step) => step instanceof Uint8Array ? Stream.succeed(step) : Stream.drain(Stream.fromEffect(step))
  )
  return {
    size: script.size,
    reopenable: true,
    read: () => blocks,
    bytes: () => Effect.map(Stream.runCollect(blocks), (chunk) => ByteSource.concat(Array.from(chunk))),
    fingerprint: script.fingerprint
  }
}

export const sameBytes = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a !== undefined && Buffer.compare(a, b) === 0
