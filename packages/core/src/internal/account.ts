/**
 * What a run tells of itself: counts, throughput, metrics, events, results, and the failures that its report names.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Metric from "effect/Metric"
import type * as MetricLabel from "effect/MetricLabel"
import * as Bandwidth from "../Bandwidth.js"
import type * as Upload from "../Upload.js"
import { summarize } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import * as UploadEvent from "../UploadEvent.js"
import * as UploadList from "../UploadList.js"
import * as UploadMetrics from "../UploadMetrics.js"
import * as UploadReport from "../UploadReport.js"
import type { UploadResult } from "../UploadResult.js"
import { Broadcast } from "./broadcast.js"
import type * as FileList from "./fileList.js"
import { Tally } from "./tally.js"

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface AccountOptions {
  readonly clock: Clock.Clock
  /** The labels that metrics get besides their own. */
  readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  readonly onEvent: ((event: UploadEvent.UploadEvent) => Effect.Effect<void>) | undefined
  readonly onResult: ((result: UploadResult) => Effect.Effect<void>) | undefined
}

export class Account implements FileList.Counter<UploadList.Item> {
  readonly tally: Tally
  readonly results = new Broadcast<UploadResult>()
  readonly events = new Broadcast<UploadEvent.UploadEvent>()
  /** Whether slow readers are not waited for any more: one of them may be who interrupts the run. */
  hasty = false
  private readonly options: AccountOptions
  private readonly monitor: Bandwidth.Monitor
  private readonly failures: Array<UploadReport.Failure> = []

  constructor(options: AccountOptions) {
    const now = options.clock.unsafeCurrentTimeMillis()
    this.options = options
    this.tally = new Tally(now)
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

  report(ended: UploadReport.UploadReport["ended"]): UploadReport.UploadReport {
    return UploadReport.make(this.tally, { ended, endedAt: this.now, failures: this.failures })
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

  attemptStarted({ attempt, attemptStartedAt, file }: Upload.Upload): Effect.Effect<void> {
    this.tally.attemptStarted(attempt)
    UploadMetrics.inFlight.unsafeModify(1, this.options.labels)
    return this.heard
      ? this.emit({
        _tag: "UploadStarted",
        version: UploadEvent.version,
        at: attemptStartedAt,
        key: file.key,
        size: file.size,
        attempt
      })
      : Effect.void
  }

  sent(upload: Upload.Upload, bytes: number): void {
    upload.sent += bytes
    upload.lastByteAt = this.now
    this.tally.sent(bytes, upload.file.size !== undefined)
    this.monitor.unsafeRecord(upload.lastByteAt, bytes)
    this.record(UploadMetrics.sentBytes, bytes)
  }

  attemptEnded({ file, sent }: Upload.Upload, acknowledged: boolean): void {
    this.tally.attemptEnded(sent, acknowledged, file.size !== undefined)
    UploadMetrics.inFlight.unsafeModify(-1, this.options.labels)
  }

  retrying(upload: Upload.Upload, attempts: number, delayMillis: number, error: UploadError): Effect.Effect<void> {
    this.record(UploadMetrics.retries(error._tag), 1)
    return this.emit({
      _tag: "UploadRetrying",
      version: UploadEvent.version,
      at: this.now,
      key: upload.file.key,
      attempt: upload.attempt,
      attempts,
      delayMillis,
      error: summarize(error)
    })
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

  uploaded({ attempt, file, sent, startedAt }: Upload.Upload, etag: string | undefined): Effect.Effect<void> {
    const duration = Duration.millis(this.now - startedAt)
    return this.finished({ _tag: "Uploaded", file, attempts: attempt, bytes: sent, duration, etag })
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
    // Whatever is counted is told, interrupted or not.
    const tell = (restore: Restore) =>
      inTurn(
        this.heard ? this.emit(UploadEvent.finished(this.now, result), restore) : Effect.void,
        inTurn(
          onResult === undefined ? Effect.void : onResult(result),
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
    return onEvent === undefined ? told : inTurn(onEvent(event), told)
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

/** One after the other, with no step for what is nothing. */
const inTurn = (first: Effect.Effect<void>, second: Effect.Effect<void>): Effect.Effect<void> =>
  first === Effect.void ? second : second === Effect.void ? first : Effect.flatMap(first, () => second)
