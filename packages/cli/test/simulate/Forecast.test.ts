import { assert, describe, it } from "@effect/vitest"
import { Strategy, UploadFile } from "@sluice/core"
import { Effect, Either, Stream } from "effect"
import * as Candidates from "../../src/simulate/Candidates.js"
import * as Forecast from "../../src/simulate/Forecast.js"
import * as Workload from "../../src/simulate/Workload.js"

const network: Forecast.Network = {
  link: [{ at: 0, bytesPerSecond: 100e6 }],
  bytesPerSecond: 1e6,
  roundTripMillis: 100,
  requestMillis: 0,
  errors: 0,
  throttleAbove: undefined,
  retryAfterMillis: undefined
}

const settings = (changes: Partial<Forecast.Network> = {}): Forecast.Settings => ({
  network: { ...network, ...changes },
  partSize: Forecast.defaultPartSize,
  seed: "1"
})

const pool = (workers: number): Forecast.Candidate => ({
  name: "worker pool",
  detail: `${workers} workers`,
  flags: ["--concurrency", String(workers)],
  strategy: Strategy.workerPool({ workers })
})

const same = (files: number, size: number) => Workload.make(Array.from({ length: files }, () => size))

const isNear = (actual: number, expected: number, part: number) =>
  assert.isBelow(Math.abs(actual - expected) / expected, part, `${actual} instead of ${expected}`)

describe("Forecast", () => {
  it.effect("predicts a pool as a simple calculation would", () =>
    Effect.gen(function*() {
      // Two files of 1.1 s each, one after the other, on each of four connections.
      const forecast = yield* Forecast.run(same(8, 1e6), pool(4), settings())
      isNear(forecast.millis, 2 * (1_000 + 100), 0.02)
      isNear(forecast.bytesPerSecond, 8e6 / 2.2, 0.02)
      assert.deepStrictEqual(
        [forecast.peakInFlight, forecast.retries, forecast.failed, forecast.simulated],
        [4, 0, 0, 8]
      )
      assert.isTrue(forecast.moments.every(({ inFlight, limit }) => inFlight <= 4 && limit === 4))
      assert.strictEqual(forecast.moments.at(-1)?.bytes, 8e6)
    }))

  it.effect("shares the link, and takes the server's time into account", () =>
    Effect.gen(function*() {
      const shared = yield* Forecast.run(same(64, 1e6), pool(64), settings({ link: [{ at: 0, bytesPerSecond: 8e6 }] }))
      isNear(shared.millis, 8_000 + 100, 0.05)
      const slow = yield* Forecast.run(same(10, 0), pool(1), settings({ requestMillis: 900 }))
      isNear(slow.millis, 10 * 1_000, 0.001)
    }))

  it.effect("follows a link that changes", () =>
    Effect.gen(function*() {
      // 8 MB in the first second, and 4 s for as much again.
      const link = [{ at: 0, bytesPerSecond: 8e6 }, { at: 1_100, bytesPerSecond: 2e6 }]
      const { millis } = yield* Forecast.run(same(16, 1e6), pool(16), settings({ link }))
      isNear(millis, 1_100 + 4_000, 0.05)
    }))

  it.effect("reports retries, files that fail, and a server that refuses", () =>
    Effect.gen(function*() {
      const flaky = yield* Forecast.run(same(400, 1_000), pool(16), settings({ errors: 0.1 }))
      assert.isAbove(flaky.retries, 20)
      assert.strictEqual(flaky.failed, 0)
      const broken = yield* Forecast.run(same(40, 1_000), pool(16), settings({ errors: 1 }))
      assert.strictEqual(broken.failed, 40)
      assert.strictEqual(broken.bytesPerSecond, 0)
      const refusing = yield* Forecast.run(same(100, 1_000), pool(16), settings({ throttleAbove: 4 }))
      assert.isAbove(refusing.retries, 0)
    }))

  it.effect("draws a large workload out from samples", () =>
    Effect.gen(function*() {
      const sizes = Array.from({ length: 6_000 }, (_, i) => i % 500 === 0 ? 30e6 : (i * 7_919) % 200_000)
      const workload = Workload.make(sizes)
      const run = (mostRequests: number) => Forecast.run(workload, pool(16), { ...settings(), mostRequests })
      const exact = yield* run(100_000)
      const drawn = yield* run(800)
      assert.strictEqual(exact.simulated, 6_000)
      assert.isAtMost(drawn.simulated, 800)
      isNear(drawn.millis, exact.millis, 0.1)
    }))

  it.effect("is the same for the same seed", () =>
    Effect.gen(function*() {
      const forecast = Forecast.run(same(100, 50_000), pool(8), settings({ errors: 0.05 }))
      assert.deepStrictEqual(yield* forecast, yield* forecast)
    }))

  it("recommends the adaptive strategy, unless another is much faster or fails less", () => {
    const forecast = (name: string, millis: number, failed = 0): Forecast.Forecast => ({
      name,
      detail: "",
      flags: [],
      millis,
      bytesPerSecond: 0,
      peakInFlight: 0,
      retries: 0,
      failed,
      simulated: 0,
      moments: [],
      simulatedMillis: 0
    })
    const best = (...forecasts: ReadonlyArray<Forecast.Forecast>) => Forecast.best(forecasts)?.name
    const adaptive = forecast("adaptive", 109_000)
    assert.strictEqual(best(adaptive, forecast("pool", 100_000)), "adaptive")
    assert.strictEqual(best(adaptive, forecast("pool", 99_000)), "pool")
    assert.strictEqual(best(forecast("adaptive", 50_000, 1), forecast("pool", 100_000)), "pool")
    assert.strictEqual(best(forecast("adaptive", 2_500), forecast("pool", 600)), "adaptive")
    assert.strictEqual(best(forecast("small pool", 104_000), forecast("large pool", 100_000)), "small pool")
    assert.strictEqual(best(), undefined)
  })
})

