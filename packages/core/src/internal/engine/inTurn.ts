/**
 * Effects in a row where most of them are nothing.
 */
import * as Effect from "effect/Effect"

/** One after the other, with no step for what is nothing. */
export const inTurn = <E, E2>(
  first: Effect.Effect<void, E>,
  second: Effect.Effect<void, E2>
): Effect.Effect<void, E | E2> =>
  first === Effect.void ? second : second === Effect.void ? first : Effect.flatMap(first, () => second)
