/**
 * The three limits of an uploader, adjustable while it runs: uploads in flight, starts per second, bytes per second.
 *
 * A {@link Controller} is a program that adjusts the limits while uploads run, from what it observes of them. Adaptive
 * strategies are controllers.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Bandwidth from "./internal/limits/bandwidth.js"
import * as InFlight from "./internal/limits/inFlight.js"
import * as RateLimit from "./internal/limits/rateLimit.js"
import * as Decode from "./internal/values/decode.js"

/**
 * The values of the limits. `Infinity` means no limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** Uploads in flight; at least 1, or 0 while they are paused. */
  readonly concurrency: number
  /** Starts of attempts per second; more than 0, or 0 while they are paused. */
  readonly uploadsPerSecond: number
  /** Bytes per second across all uploads; more than 0, or 0 while they are paused. */
  readonly bytesPerSecond: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /** The current values. */
  readonly current: Effect.Effect<Settings>
  /**
   * Changes some limits, with a short reason in plain words. A raised limit applies at once; a lowered one is reached
   * as attempts in flight end. Setting a limit to 0 pauses: whatever it holds up waits until the limit is raised again
   * by a caller, not by a strategy's controller. `NaN` and negative numbers die with a `RangeError` and change nothing.
   */
  readonly set: (settings: Partial<Settings>, reason?: string) => Effect.Effect<void>
  /** The reason for the last change, if one was given. */
  readonly reason: Effect.Effect<string | undefined>
  /** The budget of uploads in flight. Resize it with `set`, which notifies the runs. */
  readonly inFlight: InFlight.InFlight
  /** The limit on starts. */
  readonly rate: RateLimit.RateLimit
  /** The limit on bytes. */
  readonly bandwidth: Bandwidth.Bandwidth
}

/**
 * What a controller learns about one attempt that has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observation {
  readonly outcome: "Succeeded" | "Throttled" | "Failed"
  /** From the start of the attempt to the destination's answer. */
  readonly durationMillis: number
  /** Bytes that the destination acknowledged. */
  readonly bytes: number
  /** Attempts in flight when it ended, including this one. */
  readonly inFlight: number
  /** How long the destination asked to wait, in milliseconds, if it throttled and said so. */
  readonly retryAfterMillis?: number | undefined
}

/**
 * A program that adjusts the limits. `start` runs once per uploader, in its scope, and returns a function to call after
 * each attempt; that function must not block.
 *
 * @since 0.1.0
 * @category models
 */
export interface Controller {
  readonly name: string
  readonly start: (limits: Limits) => Effect.Effect<(observation: Observation) => void, never, Scope.Scope>
}

/**
 * Makes limits from `settings`; throws a `RangeError` for an invalid limit. `changed` is called after each change with
 * the new values and the reason.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  settings: Settings,
  changed: (settings: Settings, reason: string | undefined) => void = () => {}
): Limits => {
  const inFlight = InFlight.make(settings.concurrency)
  const rate = RateLimit.make(settings.uploadsPerSecond)
  const bandwidth = Bandwidth.make(settings.bytesPerSecond)
  const current = (): Settings => ({
    concurrency: inFlight.limit,
    uploadsPerSecond: rate.uploadsPerSecond,
    bytesPerSecond: bandwidth.bytesPerSecond
  })
  let lastReason: string | undefined = undefined
  return {
    inFlight,
    rate,
    bandwidth,
    current: Effect.sync(current),
    reason: Effect.sync(() => lastReason),
    set: (wanted, reason) =>
      Effect.flatMap(Effect.sync(() => decode(wanted)), (changes) =>
        Effect.all([
          changes.concurrency === undefined ? Effect.void : inFlight.resize(changes.concurrency),
          changes.uploadsPerSecond === undefined ? Effect.void : rate.setRate(changes.uploadsPerSecond),
          changes.bytesPerSecond === undefined ? Effect.void : bandwidth.setRate(changes.bytesPerSecond),
          Effect.sync(() => {
            lastReason = reason
            changed(current(), reason)
          })
        ], { discard: true }))
  }
}

/**
 * The same limits for a controller, which cannot raise a limit that a caller has paused.
 *
 * @since 0.1.0
 * @category combinators
 */
export const forController = (limits: Limits): Limits => ({
  ...limits,
  set: (changes, reason) =>
    Effect.flatMap(limits.current, (now) => {
      const { bytesPerSecond, concurrency, uploadsPerSecond } = changes
      const left = {
        ...(now.concurrency > 0 && concurrency !== undefined && { concurrency }),
        ...(now.uploadsPerSecond > 0 && uploadsPerSecond !== undefined && { uploadsPerSecond }),
        ...(now.bytesPerSecond > 0 && bytesPerSecond !== undefined && { bytesPerSecond })
      }
      return Object.keys(left).length === 0 ? Effect.void : limits.set(left, reason)
    })
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const decode = ({ bytesPerSecond, concurrency, uploadsPerSecond }: Partial<Settings>): Partial<Settings> => ({
  ...(concurrency !== undefined && { concurrency: wholeOrPaused(Decode.adjusted("concurrency", concurrency)) }),
  ...(uploadsPerSecond !== undefined && { uploadsPerSecond: Decode.adjusted("uploadsPerSecond", uploadsPerSecond) }),
  ...(bytesPerSecond !== undefined && { bytesPerSecond: Decode.adjusted("bytesPerSecond", bytesPerSecond) })
})

const wholeOrPaused = (concurrency: number): number => concurrency === 0 ? 0 : Math.max(1, Math.floor(concurrency))
