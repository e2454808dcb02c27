/**
 * One file on its way: attempts, backoff between them, and the outcome.
 *
 * An attempt begins with a permit of the in-flight budget and a start of the rate limit, both taken by whoever calls;
 * the permit is given back before a backoff and taken again, with another start, after it. So nothing that sleeps
 * holds a permit.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as ByteSize from "./ByteSize.js"
import * as ByteSource from "./ByteSource.js"
import type * as Destination from "./Destination.js"
import * as Body from "./internal/body.js"
import type * as Limits from "./Limits.js"
import * as ObjectKey from "./ObjectKey.js"
import * as RetryPolicy from "./RetryPolicy.js"
import { IntegrityMismatch, isRetryable, Rejected } from "./UploadError.js"
import type { UploadError } from "./UploadError.js"
import type { UploadFile } from "./UploadFile.js"

/**
 * What all uploads of one uploader share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly destination: Destination.Destination["Type"]
  readonly limits: Limits.Limits
  readonly retry: RetryPolicy.RetryPolicy
  readonly budget: RetryPolicy.Budget
  /** Absent where nobody observes. */
  readonly observe: ((observation: Limits.Observation) => void) | undefined
  /** The runs that are under way. */
  readonly runs: Set<{ readonly limitsChanged: () => void }>
}

/**
 * Who is told of an upload's steps. The calls that answer with an effect are waited for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observer {
  readonly clock: Clock.Clock
  readonly attemptStarted: (upload: Upload) => Effect.Effect<void>
  readonly sent: (upload: Upload, bytes: number) => void
  readonly attemptEnded: (upload: Upload, outcome: Limits.Observation["outcome"]) => void
  readonly backoff: (upload: Upload, delayMillis: number, error: UploadError) => Effect.Effect<void>
  readonly backoffEnded: () => void
  readonly settled: (upload: Upload, outcome: Outcome) => Effect.Effect<void>
}

/**
 * How an upload ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "Stored"; readonly etag: string | undefined }
  | { readonly _tag: "Failed"; readonly error: UploadError; readonly again: boolean }

/**
 * One file's upload, from its first attempt to its last: its state, for those who watch it.
 *
 * @since 0.1.0
 * @category models
 */
export class Upload implements Body.Owner {
  /** @since 0.1.0 */
  readonly file: UploadFile
  /** @since 0.1.0 */
  observer: Observer
  /**
   * The attempt under way or last made, from 1; 0 before the first.
   *
   * @since 0.1.0
   */
  attempt = 0
  /**
   * The attempt after which the present round of attempts began.
   *
   * @since 0.1.0
   */
  roundStart = 0
  /**
   * When the first attempt started, in milliseconds on the clock.
   *
   * @since 0.1.0
   */
  startedAt = 0
  /**
   * When the present attempt started.
   *
   * @since 0.1.0
   */
  attemptStartedAt = 0
  /**
   * When the present attempt last moved bytes, or last ended a wait that is not the destination's fault.
   *
   * @since 0.1.0
   */
  lastByteAt = 0
  /**
   * Bytes that the present attempt has handed to the destination.
   *
   * @since 0.1.0
   */
  sent = 0
  /**
   * Whether a permit of the in-flight budget is this upload's to give back.
   *
   * @since 0.1.0
   */
  holdsPermit = false
  /**
   * Why the round before this one failed.
   *
   * @since 0.1.0
   */
  lastError: UploadError | undefined = undefined
  /** @internal */
  source: ByteSource.ByteSource
  /** @internal */
  fingerprint: string | undefined
  /** @internal */
  state: "Idle" | "Attempt" | "Backoff" | "Settled" = "Idle"
  /** @internal */
  opened = false
  /** @internal */
  bodyEnded = false
  /** @internal */
  waits = 0
  /** @internal */
  sourceError: UploadError | undefined = undefined
  /** @internal */
  driver: RetryPolicy.Driver | undefined = undefined

