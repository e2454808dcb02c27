/**
 * Strategies: how many uploads run at once, and how fast. A strategy is a value, and strategies stack: the tightest
 * value of each limit holds.
 *
 * | strategy | uploads in flight | starts per second | bytes per second |
 * |---|---|---|---|
 * | {@link unlimited} | all | | |
 * | {@link workerPool} | `workers` | | |
 * | {@link rateLimited} | all | `uploadsPerSecond` | |
 * | {@link adaptive}, {@link progressive} | tunes itself | | |
 * | {@link adaptiveRate} | all | follows response times | |
 * | {@link bandwidth} | all | | `bytesPerSecond` |
 *
 * An upload in flight costs a fiber: about 7 KiB of memory with its timer, plus whatever its destination holds. Under
 * {@link unlimited} a hundred thousand files are a hundred thousand fibers. The number of open files is bounded
 * separately, by the file source and by the destination: see `FilesNode` and `LocalDirectory`.
 *
 * {@link parse} reads a strategy from text, such as `pool:64`, and {@link config} from the configuration.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as AdaptiveConcurrency from "./AdaptiveConcurrency.js"
import * as AdaptiveRate from "./AdaptiveRate.js"
import * as ByteSize from "./ByteSize.js"
import * as Decode from "./internal/values/decode.js"
import type { Controller, Settings } from "./Limits.js"
import * as AdaptiveMachine from "./unstable/AdaptiveMachine.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Strategy extends Settings {
  /** Its name in reports and plots. */
  readonly name: string
  /** Programs that adjust the limits while uploads run. */
  readonly controllers: ReadonlyArray<Controller>
}

/**
 * Everything at once: each file starts as soon as it is listed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unlimited: Strategy = {
  name: "unlimited",
  concurrency: Infinity,
  uploadsPerSecond: Infinity,
  bytesPerSecond: Infinity,
  controllers: []
}

/**
 * At most `workers` uploads in flight: a whole number of at least 1; fractions are cut off. Throws a `RangeError` for
 * anything else.
 *
 * @since 0.1.0
 * @category constructors
 */
export const workerPool = (options: { readonly workers: number }): Strategy => ({
  ...unlimited,
  name: "workerPool",
  concurrency: Decode.count("workers", options.workers)
})

/**
 * At most `uploadsPerSecond` starts a second, evenly spaced; fractions are allowed. The number in flight is not
 * bounded: to bound it, stack this strategy on a {@link workerPool}. Throws a `RangeError` unless it is above 0; to
 * pause, set the live limit in `Limits` to 0.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rateLimited = (options: { readonly uploadsPerSecond: number }): Strategy => ({
  ...unlimited,
  name: "rateLimited",
  uploadsPerSecond: Decode.rate("uploadsPerSecond", options.uploadsPerSecond)
})

/**
 * A start rate that halves when responses take over 5 s on average, and doubles when they take under 1 s.
 *
 * @since 0.1.0
 * @category constructors
 */
export const adaptiveRate = (options: AdaptiveRate.Options): Strategy => ({
  ...unlimited,
  name: "adaptiveRate",
  uploadsPerSecond: AdaptiveRate.initial(options),
  controllers: [AdaptiveRate.controller(options)]
})

/**
 * Enough uploads in flight to make the whole run faster, tuned while they run: between `min`, which defaults to 1, and
 * `max`, which defaults to 64, beginning with `initial`, which defaults to 4. See `AdaptiveConcurrency`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const adaptive = (options: AdaptiveConcurrency.Options = {}): Strategy => ({
  ...unlimited,
  name: "adaptive",
  concurrency: AdaptiveMachine.initial(options).limit,
  controllers: [AdaptiveConcurrency.controller(options)]
})

/**
 * Another name for {@link adaptive}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const progressive: typeof adaptive = adaptive

/**
 * At most `bytesPerSecond` across all uploads. Throws a `RangeError` unless it is above 0.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bandwidth = (options: { readonly bytesPerSecond: ByteSize.ByteSizeInput }): Strategy => ({
  ...unlimited,
  name: "bandwidth",
  bytesPerSecond: Decode.byteRate("bytesPerSecond", options.bytesPerSecond)
})

/**
 * Combines strategies: the tightest value of each limit holds, and every controller runs.
 *
 * @example
 * ```ts
 * import { Strategy } from "@sluice/core"
 *
 * const gentle = Strategy.stack(
 *   Strategy.workerPool({ workers: 8 }),
 *   Strategy.rateLimited({ uploadsPerSecond: 50 }),
 *   Strategy.bandwidth({ bytesPerSecond: "10 MiB" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const stack = (...strategies: ReadonlyArray<Strategy>): Strategy => ({
  name: strategies.map((strategy) => strategy.name).join("+"),
  ...tightest(strategies),
  controllers: strategies.flatMap((strategy) => {
    const others = tightest(strategies.filter((other) => other !== strategy))
    return strategy.controllers.map((controller) => within(others, controller))
  })
})

/**
 * The number of workers that suits a machine: four for each CPU, since uploads wait far more than they compute, and at
 * most half of the files that the process may open, since an upload may hold one file and one connection.
 *
 * @since 0.1.0
 * @category sizing
 */
export const optimalWorkerCount = (machine: { readonly cpus: number; readonly openFiles: number }): number =>
  Math.max(
    1,
    Math.min(
      Decode.count("cpus", machine.cpus, 0) * 4,
      Math.floor((Decode.count("openFiles", machine.openFiles, 0) - reservedFiles) / 2)
    )
  )

