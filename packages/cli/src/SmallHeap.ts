/**
 * A heap that stays small, for those who gave little memory: V8 otherwise lets it grow to several times what is in use
 * before it looks for what is not. It costs some CPU time.
 */
import * as Effect from "effect/Effect"
import * as v8 from "node:v8"

/** Has the heap grow by a fifth, and not by several times, before it is cleared. */
export const keep: Effect.Effect<void> = Effect.sync(() => {
  v8.setFlagsFromString("--heap-growing-percent=20")
  v8.setFlagsFromString("--semi-space-growth-factor=1")
})
