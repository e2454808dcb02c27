/**
 * The upload of one file: its state, and what it shares with others.
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
import type { Recording } from "./internal/engine/recorder.js"
import type { Stalls } from "./internal/engine/stalls.js"
import type { Step } from "./internal/engine/step.js"
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
 * What the uploads of one run share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run {
  readonly clock: Clock.Clock
  /** What happens to a multipart upload that was interrupted, or failed and could be resumed. */
  readonly onInterrupt: "abort" | "keep"
  readonly onSourceChange: OnSourceChange
  /** How long a request without bytes may wait for its answer, in milliseconds. Defaults to 30 seconds. */
  readonly answerMillis?: number | undefined
  readonly recorder: Recording
  readonly stalls: Stalls
  /** Counts the uploads that wait before their next attempt and hold nothing. */
  readonly backoffs?: { readonly backoffStarted: () => void; readonly backoffEnded: () => void } | undefined
}

/**
 * How an upload ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | {
    readonly _tag: "Stored"
    readonly stored: Destination.Stored
    /** What the upload died of after its object was stored. */
    readonly defect?: Effect.Effect<never> | undefined
  }
  | { readonly _tag: "Skipped"; readonly reason: string; readonly uploadedBefore: boolean }
  | { readonly _tag: "Failed"; readonly error: UploadError; readonly again: boolean }
  | { readonly _tag: "Interrupted" }

/**
 * The state of one file's upload, from its first attempt to its last.
 *
 * @since 0.1.0
 * @category models
 */
export class Upload implements BodyOwner, MultipartUpload.Owner {
  /** @since 0.1.0 */
  readonly file: UploadFile
  /** @internal */
  readonly run: Run
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
  state: "Idle" | "Attempt" | "Backoff" = "Idle"
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

  constructor(context: Context, run: Run, file: UploadFile) {
    this.run = run
    this.file = file
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
    this.record({ _tag: "Relisted", before: size, now: this.size })
  }

  /** @internal */
  get clock(): Clock.Clock {
    return this.run.clock
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
    this.handedOut += bytes
    this.lastByteAt = this.clock.unsafeCurrentTimeMillis()
    this.run.recorder.sent(bytes, this.lastByteAt, this.sizeFound)
  }

  /** @internal */
  onTakenBack(bytes: number): void {
    this.bodyEnded = false
    this.takenBack(bytes)
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
    return this.run.onInterrupt
  }

  /** @internal */
  get answerMillis(): number | undefined {
    return this.run.answerMillis
  }

  /** @internal */
  disownPermit(): void {
    this.holdsPermit = false
  }

  /** @internal */
  record(step: Step): Effect.Effect<void> | undefined {
    return this.run.recorder.record(step)
  }

  /** @internal */
  sent(bytes: number): void {
    this.onSent(bytes)
  }

  /** @internal */
  takenBack(bytes: number): void {
    this.handedOut -= bytes
    this.run.recorder.takenBack(bytes, this.sizeFound)
  }

  /** @internal */
  committed(stored: Destination.Stored): void {
    this.stored = stored
  }
}