/**
 * Reads a strategy from text, in the words of the command line; `None` for anything else.
 *
 * | text | strategy |
 * |---|---|
 * | `unlimited` | {@link unlimited} |
 * | `adaptive`, `adaptive:128`, `progressive` | {@link adaptive}, with a number as its `max` |
 * | `pool:64` | {@link workerPool} |
 * | `rate:100/s`, `rate:3000/m`, `rate:10/h` | {@link rateLimited}; a number without a unit is per second |
 * | `bandwidth:10MiB/s`, `bandwidth:500kB` | {@link bandwidth}; the size needs a unit |
 * | `pool:64+rate:100/s` | the {@link stack} of them |
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Strategy } from "@sluice/core"
 * import { Option } from "effect"
 *
 * const strategy = Option.getOrThrow(Strategy.parse("pool:64+rate:100/s"))
 * assert.strictEqual(strategy.concurrency, 64)
 * assert.strictEqual(strategy.uploadsPerSecond, 100)
 * assert.deepStrictEqual(Strategy.parse("pool:many"), Option.none())
 * ```
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): Option.Option<Strategy> =>
  Option.map(
    Option.all(text.split("+").map(parseOne)),
    (strategies) => strategies.length === 1 ? strategies[0]! : stack(...strategies)
  )

/**
 * A strategy from the configuration, as {@link parse} reads it: `STRATEGY=pool:64`. Anything else is `InvalidData`.
 *
 * @example
 * ```ts
 * import { Strategy, Uploader } from "@sluice/core"
 * import { Config } from "effect"
 *
 * const UploaderLayer = Uploader.layerConfig({
 *   strategy: Config.withDefault(Strategy.config("STRATEGY"), Strategy.adaptive())
 * })
 * ```
 *
 * @since 0.1.0
 * @category config
 */
export const config = (name?: string): Config.Config<Strategy> => {
  const strategy = Config.primitive(
    "a strategy, such as adaptive or pool:64",
    (text) => Either.fromOption(parse(text), () => ConfigError.InvalidData([], noStrategy(text)))
  )
  return name === undefined ? strategy : Config.nested(strategy, name)
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const tightest = (all: ReadonlyArray<Settings>): Settings => ({
  concurrency: Math.min(...all.map((settings) => settings.concurrency)),
  uploadsPerSecond: Math.min(...all.map((settings) => settings.uploadsPerSecond)),
  bytesPerSecond: Math.min(...all.map((settings) => settings.bytesPerSecond))
})

const noStrategy = (text: string): string =>
  "Expected a strategy, such as adaptive, pool:64, rate:100/s, bandwidth:10MiB/s, unlimited or several joined by +, " +
  `but received ${JSON.stringify(text)}`

/** One strategy: a word, and a value after a colon. */
const parseOne = (text: string): Option.Option<Strategy> => {
  const [, word = "", value] = /^([a-z]+)(?::(.+))?$/.exec(text.trim()) ?? []
  return Option.flatMap(Record.get(parsers, word), (parser) => parser(value))
}

const parsers: Readonly<Record<string, (value: string | undefined) => Option.Option<Strategy>>> = {
  unlimited: (value) => value === undefined ? Option.some(unlimited) : Option.none(),
  adaptive: (value) => parseAdaptive(value),
  progressive: (value) => parseAdaptive(value),
  pool: (value = "") => Option.map(parseCount(value), (workers) => workerPool({ workers })),
  rate: (value = "") => Option.map(parseRate(value), (uploadsPerSecond) => rateLimited({ uploadsPerSecond })),
  bandwidth: (value = "") => Option.map(parseBandwidth(value), (bytesPerSecond) => bandwidth({ bytesPerSecond }))
}

const parseAdaptive = (value: string | undefined): Option.Option<Strategy> =>
  value === undefined ? Option.some(adaptive()) : Option.map(parseCount(value), (max) => adaptive({ max }))

const parseCount = (text: string): Option.Option<number> =>
  Option.filter(
    /^\d+$/.test(text) ? Option.some(Number(text)) : Option.none(),
    (count) => count >= 1 && Number.isSafeInteger(count)
  )

const parseRate = (text: string): Option.Option<number> => {
  const [, digits, unit = "s"] = /^(\d+(?:\.\d+)?|\.\d+)(?:\/(s|m|min|h))?$/i.exec(text.replaceAll(" ", "")) ?? []
  const rate = Number(digits) / (secondsOf[unit.toLowerCase()] ?? 1)
  return rate > 0 && Number.isFinite(rate) ? Option.some(rate) : Option.none()
}

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600 }

/** With a unit: a bare `10` usually means MiB. */
const parseBandwidth = (text: string): Option.Option<number> => {
  const size = text.replace(/\s*\/\s*s$/i, "")
  return Option.filter(/[a-z]\s*$/i.test(size) ? ByteSize.parse(size) : Option.none(), (bytes) => bytes > 0)
}

/** A controller that cannot raise a limit above the ceilings. */
const within = (ceilings: Settings, controller: Controller): Controller => ({
  name: controller.name,
  start: (limits) =>
    controller.start({
      ...limits,
      set: ({ bytesPerSecond, concurrency, uploadsPerSecond }, reason) =>
        limits.set({
          ...(concurrency !== undefined && { concurrency: Math.min(concurrency, ceilings.concurrency) }),
          ...(uploadsPerSecond !== undefined &&
            { uploadsPerSecond: Math.min(uploadsPerSecond, ceilings.uploadsPerSecond) }),
          ...(bytesPerSecond !== undefined && { bytesPerSecond: Math.min(bytesPerSecond, ceilings.bytesPerSecond) })
        }, reason)
    })
})

/** Files that every process has open: its streams, its event loop, its libraries. */
const reservedFiles = 32
