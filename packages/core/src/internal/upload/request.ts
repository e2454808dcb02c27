/**
 * The pipeline of every request: a lease, an attempt, and after a failure another one, by the retry policy. Its result
 * comes back as a value. A file goes through it as a whole, and so does each request of a large one: create, part,
 * complete, abort.
 *
 * It runs where it can be interrupted only through `restore`, so that what was taken is given back. Nothing is held
 * during a backoff.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { UploadError } from "../../UploadError.js"
import { inCause } from "../calls/callbackFailure.js"
import type { Restore } from "../calls/ended.js"
import type { Env } from "./env.js"
import type { Lease } from "./lease.js"
import type { Look } from "./outage.js"
import * as Retries from "./retries.js"
import * as Spans from "./spans.js"
import { isInterrupted } from "./stalls.js"

/** What goes through the pipeline. */
export interface Request<A> extends Retries.Attempted {
  readonly lease: Lease
  /** Whether an attempt is one request. Those of a large file are many, each of which is observed by itself. */
  readonly isOne: boolean
  /** Whether a success shows that the destination is reachable. */
  readonly isHeard: boolean
  /** Bytes that the attempt has stored. */
  readonly bytes: number
  /** Begins an attempt. Returns what there is to wait for, if anyone listens. */
  readonly begin: (now: number) => Effect.Effect<void> | undefined
  /** Makes one attempt. */
  readonly send: (restore: Restore) => Effect.Effect<A, UploadError>
  /** What is wrong with an answer, if anything. */
  readonly problem: (answer: A) => UploadError | undefined
  /** The error that a cause stands for. */
  readonly errorOf: (cause: Cause.Cause<UploadError>) => UploadError
  /** Ends an attempt, before its lease is given back. */
  readonly end: (stored: boolean) => void
  /** Prepares another attempt. */
  readonly prepare: (error: UploadError) => Effect.Effect<void> | undefined
}

/** Makes a request until it has succeeded or failed for good. Its lease may have been taken already. */
export const run = <A>(
  env: Env,
  request: Request<A>,
  restore: Restore,
  isLeased = false
): Effect.Effect<A, UploadError> =>
  isLeased ? attempt(env, request, restore) : Effect.zipRight(
    Effect.onError(restore(take(env, request)), () => Effect.sync(() => request.lease.release())),
    Effect.suspend(() => attempt(env, request, restore))
  )

/**
 * Takes a lease. What waits for a destination that is away holds nothing that others need, and the destination may go
 * while it waits for a permit.
 */
export const take = (
  env: Env,
  request: { readonly clock: Clock.Clock; readonly lease: Lease; readonly look: Look | undefined }
): Effect.Effect<void> => {
  const { outage } = env
  const { lease } = request
  if (outage === undefined) return lease.take
  return Effect.suspend(() => {
    const look = outage.isSuspected ? request.look : undefined
    if (look !== undefined) {
      lease.release()
      return Effect.flatMap(outage.over(request.clock, look), () => take(env, request))
    }
    return Effect.flatMap(
      lease.take,
      () => outage.isSuspected && request.look !== undefined ? take(env, request) : Effect.void
    )
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const attempt = <A>(env: Env, request: Request<A>, restore: Restore): Effect.Effect<A, UploadError> => {
  const told = request.begin(request.clock.unsafeCurrentTimeMillis())
  return told === undefined ? sent(env, request, restore) : Effect.flatMap(
    Effect.onError(restore(told), () =>
      Effect.sync(() => {
        request.end(false)
        request.lease.release()
      })),
    () => sent(env, request, restore)
  )
}

const sent = <A>(env: Env, request: Request<A>, restore: Restore): Effect.Effect<A, UploadError> => {
  const { span } = request
  const answered = request.send(restore)
  return Effect.matchCauseEffect(span === undefined ? answered : Spans.ofAttempt(span, answered), {
    onSuccess: (answer) => {
      const problem = request.problem(answer)
      if (problem !== undefined) return failed(env, request, problem, restore)
      ended(env, request, undefined)
      return Effect.succeed(answer)
    },
    onFailure: (cause) =>
      Effect.withFiberRuntime((fiber) => {
        const isCut = Cause.isInterrupted(cause) && isInterrupted(fiber)
        const isOfCallback = Option.isSome(inCause(cause))
        if (!isCut && !isOfCallback) return failed(env, request, request.errorOf(cause), restore)
        request.end(false)
        request.lease.release()
        return isOfCallback ? Effect.failCause(Cause.stripFailures(cause)) : Effect.interrupt
      })
  })
}

/** Continues after a failed attempt, which holds nothing any more. The next one runs from here, not inside. */
const failed = <A>(
  env: Env,
  request: Request<A>,
  error: UploadError,
  restore: Restore
): Effect.Effect<A, UploadError> =>
  Effect.suspend(() => {
    const inFlight = ended(env, request, error)
    const prepared = request.prepare(error)
    const next = Retries.next(env, request, error, inFlight, restore)
    return prepared === undefined ? next : Effect.zipRight(restore(prepared), next)
  }).pipe(Effect.flatMap((again) => again ? run(env, request, restore) : Effect.fail(error)))

/** Ends an attempt: what it held is free for others, and controllers learn of it. Returns how many were in flight. */
const ended = <A>(env: Env, request: Request<A>, error: UploadError | undefined): number => {
  const inFlight = env.limits.inFlight.taken
  const stored = error === undefined
  request.end(stored)
  if (request.isOne) {
    env.observe?.({
      outcome: stored ? "Succeeded" : error._tag === "Throttled" ? "Throttled" : "Failed",
      durationMillis: request.clock.unsafeCurrentTimeMillis() - request.attemptStartedAt,
      bytes: stored ? request.bytes : 0,
      inFlight,
      retryAfterMillis: error?._tag === "Throttled" ? error.retryAfterMillis : undefined
    })
    if (stored) {
      env.budget.refund(request.attempt - 1)
      if (request.isHeard) env.outage?.answered(request.attemptStartedAt)
    }
  }
  request.lease.release()
  return inFlight
}
