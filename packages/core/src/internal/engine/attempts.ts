/**
 * The attempts of one file: what begins them, what follows a failure, and how the file ends.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as ByteSource from "../../ByteSource.js"
import type * as Destination from "../../Destination.js"
import type * as Limits from "../../Limits.js"
import * as MultipartUpload from "../../MultipartUpload.js"
import * as ObjectKey from "../../ObjectKey.js"
import * as RetryPolicy from "../../RetryPolicy.js"
import type * as Upload from "../../Upload.js"
import { IntegrityMismatch, isRetryable, Rejected, SourceUnreadable, Transient } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { ofSource } from "../bytes/watch.js"
import type { Restore } from "../calls/ended.js"
import * as PartRecords from "../calls/partRecords.js"
import { within } from "../calls/within.js"
import { isLater, later } from "./answeringJournal.js"
import { failureOf, wrongAnswer } from "./driver.js"
import * as FinishedBefore from "./finishedBefore.js"
import * as Lease from "./lease.js"
import { attempt, tidy, tooLarge } from "./put.js"
import { answerMillis, lookAt } from "./requests.js"
import * as Step from "./step.js"

/**
 * Uploads a file: attempts until it is stored or has failed for good. The caller holds its lease, which is given back,
 * and can be interrupted only through `restore`. An interruption is an outcome, too.
 */
export const upload = (
  context: Upload.Context,
  upload: Upload.Upload,
  restore: Restore
): Effect.Effect<Upload.Outcome> =>
  Effect.catchAllCause(Effect.suspend(() => run(context, upload, restore)), (cause) => {
    if (upload.stored !== undefined && upload.state === "Attempt") {
      endAttempt(context, upload, "Succeeded")
      const defect = Cause.isInterruptedOnly(cause) ? undefined : Effect.failCause(cause)
      return Effect.succeed<Upload.Outcome>({ _tag: "Stored", stored: upload.stored, defect })
    }
    abandon(context, upload)
    return Cause.isInterruptedOnly(cause) ? Effect.succeed(interrupted) : Effect.failCause(cause)
  })

const interrupted: Upload.Outcome = { _tag: "Interrupted" }

const run = (context: Upload.Context, upload: Upload.Upload, restore: Restore): Effect.Effect<Upload.Outcome> => {
  const now = upload.clock.unsafeCurrentTimeMillis()
  if (upload.attempt === 0) {
    upload.startedAt = now
    const error = refusal(context, upload)
    if (error !== undefined) {
      endAttempt(context, upload, "Failed")
      return Effect.succeed({ _tag: "Failed", error, again: false })
    }
    const noted = upload.roundStart === 0 ? FinishedBefore.ask(context, upload) : undefined
    if (isLater(noted)) {
      return Effect.flatMap(restore(noted), (noted) => skipOrBegin(context, upload, noted, restore))
    }
    if (noted !== undefined) return skipIfThere(context, upload, noted, restore)
  }
  return begin(context, upload, now, restore)
}

/** Decides what an answer of the journal that had to be waited for leads to. */
const skipOrBegin = (
  context: Upload.Context,
  upload: Upload.Upload,
  noted: FinishedBefore.FinishedBefore | undefined,
  restore: Restore
): Effect.Effect<Upload.Outcome> =>
  noted === undefined
    ? begin(context, upload, upload.clock.unsafeCurrentTimeMillis(), restore)
    : skipIfThere(context, upload, noted, restore)

const begin = (
  context: Upload.Context,
  upload: Upload.Upload,
  now: number,
  restore: Restore
): Effect.Effect<Upload.Outcome> => {
  upload.attempt += 1
  upload.attemptStartedAt = now
  upload.lastByteAt = now
  upload.handedOut = 0
  upload.resumedBytes = 0
  upload.waits = 0
  upload.asking = false
  upload.bodyEnded = false
  upload.sourceError = undefined
  upload.state = "Attempt"
  // Suspended, so that a waiting upload does not hold the objects of its attempt.
  const attempted = upload.run.stalls.guard(upload, Effect.suspend(() => attempt(context, upload)), restore, {
    onSuccess: (stored) => succeeded(context, upload, stored, restore),
    onFailure: (cause) => failed(context, upload, errorOf(upload, cause), restore)
  })
  const told = upload.record({ _tag: "AttemptStarted", upload })
  // A slow listener is not a stall.
  return told === undefined ? attempted : Effect.flatMap(restore(told), () => {
    upload.moved()
    return attempted
  })
}

