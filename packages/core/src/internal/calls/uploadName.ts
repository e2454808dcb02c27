/**
 * Unique names.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** Draws 128 bits, as 32 hexadecimal digits. */
export const drawUploadName: Effect.Effect<string> = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 2 ** 32), 4),
  (words) => words.map((word) => word.toString(16).padStart(8, "0")).join("")
)
