/**
 * The attempts of one file: what begins them, what follows a failure, and how the file ends.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as ByteSource from "../../ByteSource.js"
import type * as Destination from "../../Destination.js"
import * as ObjectKey from "../../ObjectKey.js"
import type { RetryPolicy } from "../../RetryPolicy.js"
import { IntegrityMismatch, isRetryable, Rejected, SourceUnreadable, Transient } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { ofSource } from "../bytes/watch.js"
import type { Restore } from "../calls/ended.js"
import * as PartRecords from "../calls/partRecords.js"
import { within } from "../calls/within.js"
import { isLater, later } from "./answeringJournal.js"
import { lookAt } from "./call.js"
import { failureOf, wrongAnswer } from "./driver.js"
import type { Env } from "./env.js"
import * as FinishedBefore from "./finishedBefore.js"
import type { Lease } from "./lease.js"
import type { Look } from "./outage.js"
import * as Parts from "./parts.js"
import { attempt, tidy, tooLarge } from "./put.js"
import * as Request from "./request.js"
import type * as Retries from "./retries.js"
import * as Spans from "./spans.js"
import type { Spanned } from "./spans.js"
import { isInterrupted } from "./stalls.js"
import * as Step from "./step.js"
import type { Outcome, Upload } from "./upload.js"

/** Waits for what an attempt needs: memory, a permit and a start. */
export const take = (env: Env, upload: Upload): Effect.Effect<void> => Request.take(env, new FileRequest(env, upload))

/** Takes all of that at once and returns `true`, or returns `false` and keeps what it has taken so far. */
export const unsafeTake = ({ outage }: Env, { lease }: Upload): boolean =>
  outage?.isSuspected !== true && lease.unsafeTake()

/**
 * Uploads a file: attempts until it is stored or has failed for good. The caller has taken its lease, which is given
 * back, and can be interrupted only through `restore`. An interruption is an outcome, too.
 */
export const upload = (env: Env, upload: Upload, restore: Restore): Effect.Effect<Outcome> =>
  upload.run.tracing === "run" ? outcomeOf(env, upload, restore) : inSpan(
    upload,
    Effect.suspend(() => outcomeOf(env, upload, restore))
  )

const outcomeOf = (env: Env, upload: Upload, restore: Restore): Effect.Effect<Outcome> => {
  if (upload.attempt > 0) return send(env, upload, restore)
  upload.startedAt = upload.clock.unsafeCurrentTimeMillis()
  const error = refusal(env, upload)
  if (error !== undefined) {
    upload.lease.release()
    return Effect.succeed({ _tag: "Failed", error, again: false })
  }
  const noted = FinishedBefore.ask(env, upload)
  if (noted === undefined) return send(env, upload, restore)
  const skipped = isLater(noted) ?
    Effect.flatMap(restore(noted), (noted) => {
      return noted === undefined ? send(env, upload, restore) : skipIfThere(env, upload, noted, restore)
    }) :
    skipIfThere(env, upload, noted, restore)
  return Effect.catchAllCause(skipped, (cause) => {
    upload.lease.release()
    return Cause.isInterruptedOnly(cause) ? Effect.succeed(interrupted) : Effect.failCause(cause)
  })
}

/** Releases a source that was never read and will not be. Waits for this for at most `millis`. */
export const letGo = ({ file: { source }, opened }: Upload, millis: number): Effect.Effect<void> | undefined => {
  if (opened || source.abandon === undefined) return undefined
  const released = Effect.catchAllCause(source.abandon, (cause) =>
    Cause.isInterrupted(cause)
      ? Effect.failCause(cause)
      : Effect.logDebug("A source failed when it was let go of.", cause))
  return Effect.ignore(within(Effect.disconnect(released), millis, () => "late" as const))
}

/** Whether another run can resume an upload. */
export const canResume = ({ fingerprint, large, source, state }: Upload): boolean =>
  large && source.reopenable && fingerprint !== undefined && (state === "Attempt" || state === "Backoff")

