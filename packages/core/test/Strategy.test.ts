import { assert, describe, it } from "@effect/vitest"
import { Strategy } from "@sluice/core"
import type { Limits } from "@sluice/core"
import { ConfigProvider, Effect, Option } from "effect"
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

describe("Strategy.parse", () => {
  const parsed = (text: string) =>
    Option.getOrUndefined(Option.map(Strategy.parse(text), (strategy) => [strategy.name, settings(strategy)]))

  it("reads the words of the command line", () => {
    const texts: ReadonlyArray<readonly [text: string, name: string, limits: Partial<Limits.Settings>]> = [
      ["unlimited", "unlimited", {}],
      ["pool:64", "workerPool", { concurrency: 64 }],
      ["rate:100", "rateLimited", { uploadsPerSecond: 100 }],
      ["rate:100/s", "rateLimited", { uploadsPerSecond: 100 }],
      ["rate:.5/s", "rateLimited", { uploadsPerSecond: 0.5 }],
      ["rate:3000/m", "rateLimited", { uploadsPerSecond: 50 }],
      ["rate:3000/min", "rateLimited", { uploadsPerSecond: 50 }],
      ["rate: 7200 / H", "rateLimited", { uploadsPerSecond: 2 }],
      ["bandwidth:10MiB/s", "bandwidth", { bytesPerSecond: 10 * 1024 ** 2 }],
      ["bandwidth:500kB", "bandwidth", { bytesPerSecond: 500_000 }],
      ["adaptive", "adaptive", { concurrency: 4 }],
      ["progressive", "adaptive", { concurrency: 4 }],
      ["adaptive:2", "adaptive", { concurrency: 2 }],
      [" pool:8 + rate:5/s + bandwidth:2M ", "workerPool+rateLimited+bandwidth", {
        concurrency: 8,
        uploadsPerSecond: 5,
        bytesPerSecond: 2 * 1024 ** 2
      }]
    ]
    assert.deepStrictEqual(
      texts.map(([text]) => parsed(text)),
      texts.map(([, name, limits]) => [name, { ...none, ...limits }])
    )
  })

  it("stacks only if there are several, and keeps the controllers", () => {
    assert.strictEqual(Option.getOrThrow(Strategy.parse("unlimited")), Strategy.unlimited)
    const { controllers } = Option.getOrThrow(Strategy.parse("adaptive:16+rate:5"))
    assert.deepStrictEqual(controllers.map(({ name }) => name), ["adaptive"])
  })

  it("reads nothing else", () => {
    const texts = [
      "",
      "+",
      "pool",
      "pool:",
      "pool:0",
      "pool:1.5",
      "pool:auto",
      "pool:1e3",
      "pool:99999999999999999999",
      "Pool:4",
      "rate:0",
      "rate:5/d",
      "rate",
      "bandwidth:10",
      "bandwidth:0kB",
      "bandwidth",
      "adaptive:",
      "adaptive:0",
      "unlimited:4",
      "constructor",
      "pool:4+",
      "pool:4,rate:5"
    ]
    assert.deepStrictEqual(texts.filter((text) => Option.isSome(Strategy.parse(text))), [])
  })
})

describe("Strategy.config", () => {
  it.effect("reads a strategy, and refuses anything else by name", () =>
    Effect.gen(function*() {
      const read = (text: string) =>
        Strategy.config("STRATEGY").pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["STRATEGY", text]]))),
          Effect.mapError(String)
        )
      assert.strictEqual((yield* read("pool:3")).concurrency, 3)
      assert.strictEqual(
        yield* Effect.flip(read("pol:3")),
        "(Invalid data at STRATEGY: \"Expected a strategy, such as adaptive, pool:64, rate:100/s, bandwidth:10MiB/s, " +
          "unlimited or several joined by +, but received \"pol:3\"\")"
      )
    }))
})
