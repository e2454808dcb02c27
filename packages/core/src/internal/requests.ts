/**
 * The requests of a multipart upload: each with its permit, its memory and its start, its own attempts, and no permit
 * during a backoff.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import type * as Limits from "../Limits.js"
import * as RetryPolicy from "../RetryPolicy.js"
import type { UploadError } from "../UploadError.js"
import { failureOf } from "./driver.js"
import { Slot } from "./slot.js"
import type { SlotContext, SlotOwner } from "./slot.js"

export interface RequestContext extends SlotContext {
  readonly retry: RetryPolicy.RetryPolicy
  readonly budget: RetryPolicy.Budget
  readonly observe: ((observation: Limits.Observation) => void) | undefined
}

export interface RequestOwner extends SlotOwner {
  /** How long a request that carries no bytes may take for its answer. Defaults to 30 seconds. */
  readonly answerMillis?: number | undefined
  readonly clock: Clock.Clock
  readonly requestRetried: (retry: Retry) => Effect.Effect<void>
}

/** A request that has failed, and is made again after `delayMillis`. */
export interface Retry {
  readonly part: number | undefined
  /** The attempt that failed, from 1. */
  readonly attempt: number
  readonly attempts: number
  readonly delayMillis: number
  readonly error: UploadError
}

/** How long a request that carries no bytes may take for its answer, in milliseconds. */
export const answerMillis = (owner: Pick<RequestOwner, "answerMillis">): number => owner.answerMillis ?? 30_000

/** How waits are done that an interruption may cut. */
export type Wait = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface RequestOptions {
  /** Whoever gives one closes it. Defaults to one without memory. */
  readonly slot?: Slot | undefined
  readonly part?: number | undefined
  readonly wait?: Wait | undefined
  /** Defaults to the policy of the context, and its budget. */
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  /** How long after the first attempt another one may begin. */
  readonly retryMillis?: number | undefined
  /** The bytes that the request stored, for those who observe. */
  readonly bytes?: (() => number) | undefined
}

/** Makes a request until it succeeds or has failed for good. */
export const request = <A>(
  context: RequestContext,
  owner: RequestOwner,
  attempt: (number: number) => Effect.Effect<A, UploadError>,
  options: RequestOptions = {}
): Effect.Effect<A, UploadError> => {
  const { part, retry = context.retry, retryMillis = Infinity, slot = new Slot(context, owner, 0), wait = identity } =
    options
  let driver: RetryPolicy.Driver | undefined = undefined
  let firstAt = Infinity
  // One frame for all that follows an attempt: parts are many, and each frame is steps of the fiber.
  const once = (number: number): Effect.Effect<Either.Either<A, UploadError>> =>
    Effect.uninterruptibleMask((restore) => {
      let startedAt = 0
      const begin = Effect.suspend(() => {
        slot.begin()
        startedAt = owner.clock.unsafeCurrentTimeMillis()
        firstAt = Math.min(firstAt, startedAt)
        return attempt(number)
      })
      const release = (): number => {
        const inFlight = context.limits.inFlight.taken
        slot.release()
        return inFlight
      }
      const observed = (result: Either.Either<A, UploadError>) => {
        const inFlight = release()
        const throttled = Either.isLeft(result) && result.left._tag === "Throttled" ? result.left : undefined
        context.observe?.({
          outcome: Either.isRight(result) ? "Succeeded" : throttled === undefined ? "Failed" : "Throttled",
          durationMillis: owner.clock.unsafeCurrentTimeMillis() - startedAt,
          bytes: Either.isRight(result) ? options.bytes?.() ?? 0 : 0,
          inFlight,
          retryAfterMillis: throttled?.retryAfterMillis
        })
        return Effect.succeed(result)
      }
      return Effect.matchCauseEffect(restore(Effect.flatMap(wait(slot.take), () => begin)), {
        onFailure: (cause) => {
          if (!Cause.isInterrupted(cause)) return observed(Either.left(failureOf(cause)))
          release()
          return Effect.failCause(Cause.stripFailures(cause))
        },
        onSuccess: (value) => observed(Either.right(value))
      })
    })
  const failed = (number: number, error: UploadError): Effect.Effect<A, UploadError> =>
    Effect.gen(function*() {
      driver ??= RetryPolicy.makeDriver(retry)
      // A session that is gone does not come back.
      const delay = error._tag === "SessionGone"
        ? Option.none()
        : yield* driver.next(owner.clock.unsafeCurrentTimeMillis(), error)
      const late = owner.clock.unsafeCurrentTimeMillis() - firstAt >= retryMillis
      if (late || Option.isNone(delay) || (options.retry === undefined && !context.budget.unsafeTake())) {
        return yield* Effect.fail(error)
      }
      const { attempts } = retry
      yield* owner.requestRetried({ part, attempt: number, attempts, delayMillis: delay.value, error })
      yield* wait(owner.clock.sleep(Duration.millis(delay.value)))
      return yield* from(number + 1)
    })
  const from = (number: number): Effect.Effect<A, UploadError> =>
    Effect.flatMap(once(number), (result) => {
      if (Either.isLeft(result)) return failed(number, result.left)
      context.budget.unsafeRefund(number - 1)
      return Effect.succeed(result.right)
    })
  return from(1)
}
