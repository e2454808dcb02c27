import { assert, describe, it } from "@effect/vitest"
import { Throughput } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect } from "effect"

describe("Throughput.makeMonitor", () => {
  const at = (monitor: Throughput.Monitor, millis: number) =>
    VirtualClock.run(Effect.zipRight(Effect.sleep(millis), monitor.throughput)).pipe(
      Effect.map(({ value }) => value)
    )

  it.effect("has seen nothing at its start", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* at(Throughput.makeMonitor(0), 0), { current: 0, overall: 0 })
    }))

  it.effect("measures since the start while that is less than the window", () =>
    Effect.gen(function*() {
      const monitor = Throughput.makeMonitor(0)
      monitor.record(0, 600)
      monitor.record(400, 400)
      assert.deepStrictEqual(yield* at(monitor, 500), { current: 2_000, overall: 2_000 })
      assert.deepStrictEqual(yield* at(monitor, 2_000), { current: 500, overall: 500 })
    }))

  it.effect("forgets in `current` what left the window, and never in `overall`", () =>
    Effect.gen(function*() {
      const monitor = Throughput.makeMonitor(0)
      for (let now = 0; now < 10_000; now += 100) monitor.record(now, 100)
      for (let now = 10_000; now < 20_000; now += 100) monitor.record(now, 500)
      const { current, overall } = yield* at(monitor, 19_999)
      assert.approximately(current, 5_000, 60)
      assert.approximately(overall, 3_000, 1)
    }))

  it.effect("falls to nothing when nothing moves", () =>
    Effect.gen(function*() {
      const monitor = Throughput.makeMonitor(0)
      for (let now = 0; now < 10_000; now += 100) monitor.record(now, 100)
      assert.approximately((yield* at(monitor, 12_500)).current, 500, 30)
      assert.deepStrictEqual(yield* at(monitor, 20_000), { current: 0, overall: 500 })
      assert.deepStrictEqual(yield* at(monitor, 1_000_000), { current: 0, overall: 10 })
    }))

  it.effect("starts at any instant", () =>
    Effect.gen(function*() {
      const monitor = Throughput.makeMonitor(12_345)
      monitor.record(12_345, 100)
      monitor.record(12_445, 100)
      assert.deepStrictEqual(yield* at(monitor, 12_545), { current: 1_000, overall: 1_000 })
    }))
})
