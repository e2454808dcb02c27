/**
 * When a failed attempt is retried: a `Schedule` over typed errors, and a budget that all retries share.
 *
 * The default waits `base × 2ⁿ` with full jitter (a random part of it), starting at 100 ms, or at 1 s when the
 * destination throttles, up to 20 s, in at most 5 attempts. A `Retry-After` is honoured exactly, up to 60 s. Errors
 * that the same request would meet again are not retried.
 *
 * The budget protects a dead destination from a storm of retries: it holds 500 tokens, a retry takes 5, an upload that
 * succeeds at once gives 1 back, and one that succeeds after retries gives back what its last retry took. When the
 * budget is empty, failures are final at once.
 *
 * A destination that answered before and no longer does is away. It counts as away after as many failures in a row as
 * uploads were in flight, followed by a look that fails too. The uploader waits for it for up to 5 minutes and looks
 * repeatedly, 250 ms to 5 s apart; meanwhile, failed and new uploads wait without spending attempts or tokens.
 *
 * A file that has used up its attempts gets a second round of them at the end of the run.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Decode from "./internal/values/decode.js"
import { isRetryable } from "./UploadError.js"
import type { UploadError } from "./UploadError.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface RetryPolicy {
  /** The number of attempts in a round, including the first; at least 1. */
  readonly attempts: number
  /**
   * Whether a failure is retried, and after what delay. Only the first `attempts - 1` decisions are used, and only for
   * failures that are `UploadError.isRetryable`, because the others would recur.
   */
  readonly schedule: Schedule.Schedule<unknown, UploadError>
  /** The budget, or `undefined` for none. */
  readonly budget: BudgetOptions | undefined
  /** Whether files that failed retryably get a second round at the end of the run. */
  readonly secondRound: boolean
  /**
   * How long to wait for a destination that has answered before and is away. Defaults to 0: the uploader does not wait,
   * and the failures count as failures of the files.
   */
  readonly outage?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface BudgetOptions {
  /** The number of tokens at the start, which is also the most it can hold. */
  readonly tokens: number
  /** Tokens that a retry takes. */
  readonly retryCost: number
  /** Tokens that a success at the first attempt gives back. */
  readonly successRefund: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The number of attempts, including the first. Defaults to 5. */
  readonly attempts?: number | undefined
  /** The first backoff, which then doubles. Defaults to 100 ms. */
  readonly base?: Duration.DurationInput | undefined
  /** The first backoff when the destination throttles. Defaults to 1 second. */
  readonly throttledBase?: Duration.DurationInput | undefined
  /** The longest backoff. Defaults to 20 seconds. */
  readonly cap?: Duration.DurationInput | undefined
  /** `full`: a random part of the backoff, from 0 to all of it. `none`: all of it. Defaults to `full`. */
  readonly jitter?: "full" | "none" | undefined
  /** The longest `Retry-After` that is honoured. Defaults to 60 seconds. */
  readonly retryAfterCap?: Duration.DurationInput | undefined
  /** The budget; `false` for none. Defaults to 500 tokens, 5 taken per retry, 1 given back per success. */
  readonly budget?: BudgetOptions | false | undefined
  /** Whether failed files get a second round at the end of the run. Defaults to `true`. */
  readonly secondRound?: boolean | undefined
  /**
   * How long to wait for a destination that has answered before and is away. Meanwhile nothing is sent but an
   * occasional look, and no attempts or tokens are spent. A destination that was never reached fails fast. This
   * requires a destination that can be looked at (see `head` and `probe` of `Destination`) and more than one attempt.
   * Defaults to 5 minutes; 0 disables it.
   */
  readonly outage?: Duration.DurationInput | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  attempts: 5,
  base: "100 millis",
  throttledBase: "1 second",
  cap: "20 seconds",
  jitter: "full",
  retryAfterCap: "60 seconds",
  budget: { tokens: 500, retryCost: 5, successRefund: 1 },
  secondRound: true,
  outage: "5 minutes"
} as const

