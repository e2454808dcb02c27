/**
 * The record of a run: it takes every step, and keeps counts, throughput, metrics and the failures that the report
 * names. Events and results are published to whoever listens.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Metric from "effect/Metric"
import type * as MetricLabel from "effect/MetricLabel"
import * as Bandwidth from "../../Bandwidth.js"
import { summarize } from "../../UploadError.js"
import type { UploadEvent } from "../../UploadEvent.js"
import * as UploadList from "../../UploadList.js"
import * as UploadMetrics from "../../UploadMetrics.js"
import * as UploadReport from "../../UploadReport.js"
import type { UploadResult } from "../../UploadResult.js"
import type { Restore } from "../calls/ended.js"
import { kindOf } from "../calls/ownFunction.js"
import { Broadcast } from "./broadcast.js"
import { Counts } from "./counts.js"
import { eventOf } from "./eventOf.js"
import { inTurn } from "./inTurn.js"
import type { Step } from "./step.js"

export interface RecorderOptions {
  readonly clock: Clock.Clock
  /** Additional labels of the metrics. */
  readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  readonly onEvent: ((event: UploadEvent) => Effect.Effect<void>) | undefined
  readonly onResult: ((result: UploadResult) => Effect.Effect<void>) | undefined
}

export class Recorder {
  readonly counts: Counts
  readonly results = new Broadcast<UploadResult>()
  readonly events = new Broadcast<UploadEvent>()
  /** Whether to stop waiting for slow readers: one of them may be the fiber that interrupts the run. */
  hasty = false
  private readonly options: RecorderOptions
  private readonly monitor: Bandwidth.Monitor
  private readonly failures: Array<UploadReport.Failure> = []
  private readonly leftBehind: Array<UploadReport.UploadReport["leftBehind"][number]> = []
  private abortsFailed = 0

  constructor(options: RecorderOptions) {
    const now = options.clock.unsafeCurrentTimeMillis()
    this.options = options
    this.counts = new Counts(now)
    this.monitor = Bandwidth.makeMonitor(now)
  }

  get throughput(): Effect.Effect<Bandwidth.Throughput> {
    return Effect.tap(this.monitor.throughput, ({ current }) => {
      this.measure(UploadMetrics.throughput, current)
    })
  }

  report(ended: UploadReport.UploadReport["ended"]): UploadReport.UploadReport {
    const { abortsFailed, failures, leftBehind } = this
    const endedAt = this.options.clock.unsafeCurrentTimeMillis()
    return UploadReport.make(this.counts, { ended, endedAt, failures, abortsFailed, leftBehind })
  }

  /** Ends the streams of events and results. */
  get close(): Effect.Effect<unknown> {
    return Effect.suspend(() =>
      this.hasty
        ? Effect.zipRight(this.events.unsafeEnd, this.results.unsafeEnd)
        : Effect.zipRight(this.events.end, this.results.end)
    )
  }

  /** Records a step. Returns what there is to wait for, if anyone listens. */
  record(step: Step): Effect.Effect<void> | undefined {
    this.count(step)
    const event = this.listening ? eventOf(step, this.options.clock.unsafeCurrentTimeMillis(), this.counts) : undefined
    if (step._tag === "Finished") return this.finished(step.result, event)
    return event === undefined ? undefined : this.emit(event, identity)
  }

  /** Records a step, and waits for listeners. */
  recorded(step: Step): Effect.Effect<void> {
    return Effect.suspend(() => this.record(step) ?? Effect.void)
  }

  /** Counts bytes that were handed to the destination. */
  sent(bytes: number, at: number, sizeKnown: boolean): void {
    this.counts.sent(bytes, sizeKnown)
    this.monitor.unsafeRecord(at, bytes)
    this.measure(UploadMetrics.sentBytes, bytes)
  }

  /** Takes back bytes that were counted as sent and have to be sent again. */
  takenBack(bytes: number, sizeKnown: boolean): void {
    this.counts.sent(-bytes, sizeKnown)
  }

