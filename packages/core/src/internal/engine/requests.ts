/**
 * The requests of a multipart upload: each with its own memory, permit, start and attempts, and without a permit during
 * a backoff.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import type * as Destination from "../../Destination.js"
import type * as Limits from "../../Limits.js"
import * as RetryPolicy from "../../RetryPolicy.js"
import type { UploadError } from "../../UploadError.js"
import { withDeadline } from "../calls/deadline.js"
import { failureOf } from "./driver.js"
import type { Look, Outage } from "./outage.js"
import { Slot } from "./slot.js"
import type { SlotContext, SlotOwner } from "./slot.js"

export interface RequestContext extends SlotContext {
  readonly retry: RetryPolicy.RetryPolicy
  readonly budget: RetryPolicy.Budget
  readonly observe: ((observation: Limits.Observation) => void) | undefined
  /** Knows when the destination is away. Defaults to none. */
  readonly outage?: Outage | undefined
}

export interface RequestOwner extends SlotOwner {
  /** How long a request without bytes may wait for its answer, in milliseconds. Defaults to 30 seconds. */
  readonly answerMillis?: number | undefined
  readonly clock: Clock.Clock
  readonly file: { readonly key: string }
}

/** How long a request without bytes may wait for its answer, in milliseconds. */
export const answerMillis = (owner: Pick<RequestOwner, "answerMillis">): number => owner.answerMillis ?? 30_000

/** Makes a wait interruptible. */
export type Wait = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface RequestOptions {
  /** The caller closes its slot. Defaults to one without memory. */
  readonly slot?: Slot | undefined
  readonly part?: number | undefined
  readonly wait?: Wait | undefined
  /** The retry policy. Defaults to that of the context, with its budget. */
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  /** How long after the first attempt a retry may begin, in milliseconds. */
  readonly retryMillis?: number | undefined
  /** The bytes that the request stored, for observers. */
  readonly bytes?: (() => number) | undefined
  /** A look at the destination, if the request should wait while it is away. That wait can be interrupted. */
  readonly look?: Look | undefined
  /** Whether a success shows that the destination is reachable. Defaults to `true`. */
  readonly isHeard?: boolean | undefined
}

/** How long a look may take, in milliseconds, however long an upload may take. */
const lookMillis = 30_000

/** A look at a destination that has failed for a key, if there is a way to look. */
export const lookAt = (
  context: RequestContext & { readonly destination: Destination.Destination["Type"] },
  owner: RequestOwner,
  key: string
): Look | undefined => {
  const { destination: { head, probe } } = context
  if (context.outage === undefined || (head === undefined && probe === undefined)) return undefined
  const call = Effect.suspend((): Effect.Effect<unknown, UploadError> => probe ?? head!(key))
  const millis = Math.min(lookMillis, answerMillis(owner))
  return request({ ...context, observe: undefined }, owner, () => withDeadline(call, millis), {
    retry: RetryPolicy.none
  })
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
  let startedAt = 0
  const outage = options.look === undefined ? undefined : context.outage
  // A request that waits for a destination holds nothing that others need; the destination may go while it waits for a
  // permit.
  const take: Effect.Effect<void> = outage === undefined ? slot.take : Effect.suspend(() => {
    if (!outage.isSuspected) return Effect.flatMap(slot.take, () => outage.isSuspected ? take : Effect.void)
    slot.release()
    return Effect.flatMap(outage.over(owner.clock, options.look!), () => take)
  })
  // One frame for everything after an attempt: there are many parts, and each frame costs fiber steps.
  const once = (number: number): Effect.Effect<Either.Either<A, UploadError>> =>
    Effect.uninterruptibleMask((restore) => {
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
      return Effect.matchCauseEffect(restore(Effect.flatMap(wait(take), () => begin)), {
        onFailure: (cause) => {
          if (!Cause.isInterrupted(cause)) return observed(Either.left(failureOf(cause)))
          release()
          return Effect.failCause(Cause.stripFailures(cause))
        },
        onSuccess: (value) => observed(Either.right(value))
      })
    })
  const retrying = (attempt: number, attempts: number, delayMillis: number, error: UploadError): Effect.Effect<void> =>
    owner.record({ _tag: "Retrying", upload: owner, request: { part }, attempt, attempts, delayMillis, error }) ??
      Effect.void
  const failed = (number: number, error: UploadError): Effect.Effect<A, UploadError> =>
    Effect.gen(function*() {
      const { attempts } = retry
      if (
        outage?.failed(owner.clock.unsafeCurrentTimeMillis(), error, startedAt, context.limits.inFlight.taken + 1) ===
          true &&
        (yield* wait(outage.over(owner.clock, options.look!)))
      ) {
        const most = Math.max(number + 1, attempts)
        // Attempts spent before the outage was detected do not count either.
        driver = undefined
        yield* retrying(number, most, 0, error)
        return yield* from(number + 1)
      }
      driver ??= RetryPolicy.makeDriver(retry)
      // A session that is gone does not come back.
      const delay = error._tag === "SessionGone"
        ? Option.none()
        : yield* driver.next(owner.clock.unsafeCurrentTimeMillis(), error)
      const late = owner.clock.unsafeCurrentTimeMillis() - firstAt >= retryMillis
      if (late || Option.isNone(delay) || (options.retry === undefined && !context.budget.unsafeTake())) {
        return yield* Effect.fail(error)
      }
      const most = Math.max(number + 1, attempts)
      yield* retrying(number, most, delay.value, error)
      yield* wait(owner.clock.sleep(Duration.millis(delay.value)))
      return yield* from(number + 1)
    })
  const from = (number: number): Effect.Effect<A, UploadError> =>
    Effect.flatMap(once(number), (result) => {
      if (Either.isLeft(result)) return failed(number, result.left)
      context.budget.unsafeRefund(number - 1)
      if (options.isHeard !== false) outage?.answered(startedAt)
      return Effect.succeed(result.right)
    })
  return from(1)
}
