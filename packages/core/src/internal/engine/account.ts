/**
 * What a run reports: counts, throughput, metrics, events, results, and the failures that its report names.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Metric from "effect/Metric"
import type * as MetricLabel from "effect/MetricLabel"
import * as Record from "effect/Record"
import * as Bandwidth from "../../Bandwidth.js"
import type * as Destination from "../../Destination.js"
import type { Settings } from "../../Limits.js"
import type * as MultipartUpload from "../../MultipartUpload.js"
import type * as Upload from "../../Upload.js"
import { summarize } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import * as UploadEvent from "../../UploadEvent.js"
import * as UploadList from "../../UploadList.js"
import * as UploadMetrics from "../../UploadMetrics.js"
import * as UploadReport from "../../UploadReport.js"
import type { UploadResult } from "../../UploadResult.js"
import type { Restore } from "../calls/ended.js"
import { kindOf } from "../calls/ownFunction.js"
import { Broadcast } from "./broadcast.js"
import { Counts } from "./counts.js"
import type * as FileList from "./fileList.js"
import { inTurn } from "./inTurn.js"
import type { Change } from "./outage.js"

export interface AccountOptions {
  readonly clock: Clock.Clock
  /** Additional labels of the metrics. */
  readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  readonly onEvent: ((event: UploadEvent.UploadEvent) => Effect.Effect<void>) | undefined
  readonly onResult: ((result: UploadResult) => Effect.Effect<void>) | undefined
}

export class Account implements FileList.Counter<UploadList.Item> {
  readonly tally: Counts
  readonly results = new Broadcast<UploadResult>()
  readonly events = new Broadcast<UploadEvent.UploadEvent>()
  /** Whether to stop waiting for slow readers: one of them may be the fiber that interrupts the run. */
  hasty = false
  private readonly options: AccountOptions
  private readonly monitor: Bandwidth.Monitor
  private readonly failures: Array<UploadReport.Failure> = []
  private readonly leftBehind: Array<UploadReport.UploadReport["leftBehind"][number]> = []
  private abortsFailed = 0

  constructor(options: AccountOptions) {
    const now = options.clock.unsafeCurrentTimeMillis()
    this.options = options
    this.tally = new Counts(now)
    this.monitor = Bandwidth.makeMonitor(now)
  }

  get now(): number {
    return this.options.clock.unsafeCurrentTimeMillis()
  }

  get throughput(): Effect.Effect<Bandwidth.Throughput> {
    return Effect.tap(this.monitor.throughput, ({ current }) => {
      this.record(UploadMetrics.throughput, current)
    })
  }

  report(
    ended: UploadReport.UploadReport["ended"]
  ): UploadReport.UploadReport {
    const { abortsFailed, failures, leftBehind } = this
    return UploadReport.make(this.tally, { ended, endedAt: this.now, failures, abortsFailed, leftBehind })
  }

  /** Ends the streams of events and results. */
  get close(): Effect.Effect<unknown> {
    return Effect.suspend(() =>
      this.hasty
        ? Effect.zipRight(this.events.unsafeEnd, this.results.unsafeEnd)
        : Effect.zipRight(this.events.end, this.results.end)
    )
  }

  found(items: ReadonlyArray<UploadList.Item>): void {
    this.tally.found(items.length, UploadList.knownBytes(items))
  }

  listed(): Effect.Effect<void> {
    this.tally.listing = false
    return this.heard
      ? this.emit({
        _tag: "ListingFinished",
        version: UploadEvent.version,
        at: this.now,
        files: this.tally.filesFound,
        bytes: this.tally.bytesFound
      })
      : Effect.void
  }

  changed(state: (typeof UploadEvent.RunChanged.Type)["state"]): Effect.Effect<void> {
    return this.emit({ _tag: "RunChanged", version: UploadEvent.version, at: this.now, state })
  }

  limitsChanged(settings: Settings, reason: string | undefined): Effect.Effect<void> {
    return this.heard
      ? this.emit({
        _tag: "LimitsChanged",
        version: UploadEvent.version,
        at: this.now,
        ...Record.filter({ ...settings }, Number.isFinite),
        ...(reason !== undefined && { reason })
      })
      : Effect.void
  }

