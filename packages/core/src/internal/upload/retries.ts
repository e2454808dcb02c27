/**
 * What follows a failed attempt: a backoff by the schedule of the retry policy, a wait until the destination is back, or
 * nothing, because the failure is final.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import type { RetryPolicy } from "../../RetryPolicy.js"
import { isRetryable } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import type { Restore } from "../calls/ended.js"
import type { Env } from "./env.js"
import type { Look } from "./outage.js"
import * as Spans from "./spans.js"
import type { Spanned } from "./spans.js"
import type * as Step from "./step.js"

/** What is attempted, and how far it has come. */
export interface Attempted {
  readonly clock: Clock.Clock
  readonly record: Step.Record
  /** The file, as steps name it. */
  readonly upload: { readonly file: { readonly key: string } }
  /** The request of a multipart upload, of this part if it has a number; else the file. */
  readonly request: { readonly part: number | undefined } | undefined
  /** The attempt that has failed, from 1. */
  readonly attempt: number
  /** The attempt after which the current round of attempts began. */
  readonly roundStart: number
  readonly attemptStartedAt: number
  readonly policy: RetryPolicy
  /** Whether its retries are taken from the budget that all of them share. */
  readonly isBudgeted: boolean
  /** The clock time from which no retry may begin. */
  readonly lastRetryAt: number
  /** A look at the destination, if it waits while the destination is away. */
  readonly look: Look | undefined
  /** The policy's schedule, from the first failure on. */
  schedule: Driver | undefined
  /** The error that the policy judges; `undefined` if no attempt would help. */
  readonly judged: (error: UploadError) => UploadError | undefined
  /** The span of an attempt, if attempts have spans. */
  readonly span: Spanned | undefined
  /** It waits from here on, and holds nothing. */
  readonly backoffStarted: () => void
}

/**
 * Waits until there may be another attempt, and returns whether there may. Attempts that were lost to an outage do not
 * count.
 */
export const next = (
  env: Env,
  attempted: Attempted,
  error: UploadError,
  /** The requests in flight when it failed, including this one. */
  inFlight: number,
  restore: Restore
): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const { clock, look, policy } = attempted
    const judged = attempted.judged(error)
    if (judged === undefined) return false
    const { outage } = env
    if (
      look !== undefined &&
      outage?.failed(clock.unsafeCurrentTimeMillis(), error, attempted.attemptStartedAt, inFlight) === true
    ) {
      attempted.backoffStarted()
      if (yield* restore(outage.over(clock, look))) {
        attempted.schedule = undefined
        yield* restore(retrying(attempted, error, 0))
        return true
      }
    }
    const schedule = attempted.schedule ??= start(policy)
    const now = clock.unsafeCurrentTimeMillis()
    const delay = yield* schedule.next(now, judged)
    const isFinal = Option.isNone(delay) || now >= attempted.lastRetryAt ||
      (attempted.isBudgeted && !env.budget.spend())
    if (isFinal) return false
    attempted.backoffStarted()
    yield* restore(retrying(attempted, error, delay.value))
    yield* restore(clock.sleep(Duration.millis(delay.value)))
    return true
  })

/** A policy's schedule in use. */
export interface Driver {
  /** The milliseconds to wait before the next attempt, or `None` if the failure is final. */
  readonly next: (now: number, error: UploadError) => Effect.Effect<Option.Option<number>>
}

/** Starts a policy's schedule. (`Schedule.driver` sleeps by itself; a retry is reported before the sleep.) */
export const start = (policy: RetryPolicy): Driver => {
  let state: unknown = policy.schedule.initial
  let attempt = 1
  return {
    next: (now, error) => {
      if (!(attempt < policy.attempts) || !isRetryable(error)) return Effect.succeedNone
      attempt += 1
      return Effect.map(policy.schedule.step(now, error, state), ([nextState, , decision]) => {
        state = nextState
        return ScheduleDecision.isDone(decision)
          ? Option.none()
          : Option.some(Math.max(0, ScheduleIntervals.start(decision.intervals) - now))
      })
    }
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const retrying = (attempted: Attempted, error: UploadError, delayMillis: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { attempt, policy, request, roundStart, upload } = attempted
    // Attempts lost to an outage are not counted, so there may be more of them.
    const attempts = Math.max(attempt + 1, roundStart + policy.attempts)
    const told = attempted.record({ _tag: "Retrying", upload, request, attempt, attempts, delayMillis, error }) ??
      Effect.void
    if (attempted.span === undefined) return told
    const noted = Spans.event("sluice.retry", { "sluice.attempt": attempt, "sluice.delay_ms": delayMillis, error })
    return Effect.zipRight(noted, told)
  })
