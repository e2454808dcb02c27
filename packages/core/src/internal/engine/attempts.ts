/**
 * The way of one file through its attempts: what it waits for, what it does, and what becomes of it.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ByteSize from "../../ByteSize.js"
import * as ByteSource from "../../ByteSource.js"
import type * as Destination from "../../Destination.js"
import type * as Limits from "../../Limits.js"
import * as MultipartUpload from "../../MultipartUpload.js"
import * as ObjectKey from "../../ObjectKey.js"
import * as RetryPolicy from "../../RetryPolicy.js"
import type * as Upload from "../../Upload.js"
import { IntegrityMismatch, isRetryable, Rejected, SourceUnreadable, Transient } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import * as Body from "../bytes/body.js"
import { eachBlock, ofSource, reading, sourceStream, watchOf } from "../bytes/watch.js"
import * as PartRecords from "../calls/partRecords.js"
import { within } from "../calls/within.js"
import * as Etag from "../values/etag.js"
import { failureOf, wrongAnswer } from "./driver.js"
import { inTurn } from "./inTurn.js"
import * as MultipartFlow from "./multipart.js"
import { answerMillis, lookAt } from "./requests.js"

/** How much memory an attempt takes, in bytes; what goes up in parts takes it part by part. */
const memoryOf = ({ destination: { capabilities } }: Upload.Context, { large, size }: Upload.Upload): number =>
  large ? 0 : Body.memoryOf(capabilities, size)

/**
 * Runs attempts until the file is stored or has failed for good, and then calls the observer's `settled`. The caller has
 * taken a permit and a start for it; afterwards the permit is given back.
 */
export const run = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<void> => {
  const { observer } = upload
  const now = observer.clock.unsafeCurrentTimeMillis()
  if (upload.attempt === 0) {
    upload.startedAt = now
    const error = refusal(context, upload)
    if (error !== undefined) {
      endAttempt(context, upload, "Failed")
      return observer.settled(upload, { _tag: "Failed", error, again: false })
    }
    if (upload.roundStart === 0 && wasFinished(context, upload)) return skipIfThere(context, upload)
  }
  return begin(context, upload, now)
}

const begin = (context: Upload.Context, upload: Upload.Upload, now: number): Effect.Effect<void> => {
  const { observer } = upload
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
  // Suspended, so that what an attempt is made of is not held while it waits.
  const settled = Effect.matchCauseEffect(Effect.suspend(() => attempt(context, upload)), {
    onSuccess: (stored) => succeeded(context, upload, stored),
    onFailure: (cause) => failed(context, upload, errorOf(upload, cause))
  })
  const announced = observer.attemptStarted(upload)
  if (announced === Effect.void) return settled
  // Whoever is told of the attempt may be slow: that is no stall.
  upload.onWait()
  return Effect.flatMap(announced, () => {
    upload.onGo()
    return settled
  })
}

/** Goes on after a failed attempt: waits and tries again, or fails for good. */
export const failed = (context: Upload.Context, upload: Upload.Upload, error: UploadError): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { observer } = upload
    const inFlight = context.limits.inFlight.taken
    if (error._tag === "Throttled") endAttempt(context, upload, "Throttled", error.retryAfterMillis)
    else endAttempt(context, upload, "Failed")
    const now = observer.clock.unsafeCurrentTimeMillis()
    if (error._tag === "SourceChanged" && observer.onSourceChange !== "fail") {
      if (observer.onSourceChange === "skip") {
        return observer.settled(upload, { _tag: "Skipped", reason: changed, uploadedBefore: false })
      }
      yield* lookAgain(context, upload)
    }
    const readable = upload.source.reopenable || !upload.opened
    const reason = readable ? reasonToRetry(upload, error) : undefined
    if (reason !== undefined && !upload.large && (yield* wasAway(context, upload, error, inFlight))) {
      // What it has cost until it was seen is not counted either.
      upload.driver = undefined
      yield* observer.retrying(upload, 0, error)
      yield* ready(context, upload)
      return run(context, upload)
    }
    upload.driver ??= RetryPolicy.makeDriver(context.retry)
    const delay = reason === undefined ? Option.none() : yield* upload.driver.next(now, reason)
    if (Option.isNone(delay) || !context.budget.unsafeTake()) {
      const again = readable && upload.file.source.reopenable && isRetryable(error) && context.retry.secondRound &&
        upload.roundStart === 0
      return observer.settled(upload, { _tag: "Failed", error, again })
    }
    upload.state = "Backoff"
    observer.backoffStarted()
    yield* observer.retrying(upload, delay.value, error)
    yield* observer.clock.sleep(Duration.millis(delay.value))
    yield* ready(context, upload)
    endBackoff(upload)
    return run(context, upload)
    // What follows goes on from here, not inside: this frame is not to wait on the stack for it.
  }).pipe(Effect.flatten)

