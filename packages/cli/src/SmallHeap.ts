/**
 * A heap that stays small, for those who gave little memory: V8 otherwise lets it grow to several times what is in use
 * before it looks for what is not. It costs some CPU time.
 */
import * as ByteSize from "@sluice/core/ByteSize"
import * as Uploader from "@sluice/core/Uploader"
import * as Effect from "effect/Effect"
import * as v8 from "node:v8"

/** Keeps the heap small where less than the default is to be held in memory, in bytes. */
export const keepFor = (memory: ByteSize.ByteSizeInput | undefined): Effect.Effect<void> =>
  Effect.sync(() => {
    if (memory === undefined || ByteSize.decode(memory) >= ByteSize.decode(Uploader.defaults.memory)) return
    // It grows by a fifth, and what is new in it not at all.
    v8.setFlagsFromString("--heap-growing-percent=20")
    v8.setFlagsFromString("--semi-space-growth-factor=1")
  })
