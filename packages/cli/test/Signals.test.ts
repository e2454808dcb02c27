import { assert, describe, it } from "@effect/vitest"
import type { Progress } from "@sluice/core"
import { Effect, Fiber, Queue } from "effect"
import * as Signals from "../src/Signals.js"

const progress: Progress.Progress = {
  startedAt: 0,
  listing: false,
  filesFound: 10,
  filesUploaded: 5,
  filesSkipped: 0,
  filesFailed: 0,
  filesInterrupted: 0,
  inFlight: 3,
  peakInFlight: 8,
  bytesFound: 0,
  bytesUploaded: 0,
  bytesInFlight: 0,
  bytesResumed: 0,
  attempts: 5,
  retries: 0
}

/** What a run is told, signal by signal. */
const told = (...signals: ReadonlyArray<Signals.Signal>) =>
  Effect.gen(function*() {
    const history: Array<string> = []
    const tell = (what: string) =>
      Effect.sync(() => {
        history.push(what)
      })
    const received = yield* Queue.unbounded<Signals.Signal>()
    const fiber = yield* Effect.fork(Signals.steer(received, {
      run: { drain: tell("drain"), currentProgress: Effect.succeed(progress) },
      stop: tell("stop"),
      say: tell,
      leave: tell("leave")
    }))
    for (const signal of signals) {
      yield* received.offer(signal)
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
    }
    yield* Fiber.interrupt(fiber)
    return history
  })

const finishing = "Stopping: finishing 3 uploads in flight; press Ctrl-C again to stop at once."

describe("Signals", () => {
  it.effect("finishes what is in flight at the first Ctrl-C, and stops at the second", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told("SIGINT"), ["drain", finishing])
      assert.deepStrictEqual(yield* told("SIGINT", "SIGINT"), ["drain", finishing, "Stopping at once.", "stop"])
      assert.deepStrictEqual(yield* told("SIGINT", "SIGTERM"), ["drain", finishing, "Stopping at once.", "stop"])
    }))

  it.effect("stops at once when it is asked to terminate", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told("SIGTERM"), ["Stopping at once.", "stop"])
      assert.deepStrictEqual(yield* told("SIGHUP"), ["Stopping at once.", "stop"])
    }))

  it.effect("leaves when it is asked once more", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told("SIGTERM", "SIGINT"), ["Stopping at once.", "stop", "leave"])
    }))

  it.scoped("listens until its scope closes", () =>
    Effect.gen(function*() {
      const before = process.listenerCount("SIGHUP")
      const received = yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* Signals.listen
        assert.strictEqual(process.listenerCount("SIGHUP"), before + 1)
        process.emit("SIGHUP", "SIGHUP")
        return yield* queue.take
      }))
      assert.strictEqual(received, "SIGHUP")
      assert.strictEqual(process.listenerCount("SIGHUP"), before)
    }))
})
