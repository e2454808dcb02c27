/**
 * The upload of one file: its state, the context it shares with others, and the observer of its steps.
 *
 * An attempt begins with memory for what it buffers, a permit of the in-flight budget and a start from the rate limit;
 * all are given back before a backoff and taken again after it. So nothing that sleeps holds a permit.
 *
 * A file larger than the threshold goes up in parts if the destination takes parts: see `MultipartUpload`. Its requests
 * have their own attempts; the file as a whole is retried only if it has to start over.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as ByteSource from "./ByteSource.js"
import type { Algorithm } from "./Checksum.js"
import type * as Destination from "./Destination.js"
import type { UploadBody } from "./internal/bytes/body.js"
import type { Owner as BodyOwner } from "./internal/bytes/bodyOwner.js"
import { Track } from "./internal/bytes/watch.js"
import type { Watched } from "./internal/bytes/watch.js"
import type * as Outage from "./internal/engine/outage.js"
import type * as Limits from "./Limits.js"
import * as MultipartUpload from "./MultipartUpload.js"
import type * as RetryPolicy from "./RetryPolicy.js"
import type { UploadError } from "./UploadError.js"
import type { UploadFile } from "./UploadFile.js"
import type { UploadReport } from "./UploadReport.js"

/**
 * The context that all uploads of one uploader share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context extends MultipartUpload.Context {
  /** The runs in progress. */
  readonly runs: Set<{
    readonly limitsChanged: (settings: Limits.Settings, reason: string | undefined) => void
    readonly outageChanged: (change: Outage.Change) => void
  }>
  /** Runs before the first file of a run. */
  readonly prepare: Effect.Effect<void>
  /** Runs when a run has ended. */
  readonly conclude: (report: UploadReport) => Effect.Effect<void>
}

/**
 * What happens to a file whose source changes while it is uploaded: it fails, starts over with its new content, or is
 * skipped.
 *
 * @since 0.1.0
 * @category models
 */
export type OnSourceChange = "fail" | "retry" | "skip"

/**
 * The observer of an upload's steps. The upload waits for the calls that return an effect.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observer {
  readonly clock: Clock.Clock
  /** What happens to a multipart upload that was interrupted, or failed and could be resumed. */
  readonly onInterrupt: "abort" | "keep"
  readonly onSourceChange: OnSourceChange
  /** How long a request without bytes may wait for its answer, in milliseconds. Defaults to 30 seconds. */
  readonly answerMillis?: number | undefined
  readonly attemptStarted: (upload: Upload) => Effect.Effect<void>
  readonly sent: (upload: Upload, bytes: number) => void
  readonly takenBack: (upload: Upload, bytes: number) => void
  readonly attemptEnded: (upload: Upload, outcome: Limits.Observation["outcome"]) => void
  /** A request is in flight: the one of an attempt, or one of a multipart upload. */
  readonly requestStarted: () => void
  readonly requestEnded: () => void
  readonly requestRetried: (upload: Upload, retry: MultipartUpload.RequestRetry) => Effect.Effect<void>
  readonly resumed: (upload: Upload, bytes: number, parts: number) => Effect.Effect<void>
  readonly restarted: (upload: Upload, reason: MultipartUpload.RestartReason) => Effect.Effect<void>
  readonly abortFailed: (upload: Upload, error: UploadError) => Effect.Effect<void>
  /** The source was checked again and has a different size from the one it was listed with. */
  readonly relisted: (upload: Upload, sizeBefore: number | undefined) => void
  /** The upload waits before its next attempt and holds nothing. */
  readonly backoffStarted: () => void
  readonly backoffEnded: () => void
  readonly retrying: (upload: Upload, delayMillis: number, error: UploadError) => Effect.Effect<void>
  readonly settled: (upload: Upload, outcome: Outcome) => Effect.Effect<void>
}

/**
 * How an upload ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "Stored"; readonly stored: Destination.Stored }
  | { readonly _tag: "Skipped"; readonly reason: string; readonly uploadedBefore: boolean }
  | { readonly _tag: "Failed"; readonly error: UploadError; readonly again: boolean }

/**
 * The state of one file's upload, from its first attempt to its last, for its observers.
 *
 * @since 0.1.0
 * @category models
 */
