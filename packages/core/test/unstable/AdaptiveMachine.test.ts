import { assert, describe, it } from "@effect/vitest"
import type { Limits } from "@sluice/core"
import * as AdaptiveMachine from "@sluice/core/unstable/AdaptiveMachine"
import type { State, Window } from "@sluice/core/unstable/AdaptiveState"
import * as fc from "fast-check"
import { constants } from "../../src/internal/limits/adaptiveSteps.js"

const { gather, initial, isFull, merge, openWindow, overruled, step } = AdaptiveMachine

const succeeded = (inFlight: number, durationMillis: number, bytes = 1_000): Limits.Observation => ({
  outcome: "Succeeded",
  durationMillis,
  bytes,
  inFlight
})

/** A window of attempts that all took so long. */
const windowOf = (state: State, durationMillis: number, inFlight = state.limit) => {
  const count = Math.max(constants.completions, state.limit)
  const empty = openWindow(state, 0, 0)
  return Array.from({ length: count }).reduce<Window>(
    (window) => gather(window, succeeded(inFlight, durationMillis), durationMillis),
    empty
  )
}

/** The limits and reasons of so many windows on a link of so many lanes, each attempt of which takes 100 ms alone. */
const history = (lanes: (window: number) => number, windows: number, options: AdaptiveMachine.Options = {}) => {
  const limits: Array<number> = []
  const reasons: Array<string> = []
  let state = initial({ seed: 1, ...options })
  for (let i = 0; i < windows; i++) {
    limits.push(state.limit)
    state = step(state, windowOf(state, 100 * Math.max(1, state.limit / lanes(i))))[0]
    reasons.push(state.reason)
  }
  return { limits, reasons, state }
}