  constructor(file: UploadFile, observer: Observer) {
    this.file = file
    this.observer = observer
    this.source = file.source
    this.fingerprint = file.fingerprint
  }

  /**
   * How many bytes there are to send; `undefined` when nobody knows before the end.
   *
   * @since 0.1.0
   */
  get size(): number | undefined {
    return this.file.size ?? this.source.size
  }

  /** @internal */
  get clock(): Clock.Clock {
    return this.observer.clock
  }

  /** @internal */
  onOpen(): void {
    this.opened = true
  }

  /** @internal */
  onWait(): void {
    this.waits += 1
  }

  /** @internal */
  onGo(): void {
    this.waits -= 1
    this.lastByteAt = this.clock.unsafeCurrentTimeMillis()
  }

  /** @internal */
  onRead(): void {
    this.lastByteAt = this.clock.unsafeCurrentTimeMillis()
  }

  /** @internal */
  onEnd(): void {
    this.bodyEnded = true
  }

  /** @internal */
  onSent(bytes: number): void {
    this.observer.sent(this, bytes)
  }

  /** @internal */
  onSourceError(error: UploadError): void {
    this.sourceError = error
  }
}

/**
 * Runs attempts until the file is stored or has failed for good, and then calls the observer's `settled`. The caller has
 * taken a permit and a start for it; afterwards the permit is given back.
 *
 * @since 0.1.0
 * @category execution
 */
export const run = (context: Context, upload: Upload): Effect.Effect<void> => {
  const { observer } = upload
  const now = observer.clock.unsafeCurrentTimeMillis()
  if (upload.attempt === 0) {
    upload.startedAt = now
    const error = refusal(context, upload.file)
    if (error !== undefined) {
      endAttempt(context, upload, "Failed")
      return observer.settled(upload, { _tag: "Failed", error, again: false })
    }
  }
  upload.attempt += 1
  upload.attemptStartedAt = now
  upload.lastByteAt = now
  upload.sent = 0
  upload.waits = 0
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

/**
 * Goes on after a failed attempt: waits and tries again, or fails for good.
 *
 * @since 0.1.0
 * @category execution
 */
export const failed = (context: Context, upload: Upload, error: UploadError): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { observer } = upload
    endAttempt(context, upload, error._tag === "Throttled" ? "Throttled" : "Failed")
    const now = observer.clock.unsafeCurrentTimeMillis()
    const readable = upload.source.reopenable || !upload.opened
    upload.driver ??= RetryPolicy.makeDriver(context.retry)
    const delay = readable ? yield* upload.driver.next(now, error) : Option.none()
    if (Option.isNone(delay) || !context.budget.unsafeTake()) {
      const again = readable && isRetryable(error) && context.retry.secondRound && upload.roundStart === 0
      return observer.settled(upload, { _tag: "Failed", error, again })
    }
    upload.state = "Backoff"
    yield* observer.backoff(upload, delay.value, error)
    yield* observer.clock.sleep(Duration.millis(delay.value))
    yield* context.limits.inFlight.take(1, () => upload.holdsPermit = true)
    yield* context.limits.rate.take
    endBackoff(upload)
    return run(context, upload)
    // What follows goes on from here, not inside: this frame is not to wait on the stack for it.
  }).pipe(Effect.flatten)

/**
 * Leaves an upload where it stands, after an interruption: ends its attempt or its backoff and gives its permit back.
 *
 * @since 0.1.0
 * @category execution
 */
export const abandon = (context: Context, upload: Upload): void => {
  endAttempt(context, upload, "Failed")
  endBackoff(upload)
}

/**
 * Begins another round of attempts for a file whose round failed with `lastError`.
 *
 * @since 0.1.0
 * @category execution
 */
