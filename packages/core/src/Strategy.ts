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
 * @since 0.1.0
 */
import * as AdaptiveConcurrency from "./AdaptiveConcurrency.js"
import * as AdaptiveRate from "./AdaptiveRate.js"
import type * as ByteSize from "./ByteSize.js"
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

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const tightest = (all: ReadonlyArray<Settings>): Settings => ({
  concurrency: Math.min(...all.map((settings) => settings.concurrency)),
  uploadsPerSecond: Math.min(...all.map((settings) => settings.uploadsPerSecond)),
  bytesPerSecond: Math.min(...all.map((settings) => settings.bytesPerSecond))
})

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