/**
 * Exponential backoff as described above. Throws a `RangeError` if an option is invalid.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "@sluice/core"
 *
 * const patient = RetryPolicy.make({ attempts: 10, base: "250 millis", cap: "1 minute" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): RetryPolicy => {
  const time = (name: "base" | "throttledBase" | "cap"): number =>
    Decode.millis(name, options[name] ?? defaults[name], { orNone: true })
  const base = time("base")
  const throttledBase = time("throttledBase")
  const cap = time("cap")
  const retryAfterCap = decodeRetryAfterCap(options)
  const jitter = options.jitter ?? defaults.jitter
  const attempts = Decode.count("attempts", options.attempts ?? defaults.attempts)
  const delay = (doublings: number, error: UploadError): Effect.Effect<number> => {
    const asked = retryAfter(error, retryAfterCap)
    if (asked !== undefined) return Effect.succeed(asked)
    const backoff = Math.min(cap, (error._tag === "Throttled" ? throttledBase : base) * 2 ** Math.min(doublings, 60))
    return jitter === "none"
      ? Effect.succeed(Math.round(backoff))
      : Effect.map(Random.next, (part) => Math.round(part * backoff))
  }
  return {
    attempts,
    // Powers of two, bounded: nothing can follow a delay that is infinite.
    schedule: Schedule.exponential(1).pipe(
      Schedule.union(Schedule.spaced(2 ** 40)),
      Schedule.map(([power]) => power),
      Schedule.intersect(Schedule.identity<UploadError>()),
      Schedule.modifyDelayEffect(([power, error]) =>
        Effect.map(delay(Math.log2(Duration.toMillis(power)), error), Duration.millis)
      ),
      Schedule.whileInput(isRetryable)
    ),
    ...decodeRules(options)
  }
}

/**
 * The options of {@link fromSchedule}.
 *
 * @since 0.1.0
 * @category models
 */
export interface ScheduleOptions extends Pick<Options, "budget" | "outage" | "retryAfterCap" | "secondRound"> {
  /** The number of attempts, including the first, if the schedule allows as many. Defaults to `Infinity`. */
  readonly attempts?: number | undefined
}

/**
 * A policy whose backoff, jitter and end are those of a schedule, which receives each failure as its input. Every file
 * and every request of a multipart upload runs the schedule from its beginning.
 *
 * The policy adds what a schedule does not know. Only failures that are `UploadError.isRetryable` are retried. A
 * `Retry-After` replaces the delay of the schedule, up to `retryAfterCap`. The budget, the wait for a destination that
 * is away and the second round are those of {@link make}, with the same defaults. Throws a `RangeError` if an option is
 * invalid.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "@sluice/core"
 * import { Schedule } from "effect"
 *
 * // Fibonacci with jitter, for five minutes.
 * const patient = RetryPolicy.fromSchedule(
 *   Schedule.fibonacci("200 millis").pipe(Schedule.jittered, Schedule.upTo("5 minutes")),
 *   { secondRound: false }
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSchedule = <Out>(
  schedule: Schedule.Schedule<Out, UploadError>,
  options: ScheduleOptions = {}
): RetryPolicy => {
  const retryAfterCap = decodeRetryAfterCap(options)
  return {
    attempts: Decode.count("attempts", options.attempts ?? Infinity),
    schedule: Schedule.identity<UploadError>().pipe(
      Schedule.intersect(schedule),
      Schedule.modifyDelay(([error], delay) => retryAfter(error, retryAfterCap) ?? delay),
      Schedule.whileInput(isRetryable)
    ),
    ...decodeRules(options)
  }
}

/**
 * No retries: the first failure is final.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: RetryPolicy = {
  attempts: 1,
  schedule: Schedule.stop,
  budget: undefined,
  secondRound: false
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const decodeRetryAfterCap = ({ retryAfterCap = defaults.retryAfterCap }: Pick<Options, "retryAfterCap">): number =>
  Decode.millis("retryAfterCap", retryAfterCap, { orNone: true })

/** How long the destination asks to wait, in milliseconds, if it says so. */
const retryAfter = (error: UploadError, cap: number): number | undefined =>
  error._tag === "Throttled" && error.retryAfterMillis !== undefined && error.retryAfterMillis >= 0
    ? Math.min(error.retryAfterMillis, cap)
    : undefined

/** The rules that do not depend on the schedule. */
const decodeRules = (
  options: Pick<Options, "budget" | "outage" | "secondRound">
): Pick<RetryPolicy, "budget" | "outage" | "secondRound"> => {
  const budget = options.budget === false ? undefined : options.budget ?? defaults.budget
  return {
    budget: budget && {
      tokens: Decode.between("budget.tokens", budget.tokens, 0, Infinity),
      retryCost: Decode.between("budget.retryCost", budget.retryCost, 0, Infinity),
      successRefund: Decode.between("budget.successRefund", budget.successRefund, 0, Infinity)
    },
    secondRound: options.secondRound ?? defaults.secondRound,
    outage: Duration.millis(Decode.millis("outage", options.outage ?? defaults.outage, { orNone: true }))
  }
}