/** Continues after a failed attempt: waits and retries, or fails for good. */
const failed = (
  context: Upload.Context,
  upload: Upload.Upload,
  error: UploadError,
  restore: Restore
): Effect.Effect<Upload.Outcome> =>
  Effect.gen(function*() {
    const { onSourceChange, recorder } = upload.run
    const inFlight = context.limits.inFlight.taken
    if (error._tag === "Throttled") endAttempt(context, upload, "Throttled", error.retryAfterMillis)
    else endAttempt(context, upload, "Failed")
    const now = upload.clock.unsafeCurrentTimeMillis()
    if (error._tag === "SourceChanged" && onSourceChange !== "fail") {
      if (onSourceChange === "skip") {
        return Effect.succeed<Upload.Outcome>({ _tag: "Skipped", reason: changed, uploadedBefore: false })
      }
      yield* restore(lookAgain(context, upload))
    }
    const readable = upload.source.reopenable || !upload.opened
    const reason = readable ? reasonToRetry(upload, error) : undefined
    if (reason !== undefined && !upload.large && (yield* restore(wasAway(context, upload, error, inFlight)))) {
      // Attempts spent before the outage was detected do not count either.
      upload.driver = undefined
      yield* restore(recorder.recorded(retrying(context, upload, 0, error)))
      yield* restore(Lease.take(context, upload))
      return run(context, upload, restore)
    }
    upload.driver ??= RetryPolicy.makeDriver(context.retry)
    const delay = reason === undefined ? Option.none() : yield* upload.driver.next(now, reason)
    if (Option.isNone(delay) || !context.budget.unsafeTake()) {
      const again = readable && upload.file.source.reopenable && isRetryable(error) && context.retry.secondRound &&
        upload.roundStart === 0
      return Effect.succeed<Upload.Outcome>({ _tag: "Failed", error, again })
    }
    startBackoff(upload)
    yield* restore(recorder.recorded(retrying(context, upload, delay.value, error)))
    yield* restore(upload.clock.sleep(Duration.millis(delay.value)))
    yield* restore(Lease.take(context, upload))
    endBackoff(upload)
    return run(context, upload, restore)
    // The retry runs from here, not inside, so that this frame does not stay on the stack.
  }).pipe(Effect.flatten)

/**
 * Stops an upload after an interruption: ends its attempt or its backoff and gives its permit back.
 */
export const abandon = (context: Upload.Context, upload: Upload.Upload): void => {
  endAttempt(context, upload, "Failed")
  endBackoff(upload)
}

/** Releases a source that was never read and will not be. Waits for this for at most `millis`. */
export const letGo = ({ file: { source }, opened }: Upload.Upload, millis: number): Effect.Effect<void> | undefined => {
  if (opened || source.abandon === undefined) return undefined
  const released = Effect.catchAllCause(source.abandon, (cause) =>
    Cause.isInterrupted(cause)
      ? Effect.failCause(cause)
      : Effect.logDebug("A source failed when it was let go of.", cause))
  return Effect.ignore(within(Effect.disconnect(released), millis, () => "late" as const))
}

/** Whether another run can resume an upload. */
export const canResume = ({ fingerprint, large, source, state }: Upload.Upload): boolean =>
  large && source.reopenable && fingerprint !== undefined && (state === "Attempt" || state === "Backoff")

/** Records a file that was stored in one request; returns what there is to wait for. */
const recordFinished = (
  { journal }: Upload.Context,
  { file: { key }, fingerprint, handedOut, large }: Upload.Upload,
  stored: Destination.Stored
): Effect.Effect<void> | undefined =>
  // A multipart upload was recorded when it was completed.
  journal === undefined || large || fingerprint === undefined
    ? undefined
    : later(journal.finished(PartRecords.finished({ key, size: handedOut, fingerprint }, stored)))

