/**
 * A start rate that follows response times: it halves when responses take over 5 s on average, and doubles when they
 * take under 1 s.
 *
 * {@link next} is the whole rule, as a pure function. {@link controller} applies it to a running uploader: every 5 s,
 * it averages the attempts that have succeeded since, and does nothing if none has. If the destination throttled any
 * attempt, the rate halves whatever the others took: a refusal comes quickly, but is not a reason to go faster.
 *
 * The rule does not know the destination's capacity and never settles at it. From a base of 4, with a destination that
 * refuses more than 10 a second, the rate alternates between 8 and 16 every 5 s: 87 % of the 10 are used, and a quarter
 * of all requests are refused. If the destination queues everything above 10 a second instead, response times lag
 * behind: the rate swings from 0.25, its floor, to 32 and back every 90 s, and 73 % of the 10 are used. Where that
 * matters, set the rate with `Strategy.rateLimited`, or use `Strategy.adaptive`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Decode from "./internal/values/decode.js"
import type { Controller } from "./Limits.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The rate to start from, in uploads per second. */
  readonly base: number
  /** The lowest rate. Defaults to a sixteenth of `base`. */
  readonly floor?: number | undefined
  /** The highest rate. Defaults to 16 × `base`. */
  readonly ceiling?: number | undefined
  /** The mean response time over which the rate halves. Defaults to 5 seconds. */
  readonly slow?: Duration.DurationInput | undefined
  /** The mean response time under which the rate doubles. Defaults to 1 second. */
  readonly fast?: Duration.DurationInput | undefined
  /** How often the rate is adjusted. Defaults to 5 seconds. */
  readonly interval?: Duration.DurationInput | undefined
}

/**
 * The rate after responses that took `meanMillis` on average.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { AdaptiveRate } from "@sluice/core"
 *
 * const options = { base: 10 }
 * assert.strictEqual(AdaptiveRate.next(options, 10, 6_000), 5)
 * assert.strictEqual(AdaptiveRate.next(options, 10, 400), 20)
 * assert.strictEqual(AdaptiveRate.next(options, 10, 3_000), 10)
 * ```
 *
 * @since 0.1.0
 * @category transitions
 */
export const next = (options: Options, uploadsPerSecond: number, meanMillis: number): number => {
  if (meanMillis > Duration.toMillis(options.slow ?? defaults.slow)) {
    return Math.max(options.floor ?? options.base / defaults.range, uploadsPerSecond / 2)
  }
  if (meanMillis < Duration.toMillis(options.fast ?? defaults.fast)) {
    return Math.min(options.ceiling ?? options.base * defaults.range, uploadsPerSecond * 2)
  }
  return uploadsPerSecond
}

/**
 * The rate to start from: `base`, within the floor and the ceiling. Throws a `RangeError` if an option is invalid.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial = (options: Options): number => {
  const { base, ceiling, floor } = decode(options)
  return Math.min(ceiling, Math.max(floor, base))
}

/**
 * Applies {@link next} to an uploader's rate while it runs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const controller = (options: Options): Controller => ({
  name: "adaptiveRate",
  start: (limits) =>
    Effect.gen(function*() {
      const { interval } = decode(options)
      let succeeded = 0
      let totalMillis = 0
      let throttled = false
      const adjust = Effect.suspend(() => {
        if (succeeded === 0 && !throttled) return Effect.void
        const mean = throttled ? Infinity : totalMillis / succeeded
        succeeded = 0
        totalMillis = 0
        throttled = false
        return Effect.flatMap(limits.current, ({ uploadsPerSecond }) =>
          limits.set({ uploadsPerSecond: next(options, uploadsPerSecond, mean) }))
      })
      yield* Effect.sleep(interval).pipe(
        Effect.zipRight(adjust),
        Effect.forever,
        Effect.interruptible,
        Effect.forkScoped
      )
      return ({ durationMillis, outcome }) => {
        if (outcome === "Throttled") {
          throttled = true
        }
        if (outcome !== "Succeeded") {
          return
        }
        succeeded += 1
        totalMillis += durationMillis
      }
    })
})

/**
 * The options' defaults; the ceiling is `range` × `base`, and the floor is `base` / `range`.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  slow: "5 seconds",
  fast: "1 second",
  interval: "5 seconds",
  range: 16
} as const

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const decode = ({ base, ceiling, fast, floor, interval, slow }: Options) => ({
  base: Decode.rate("base", base),
  floor: floor === undefined ? 0 : Decode.rate("floor", floor),
  ceiling: ceiling === undefined ? Infinity : Decode.rate("ceiling", ceiling),
  slow: Decode.millis("slow", slow ?? defaults.slow, { orNone: true }),
  fast: Decode.millis("fast", fast ?? defaults.fast, { orNone: true }),
  interval: Decode.millis("interval", interval ?? defaults.interval)
})
