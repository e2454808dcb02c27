import { assert, describe, it } from "@effect/vitest"
import type { Limits } from "@sluice/core"
import type { Window } from "@sluice/core/unstable/AdaptiveState"
import * as Measure from "../../../src/internal/limits/adaptiveWindow.js"

const ended = (
  bytes: number,
  durationMillis: number,
  more: Partial<Limits.Observation> = {}
): Limits.Observation => ({ outcome: "Succeeded", durationMillis, bytes, inFlight: 4, ...more })

const opened = (scale = 1_000) => Measure.open({ limit: 4, now: 0, since: 0, scale })

const windowOf = (observations: ReadonlyArray<Limits.Observation>, scale?: number): Window =>
  observations.reduce((window, observation, i) => Measure.gather(window, observation, 10_000 + i), opened(scale))

const near = (actual: number, expected: number, what: string) =>
  assert.isBelow(Math.abs(actual - expected), 1e-6 * Math.max(1, Math.abs(expected)), `${what}: ${actual}`)

describe("the cost of requests", () => {
  it("is fitted to requests and their bytes, whatever the scale", () => {
    for (const scale of [1, 1_000, 1e9]) {
      for (const [perRequest, perByte] of [[20, 0.01], [0, 0.5], [300, 0]] as const) {
        const sizes = [10, 100, 1_000, 5_000, 20_000]
        const { moments } = windowOf(sizes.map((size) => ended(size, perRequest + perByte * size)), scale)
        const cost = Measure.cost(moments)
        near(cost.perRequest, perRequest, `a request at ${scale}`)
        near(cost.perByte, perByte, `a byte at ${scale}`)
      }
    }
  })

  it("has no bytes if all requests have one size, or if nothing is known", () => {
    const alike = Measure.cost(windowOf([ended(500, 30), ended(500, 50)]).moments)
    near(alike.perRequest, 40, "a request")
    assert.strictEqual(alike.perByte, 0)
    assert.deepStrictEqual(Measure.cost(Measure.noMoments), { perRequest: 1, perByte: 0 })
    assert.deepStrictEqual(Measure.cost(windowOf([ended(500, 0)]).moments), { perRequest: 1, perByte: 0 })
  })

  it("is never negative, for requests and for bytes", () => {
    const smallAreSlow = Measure.cost(windowOf([ended(10, 100), ended(1_000, 10)]).moments)
    assert.strictEqual(smallAreSlow.perByte, 0)
    assert.isAbove(smallAreSlow.perRequest, 0)
    const largeAreSlower = Measure.cost(windowOf([ended(100, 1), ended(1_000, 1_000)]).moments)
    assert.strictEqual(largeAreSlower.perRequest, 0)
    assert.isAbove(largeAreSlower.perByte, 0)
  })

  it("is learned from both of two windows, with a share of the older one", () => {
    const [older, newer] = [windowOf([ended(100, 10), ended(900, 90)]), windowOf([ended(200, 40), ended(600, 80)])]
    const sum = (kept: number) => Measure.addMoments(older.moments, newer.moments, kept)
    assert.deepStrictEqual(sum(0), newer.moments)
    for (const name of ["weight", "size", "millis", "sizeSquared", "sizeMillis"] as const) {
      near(sum(0.5)[name], older.moments[name] / 2 + newer.moments[name], name)
    }
    assert.deepStrictEqual(Measure.addMoments(Measure.noMoments, newer.moments, 1), newer.moments)
  })
})

describe("a window", () => {
  it("sums up the attempts that ended in it", () => {
    const window = windowOf([ended(100, 10), ended(300, 30, { inFlight: 2 }), ended(0, 5, { outcome: "Failed" })])
    assert.deepInclude(window, { ended: 3, stored: 2, bytes: 400, busyMillis: 45, lanes: 10, throttledAt: 0 })
    near(Measure.meanLanes(window), 10 / 3, "lanes")
    near(
      Measure.pace(window, { perRequest: 5, perByte: 0.1 }),
      (10 / 3) * (5 * 2 + 0.1 * 400) / 45,
      "pace"
    )
    assert.strictEqual(Measure.meanLanes(opened()), 0)
    assert.strictEqual(Measure.pace(opened(), { perRequest: 5, perByte: 1 }), 0)
  })

  it("takes a share of an older one when they are mixed", () => {
    const [older, newer] = [windowOf([ended(100, 10), ended(300, 30)]), windowOf([ended(50, 20)])]
    assert.deepStrictEqual(Measure.mixed(older, newer, 0.5), {
      ...newer,
      ended: 2,
      stored: 2,
      bytes: 250,
      busyMillis: 40,
      lanes: 8
    })
    assert.deepStrictEqual(Measure.together(undefined, newer), newer)
    assert.deepStrictEqual(Measure.together(older, newer), Measure.mixed(older, newer, 1))
  })
})