describe("AdaptiveMachine.step", () => {
  it("doubles while it pays, and settles a tenth above the knee", () => {
    const { limits, reasons } = history(() => 20, 6)
    assert.deepStrictEqual(limits, [4, 8, 16, 32, 22, 22])
    assert.deepStrictEqual(reasons.slice(0, 4), ["doubling", "doubling", "doubling", "settled"])
  })

  it("halves at the beginning if it started with too many", () => {
    assert.deepStrictEqual(history(() => 1, 6).limits, [4, 8, 2, 1, 2, 2])
  })

  it("rests above few lanes, and hardly ever tries so few that it costs a third", () => {
    for (const lanes of [2.66, 3.1]) {
      const { limits } = history(() => lanes, 400)
      const steady = limits.slice(8)
      assert.strictEqual(steady[0], 4)
      assert.isAtMost(Math.max(...steady), 5)
      assert.isAtMost(steady.filter((limit) => limit < 3).length / steady.length, 0.03)
    }
  })

  it("gives one of few up when 5 probes on end find it to bring nothing", () => {
    const { limits, reasons } = history((i) => i < 12 ? 3.1 : 2.9, 120)
    const from = reasons.indexOf("fewer are as fast")
    const probes = reasons.slice(0, from).filter((reason, i, all) =>
      reason.startsWith("probing") && !all[i - 1]!.startsWith("probing")
    )
    assert.deepStrictEqual([limits[6], limits[from + 1], probes.length], [4, 3, constants.flatProbesOfFew])
  })

  it("finds the knee of any link within 8 windows, and stays within a quarter of it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer(), (lanes, seed) => {
        const { limits } = history(() => lanes, 60, { max: 1_000, seed })
        for (const limit of limits.slice(9)) {
          assert.isAtLeast(limit, Math.floor(lanes / 1.25) - 1)
          assert.isAtMost(limit, Math.ceil(lanes * 1.1 * 1.25) + 2)
        }
      }),
      { numRuns: 40 }
    )
  })

  it("shrinks at once when the link falls, and doubles when it grows", () => {
    const fallen = history((i) => i < 12 ? 40 : 10, 24).limits
    assert.isAtMost(fallen[23]!, 20)
    assert.isAtLeast(fallen[11]!, 40)
    const grown = history((i) => i < 12 ? 5 : 40, 60).limits
    assert.isAtMost(grown[11]!, 8)
    assert.isAtLeast(grown[59]!, 40)
  })

  it("does not react to a change that is no larger than the usual variation", () => {
    const usual = windowOf({ ...initial(), limit: 16 }, 100)
    const state: State = {
      ...initial(),
      limit: 16,
      concurrency: 16,
      phase: { _tag: "Resting", left: 9 },
      usual
    }
    const fall = (deviation: number) => {
      let after = { ...state, deviation, moments: usual.moments }
      for (let i = 0; i < constants.changeWindows; i++) after = { ...step(after, windowOf(after, 160))[0], deviation }
      return after.reason
    }
    assert.strictEqual(fall(0.05), "slower: shrinking")
    assert.strictEqual(fall(0.3), "starting")
  })

  it("comes down by 0.7 when throttled, at once, and stays below nine tenths for 30 windows", () => {
    const busy: State = {
      ...initial(),
      limit: 40,
      concurrency: 40,
      phase: { _tag: "Resting", left: 9 }
    }
    const refused = gather(openWindow(busy, 0, 0), { ...succeeded(40, 5, 0), outcome: "Throttled" }, 10)
    assert.isTrue(isFull(busy, refused, 10))
    let [state] = step(busy, refused)
    assert.deepStrictEqual([state.limit, state.reason], [28, "throttled: backing off"])
    for (let i = 0; i < constants.heldWindows; i++) {
      state = step(state, windowOf(state, 100))[0]
      assert.isAtMost(state.limit, 36)
    }
  })

  it("does nothing if fewer than half of the slots are used", () => {
    let state = initial({ initial: 8 })
    for (let i = 0; i < 30; i++) {
      state = step(state, windowOf(state, 100, 3))[0]
      assert.strictEqual(state.limit, 8)
    }
    assert.strictEqual(state.reason, "too few uploads to tell")
  })

  it("never leaves min and max, and never grows out of a throttled window", () => {
    const event = fc.record({
      millis: fc.integer({ min: 0, max: 100_000 }),
      throttled: fc.boolean(),
      inFlight: fc.integer({ min: 1, max: 80 })
    })
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 60 }),
        fc.integer(),
        fc.array(event, { maxLength: 60 }),
        (min, span, seed, events) => {
          let state = initial({ min, max: min + span, seed })
          for (const { inFlight, millis, throttled } of events) {
            const window = windowOf(state, millis, inFlight)
            const before = state.limit
            state = step(state, throttled ? { ...window, throttledAt: inFlight } : window)[0]
            assert.isTrue(state.limit >= min && state.limit <= min + span && Number.isInteger(state.limit))
            if (throttled) assert.isAtMost(state.limit, Math.max(min, before))
          }
        }
      ),
      { numRuns: 200 }
    )
  })

  it("compares sizes of a thousand to one by their cost", () => {
    // 50 ms per request and 1 ms per kilobyte: a window of small files is not slower than one of large files.
    let state = initial({ seed: 1 })
    const limits: Array<number> = []
    for (let i = 0; i < 40; i++) {
      limits.push(state.limit)
      const slow = Math.max(1, state.limit / 10)
      let window = openWindow(state, 0, 0)
      for (let file = 0; file < Math.max(constants.completions, state.limit); file++) {
        const bytes = (file + i) % 3 === 0 ? 1_000_000 : 1_000
        window = gather(window, succeeded(state.limit, (50 + bytes / 1_000) * slow, bytes), 100_000)
      }
      state = step(state, window)[0]
    }
    for (const limit of limits.slice(6)) assert.isTrue(limit >= 8 && limit <= 15, limits.join(" "))
  })
})