/** Begins another round of attempts for a file whose round failed with `lastError`. */
export const nextRound = (upload: Upload.Upload, lastError: UploadError): Upload.Upload => {
  upload.roundStart = upload.attempt
  upload.state = "Idle"
  upload.lastError = lastError
  upload.driver = undefined
  return upload
}

const changed = "It changed while it was uploaded."

const finishedBefore = "It was uploaded before the last run was interrupted."

const succeeded = (
  context: Upload.Context,
  upload: Upload.Upload,
  stored: Destination.Stored,
  restore: Restore
): Effect.Effect<Upload.Outcome> => {
  const { handedOut, large, size } = upload
  const wrong = wrongAnswer("put", stored)
  if (wrong !== undefined) return failed(context, upload, wrong, restore)
  if (!large) {
    if (size === undefined ? !upload.bodyEnded : handedOut !== size) {
      return failed(context, upload, answeredEarly(size, handedOut), restore)
    }
    const problem = PartRecords.mismatch(stored, handedOut, handedOut, upload.body?.checksum)
    if (problem !== undefined) return failed(context, upload, problem, restore)
    context.budget.unsafeRefund(upload.attempt - 1)
    context.outage?.answered(upload.attemptStartedAt)
  }
  endAttempt(context, upload, "Succeeded")
  const { checksum = upload.body?.checksum, etag } = stored
  const outcome: Upload.Outcome = { _tag: "Stored", stored: { etag, checksum, size: stored.size } }
  const recorded = recordFinished(context, upload, stored)
  return recorded === undefined ? Effect.succeed(outcome) : Effect.as(recorded, outcome)
}

const endAttempt = (
  context: Upload.Context,
  upload: Upload.Upload,
  outcome: Limits.Observation["outcome"],
  retryAfterMillis?: number
): void => {
  const inFlight = context.limits.inFlight.taken
  if (upload.state === "Attempt") {
    upload.state = "Idle"
    upload.record({ _tag: "AttemptEnded", upload, stored: outcome === "Succeeded" })
    // The requests of a multipart upload were observed one by one.
    if (!upload.large) {
      context.observe?.({
        outcome,
        durationMillis: upload.clock.unsafeCurrentTimeMillis() - upload.attemptStartedAt,
        bytes: outcome === "Succeeded" ? upload.handedOut : 0,
        inFlight,
        retryAfterMillis
      })
    }
  }
  upload.body?.ended()
  upload.track = undefined
  Lease.giveBack(context, upload)
}

/** Waits while the destination is away, if this failure says so. Returns whether it was away. */
const wasAway = (
  context: Upload.Context,
  upload: Upload.Upload,
  error: UploadError,
  inFlight: number
): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const { clock } = upload
    const look = lookAt(context, upload, upload.file.key)
    if (
      look === undefined ||
      context.outage?.failed(clock.unsafeCurrentTimeMillis(), error, upload.attemptStartedAt, inFlight) !== true
    ) {
      return Effect.succeed(false)
    }
    startBackoff(upload)
    return Effect.map(context.outage.over(clock, look), (away) => {
      endBackoff(upload)
      return away
    })
  })

const retrying = (
  context: Upload.Context,
  upload: Upload.Upload,
  delayMillis: number,
  error: UploadError
): Step.Step => {
  const { attempt, roundStart } = upload
  // Attempts lost to an outage are not counted, so there may be more of them.
  const attempts = Math.max(attempt + 1, roundStart + context.retry.attempts)
  return { _tag: "Retrying", upload, request: undefined, attempt, attempts, delayMillis, error }
}

const startBackoff = (upload: Upload.Upload): void => {
  upload.state = "Backoff"
  upload.run.backoffs?.backoffStarted()
}

const endBackoff = (upload: Upload.Upload): void => {
  if (upload.state !== "Backoff") return
  upload.state = "Idle"
  upload.run.backoffs?.backoffEnded()
}

