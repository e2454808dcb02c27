import { assert, describe, it, vi } from "@effect/vitest"
import { UploadFile } from "@sluice/core"
import { Deferred, Effect, Exit, FiberId } from "effect"
import * as LargeRun from "../support/LargeRun.js"
import * as PartsRecording from "../support/PartsRecording.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 120_000 })

const files = () => [LargeRun.onDisk("L", 45), LargeRun.onDisk("s", 3)]

describe("interrupted at any step of any fiber, not only where something waits,", () => {
  // Other files shift the steps, so that each of them is a step at which an interruption is seen.
  it.effect.each([0, 1, 2])(
    "a run loses no permit, no memory and no session, with %d other files",
    (others) =>
      Effect.gen(function*() {
        for (let step = 1; step < 300; step++) {
          const recording = PartsRecording.make()
          const strike = Deferred.unsafeMake<void>(FiberId.none)
          let steps = 0
          const name = `at step ${step}`
          const outcome = yield* LargeRun.upload(recording, [
            ...Array.from({ length: others }, (_, i) => LargeRun.onDisk(`other${i}`, 1)),
            ...files(),
            // A piece of what can be read only once holds its memory before it is sent.
            UploadFile.make("v", LargeRun.streamed(LargeRun.bytesOf(35)))
          ], {
            workers: 3,
            memory: 45,
            meanwhile: (run) => Effect.zipRight(Deferred.await(strike), run.interrupt),
            steps: () => {
              steps += 1
              if (steps === step) Deferred.unsafeDone(strike, Exit.void)
            }
          })
          for (const ends of recording.ends.values()) {
            assert.strictEqual(ends.length, 1, name)
          }
          assert.strictEqual(recording.sessions.size, 0, name)
          for (const result of outcome.results) {
            if (result._tag === "Uploaded" && result.file.key !== "v") {
              assert.isTrue(recording.objects.has(result.file.key), name)
            }
          }
        }
      })
  )
})