export class Upload implements BodyOwner, MultipartUpload.Owner {
  /** @since 0.1.0 */
  readonly file: UploadFile
  /** @since 0.1.0 */
  observer: Observer
  /**
   * Whether the file goes up in parts.
   *
   * @since 0.1.0
   */
  large: boolean
  /**
   * The current or latest attempt, from 1; 0 before the first.
   *
   * @since 0.1.0
   */
  attempt = 0
  /**
   * The attempt after which the current round of attempts began.
   *
   * @since 0.1.0
   */
  roundStart = 0
  /**
   * When the first attempt started, as a clock time in milliseconds.
   *
   * @since 0.1.0
   */
  startedAt = 0
  /**
   * When the current attempt started.
   *
   * @since 0.1.0
   */
  attemptStartedAt = 0
  /**
   * When the current attempt last moved bytes, or last ended a wait that is not the destination's fault.
   *
   * @since 0.1.0
   */
  lastByteAt = 0
  /**
   * Bytes that the current attempt has handed to the destination, without those of failed parts.
   *
   * @since 0.1.0
   */
  handedOut = 0
  /**
   * Bytes that an earlier process stored and the current attempt need not send.
   *
   * @since 0.1.0
   */
  resumedBytes = 0
  /**
   * Whether this upload has to give back a permit of the in-flight budget.
   *
   * @since 0.1.0
   */
  holdsPermit = false
  /**
   * The memory that this upload has to give back, in bytes.
   *
   * @since 0.1.0
   */
  heldMemory = 0
  /**
   * Why the previous round failed.
   *
   * @since 0.1.0
   */
  lastError: UploadError | undefined = undefined
  /** @internal */
  readonly checksum: Algorithm | undefined
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
  asking = false
  /** @internal */
  track: Track | undefined = undefined
  /** @internal */
  sourceError: UploadError | undefined = undefined
  /** @internal */
  driver: RetryPolicy.Driver | undefined = undefined
  /** @internal */
  stored: Destination.Stored | undefined = undefined
  /** @internal */
  body: UploadBody | undefined = undefined
  /** @internal */
  modifiedAt: number | undefined
  /** @internal */
  mode: number | undefined
  private isRelisted = false
  private partTransfers: Set<Watched> | undefined = undefined

  constructor(context: Context, file: UploadFile, observer: Observer) {
    this.file = file
    this.observer = observer
    this.source = file.source
    this.fingerprint = file.fingerprint
    this.modifiedAt = file.modifiedAt
    this.mode = file.mode
    this.checksum = context.parts.checksum
    this.large = MultipartUpload.applies(context, this.size)
  }

  /**
   * The number of bytes to send; `undefined` if it is not known before the end.
   *
   * @since 0.1.0
   */
  get size(): number | undefined {
    return this.isRelisted ? this.source.size : this.file.size ?? this.source.size
  }

  /** @internal */
  get sizeFound(): boolean {
    return this.isRelisted || this.file.size !== undefined
  }

  /** @internal */
  relist(context: Context, latest: ByteSource.Latest): void {
    const { size } = this
    this.isRelisted = true
    this.source = latest.source
    this.fingerprint = latest.fingerprint
    this.modifiedAt = latest.modifiedAt
    this.mode = latest.mode ?? this.mode
    this.large = MultipartUpload.applies(context, this.size)
    this.observer.relisted(this, size)
  }

  /** @internal */
  get clock(): Clock.Clock {
    return this.observer.clock
  }

  // ---------------------------------------------------------------------------
  // as the owner of a body
  // ---------------------------------------------------------------------------

  /** @internal */
  get offset(): number {
    return 0
  }

  /** @internal */
  get toEnd(): boolean {
    return true
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
  onAsk(): void {
    this.asking = true
    this.lastByteAt = this.clock.unsafeCurrentTimeMillis()
  }

  /** @internal */
  onRead(): void {
    this.asking = false
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
  onTakenBack(bytes: number): void {
    this.bodyEnded = false
    this.observer.takenBack(this, bytes)
  }

  /** @internal */
  onTrack(position: Effect.Effect<string>): void {
    this.track = new Track(position)
  }

  /** @internal */
  moved(): void {
    this.lastByteAt = this.clock.unsafeCurrentTimeMillis()
  }

  /** @internal */
  onSourceError(error: UploadError): void {
    this.sourceError = error
  }

  // ---------------------------------------------------------------------------
  // as the owner of parts
  // ---------------------------------------------------------------------------

  /**
   * The transfers that move bytes on their own: for a multipart upload, the parts in flight and what is read ahead of
   * them.
   *
   * @since 0.1.0
   */
  get transfers(): Set<Watched> {
    return this.partTransfers ??= new Set()
  }

  /** @internal */
  get onInterrupt(): "abort" | "keep" {
    return this.observer.onInterrupt
  }

  /** @internal */
  get answerMillis(): number | undefined {
    return this.observer.answerMillis
  }

  /** @internal */
  disownPermit(): void {
    this.holdsPermit = false
  }

  /** @internal */
  requestStarted(): void {
    this.observer.requestStarted()
  }

  /** @internal */
  requestEnded(): void {
    this.observer.requestEnded()
  }

  /** @internal */
  requestRetried(retry: MultipartUpload.RequestRetry): Effect.Effect<void> {
    return this.observer.requestRetried(this, retry)
  }

  /** @internal */
  sent(bytes: number): void {
    this.observer.sent(this, bytes)
  }

  /** @internal */
  takenBack(bytes: number): void {
    this.observer.takenBack(this, bytes)
  }

  /** @internal */
  resumed(bytes: number, parts: number): Effect.Effect<void> {
    return this.observer.resumed(this, bytes, parts)
  }

  /** @internal */
  restarted(reason: MultipartUpload.RestartReason): Effect.Effect<void> {
    return this.observer.restarted(this, reason)
  }

  /** @internal */
  abortFailed(error: UploadError): Effect.Effect<void> {
    return this.observer.abortFailed(this, error)
  }

  /** @internal */
  committed(stored: Destination.Stored): void {
    this.stored = stored
  }
}