  outageChanged(change: Change): Effect.Effect<void> {
    if (change.state === "Away") this.tally.awaySince = change.since
    else delete this.tally.awaySince
    return this.heard
      ? this.emit({
        _tag: "OutageChanged",
        version: UploadEvent.version,
        at: this.now,
        state: change.state,
        since: change.since,
        ...(change.state === "Away" && { error: summarize(change.error) })
      })
      : Effect.void
  }

  attemptStarted({ attempt, attemptStartedAt, file, large, size }: Upload.Upload): Effect.Effect<void> {
    this.tally.attemptStarted(attempt)
    if (!large) this.requestStarted()
    return this.heard
      ? this.emit({
        _tag: "UploadStarted",
        version: UploadEvent.version,
        at: attemptStartedAt,
        key: file.key,
        size,
        attempt
      })
      : Effect.void
  }

  requestStarted(): void {
    this.tally.requestStarted()
    UploadMetrics.inFlight.unsafeModify(1, this.options.labels)
  }

  requestEnded(): void {
    this.tally.requestEnded()
    UploadMetrics.inFlight.unsafeModify(-1, this.options.labels)
  }

  sent(upload: Upload.Upload, bytes: number): void {
    upload.handedOut += bytes
    upload.lastByteAt = this.now
    this.tally.sent(bytes, upload.sizeFound)
    this.monitor.unsafeRecord(upload.lastByteAt, bytes)
    this.record(UploadMetrics.sentBytes, bytes)
  }

  takenBack(upload: Upload.Upload, bytes: number): void {
    upload.handedOut -= bytes
    this.tally.sent(-bytes, upload.sizeFound)
  }

  attemptEnded(upload: Upload.Upload, acknowledged: boolean): void {
    const { handedOut, large, resumedBytes, sizeFound } = upload
    this.tally.attemptEnded(handedOut, acknowledged, sizeFound)
    if (!acknowledged) this.tally.bytesResumed -= resumedBytes
    if (!large) this.requestEnded()
  }

  retrying(
    { file }: Upload.Upload,
    retry: Pick<typeof UploadEvent.UploadRetrying.Type, "attempt" | "attempts" | "delayMillis"> & {
      readonly part?: number | undefined
    },
    error: UploadError
  ): Effect.Effect<void> {
    this.record(UploadMetrics.retries(error._tag), 1)
    const { attempt, attempts, delayMillis, part } = retry
    return this.emit({
      _tag: "UploadRetrying",
      version: UploadEvent.version,
      at: this.now,
      key: file.key,
      ...(part !== undefined && { part }),
      attempt,
      attempts,
      delayMillis,
      error: summarize(error)
    })
  }

  /** A request of a multipart upload is retried. */
  requestRetried(upload: Upload.Upload, retry: MultipartUpload.RequestRetry): Effect.Effect<void> {
    this.tally.retries += 1
    return this.retrying(upload, retry, retry.error)
  }

  resumed(upload: Upload.Upload, bytes: number, parts: number): Effect.Effect<void> {
    upload.resumedBytes = bytes
    this.tally.bytesResumed += bytes
    this.record(UploadMetrics.resumedBytes, bytes)
    return this.emit({
      _tag: "UploadResumed",
      version: UploadEvent.version,
      at: this.now,
      key: upload.file.key,
      size: upload.size,
      bytes,
      parts
    })
  }

  restarted({ file }: Upload.Upload, reason: MultipartUpload.RestartReason): Effect.Effect<void> {
    return this.emit({
      _tag: "UploadRestarted",
      version: UploadEvent.version,
      at: this.now,
      key: file.key,
      reason
    })
  }

  abortFailed({ file: { key } }: Upload.Upload, failure: UploadError): Effect.Effect<void> {
    const error = summarize(failure)
    this.abortsFailed += 1
    if (this.leftBehind.length < UploadReport.failuresListed) this.leftBehind.push({ key, error })
    this.record(UploadMetrics.failedAborts, 1)
    return this.emit({ _tag: "AbortFailed", version: UploadEvent.version, at: this.now, key, error })
  }

