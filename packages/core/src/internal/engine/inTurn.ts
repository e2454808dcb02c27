/**
 * Sequences effects, most of which are absent.
 */
import * as Effect from "effect/Effect"

/** Runs one effect after the other. Either may be absent, in which case it costs no step. */
export const inTurn = <E>(
  first: Effect.Effect<void, E> | undefined,
  second: Effect.Effect<void, E> | undefined
): Effect.Effect<void, E> | undefined =>
  first === undefined ? second : second === undefined ? first : Effect.zipRight(first, second)
