import { Arbitrary, Effect } from "effect"
import type { Schema } from "effect"
import * as fc from "fast-check"

/** Checks a property on many random values; a failure names the seed and the smallest counterexample. */
export const check = <A>(
  arbitrary: fc.Arbitrary<A>,
  property: (value: A) => Effect.Effect<unknown, unknown>,
  cases = 1_000
): Effect.Effect<void> =>
  Effect.promise(() =>
    fc.assert(fc.asyncProperty(arbitrary, (value) => Effect.runPromise(Effect.asVoid(property(value)))), {
      numRuns: cases
    })
  )

/** Random values of a schema. */
export const arbitrary = <A, I>(schema: Schema.Schema<A, I>): fc.Arbitrary<A> => Arbitrary.make(schema)
