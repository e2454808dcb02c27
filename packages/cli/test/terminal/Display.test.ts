import { assert, describe, it } from "@effect/vitest"
import type { Progress, UploadEvent } from "@sluice/core"
import { Effect, Fiber, Option, TestClock } from "effect"
import * as Display from "../../src/terminal/Display.js"
import * as Output from "../../src/terminal/Output.js"
import * as Style from "../../src/terminal/Style.js"
import { Screen } from "../support/Screen.js"

const progress: Progress.Progress = {
  startedAt: 0,
  listing: false,
  filesFound: 10,
  filesUploaded: 5,
  filesSkipped: 0,
  filesFailed: 0,
  filesInterrupted: 0,
  filesOfUnknownSize: 0,
  inFlight: 0,
  peakInFlight: 8,
  bytesFound: 1_000,
  bytesUploaded: 500,
  bytesInFlight: 0,
  bytesResumed: 0,
  attempts: 5,
  retries: 0
}

const run: Display.Shown = {
  currentProgress: Effect.succeed(progress),
  throughput: Effect.succeed({ current: 0, overall: 0 }),
  inFlight: Effect.succeed([])
}

const failure: UploadEvent.UploadEvent = {
  _tag: "UploadFinished",
  version: 1,
  at: 0,
  key: "a.jpg",
  outcome: "Failed",
  attempts: 1,
  bytes: 0,
  durationMillis: 0,
  error: { _tag: "Transient", message: "It broke." }
}

const recordingSink = (columns: number) => {
  const screen = new Screen(columns)
  const writes: Array<string> = []
  const sink = Output.make({
    write: (text) =>
      Effect.sync(() => {
        writes.push(text)
        screen.write(text)
      }),
    flush: Effect.void,
    closed: () => false,
    failure: Option.none,
    isTerminal: true,
    style: Style.plain,
    size: () => ({ columns, rows: 24 })
  })
  return { sink, screen, writes }
}

describe("Display", () => {
  it("replaces one frame by the next", () => {
    const screen = new Screen(20)
    let drawn: ReadonlyArray<string> = []
    const draw = (next: ReadonlyArray<string>, said: ReadonlyArray<string> = []) => {
      screen.write(Display.frameOf({ drawn, said, next, columns: 20 }))
      drawn = next
      return screen.text
    }
    assert.deepStrictEqual(draw(["bar", "a longer line"]), ["bar", "a longer line"])
    assert.deepStrictEqual(draw(["bar", "short", "third"]), ["bar", "short", "third"])
    assert.deepStrictEqual(draw(["bar", "short"], ["said"]), ["said", "bar", "short"])
    assert.deepStrictEqual(draw(["bar"], ["said once more, and wrapped"]), [
      "said",
      "said once more, and",
      "wrapped",
      "bar"
    ])
    assert.deepStrictEqual(draw(["bar"], ["exactly as wide: 20."]), [
      "said",
      "said once more, and",
      "wrapped",
      "exactly as wide: 20.",
      "bar"
    ])
    assert.deepStrictEqual(draw([]).length, 4)
  })

  it("takes into account lines that a narrower terminal has wrapped", () => {
    const drawn = ["0123456789", "\u001b[1m01234567\u001b[22m", "写真写真写"]
    assert.strictEqual(
      Display.frameOf({ drawn, said: [], next: [], columns: 4 }),
      `\u001b[${3 + 2 + 3}A\r\u001b[J`
    )
  })

  it.effect("draws at most ten times a second, and cleans up behind itself", () =>
    Effect.gen(function*() {
      const { screen, sink, writes } = recordingSink(60)
      const display = Display.live(sink)
      const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(display.show(run), Effect.never)))
      yield* TestClock.adjust("1 second")
      assert.isFalse(screen.cursorVisible)
      assert.deepStrictEqual(screen.text, [
        ` 50% ${"━".repeat(26)}${"─".repeat(26)}`,
        "5 of 10 files · 500 B of 1.0 kB · 0 B/s · 0 in flight"
      ])
      const frames = writes.length - 1
      assert.isAtLeast(frames, 10)
      assert.isAtMost(frames, 11)
      yield* display.note(failure)
      yield* display.say("Stopping.")
      assert.deepStrictEqual(screen.text.slice(0, 2), ["Failed a.jpg: It broke.", "Stopping."])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(screen.text, ["Failed a.jpg: It broke.", "Stopping."])
      assert.isTrue(screen.cursorVisible)
    }))

  it.effect("writes a line every five seconds if there is no terminal", () =>
    Effect.gen(function*() {
      const { sink, writes } = recordingSink(80)
      const display = Display.plain(sink)
      const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(display.show(run), Effect.never)))
      yield* display.note(failure)
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(writes, [])
      yield* TestClock.adjust("10 seconds")
      const line = "50% · 5 of 10 files · 500 B of 1.0 kB · 0 B/s · 0 in flight\n"
      assert.deepStrictEqual(writes, [line, line])
      yield* display.note({ _tag: "RunChanged", version: 1, at: 0, state: "Draining" })
      yield* TestClock.adjust("1 second")
      assert.include(writes[2], "finishing 0")
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("shows the limit if there is a reason for it", () =>
    Effect.gen(function*() {
      const lineWith = (reason: string | undefined) =>
        Effect.gen(function*() {
          const { sink, writes } = recordingSink(80)
          const limits = {
            current: Effect.succeed({ concurrency: 24, uploadsPerSecond: Infinity, bytesPerSecond: Infinity }),
            reason: Effect.succeed(reason)
          }
          const fiber = yield* Effect.fork(
            Effect.scoped(Effect.zipRight(Display.plain(sink).show({ ...run, limits }), Effect.never))
          )
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.interrupt(fiber)
          return writes.join("")
        })
      assert.strictEqual(
        yield* lineWith("probing up"),
        "50% · 5 of 10 files · 500 B of 1.0 kB · 0 B/s · 0 in flight · limit 24, probing up\n"
      )
      assert.notInclude(yield* lineWith(undefined), "limit")
    }))

  it.effect("is silent when quiet, except for messages", () =>
    Effect.gen(function*() {
      const { sink, writes } = recordingSink(80)
      const display = Display.quiet(sink)
      yield* Effect.scoped(Effect.zipRight(display.show(run), display.note(failure)))
      assert.deepStrictEqual(writes, [])
      yield* display.say("Stopping.")
      assert.deepStrictEqual(writes, ["Stopping.\n"])
    }))
})
