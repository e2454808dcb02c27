/**
 * Sequences effects most of which are absent.
 */
import * as Effect from "effect/Effect"

/** Runs effects one after the other, without a step for absent ones. */
export const inTurn = <E, E2>(
  first: Effect.Effect<void, E>,
  second: Effect.Effect<void, E2>
): Effect.Effect<void, E | E2> =>
  first === Effect.void ? second : second === Effect.void ? first : Effect.flatMap(first, () => second)
