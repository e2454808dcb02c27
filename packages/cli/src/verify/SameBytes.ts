/**
 * Compares the bytes of two streams, however they are divided into blocks. It holds one block of each.
 */
import * as Checksum from "@sluice/core/Checksum"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

type Bytes<E> = Stream.Stream<Uint8Array, E>

/** Reads two streams in parallel up to the first difference. Calls `note` with the number of equal bytes. */
export const compare = <E1, E2>(
  one: Bytes<E1>,
  other: Bytes<E2>,
  note: (bytes: number) => void
): Effect.Effect<boolean, E1 | E2> =>
  Effect.scoped(
    Effect.gen(function*() {
      const nextOfOne = yield* reader(one)
      const nextOfOther = yield* reader(other)
      let [a, b] = yield* Effect.all([nextOfOne, nextOfOther], { concurrency: 2 })
      while (a !== undefined && b !== undefined) {
        const size = Math.min(a.length, b.length)
        if (Buffer.compare(a.subarray(0, size), b.subarray(0, size)) !== 0) return false
        note(size)
        const [restOfA, restOfB]: ReadonlyArray<Uint8Array> = [a.subarray(size), b.subarray(size)]
        const next = yield* Effect.all([
          restOfA !== undefined && restOfA.length > 0 ? Effect.succeed(restOfA) : nextOfOne,
          restOfB !== undefined && restOfB.length > 0 ? Effect.succeed(restOfB) : nextOfOther
        ], { concurrency: 2 })
        a = next[0]
        b = next[1]
      }
      return a === b
    })
  )

/** Compares a stream with bytes in memory up to the first difference: much less work for a small file. */
export const compareWith = <E>(
  bytes: Uint8Array,
  other: Bytes<E>,
  note: (bytes: number) => void
): Effect.Effect<boolean, E> =>
  Effect.suspend(() => {
    let at = 0
    let same = true
    return Effect.map(
      Stream.runForEachWhile(other, (block) =>
        Effect.sync(() => {
          same = Buffer.compare(block, bytes.subarray(at, at + block.length)) === 0
          if (same) note(block.length)
          at += block.length
          return same
        })),
      () => same && at === bytes.length
    )
  })

/** The checksum of a stream, as destinations write it. Calls `note` with the number of bytes read. */
export const checksum = <E>(
  bytes: Bytes<E>,
  algorithm: Checksum.Algorithm,
  note: (bytes: number) => void
): Effect.Effect<string, E> =>
  Effect.suspend(() => {
    const fold = Checksum.make(algorithm)
    return Effect.map(
      Stream.runForEach(bytes, (block) =>
        Effect.sync(() => {
          fold.update(block)
          note(block.length)
        })),
      () => fold.checksum().value
    )
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Returns the next block that is not empty, and `undefined` at the end. */
const reader = <E>(bytes: Bytes<E>): Effect.Effect<Effect.Effect<Uint8Array | undefined, E>, never, Scope.Scope> =>
  Effect.map(Stream.toPull(bytes), (pull) => {
    let waiting: Array<Uint8Array> = []
    const next: Effect.Effect<Uint8Array | undefined, E> = Effect.suspend(() => {
      const block = waiting.shift()
      if (block !== undefined) return Effect.succeed(block)
      return Effect.matchEffect(pull, {
        onFailure: Option.match({ onNone: () => Effect.succeed(undefined), onSome: (error: E) => Effect.fail(error) }),
        onSuccess: (blocks) => {
          waiting = Chunk.toArray(blocks).filter(({ length }) => length > 0)
          return next
        }
      })
    })
    return next
  })
