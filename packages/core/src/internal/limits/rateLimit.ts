/**
 * Starts per second: how often an upload attempt may begin.
 *
 * Starts are spaced evenly, beginning with the first, and granted in FIFO order. In any window of a whole number of
 * milliseconds there are never more starts than rate × window, rounded up; there is no burst at the beginning or after
 * a pause. (`effect/RateLimiter` lets a whole window start at once, rounds a token's time up to whole milliseconds, so
 * that 900 a second become 500, and cannot change its rate.) The limiter makes up for timers that fire late, as real
 * ones do, with at most 20 ms' worth of starts.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Decode from "../values/decode.js"
import { Pacer } from "./pacer.js"

export interface RateLimit {
  /** For limits that are part of this one. */
  readonly pacer: Pacer
  /** Starts per second; `Infinity` when there is no limit. */
  readonly uploadsPerSecond: number
  /** The number of takes waiting. */
  readonly waiting: number
  /** Takes a start now and returns `true`, or returns `false`. */
  readonly unsafeTake: (clock: Clock.Clock) => boolean
  /** Waits in line for the next start. */
  readonly take: Effect.Effect<void>
  /** Holds all starts for this many milliseconds from now; a longer hold stays in force. */
  readonly unsafeHold: (clock: Clock.Clock, millis: number) => void
  /**
   * Changes the rate; waiting takes are recalculated at the new rate. With 0 nothing starts until it is raised again;
   * `NaN` and negative numbers die with a `RangeError`.
   */
  readonly setRate: (uploadsPerSecond: number) => Effect.Effect<void>
}

/**
 * A limit of `uploadsPerSecond` starts, more than 0, or `Infinity` for no limit. Throws a `RangeError` for anything
 * else. Each start is also one of `whole`, if there is one, and the first in line asks the `gate` before it goes.
 */
export const make = (
  uploadsPerSecond: number,
  options: { readonly whole?: RateLimit | undefined; readonly gate?: Effect.Effect<void> | undefined } = {}
): RateLimit => {
  const pacer = new Pacer({
    rate: Decode.rate("uploadsPerSecond", uploadsPerSecond),
    burst: () => 1,
    startsFull: true,
    whole: options.whole?.pacer,
    gate: options.gate
  })
  return {
    pacer,
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
