import { assert, describe, it } from "@effect/vitest"
import { Strategy } from "@sluice/core"
import type { Limits } from "@sluice/core"
import * as fc from "fast-check"

const settings = ({ bytesPerSecond, concurrency, uploadsPerSecond }: Limits.Settings) => ({
  concurrency,
  uploadsPerSecond,
  bytesPerSecond
})

const none = { concurrency: Infinity, uploadsPerSecond: Infinity, bytesPerSecond: Infinity }

describe("a strategy", () => {
  it("limits what its name says, and nothing else", () => {
    const { adaptiveRate, bandwidth, rateLimited, unlimited, workerPool } = Strategy
    assert.deepStrictEqual(settings(unlimited), none)
    assert.deepStrictEqual(settings(workerPool({ workers: 8 })), { ...none, concurrency: 8 })
    assert.deepStrictEqual(settings(rateLimited({ uploadsPerSecond: 0.5 })), { ...none, uploadsPerSecond: 0.5 })
    assert.deepStrictEqual(settings(adaptiveRate({ base: 7 })), { ...none, uploadsPerSecond: 7 })
    assert.deepStrictEqual(settings(bandwidth({ bytesPerSecond: "1 MiB" })), { ...none, bytesPerSecond: 1024 ** 2 })
    assert.deepStrictEqual(settings(bandwidth({ bytesPerSecond: Infinity })), none)
    assert.throws(() => bandwidth({ bytesPerSecond: "fast" }), RangeError)
    const all = [
      unlimited,
      workerPool({ workers: 1 }),
      rateLimited({ uploadsPerSecond: 1 }),
      adaptiveRate({ base: 1 }),
      bandwidth({ bytesPerSecond: 1 })
    ]
    assert.deepStrictEqual(all.map(({ name }) => name), [
      "unlimited",
      "workerPool",
      "rateLimited",
      "adaptiveRate",
      "bandwidth"
    ])
    assert.deepStrictEqual(all.map(({ controllers }) => controllers.map(({ name }) => name)), [
      [],
      [],
      [],
      ["adaptiveRate"],
      []
    ])
  })

  it("that adapts starts with the given value, within its bounds, and is also called progressive", () => {
    const starts = [{}, { initial: 9 }, { min: 6 }, { max: 3 }, { min: 1.5, max: 1.9 }].map((options) =>
      Strategy.adaptive(options).concurrency
    )
    assert.deepStrictEqual(starts, [4, 9, 6, 3, 1])
    assert.strictEqual(Strategy.progressive, Strategy.adaptive)
    const { controllers, ...rest } = Strategy.stack(Strategy.adaptive(), Strategy.workerPool({ workers: 2 }))
    assert.deepStrictEqual([rest.name, rest.concurrency], ["adaptive+workerPool", 2])
    assert.deepStrictEqual(controllers.map(({ name }) => name), ["adaptive"])
  })

  it("of a pool has whole workers", () => {
    const sizes = [1, 1.5, 2.9].map((workers) => Strategy.workerPool({ workers }).concurrency)
    assert.deepStrictEqual(sizes, [1, 1, 2])
  })
})

describe("Strategy.stack", () => {
  const limit = fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 100 }))
  const strategy: fc.Arbitrary<Strategy.Strategy> = fc.record({
    name: fc.string(),
    concurrency: limit,
    uploadsPerSecond: limit,
    bytesPerSecond: limit,
    controllers: fc.constant([])
  })
  const property = (check: (a: Strategy.Strategy, b: Strategy.Strategy, c: Strategy.Strategy) => void) =>
    fc.assert(fc.property(strategy, strategy, strategy, check), { numRuns: 1_000 })

  it("is the tightest of each limit", () => {
    property((a, b, c) => {
      assert.deepStrictEqual(settings(Strategy.stack(a, b, c)), {
        concurrency: Math.min(a.concurrency, b.concurrency, c.concurrency),
        uploadsPerSecond: Math.min(a.uploadsPerSecond, b.uploadsPerSecond, c.uploadsPerSecond),
        bytesPerSecond: Math.min(a.bytesPerSecond, b.bytesPerSecond, c.bytesPerSecond)
      })
    })
  })

  it("does not depend on order or on nesting, and unlimited changes nothing", () => {
    const { stack, unlimited } = Strategy
    property((a, b, c) => {
      assert.deepStrictEqual(settings(stack(a, b)), settings(stack(b, a)))
      assert.deepStrictEqual(settings(stack(stack(a, b), c)), settings(stack(a, stack(b, c))))
      assert.deepStrictEqual(settings(stack(a, unlimited)), settings(a))
      assert.deepStrictEqual(settings(stack(unlimited, a)), settings(a))
      assert.deepStrictEqual(settings(stack(a, a)), settings(a))
    })
    assert.deepStrictEqual(settings(stack()), none)
  })

  it("runs every controller, and names every strategy", () => {
    const stacked = Strategy.stack(
      Strategy.workerPool({ workers: 8 }),
      Strategy.adaptiveRate({ base: 1 }),
      Strategy.stack(Strategy.adaptiveRate({ base: 2 }), Strategy.unlimited)
    )
    assert.strictEqual(stacked.name, "workerPool+adaptiveRate+adaptiveRate+unlimited")
    assert.deepStrictEqual(stacked.controllers.map(({ name }) => name), ["adaptiveRate", "adaptiveRate"])
  })
})

describe("Strategy.optimalWorkerCount", () => {
  it("is four for each CPU, and half of the files that may be open at most", () => {
    const counts = [
      [{ cpus: 1, openFiles: 1_024 }, 4],
      [{ cpus: 8, openFiles: 1_024 }, 32],
      [{ cpus: 64, openFiles: 256 }, 112],
      [{ cpus: 8, openFiles: 64 }, 16],
      [{ cpus: 8, openFiles: 33 }, 1],
      [{ cpus: 8, openFiles: 0 }, 1],
      [{ cpus: 8, openFiles: Infinity }, 32],
      [{ cpus: 0, openFiles: 1_024 }, 1]
    ] as const
    assert.deepStrictEqual(
      counts.map(([machine]) => Strategy.optimalWorkerCount(machine)),
      counts.map(([, count]) => count)
    )
  })
})
