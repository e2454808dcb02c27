/**
 * What the adaptive machine remembers and measures: plain, immutable values of numbers, except for `Infinity` as JSON.
 * See `unstable/AdaptiveMachine`.
 *
 * Unstable: these shapes change with the algorithm, in any release.
 *
 * @since 0.1.0
 */

/**
 * Sums for fitting a line through the durations of requests by their size; larger requests weigh less.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moments {
  readonly weight: number
  readonly size: number
  readonly millis: number
  readonly sizeSquared: number
  readonly sizeMillis: number
}

/**
 * Measurements of attempts that ran under one limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Window {
  /** The limit that was in force. */
  readonly limit: number
  /** When it began, in milliseconds. */
  readonly openedAt: number
  /** Attempts that began before this do not count: they ran under another limit. */
  readonly since: number
  /** Attempts that ended. */
  readonly ended: number
  /** Attempts that stored something. */
  readonly stored: number
  /** The bytes that they stored. */
  readonly bytes: number
  /** The total duration of all attempts, in milliseconds. */
  readonly busyMillis: number
  /** Attempts in flight, summed over the attempts that ended. */
  readonly lanes: number
  /** The number in flight when the destination first throttled, or 0. */
  readonly throttledAt: number
  /** The mean size by which requests are weighted, in bytes. */
  readonly scale: number
  /** The cost of the requests. */
  readonly moments: Moments
}

/**
 * The machine's phase: `Doubling` and `Halving` at first, then `Resting` and `Probing`.
 *
 * @since 0.1.0
 * @category models
 */
export type Phase =
  | {
    readonly _tag: "Doubling"
    /** The window before the doubling, and the last one in which each upload counted in full. */
    readonly before: Window | undefined
    readonly anchor: Window | undefined
    /** Whether nothing is known about smaller limits. */
    readonly isFirst: boolean
  }
  | { readonly _tag: "Halving"; readonly above: Window }
  | { readonly _tag: "Resting"; readonly left: number }
  | {
    readonly _tag: "Probing"
    /** The probes still to come, and the measurements so far. */
    readonly next: ReadonlyArray<"up" | "down">
    readonly current: "up" | "down"
    readonly up: Window | undefined
    readonly down: Window | undefined
  }

/**
 * The machine's whole state. Decisions depend on nothing else.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly min: number
  readonly max: number
  /** The most that others allow; `Infinity` if they allow any number. */
  readonly allowed: number
  readonly phase: Phase
  /** The estimated best concurrency, not rounded. */
  readonly concurrency: number
  /** The limit that it asks for: the estimate, or a probe. */
  readonly limit: number
  /** The reason, in a few plain words. */
  readonly reason: string
  /** Windows so far. */
  readonly windows: number
  /** The recent cost of requests. */
  readonly moments: Moments
  /** The recent pace of resting windows, and the deviation of single ones, as a logarithm. */
  readonly usual: Window | undefined
  readonly deviation: number
  /** The number of resting windows in a row that were far off: above, or below if negative. */
  readonly streak: number
  /** The number of probes in a row that found no loss with fewer uploads. */
  readonly flat: number
  /** The ceiling learned from throttling, and for how many windows it holds. */
  readonly ceiling: { readonly at: number; readonly left: number; readonly held: number } | undefined
  /** The seed of the next order of probes. */
  readonly random: number
}
