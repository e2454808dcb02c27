import { assert, describe, it } from "@effect/vitest"
import { UploadFile } from "@sluice/core"
import { Effect } from "effect"
import * as Recording from "../../support/Recording.js"

describe("a body whose driver tells how far its bytes have come", () => {
  for (const moves of [true, false]) {
    it.effect(moves ? "is waited for while they move" : "stalls when they do not", () =>
      Effect.gen(function*() {
        const recording = Recording.make(({ body }) =>
          Effect.gen(function*() {
            const bytes = yield* body.bytes
            let position = 0
            body.track?.(Effect.sync(() => String(position)))
            for (let i = 0; i < 10; i++) {
              yield* Effect.sleep("10 seconds")
              if (moves) position += 1
            }
            return bytes
          })
        )
        yield* Recording.uploadAll(recording, [UploadFile.fromText("a", "a")])
        assert.deepStrictEqual(
          recording.history.slice(0, 2),
          moves ? [[0, "put a"], [100_000, "stored a"]] : [[0, "put a"], [30_000, "interrupted a"]]
        )
      }))
  }
})