export const nextRound = (upload: Upload, lastError: UploadError): Upload => {
  upload.roundStart = upload.attempt
  upload.state = "Idle"
  upload.lastError = lastError
  upload.driver = undefined
  return upload
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How many bytes of unknown total are held in memory for a destination that must know the size beforehand. */
const maxBuffered = 8 * 1024 * 1024

const succeeded = (context: Context, upload: Upload, stored: Destination.Stored): Effect.Effect<void> => {
  const { size } = upload
  if (size === undefined ? !upload.bodyEnded : upload.sent !== size) {
    return failed(context, upload, answeredEarly(size, upload.sent))
  }
  endAttempt(context, upload, "Succeeded")
  context.budget.unsafeRefund(upload.attempt - 1)
  return upload.observer.settled(upload, { _tag: "Stored", etag: stored.etag })
}

const endAttempt = (context: Context, upload: Upload, outcome: Limits.Observation["outcome"]): void => {
  const inFlight = context.limits.inFlight.taken
  if (upload.state === "Attempt") {
    upload.state = "Idle"
    upload.observer.attemptEnded(upload, outcome)
    context.observe?.({
      outcome,
      durationMillis: upload.clock.unsafeCurrentTimeMillis() - upload.attemptStartedAt,
      bytes: outcome === "Succeeded" ? upload.sent : 0,
      inFlight
    })
  }
  if (upload.holdsPermit) {
    upload.holdsPermit = false
    context.limits.inFlight.unsafeRelease(1)
  }
}

const endBackoff = (upload: Upload): void => {
  if (upload.state !== "Backoff") return
  upload.state = "Idle"
  upload.observer.backoffEnded()
}

const errorOf = (upload: Upload, cause: Cause.Cause<UploadError>): UploadError =>
  upload.sourceError ??
    Option.getOrElse(Cause.failureOption(cause), () =>
      new Rejected({
        reason: "Unexpected",
        detail: `The destination's driver failed unexpectedly: ${Cause.pretty(cause).split("\n", 1)[0]}`,
        cause: Cause.squash(cause)
      }))

/** Why a file is not even tried. */
const refusal = ({ destination }: Context, file: UploadFile): Rejected | undefined => {
  const problem = ObjectKey.problem(file.key)
  return problem !== undefined
    ? new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(file.key)} ${problem}.` })
    : file.size !== undefined && file.size > destination.capabilities.maxPutSize
    ? tooLarge(destination.capabilities)
    : undefined
}

const attempt = (context: Context, upload: Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const { fingerprint } = upload.source
  return fingerprint === undefined || upload.fingerprint !== undefined
    ? sizedPut(context, upload)
    : Effect.flatMap(fingerprint, (now) => {
      upload.fingerprint = now
      return sizedPut(context, upload)
    })
}

const sizedPut = (context: Context, upload: Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const { capabilities } = context.destination
  if (upload.size !== undefined || capabilities.unknownSize) return put(context, upload)
  return Effect.flatMap(
    buffer(upload),
    (size) => size > capabilities.maxPutSize ? Effect.fail(tooLarge(capabilities)) : put(context, upload)
  )
}

const put = (context: Context, upload: Upload): Effect.Effect<Destination.Stored, UploadError> =>
  context.destination.put({
    key: upload.file.key,
    body: new Body.UploadBody(upload, context.limits.bandwidth),
    contentType: upload.file.contentType,
    metadata: upload.file.metadata,
    modifiedAt: upload.file.modifiedAt
  })

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
const buffer = (upload: Upload): Effect.Effect<number, UploadError> =>
  Effect.suspend(() => {
    upload.opened = true
    let total = 0
    return upload.source.read({ offset: 0 }).pipe(
      Stream.mapEffect((block) => {
        total += block.length
        upload.onRead()
        return total <= maxBuffered ? Effect.succeed(block) : Effect.fail(
          new Rejected({
            reason: "Unsupported",
            detail: `The destination must know the size beforehand, and the source gives more than ${
              ByteSize.format(maxBuffered)
            } without saying how much.`
          })
        )
      }),
      Stream.runCollect,
      Effect.map((blocks) => {
        upload.source = ByteSource.fromBytes(ByteSource.concat(Array.from(blocks)))
        return total
      })
    )
  })