/**
 * Waits for what an attempt needs and the upload does not hold yet: memory, then a permit, then a start. Whoever holds
 * a permit never waits for memory.
 */
export const ready = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<void> =>
  Effect.suspend(() => {
    const memory = memoryOf(context, upload)
    if (context.outage?.isSuspected === true) {
      const look = lookAt(context, upload, upload.file.key)
      giveBack(context, upload)
      if (look !== undefined) {
        return Effect.flatMap(context.outage.over(upload.clock, look), () => ready(context, upload))
      }
    }
    const permit = upload.holdsPermit
      ? Effect.void
      : context.limits.inFlight.take(1, () => upload.holdsPermit = true)
    const space = memory === upload.heldMemory
      ? Effect.void
      : context.memory.take(memory, () => upload.heldMemory = memory)
    const taken = inTurn(space, inTurn(permit, context.limits.rate.take))
    // The destination may have gone while this one waited in line.
    return context.outage === undefined
      ? taken
      : Effect.flatMap(taken, () => context.outage?.isSuspected === true ? ready(context, upload) : Effect.void)
  })

/** Takes all of that now and answers `true`, or answers `false`. What was taken until then stays taken. */
export const unsafeReady = (context: Upload.Context, upload: Upload.Upload): boolean => {
  if (context.outage?.isSuspected === true) return false
  const memory = memoryOf(context, upload)
  if (memory > 0 && !context.memory.unsafeTake(memory)) return false
  upload.heldMemory = memory
  if (!context.limits.inFlight.unsafeTake(1)) return false
  upload.holdsPermit = true
  return context.limits.rate.unsafeTake(upload.clock)
}

/**
 * Leaves an upload where it stands, after an interruption: ends its attempt or its backoff and gives its permit back.
 */
export const abandon = (context: Upload.Context, upload: Upload.Upload): void => {
  endAttempt(context, upload, "Failed")
  endBackoff(upload)
}

/** Lets go of a source that nobody has read, and nobody will. */
export const letGo = ({ file: { source }, opened }: Upload.Upload): Effect.Effect<void> =>
  opened || source.abandon === undefined
    ? Effect.void
    : Effect.catchAllCause(source.abandon, (cause) =>
      Cause.isInterrupted(cause)
        ? Effect.failCause(cause)
        : Effect.logDebug("A source failed when it was let go of.", cause))

/** Ends an attempt that stored the file. */
export const acknowledge = (context: Upload.Context, upload: Upload.Upload, stored: Destination.Stored): void => {
  const { file: { key }, fingerprint, handedOut, large } = upload
  endAttempt(context, upload, "Succeeded")
  // What went up in parts was noted when it was completed.
  if (large || fingerprint === undefined) return
  context.journal?.finished(PartRecords.finished({ key, size: handedOut, fingerprint }, stored))
}

/** Begins another round of attempts for a file whose round failed with `lastError`. */
export const nextRound = (upload: Upload.Upload, lastError: UploadError): Upload.Upload => {
  upload.roundStart = upload.attempt
  upload.state = "Idle"
  upload.lastError = lastError
  upload.driver = undefined
  return upload
}

/** How many bytes of unknown total are held in memory for a destination that must know the size beforehand. */
const maxBuffered = 8 * 1024 * 1024

const changed = "It changed while it was uploaded."

const finishedBefore = "It was uploaded before the last run was interrupted."

const succeeded = (context: Upload.Context, upload: Upload.Upload, stored: Destination.Stored): Effect.Effect<void> => {
  const { handedOut, large, size } = upload
  const wrong = wrongAnswer("put", stored)
  if (wrong !== undefined) return failed(context, upload, wrong)
  if (!large) {
    if (size === undefined ? !upload.bodyEnded : handedOut !== size) {
      return failed(context, upload, answeredEarly(size, handedOut))
    }
    const problem = PartRecords.mismatch(stored, handedOut, handedOut, upload.body?.checksum)
    if (problem !== undefined) return failed(context, upload, problem)
    context.budget.unsafeRefund(upload.attempt - 1)
    context.outage?.answered(upload.attemptStartedAt)
  }
  acknowledge(context, upload, stored)
  const { checksum = upload.body?.checksum, etag } = stored
  return upload.observer.settled(upload, { _tag: "Stored", stored: { etag, checksum, size: stored.size } })
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
    upload.observer.attemptEnded(upload, outcome)
    // What goes up in parts was observed request by request.
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
  giveBack(context, upload)
}