  private count(step: Step): void {
    const { counts } = this
    switch (step._tag) {
      case "Found":
        return counts.found(step.items.length, UploadList.knownBytes(step.items))
      case "Listed":
        counts.listing = false
        return
      case "RunChanged":
      case "LimitsChanged":
      case "Restarted":
      case "Deferred":
        return
      case "OutageChanged":
        if (step.change.state === "Away") counts.awaySince = step.change.since
        else delete counts.awaySince
        return
      case "AttemptStarted":
        counts.attemptStarted(step.upload.attempt)
        if (!step.upload.large) this.requestStarted()
        return
      case "AttemptEnded": {
        const { handedOut, large, resumedBytes, sizeFound } = step.upload
        counts.attemptEnded(handedOut, step.stored, sizeFound)
        if (!step.stored) counts.bytesResumed -= resumedBytes
        if (!large) this.requestEnded()
        return
      }
      case "RequestStarted":
        return this.requestStarted()
      case "RequestEnded":
        return this.requestEnded()
      case "Retrying":
        if (step.request !== undefined) counts.retries += 1
        return this.measure(UploadMetrics.retries(step.error._tag), 1)
      case "Resumed":
        return this.resumed(step.bytes)
      case "FoundUploaded":
        return this.resumed(step.bytes)
      case "Relisted":
        return counts.relisted(step.before, step.now)
      case "AbortFailed":
        this.abortsFailed += 1
        if (this.leftBehind.length < UploadReport.failuresListed) {
          this.leftBehind.push({ key: step.upload.file.key, error: summarize(step.error) })
        }
        return this.measure(UploadMetrics.failedAborts, 1)
      case "Finished":
        return this.countResult(step.result)
    }
  }

  private requestStarted(): void {
    this.counts.requestStarted()
    UploadMetrics.inFlight.unsafeModify(1, this.options.labels)
  }

  private requestEnded(): void {
    this.counts.requestEnded()
    UploadMetrics.inFlight.unsafeModify(-1, this.options.labels)
  }

  private resumed(bytes: number): void {
    this.counts.bytesResumed += bytes
    this.measure(UploadMetrics.resumedBytes, bytes)
  }

  private countResult(result: UploadResult): void {
    this.counts.finished(result._tag)
    this.measure(UploadMetrics.uploads[result._tag], 1)
    if (result._tag === "Uploaded") this.measure(UploadMetrics.uploadedBytes, result.bytes)
    if (result._tag !== "Skipped") this.measure(UploadMetrics.duration, Duration.toSeconds(result.duration))
    if (result._tag === "Failed" && this.failures.length < UploadReport.failuresListed) {
      this.failures.push({ key: result.file.key, attempts: result.attempts, error: summarize(result.error) })
    }
  }

  /** Publishes a result. What has been counted is also published, even if the run is interrupted. */
  private finished(result: UploadResult, event: UploadEvent | undefined): Effect.Effect<void> | undefined {
    const { onResult } = this.options
    if (onResult === undefined && !this.results.listening && event === undefined) return undefined
    const publish = (restore: Restore) =>
      inTurn(
        event === undefined ? undefined : this.emit(event, restore),
        inTurn(
          onResult === undefined ? undefined : effectOf("onResult", onResult(result)),
          this.results.listening ? this.publish(this.results, result, restore) : undefined
        )
      ) ?? Effect.void
    return this.events.listening || this.results.listening
      ? Effect.uninterruptibleMask(publish)
      : Effect.uninterruptible(publish(identity))
  }

  private get listening(): boolean {
    return this.options.onEvent !== undefined || this.events.listening
  }

  private emit(event: UploadEvent, restore: Restore): Effect.Effect<void> | undefined {
    const { onEvent } = this.options
    return inTurn(
      onEvent === undefined ? undefined : effectOf("onEvent", onEvent(event)),
      this.events.listening ? this.publish(this.events, event, restore) : undefined
    )
  }

  /** Waits for readers that have no room, unless the fiber is interrupted. */
  private publish<A>(broadcast: Broadcast<A>, value: A, restore: Restore): Effect.Effect<void> {
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
  private measure<Type, In, Out>(metric: Metric.Metric<Type, In, Out>, value: In): void {
    metric.unsafeUpdate(value, this.options.labels)
  }
}

/**
 * The answer of a callback that may be written without types: `undefined` is fine; any other value but an Effect is a
 * mistake.
 */
const effectOf = (name: string, answer: Effect.Effect<void>): Effect.Effect<void> | undefined =>
  answer === undefined || Effect.isEffect(answer)
    ? answer
    : Effect.die(new TypeError(`${name} has to give an Effect, not ${kindOf(answer)}.`))
