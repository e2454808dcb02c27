/**
 * Starts per second: how often an upload attempt may begin.
 *
 * Starts are spaced evenly, from the first one on, and come in the order of asking. In any window of a whole number of
 * milliseconds there are never more starts than rate × window, rounded up; and there is no burst at the beginning, nor
 * after a pause. (`effect/RateLimiter` lets a whole window go at once, rounds a token's time up to whole milliseconds,
 * so that 900 a second become 500, and cannot change its rate.) Timers that fire late, as real ones do, are made up for
 * by at most 20 ms of starts.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Pacer } from "./internal/limits/pacer.js"
import * as Decode from "./internal/values/decode.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface RateLimit {
  /** Starts per second; `Infinity` when there is no limit. */
  readonly uploadsPerSecond: number
  /** How many takes are waiting. */
  readonly waiting: number
  /** Takes a start now and answers `true`, or answers `false`. */
  readonly unsafeTake: (clock: Clock.Clock) => boolean
  /** Waits in line for the next start. */
  readonly take: Effect.Effect<void>
  /** Lets nothing start for so many milliseconds from now; a hold that lasts longer stays. */
  readonly unsafeHold: (clock: Clock.Clock, millis: number) => void
  /**
   * Changes the rate. Whoever waits is reckoned anew, at the new rate. With 0 nothing starts until it is raised again;
   * `NaN` and negative numbers die as a `RangeError`.
   */
  readonly setRate: (uploadsPerSecond: number) => Effect.Effect<void>
}

/**
 * A limit of `uploadsPerSecond` starts, more than 0; `Infinity` for none. Throws a `RangeError` for anything else.
 *
 * @example
 * ```ts
 * import { RateLimit } from "@sluice/core"
 * import { Effect } from "effect"
 *
 * const limit = RateLimit.make(50)
 * const ping = Effect.zipRight(limit.take, Effect.log("at most 50 of these a second"))
 * Effect.runFork(ping)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (uploadsPerSecond: number): RateLimit => {
  const pacer = new Pacer({ rate: Decode.rate("uploadsPerSecond", uploadsPerSecond), burst: () => 1, startsFull: true })
  return {
    get uploadsPerSecond() {
      return pacer.rate
    },
    get waiting() {
      return pacer.waiting
    },
    unsafeTake: (clock) => pacer.unsafeTake(clock, 1),
    take: pacer.take(1),
    unsafeHold: (clock, millis) => pacer.unsafeHold(clock, millis),
    setRate: (rate) => Effect.suspend(() => pacer.setRate(Decode.adjusted("uploadsPerSecond", rate)))
  }
}