const giveBack = (context: Upload.Context, upload: Upload.Upload): void => {
  if (upload.heldMemory > 0) {
    context.memory.unsafeRelease(upload.heldMemory)
    upload.heldMemory = 0
  }
  if (upload.holdsPermit) {
    upload.holdsPermit = false
    context.limits.inFlight.unsafeRelease(1)
  }
}

/** Waits while the destination is away, if this failure says so, and tells whether it was. */
const wasAway = (
  context: Upload.Context,
  upload: Upload.Upload,
  error: UploadError,
  inFlight: number
): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const { clock, observer } = upload
    const look = lookAt(context, upload, upload.file.key)
    if (
      look === undefined ||
      context.outage?.failed(clock.unsafeCurrentTimeMillis(), error, upload.attemptStartedAt, inFlight) !== true
    ) {
      return Effect.succeed(false)
    }
    upload.state = "Backoff"
    observer.backoffStarted()
    return Effect.map(context.outage.over(clock, look), (away) => {
      endBackoff(upload)
      return away
    })
  })

const endBackoff = (upload: Upload.Upload): void => {
  if (upload.state !== "Backoff") return
  upload.state = "Idle"
  upload.observer.backoffEnded()
}

const errorOf = (upload: Upload.Upload, cause: Cause.Cause<UploadError>): UploadError => {
  const error = upload.sourceError ?? failureOf(cause)
  if (upload.file.source.reopenable) return error
  const reason = spent.get(upload.file.source)
  if (reason === undefined) {
    if (upload.opened) spent.set(upload.file.source, error)
    return error
  }
  // Whoever tries it again would hear of nothing but that.
  return error._tag !== "SourceUnreadable" || error.reason !== "Consumed" ? error : new SourceUnreadable({
    reason: "Consumed",
    detail: `${error.detail} An upload of it has failed before: ${reason.message}`,
    cause: reason
  })
}

/** Why sources that can be read only once were read for nothing. */
const spent = new WeakMap<ByteSource.ByteSource, UploadError>()

/** As what a failure is tried again, if at all. */
const reasonToRetry = (upload: Upload.Upload, error: UploadError): UploadError | undefined => {
  if (error._tag === "SourceChanged" && upload.observer.onSourceChange === "retry") {
    return new Transient({ reason: "Unavailable", detail: error.detail })
  }
  // The requests of what goes up in parts have had attempts of their own.
  return upload.large && (error._tag === "Transient" || error._tag === "Throttled") ? undefined : error
}

/** Takes the source as it is now. Where that cannot be had, the next attempt takes its fingerprint anew. */
const lookAgain = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<void> => {
  upload.fingerprint = undefined
  const { latest } = upload.source
  // A source that does not answer is as it was.
  return latest === undefined
    ? Effect.void
    : Effect.match(within(Effect.disconnect(ofSource(() => latest)), answerMillis(upload), () => "late" as const), {
      onFailure: () => {},
      onSuccess: (latest) => upload.relist(context, latest)
    })
}

/** Why a file is not even tried. */
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

/** Whether an earlier run, which did not come to its end, has uploaded just this file. */
const wasFinished = (context: Upload.Context, { file, fingerprint, size }: Upload.Upload): boolean => {
  const { destination: { head, headAt }, journal } = context
  if (journal === undefined || (head ?? headAt) === undefined || size === undefined || fingerprint === undefined) {
    return false
  }
  const finished = { key: file.key, size, fingerprint }
  return journal.wasFinished(finished) && (head !== undefined || journal.locationOf?.(finished) !== undefined)
}

/** How to look at a file that an earlier run has uploaded: where it was put then or, where that is not known, by its key. */
const lookAtFinished = (context: Upload.Context, { file: { key }, fingerprint, size }: Upload.Upload) => {
  const { destination: { head, headAt }, journal } = context
  const location = headAt === undefined || size === undefined || fingerprint === undefined
    ? undefined
    : journal?.locationOf?.({ key, size, fingerprint })
  return location === undefined ? head?.(key) : headAt?.(location, key)
}

/** Whether nobody has put another object, which may be of the same size, in the place of one that was uploaded. */
const isWhatWasStored = (context: Upload.Context, upload: Upload.Upload, found: Destination.Head): boolean => {
  const { file: { key }, fingerprint, modifiedAt, size } = upload
  return size !== undefined && fingerprint !== undefined &&
    context.journal?.wasFinished({ key, size, fingerprint, etag: Etag.read(found.etag) }) === true &&
    PartRecords.isSame(found, { size, checksum: undefined, modifiedAt }) !== false
}