  deferred({ attempt, file }: Upload.Upload, error: UploadError): Effect.Effect<void> {
    return this.emit({
      _tag: "UploadDeferred",
      version: UploadEvent.version,
      at: this.now,
      key: file.key,
      attempts: attempt,
      error: summarize(error)
    })
  }

  uploaded(
    { attempt, file, handedOut, resumedBytes, startedAt }: Upload.Upload,
    { checksum, etag }: Destination.Stored
  ): Effect.Effect<void> {
    return this.finished({
      _tag: "Uploaded",
      file,
      attempts: attempt,
      bytes: handedOut + resumedBytes,
      resumedBytes,
      duration: Duration.millis(this.now - startedAt),
      etag,
      checksum
    })
  }

  skipped({ file, size }: Upload.Upload, reason: string, uploadedBefore: boolean): Effect.Effect<void> {
    if (uploadedBefore && size !== undefined) {
      this.tally.bytesResumed += size
      this.record(UploadMetrics.resumedBytes, size)
    }
    return this.finished({ _tag: "Skipped", file, reason })
  }

  failed({ attempt, file, startedAt }: Upload.Upload, error: UploadError): Effect.Effect<void> {
    return this.finished({
      _tag: "Failed",
      file,
      attempts: attempt,
      error,
      duration: Duration.millis(this.now - startedAt)
    })
  }

  interrupted({ attempt, file, startedAt }: Upload.Upload): Effect.Effect<void> {
    return this.finished({
      _tag: "Interrupted",
      file,
      attempts: attempt,
      duration: Duration.millis(this.now - startedAt)
    })
  }

  finished(result: UploadResult): Effect.Effect<void> {
    this.tally.finished(result._tag)
    this.record(UploadMetrics.uploads[result._tag], 1)
    if (result._tag === "Uploaded") this.record(UploadMetrics.uploadedBytes, result.bytes)
    if (result._tag !== "Skipped") this.record(UploadMetrics.duration, Duration.toSeconds(result.duration))
    if (result._tag === "Failed" && this.failures.length < UploadReport.failuresListed) {
      this.failures.push({ key: result.file.key, attempts: result.attempts, error: summarize(result.error) })
    }
    const { onResult } = this.options
    if (onResult === undefined && !this.results.listening && !this.heard) return Effect.void
    // What has been counted is also reported, even if the run is interrupted.
    const tell = (restore: Restore) =>
      inTurn(
        this.heard ? this.emit(UploadEvent.finished(this.now, result), restore) : Effect.void,
        inTurn(
          onResult === undefined ? Effect.void : effectOf("onResult", onResult(result)),
          this.results.listening ? this.tell(this.results, result, restore) : Effect.void
        )
      )
    return this.events.listening || this.results.listening
      ? Effect.uninterruptibleMask(tell)
      : Effect.uninterruptible(tell(identity))
  }

  private get heard(): boolean {
    return this.options.onEvent !== undefined || this.events.listening
  }

  private emit(event: UploadEvent.UploadEvent, restore: Restore = identity): Effect.Effect<void> {
    const { onEvent } = this.options
    const told = this.events.listening ? this.tell(this.events, event, restore) : Effect.void
    return onEvent === undefined ? told : inTurn(effectOf("onEvent", onEvent(event)), told)
  }

  /** Waits for readers that have no room, unless the fiber is interrupted. */
  private tell<A>(broadcast: Broadcast<A>, value: A, restore: Restore): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.hasty) {
        return Effect.catchAllCause(
          restore(broadcast.publish(value)),
          () => Effect.sync(() => broadcast.unsafePublish(value))
        )
      }
      broadcast.unsafePublish(value)
      return Effect.void
    })
  }

  /** Updates a metric at once, without an effect: this is done several times a file. */
  private record<Type, In, Out>(metric: Metric.Metric<Type, In, Out>, value: In): void {
    metric.unsafeUpdate(value, this.options.labels)
  }
}

/** The answer of a callback that may be written without types: `undefined` is fine; any other value but an Effect is a mistake. */
const effectOf = (name: string, answer: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.isEffect(answer)
    ? answer
    : answer === undefined
    ? Effect.void
    : Effect.die(new TypeError(`${name} has to give an Effect, not ${kindOf(answer)}.`))