/** Begins another round of attempts for a file whose round failed with `lastError`. */
export const nextRound = (upload: Upload, lastError: UploadError): Upload => {
  upload.roundStart = upload.attempt
  upload.state = "Idle"
  upload.lastError = lastError
  upload.schedule = undefined
  return upload
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** A file as a request: one `put`, or the requests of a multipart upload. */
class FileRequest implements Request.Request<Destination.Stored> {
  readonly upload: Upload
  readonly request = undefined
  readonly isBudgeted = true
  readonly isHeard = true
  readonly lastRetryAt = Infinity
  private readonly env: Env

  constructor(env: Env, upload: Upload) {
    this.env = env
    this.upload = upload
  }

  get clock() {
    return this.upload.clock
  }

  get lease(): Lease {
    return this.upload.lease
  }

  get isOne(): boolean {
    return !this.upload.large
  }

  get bytes(): number {
    return this.upload.handedOut
  }

  get attempt(): number {
    return this.upload.attempt
  }

  get roundStart(): number {
    return this.upload.roundStart
  }

  get attemptStartedAt(): number {
    return this.upload.attemptStartedAt
  }

  get policy(): RetryPolicy {
    return this.env.retry
  }

  get schedule(): Retries.Driver | undefined {
    return this.upload.schedule
  }

  set schedule(schedule: Retries.Driver | undefined) {
    this.upload.schedule = schedule
  }

  /** The requests of a large file wait for the destination themselves. */
  get look(): Look | undefined {
    return this.upload.large ? undefined : lookAt(this.env, this.upload)
  }

  get span(): Spanned | undefined {
    const { attempt, run: { tracing } } = this.upload
    return tracing === "attempt" ? { name: "Uploader.attempt", attributes: { "sluice.attempt": attempt } } : undefined
  }

  record(step: Step.Step): Effect.Effect<void> | undefined {
    return this.upload.record(step)
  }

  begin(now: number): Effect.Effect<void> | undefined {
    const { upload } = this
    upload.backoffEnded()
    const told = upload.begin(now)
    // A slow listener is not a stall.
    return told === undefined ? undefined : Effect.map(told, () => upload.moved())
  }

  send(restore: Restore): Effect.Effect<Destination.Stored, UploadError> {
    const { env, upload } = this
    // Suspended, so that a waiting upload does not hold the objects of its attempt.
    const sent = Effect.suspend(() => attempt(env, upload))
    return upload.large ? restore(sent) : upload.run.stalls.guard(upload, sent, restore)
  }

  problem(stored: Destination.Stored): UploadError | undefined {
    const { body, bodyEnded, handedOut, large, size } = this.upload
    const wrong = wrongAnswer("put", stored)
    if (wrong !== undefined || large) return wrong
    if (size === undefined ? !bodyEnded : handedOut !== size) return answeredEarly(size, handedOut)
    return PartRecords.mismatch(stored, handedOut, handedOut, body?.checksum)
  }

  errorOf(cause: Cause.Cause<UploadError>): UploadError {
    const { file: { source }, opened, sourceError } = this.upload
    const error = sourceError ?? failureOf(cause)
    if (source.reopenable) return error
    const reason = spent.get(source)
    if (reason === undefined) {
      if (opened) spent.set(source, error)
      return error
    }
    // Without the first failure, a second upload would report only that the source is consumed.
    return error._tag !== "SourceUnreadable" || error.reason !== "Consumed" ? error : new SourceUnreadable({
      reason: "Consumed",
      detail: `${error.detail} An upload of it has failed before: ${reason.message}`,
      cause: reason
    })
  }

  end(stored: boolean): void {
    const { upload } = this
    upload.end(stored || upload.stored !== undefined)
  }

  prepare(error: UploadError): Effect.Effect<void> | undefined {
    const { upload } = this
    return error._tag === "SourceChanged" && upload.run.onSourceChange === "retry" ? lookAgain(upload) : undefined
  }

  judged(error: UploadError): UploadError | undefined {
    const { large, run: { onSourceChange }, stored } = this.upload
    if (stored !== undefined || !isReadable(this.upload)) return undefined
    if (error._tag === "SourceChanged" && onSourceChange !== "fail") {
      return onSourceChange === "skip" ? undefined : new Transient({ reason: "Unavailable", detail: error.detail })
    }
    // The requests of a multipart upload have had their own attempts.
    return large && (error._tag === "Transient" || error._tag === "Throttled") ? undefined : error
  }

  backoffStarted(): void {
    this.upload.backoffStarted()
  }
}

/** Uploads a file in a span, which ends with the file's error. */
const inSpan = (upload: Upload, effect: Effect.Effect<Outcome>): Effect.Effect<Outcome> => {
  const { file: { key }, size } = upload
  const spanned = { name: "Uploader.upload", attributes: { "sluice.key": key, "sluice.size": size } }
  return Spans.inSpan(spanned, effect, (span, exit) => {
    span.attribute("sluice.attempts", upload.attempt)
    if (Exit.isFailure(exit)) return exit
    const { value } = exit
    span.attribute("sluice.outcome", value._tag === "Stored" ? "Uploaded" : value._tag)
    switch (value._tag) {
      case "Stored":
      case "Skipped":
        return exit
      case "Failed":
        return Exit.fail(value.error)
      case "Interrupted":
        return Exit.interrupt(FiberId.none)
    }
  })
}

const send = (env: Env, upload: Upload, restore: Restore): Effect.Effect<Outcome> =>
  Effect.matchCauseEffect(Request.run(env, new FileRequest(env, upload), restore, true), {
    onSuccess: (stored) => {
      const outcome: Outcome = { _tag: "Stored", stored: storedOf(upload, stored) }
      const recorded = recordFinished(env, upload, stored)
      return recorded === undefined ? Effect.succeed(outcome) : Effect.as(recorded, outcome)
    },
    onFailure: (cause) =>
      Effect.withFiberRuntime((fiber) => {
        upload.backoffEnded()
        if (upload.stored !== undefined) {
          const defect = Cause.isDie(cause) ? Effect.failCause(Cause.stripFailures(cause)) : undefined
          return Effect.succeed<Outcome>({ _tag: "Stored", stored: upload.stored, defect })
        }
        const failure = Cause.failureOption(cause)
        if (Cause.isInterruptedOnly(cause) || (Option.isSome(failure) && isInterrupted(fiber))) {
          return Effect.succeed(interrupted)
        }
        return Option.isSome(failure)
          ? Effect.succeed(failed(env, upload, failure.value))
          : Effect.failCause(Cause.stripFailures(cause))
      })
  })

const interrupted: Outcome = { _tag: "Interrupted" }

const failed = (env: Env, upload: Upload, error: UploadError): Outcome => {
  if (error._tag === "SourceChanged" && upload.run.onSourceChange === "skip") {
    return { _tag: "Skipped", reason: changed, uploadedBefore: false }
  }
  const again = isReadable(upload) && upload.file.source.reopenable && isRetryable(error) && env.retry.secondRound &&
    upload.roundStart === 0
  return { _tag: "Failed", error, again }
}

const isReadable = ({ opened, source }: Upload): boolean => source.reopenable || !opened

const storedOf = ({ body }: Upload, { checksum = body?.checksum, etag, size }: Destination.Stored) => ({
  etag,
  checksum,
  size
})

/** Records a file that was stored in one request; returns what there is to wait for. */
const recordFinished = (
  { journal }: Env,
  { file: { key }, fingerprint, handedOut, large }: Upload,
  stored: Destination.Stored
): Effect.Effect<void> | undefined =>
  // A multipart upload was recorded when it was completed.
  journal === undefined || large || fingerprint === undefined
    ? undefined
    : later(journal.finished(PartRecords.finished({ key, size: handedOut, fingerprint }, stored)))

const changed = "It changed while it was uploaded."

const finishedBefore = "It was uploaded before the last run was interrupted."

/** The first failure of each one-shot source. */
const spent = new WeakMap<ByteSource.ByteSource, UploadError>()

/** Takes the current state of the source. If that fails, the next attempt takes a new fingerprint. */
const lookAgain = (upload: Upload): Effect.Effect<void> => {
  upload.fingerprint = undefined
  const { run: { answerMillis }, source: { latest } } = upload
  // A source that does not answer counts as unchanged.
  return latest === undefined
    ? Effect.void
    : Effect.match(within(Effect.disconnect(ofSource(() => latest)), answerMillis, () => "late" as const), {
      onFailure: () => {},
      onSuccess: (latest) => upload.relist(latest)
    })
}

/** Why a file is refused before its first attempt. */
const refusal = (env: Env, { file, large, size }: Upload): UploadError | undefined => {
  const { emptySegments } = env.destination.capabilities
  const problem = emptySegments === true ? ObjectKey.problem(file.key) : ObjectKey.problemAsPath(file.key)
  if (problem !== undefined) {
    return new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(file.key)} ${problem}.` })
  }
  if (size === undefined) return undefined
  if (large) return Option.getOrUndefined(Either.getLeft(Parts.planOf(env, size)))
  const { capabilities } = env.destination
  return size > capabilities.maxPutSize ? tooLarge(capabilities) : undefined
}

/** Skips a file that is already at the destination, and uploads it if a look shows that it is not. */
const skipIfThere = (
  env: Env,
  upload: Upload,
  noted: FinishedBefore.FinishedBefore,
  restore: Restore
): Effect.Effect<Outcome> => {
  const look = Effect.suspend(() => {
    upload.record(Step.requestStarted)
    return within(noted.look, upload.run.answerMillis, () => "late" as const).pipe(
      Effect.map(Option.exists((found) => FinishedBefore.isSame(noted, upload, found))),
      Effect.catchAllCause(() => Effect.succeed(false)),
      Effect.ensuring(Effect.sync(() => upload.record(Step.requestEnded)))
    )
  })
  return Effect.flatMap(restore(look), (isThere) => {
    if (!isThere) {
      upload.lease.useStart()
      return Effect.flatMap(restore(take(env, upload)), () => send(env, upload, restore))
    }
    return Effect.map(restore(tidy(env, upload) ?? Effect.succeed(false)), (): Outcome => {
      upload.lease.release()
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