/** Skips a file that is at the destination already, or uploads it where a look shows that it is not. */
const skipIfThere = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<void> => {
  const { observer } = upload
  const look = Effect.suspend(() => {
    observer.requestStarted()
    const asked = Effect.suspend(() => lookAtFinished(context, upload) ?? Effect.succeedNone)
    return within(asked, answerMillis(upload), () => "late" as const).pipe(
      Effect.map(Option.exists((found) => isWhatWasStored(context, upload, found))),
      Effect.catchAllCause(() => Effect.succeed(false)),
      Effect.ensuring(Effect.sync(() => observer.requestEnded()))
    )
  })
  return Effect.flatMap(look, (isThere) => {
    // The start that came with the file was for the look.
    if (!isThere) {
      return Effect.flatMap(
        ready(context, upload),
        () => begin(context, upload, upload.clock.unsafeCurrentTimeMillis())
      )
    }
    return Effect.flatMap(tidy(context, upload) ?? Effect.void, () => {
      endAttempt(context, upload, "Succeeded")
      return observer.settled(upload, { _tag: "Skipped", reason: finishedBefore, uploadedBefore: true })
    })
  })
}

const attempt = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const fingerprint = upload.fingerprint === undefined ? upload.source.fingerprint : undefined
  if (fingerprint === undefined) return send(context, upload)
  upload.onAsk()
  const asked = upload.large ? reading(upload, () => ofSource(() => fingerprint)) : ofSource(() => fingerprint)
  return Effect.flatMap(asked, (now) => {
    upload.onRead()
    upload.fingerprint = now
    return send(context, upload)
  })
}

const send = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const { multipart } = context.destination
  if (upload.large && multipart !== undefined) return MultipartFlow.run(context, upload, multipart, upload.size)
  const tidied = tidy(context, upload)
  return tidied === undefined ? sizedPut(context, upload) : Effect.flatMap(tidied, () => {
    upload.onWait()
    return Effect.flatMap(ready(context, upload), () => {
      upload.onGo()
      return sizedPut(context, upload)
    })
  })
}

/** Ends what an earlier run has begun for a file that does not go up in parts any more; it takes the permit. */
const tidy = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<void> | undefined => {
  const { multipart } = context.destination
  return multipart === undefined || !MultipartFlow.isBegun(context, upload.file.key)
    ? undefined
    : MultipartFlow.discard(context, upload, multipart)
}

const sizedPut = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const { capabilities } = context.destination
  if (upload.size !== undefined || capabilities.unknownSize) return put(context, upload)
  return Effect.flatMap(
    buffer(upload),
    (size) => size > capabilities.maxPutSize ? Effect.fail(tooLarge(capabilities)) : put(context, upload)
  )
}

const put = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const body = new Body.UploadBody(upload, context.limits.bandwidth)
  upload.body = body
  const request = {
    key: upload.file.key,
    body,
    contentType: upload.file.contentType,
    metadata: upload.file.metadata,
    modifiedAt: upload.modifiedAt
  }
  return context.destination.put(upload.mode === undefined ? request : { ...request, mode: upload.mode })
}

const answeredEarly = (size: number | undefined, sent: number) =>
  new IntegrityMismatch({
    reason: "Size",
    detail: `The destination called the object stored after ${sent} ${
      size === undefined ? "bytes" : `of ${size} bytes`
    }, before its end.`
  })

const tooLarge = (capabilities: Destination.Capabilities) =>
  new Rejected({
    reason: "TooLarge",
    detail: `The destination takes at most ${ByteSize.format(capabilities.maxPutSize)} in one request.`
  })

/** Reads a source of unknown size into memory, once, so that its size is known and it can be sent again. */
const buffer = (upload: Upload.Upload): Effect.Effect<number, UploadError> =>
  Effect.suspend(() => {
    upload.opened = true
    upload.onAsk()
    const blocks: Array<Uint8Array> = []
    let total = 0
    const watch = watchOf(() => upload)
    const read = eachBlock(sourceStream(() => upload.source.read({ offset: 0, watch })), (block) => {
      upload.onAsk()
      blocks.push(block)
      total += block.length
      return total > maxBuffered
    })
    return Effect.flatMap(read, () => {
      upload.onRead()
      if (total > maxBuffered) return Effect.fail(tooLargeToHold)
      upload.source = ByteSource.fromBytes(ByteSource.concat(blocks))
      return Effect.succeed(total)
    })
  })

const tooLargeToHold = new Rejected({
  reason: "Unsupported",
  detail: `The destination must know the size beforehand, and the source gives more than ${
    ByteSize.format(maxBuffered)
  } without saying how much.`
})