describe("Workload", () => {
  const terms: Workload.Terms = { partSize: 8e6, requestMillis: 100, bytesPerSecond: 1e6 }

  it.effect("takes the sizes of a list, and counts items without a size", () =>
    Effect.gen(function*() {
      const stream = Stream.make(
        UploadFile.fromText("a", "abc"),
        UploadFile.fromText("b", ""),
        { _tag: "Skipped" as const, file: { key: "c", size: undefined }, reason: "a link" }
      )
      assert.deepStrictEqual(yield* Workload.fromItems(stream), { sizes: [3, 0], bytes: 3, leftOut: 1 })
    }))

  it("knows how many requests a file is", () => {
    assert.deepStrictEqual(
      [0, 8e6, 8e6 + 1, 80e6, 1e15].map((size) => Workload.requestsOf(size, terms)),
      [1, 1, 4, 12, 10_002]
    )
  })

  it("samples about as much as it may, with representative sizes", () => {
    const workload = Workload.make(Array.from({ length: 5_000 }, (_, i) => (i * 7_919) % 5_000))
    const [half, full] = Workload.samples(workload, terms, 1_000)!
    assert.deepStrictEqual([half.sizes.length, full.sizes.length], [500, 1_000])
    for (const { sizes } of [half, full]) {
      isNear(sizes.reduce((sum, size) => sum + size, 0) / sizes.length, 2_500, 0.01)
    }
    // In the order of the list.
    assert.isBelow(workload.sizes.indexOf(full.sizes[0]!), workload.sizes.indexOf(full.sizes[1]!))
    assert.strictEqual(Workload.samples(workload, terms, 5_000), undefined)
    const [, giants] = Workload.samples(Workload.make([1e12, 1e12]), terms, 100)!
    assert.strictEqual(giants.sizes.length, 1)
  })
})

describe("Candidates", () => {
  const names = (changes: Partial<Candidates.Options>) =>
    Either.map(
      Candidates.make({
        network,
        whole: Workload.all(same(10, 1e6), { partSize: 8e6, requestMillis: 100, bytesPerSecond: 1e6 }),
        workers: undefined,
        rate: undefined,
        only: [],
        ...changes
      }),
      (candidates) => candidates.map(({ detail, name }) => `${name} ${detail}`)
    )

  it("tries reasonable strategies", () => {
    assert.deepStrictEqual(
      names({}),
      Either.right([
        "adaptive up to 64",
        "adaptive up to 256",
        "worker pool 4 workers",
        "worker pool 16 workers",
        "worker pool 64 workers",
        "unlimited over 256 connections"
      ])
    )
  })

  it("tries the given strategies", () => {
    assert.deepStrictEqual(
      names({ only: ["pool", "rate"], workers: 10, rate: 2.5 }),
      Either.right([
        "worker pool 4 workers",
        "worker pool 10 workers",
        "worker pool 16 workers",
        "worker pool 64 workers",
        "rate limited 2.5 starts a second"
      ])
    )
    assert.isTrue(Either.isLeft(names({ only: ["rate"] })))
  })

  it("tries a pool and a rate that a server takes which refuses the rest", () => {
    // Ten requests of 1.1 s: 20 in flight are 18 starts a second, and a tenth less is safe.
    assert.deepStrictEqual(
      names({ network: { ...network, throttleAbove: 20 }, only: ["pool", "rate"] }),
      Either.right([
        "worker pool 4 workers",
        "worker pool 16 workers",
        "worker pool 20 workers",
        "worker pool 64 workers",
        "rate limited 16 starts a second"
      ])
    )
  })
})
