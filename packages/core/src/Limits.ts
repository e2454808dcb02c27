/**
 * The three knobs of an uploader, live: uploads in flight, starts per second, bytes per second.
 *
 * A {@link Controller} is a program that turns the knobs while uploads run, from what it observes of them. Adaptive
 * strategies plug in here.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Bandwidth from "./Bandwidth.js"
import * as InFlight from "./InFlight.js"
import * as Decode from "./internal/values/decode.js"
import * as RateLimit from "./RateLimit.js"

/**
 * Where the knobs stand. `Infinity` means no limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** Uploads in flight; at least 1, or 0 while they are paused. */
  readonly concurrency: number
  /** Starts of attempts per second; more than 0, or 0 while they are paused. */
  readonly uploadsPerSecond: number
  /** Bytes per second, all uploads together; more than 0, or 0 while they are paused. */
  readonly bytesPerSecond: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /** Where the knobs stand now. */
  readonly current: Effect.Effect<Settings>
  /**
   * Changes some knobs, and says why in a few plain words. More room is used at once; less room is reached as attempts
   * in flight end. A knob that is set to 0 pauses: what it holds up waits until it is raised again, by whoever set it and
   * not by a strategy's controller. `NaN` and negative numbers die as a `RangeError`, and change nothing.
   */
  readonly set: (settings: Partial<Settings>, reason?: string) => Effect.Effect<void>
  /** Why the knobs were last changed, where that was said. */
  readonly reason: Effect.Effect<string | undefined>
  /** The budget of uploads in flight. Resize it by `set`, which tells the runs. */
  readonly inFlight: InFlight.InFlight
  /** The limit on starts. */
  readonly rate: RateLimit.RateLimit
  /** The limit on bytes. */
  readonly bandwidth: Bandwidth.Bandwidth
}

/**
 * What a controller learns of one attempt that has ended.
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
  /** Attempts that were in flight when it ended, itself included. */
  readonly inFlight: number
  /** How long the destination asks to wait, in milliseconds, where it throttled and said so. */
  readonly retryAfterMillis?: number | undefined
}

/**
 * A program that turns the knobs. `start` runs once for an uploader, in its scope, and answers with what to call after
 * each attempt; that call must not block.
 *
 * @since 0.1.0
 * @category models
 */
export interface Controller {
  readonly name: string
  readonly start: (limits: Limits) => Effect.Effect<(observation: Observation) => void, never, Scope.Scope>
}

/**
 * Knobs that start where `settings` say; a `RangeError` is thrown for what is no limit. `changed` is called after each
 * change, with where they stand and why.
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
 * The same knobs for a program that turns them by itself: what somebody has paused it leaves alone.
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