describe("a window", () => {
  it("leaves out what began before the last change", () => {
    const empty = openWindow(initial(), 1_000, 1_000)
    assert.strictEqual(gather(empty, succeeded(4, 501), 1_500).ended, 0)
    assert.strictEqual(gather(empty, succeeded(4, 500), 1_500).ended, 1)
  })

  it("of tiny files is full in milliseconds at first, and lasts 200 ms later", () => {
    const first = initial()
    const fast = windowOf(first, 5)
    assert.isTrue(isFull(first, fast, 10))
    const later: State = { ...first, phase: { _tag: "Resting", left: 3 } }
    assert.isFalse(isFull(later, fast, 199))
    assert.isTrue(isFull(later, fast, 200))
  })

  it("with durations below a clock's resolution lasts at most 2 s", () => {
    const state = initial()
    const instant = windowOf(state, 0)
    assert.isFalse(isFull(state, instant, 1_999))
    assert.isTrue(isFull(state, instant, 2_000))
  })
})

describe("AdaptiveMachine.overruled", () => {
  it("takes a lower limit as the most that is allowed, and continues from a higher one", () => {
    const lower = overruled({ ...initial(), limit: 16, concurrency: 16 }, 8)
    assert.deepStrictEqual([lower.limit, lower.allowed], [8, 8])
    let state = lower
    for (let i = 0; i < 40; i++) {
      state = step(state, windowOf(state, 100))[0]
      assert.isAtMost(state.limit, 8)
    }
    const higher = overruled(state, 32)
    assert.deepStrictEqual([higher.limit, higher.allowed], [32, Infinity])
  })
})

describe("AdaptiveMachine.merge", () => {
  /** So many of so many lanes, as one of several machines sees them: attempts that take 100 ms alone. */
  const share = (state: State, limit: number, all: number, lanes: number, now: number) => {
    const millis = 100 * Math.max(1, all / lanes)
    let window = openWindow({ ...state, limit }, now, now)
    for (let i = 0; i < constants.completions; i++) window = gather(window, succeeded(limit, millis), now + millis)
    return window
  }

  it("adds what was in flight, whatever number of attempts each machine has ended", () => {
    const state = initial({ initial: 30 })
    const total = openWindow(state, 5, 5)
    const few = gather(openWindow(state, 900, 900), succeeded(10, 50), 1_000)
    const many = Array.from({ length: 9 }).reduce<Window>(
      (window) => gather(window, succeeded(20, 100), 1_000),
      openWindow(state, 800, 800)
    )
    const merged = merge(total, [few, many])
    assert.deepStrictEqual([merged.limit, merged.openedAt, merged.since, merged.throttledAt], [30, 5, 5, 0])
    assert.deepStrictEqual([merged.ended, merged.stored, merged.bytes, merged.busyMillis], [10, 10, 10_000, 950])
    assert.strictEqual(merged.lanes / merged.ended, 30)
    assert.strictEqual(merged.moments.weight, few.moments.weight + many.moments.weight)
  })

  it("is throttled when one of them is: at what all had in flight", () => {
    const state = initial({ initial: 30 })
    const refused = gather(openWindow(state, 0, 0), { ...succeeded(10, 5, 0), outcome: "Throttled" }, 10)
    const merged = merge(openWindow(state, 0, 0), [refused, share(state, 20, 20, 100, 0)])
    assert.strictEqual(merged.throttledAt, 30)
    assert.deepStrictEqual([isFull(state, merged, 10), step(state, merged)[1]], [true, 21])
  })

  it("lets one state decide for many machines as for one: the knee of the link that they share", () => {
    for (const shares of [[1], [0.5, 0.5], [0.6, 0.3, 0.1]]) {
      let state = initial({ seed: 1, initial: 20, min: 10, max: 200 })
      const limits: Array<number> = []
      for (let i = 0; i < 30; i++) {
        limits.push(state.limit)
        const windows = shares.map((part) => share(state, part * state.limit, state.limit, 60, i * 1_000))
        state = step(state, merge(openWindow(state, i * 1_000, i * 1_000), windows))[0]
      }
      for (const limit of limits.slice(8)) assert.isTrue(limit >= 48 && limit <= 85, `${shares}: ${limits.join(" ")}`)
    }
  })
})
