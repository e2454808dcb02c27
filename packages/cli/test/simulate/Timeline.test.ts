import { assert, describe, it } from "@effect/vitest"
import type { UploadEvent } from "@sluice/core"
import { Effect, FastCheck } from "effect"
import * as Timeline from "../../src/simulate/Timeline.js"

const common = { version: 1 } as const
const error = { _tag: "Transient", message: "broken" }

const started = (at: number, key: string, attempt: number): UploadEvent.UploadEvent => ({
  _tag: "UploadStarted",
  ...common,
  at,
  key,
  attempt
})

const finished = (
  at: number,
  key: string,
  outcome: "Uploaded" | "Failed" | "Interrupted",
  attempts: number
): UploadEvent.UploadEvent => ({
  _tag: "UploadFinished",
  ...common,
  at,
  key,
  outcome,
  attempts,
  bytes: 0,
  durationMillis: 0
})

const retrying = (at: number, key: string, attempt: number): UploadEvent.UploadEvent => ({
  _tag: "UploadRetrying",
  ...common,
  at,
  key,
  attempt,
  attempts: 5,
  delayMillis: 10,
  error
})

const attempt = (
  startedAt: number,
  endedAt: number,
  details: Partial<Timeline.Attempt> = {}
): Timeline.Attempt => ({ key: "file", attempt: 1, startedAt, endedAt, outcome: "Stored", ...details })

/** Attempts of 1 to 50 ms that start in the first 100 ms. */
const attempts = FastCheck.array(
  FastCheck.tuple(FastCheck.nat(100), FastCheck.integer({ min: 1, max: 50 })).map(([at, millis]) =>
    attempt(at, at + millis)
  )
)

describe("Timeline", () => {
  it.effect("puts attempts together from events", () =>
    Effect.gen(function*() {
      const recorder = Timeline.makeRecorder()
      const events: ReadonlyArray<UploadEvent.UploadEvent> = [
        started(0, "a", 1),
        started(0, "b", 1),
        started(5, "c", 1),
        retrying(10, "a", 1),
        finished(20, "b", "Uploaded", 1),
        started(20, "a", 2),
        { _tag: "UploadDeferred", ...common, at: 25, key: "a", attempts: 2, error },
        finished(30, "c", "Interrupted", 1),
        // Interrupted while it waited for its second round: nothing of it was under way.
        finished(30, "a", "Interrupted", 2),
        { _tag: "RunChanged", ...common, at: 31, state: "Interrupting" }
      ]
      yield* Effect.forEach(events, recorder.onEvent)
      assert.deepStrictEqual(recorder.attempts, [
        { key: "a", attempt: 1, startedAt: 0, endedAt: 10, outcome: "Failed" },
        { key: "b", attempt: 1, startedAt: 0, endedAt: 20, outcome: "Stored" },
        { key: "a", attempt: 2, startedAt: 20, endedAt: 25, outcome: "Failed" },
        { key: "c", attempt: 1, startedAt: 5, endedAt: 30, outcome: "Interrupted" }
      ])
    }))

  it("packs attempts into the lowest lanes that are free, the longest of an instant first", () => {
    const short = attempt(0, 10)
    const long = attempt(0, 30)
    const after = attempt(10, 20)
    const beside = attempt(15, 20)
    const last = attempt(30, 40)
    assert.deepStrictEqual(Timeline.lanes([short, after, beside, long, last]), [[long, last], [short, after], [beside]])
  })

  it("gives attempts that end at once no lane of their own", () => {
    const before = attempt(0, 10)
    const instant = attempt(10, 10, { outcome: "Failed" })
    const after = attempt(10, 20)
    assert.deepStrictEqual(Timeline.lanes([before, instant, after]), [[before, instant, after]])
  })

  it("needs as many lanes as attempts in flight at once, without overlaps", () => {
    FastCheck.assert(FastCheck.property(attempts, (all) => {
      const lanes = Timeline.lanes(all)
      const peak = Math.max(0, ...Timeline.levels(all).map(({ count }) => count))
      assert.strictEqual(lanes.length, peak)
      assert.strictEqual(lanes.flat().length, all.length)
      for (const lane of lanes) {
        for (let i = 1; i < lane.length; i++) assert.isAtLeast(lane[i]!.startedAt, lane[i - 1]!.endedAt)
      }
    }))
  })

  it("counts how many were in flight, once for each instant at which that changed", () => {
    assert.deepStrictEqual(
      Timeline.levels([attempt(0, 10), attempt(0, 30), attempt(10, 20), attempt(25, 25)]),
      [{ at: 0, count: 2 }, { at: 20, count: 1 }, { at: 30, count: 0 }]
    )
    assert.deepStrictEqual(Timeline.levels([]), [])
  })
})