const errorOf = (upload: Upload.Upload, cause: Cause.Cause<UploadError>): UploadError => {
  const error = upload.sourceError ?? failureOf(cause)
  if (upload.file.source.reopenable) return error
  const reason = spent.get(upload.file.source)
  if (reason === undefined) {
    if (upload.opened) spent.set(upload.file.source, error)
    return error
  }
  // Without the first failure, a second upload would report only that the source is consumed.
  return error._tag !== "SourceUnreadable" || error.reason !== "Consumed" ? error : new SourceUnreadable({
    reason: "Consumed",
    detail: `${error.detail} An upload of it has failed before: ${reason.message}`,
    cause: reason
  })
}

/** The first failure of each one-shot source. */
const spent = new WeakMap<ByteSource.ByteSource, UploadError>()

/** The error that the retry policy judges; `undefined` if there is no retry. */
const reasonToRetry = (upload: Upload.Upload, error: UploadError): UploadError | undefined => {
  if (error._tag === "SourceChanged" && upload.run.onSourceChange === "retry") {
    return new Transient({ reason: "Unavailable", detail: error.detail })
  }
  // The requests of a multipart upload have had their own attempts.
  return upload.large && (error._tag === "Transient" || error._tag === "Throttled") ? undefined : error
}

/** Takes the current state of the source. If that fails, the next attempt takes a new fingerprint. */
const lookAgain = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<void> => {
  upload.fingerprint = undefined
  const { latest } = upload.source
  // A source that does not answer counts as unchanged.
  return latest === undefined
    ? Effect.void
    : Effect.match(within(Effect.disconnect(ofSource(() => latest)), answerMillis(upload), () => "late" as const), {
      onFailure: () => {},
      onSuccess: (latest) => upload.relist(context, latest)
    })
}

/** Why a file is refused before its first attempt. */
const refusal = (context: Upload.Context, { file, large, size }: Upload.Upload): UploadError | undefined => {
  const { emptySegments } = context.destination.capabilities
  const problem = emptySegments === true ? ObjectKey.problem(file.key) : ObjectKey.problemAsPath(file.key)
  if (problem !== undefined) {
    return new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(file.key)} ${problem}.` })
  }
  if (size === undefined) return undefined
  if (large) return Option.getOrUndefined(Either.getLeft(MultipartUpload.plan(context, size)))
  const { capabilities } = context.destination
  return size > capabilities.maxPutSize ? tooLarge(capabilities) : undefined
}

/** Skips a file that is already at the destination, and uploads it if a look shows that it is not. */
const skipIfThere = (
  context: Upload.Context,
  upload: Upload.Upload,
  noted: FinishedBefore.FinishedBefore,
  restore: Restore
): Effect.Effect<Upload.Outcome> => {
  const look = Effect.suspend(() => {
    upload.record(Step.requestStarted)
    return within(noted.look, answerMillis(upload), () => "late" as const).pipe(
      Effect.map(Option.exists((found) => FinishedBefore.isSame(noted, upload, found))),
      Effect.catchAllCause(() => Effect.succeed(false)),
      Effect.ensuring(Effect.sync(() => upload.record(Step.requestEnded)))
    )
  })
  return Effect.flatMap(restore(look), (isThere) => {
    // The look has used up the start that was taken for the file.
    if (!isThere) {
      return Effect.flatMap(
        restore(Lease.take(context, upload)),
        () => begin(context, upload, upload.clock.unsafeCurrentTimeMillis(), restore)
      )
    }
    return Effect.map(restore(tidy(context, upload) ?? Effect.succeed(false)), (): Upload.Outcome => {
      endAttempt(context, upload, "Succeeded")
      return { _tag: "Skipped", reason: finishedBefore, uploadedBefore: true }
    })
  })
}

const answeredEarly = (size: number | undefined, sent: number) =>
  new IntegrityMismatch({
    reason: "Size",
    detail: `The destination reported the object as stored after ${sent} ${
      size === undefined ? "bytes" : `of ${size} bytes`
    }.`
  })
