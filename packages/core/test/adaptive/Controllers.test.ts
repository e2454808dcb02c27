import { assert, describe, it } from "@effect/vitest"
import * as Controllers from "./Controllers.js"

const bounds = { initial: 4, max: 300 }

interface Moment {
  readonly meanMillis: number
  readonly inFlight?: number
  readonly isDropped?: boolean
}

/** The limits after windows of a second each. */
const afterWindows = (rule: Controllers.Rule, moments: ReadonlyArray<Moment>): ReadonlyArray<number> => {
  let limit = rule.limit
  return moments.map(({ inFlight = limit, isDropped = false, meanMillis }, window) => {
    const now = (window + 1) * 1_000
    if (isDropped) rule.observe({ outcome: "Throttled", durationMillis: 1, bytes: 0, inFlight }, now - 1)
    for (let i = 0; i < 10; i++) {
      limit = rule.observe({ outcome: "Succeeded", durationMillis: meanMillis, bytes: 1, inFlight }, now)
    }
    return limit
  })
}

/** Every limit that a rule comes to within so many seconds, where so many in flight bring so many bytes a second. */
const atSpeeds = (rule: Controllers.Rule, speed: (limit: number) => number, seconds: number): ReadonlyArray<number> => {
  const limits = [rule.limit]
  for (let tenth = 1; tenth <= seconds * 10; tenth++) {
    const bytes = speed(limits[limits.length - 1]!) / 10
    const limit = rule.observe({ outcome: "Succeeded", durationMillis: 100, bytes, inFlight: 1 }, tenth * 100)
    if (limit !== limits[limits.length - 1]) limits.push(limit)
  }
  return limits
}

const times = (count: number, moment: Moment): ReadonlyArray<Moment> => Array.from({ length: count }, () => moment)

describe("azcopy's tuner", () => {
  it("returns from a step that brings less than a fifth, tries fewer, and stays", () => {
    const rule = Controllers.azcopy(bounds)
    assert.deepStrictEqual(atSpeeds(rule, (limit) => Math.min(limit, 44), 120), [4, 16, 64, 256, 64, 128, 64, 76, 64])
    // Frozen, whatever comes.
    assert.deepStrictEqual(atSpeeds(rule, (limit) => Math.min(limit, 4), 120).slice(1), [64])
  })

  it("stays at the maximum if all of it pays off", () => {
    assert.deepStrictEqual(atSpeeds(Controllers.azcopy(bounds), (limit) => limit, 120), [4, 16, 64, 256, 300])
  })

  it("cares for no refusals", () => {
    const rule = Controllers.azcopy(bounds)
    const limits = Array.from(
      { length: 1_000 },
      (_, i) => rule.observe({ outcome: "Throttled", durationMillis: 1, bytes: 0, inFlight: 4 }, i)
    )
    assert.deepStrictEqual([...new Set(limits)], [4])
  })
})

describe("AIMD", () => {
  it("adds one per window, and takes a tenth away for a refusal or over 5 s", () => {
    const moments = [
      ...times(3, { meanMillis: 100 }),
      { meanMillis: 5_000 },
      { meanMillis: 5_001 },
      { meanMillis: 100, isDropped: true },
      { meanMillis: 100, inFlight: 2 }
    ]
    assert.deepStrictEqual(afterWindows(Controllers.aimd(bounds), moments), [5, 6, 7, 8, 7, 6, 6])
  })
})

describe("Gradient2", () => {
  it("adds four fifths per window while nothing waits, and nothing if half is not used", () => {
    const moments = [...times(6, { meanMillis: 100 }), { meanMillis: 100, inFlight: 1 }]
    assert.deepStrictEqual(afterWindows(Controllers.gradient2(bounds), moments), [4, 5, 6, 7, 8, 8, 8])
  })

  it("decreases by at most a tenth if durations increase", () => {
    const before = times(100, { meanMillis: 100 })
    const limits = afterWindows(Controllers.gradient2(bounds), [...before, ...times(3, { meanMillis: 1_000 })])
    assert.deepStrictEqual(limits.slice(99), [84, 76, 69, 63])
  })
})

describe("Vegas", () => {
  it("adds six while almost nothing waits, one while little does, and takes one away if much does", () => {
    const moments = [
      { meanMillis: 100 },
      ...times(2, { meanMillis: 100 }),
      // Of 16, 2 wait, then 5, then 8.
      { meanMillis: 110 },
      { meanMillis: 140 },
      { meanMillis: 200 },
      { meanMillis: 100, isDropped: true },
      { meanMillis: 100, inFlight: 7 }
    ]
    assert.deepStrictEqual(afterWindows(Controllers.vegas(bounds, 1), moments), [4, 10, 16, 17, 17, 16, 15, 15])
  })

  it("forgets the shortest duration after 15 to 30 windows for each of the limit", () => {
    const rule = Controllers.vegas({ initial: 40, max: 40 }, 1)
    const moments = [{ meanMillis: 100 }, ...times(300, { meanMillis: 1_000 })]
    const limits = afterWindows(rule, moments)
    // Down while all of them seem to wait; up again when that is what they take alone.
    assert.strictEqual(Math.min(...limits), 6)
    const up = limits.lastIndexOf(12)
    assert.isTrue(up > 15 * 6 && up <= 30 * 6 + 1, `at ${up}`)
    assert.strictEqual(limits[300], 40)
  })
})
