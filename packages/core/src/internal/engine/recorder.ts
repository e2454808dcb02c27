/**
 * The record of a run: it takes every step, and keeps counts, throughput, metrics and the failures that the report
 * names. Events and results are published to whoever listens.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Throughput from "../../Throughput.js"
import { summarize } from "../../UploadError.js"
import type { UploadEvent } from "../../UploadEvent.js"
import * as UploadMetrics from "../../UploadMetrics.js"
import * as UploadReport from "../../UploadReport.js"
import type { UploadResult } from "../../UploadResult.js"
import type { Restore } from "../calls/ended.js"
import type { Recording, Step } from "../upload/step.js"
import { Broadcast } from "./broadcast.js"
import { tell } from "./callbacks.js"
import type { Callback } from "./callbacks.js"
import { Counts } from "./counts.js"
import { eventOf } from "./eventOf.js"
import { inTurn } from "./inTurn.js"
import { logOf } from "./log.js"
import { measure } from "./measure.js"
import type { Labels } from "./measure.js"
import { makeReport } from "./report.js"

export interface RecorderOptions {
  readonly clock: Clock.Clock
  /** Additional labels of the metrics. */
  readonly labels: Labels
  /** Additional labels of the gauges that are the run's alone. */
  readonly gaugeLabels: Labels
  readonly onEvent: Callback<UploadEvent> | undefined
  readonly onResult: Callback<UploadResult> | undefined
}

export class Recorder implements Recording {
  readonly counts: Counts
  readonly results = new Broadcast<UploadResult>()
  readonly events = new Broadcast<UploadEvent>()
  /** Whether to stop waiting for slow readers: one of them may be the fiber that interrupts the run. */
  hasty = false
  private readonly options: RecorderOptions
  private readonly monitor: Throughput.Monitor
  private readonly failures: Array<UploadReport.Failure> = []
  private readonly leftBehind: Array<UploadReport.UploadReport["leftBehind"][number]> = []
  private abortsFailed = 0

  constructor(options: RecorderOptions) {
    const now = options.clock.unsafeCurrentTimeMillis()
    this.options = options
    this.counts = new Counts(now)
    this.monitor = Throughput.makeMonitor(now)
  }

  get throughput(): Effect.Effect<Throughput.Throughput> {
    return Effect.tap(this.monitor.throughput, ({ current }) => {
      UploadMetrics.throughput.unsafeUpdate(current, this.options.gaugeLabels)
    })
  }

  report(ended: UploadReport.UploadReport["ended"]): UploadReport.UploadReport {
    const { abortsFailed, failures, leftBehind } = this
    const endedAt = this.options.clock.unsafeCurrentTimeMillis()
    return makeReport(this.counts, { ended, endedAt, failures, abortsFailed, leftBehind })
  }

  /** Ends the streams of events and results. */
  get close(): Effect.Effect<unknown> {
    return Effect.suspend(() =>
      this.hasty
        ? Effect.zipRight(this.events.unsafeEnd, this.results.unsafeEnd)
        : Effect.zipRight(this.events.end, this.results.end)
    )
  }

  /**
   * Records a step. Returns what there is to wait for, if anyone listens. A result is published even if the fiber is
   * interrupted: its caller is uninterruptible, and only the wait for slow readers goes through `restore`.
   */
  record(step: Step, restore: Restore = identity): Effect.Effect<void> | undefined {
    measure(step, this.options.labels)
    this.counts.apply(step)
    this.note(step)
    const event = this.listening ? eventOf(step, this.options.clock.unsafeCurrentTimeMillis(), this.counts) : undefined
    if (step._tag === "Finished") return this.finished(step.result, event, restore)
    return inTurn(logOf(step), event === undefined ? undefined : this.emit(event, restore))
  }

  /** Records a step, and waits for listeners. */
  recorded(step: Step): Effect.Effect<void> {
    return step._tag === "Finished"
      ? Effect.uninterruptibleMask((restore) => this.record(step, restore) ?? Effect.void)
      : Effect.suspend(() => this.record(step) ?? Effect.void)
  }

  /** Counts bytes that were handed to the destination. */
  sent(bytes: number, at: number, sizeKnown: boolean): void {
    this.counts.sent(bytes, sizeKnown)
    this.monitor.record(at, bytes)
    UploadMetrics.sentBytes.unsafeUpdate(bytes, this.options.labels)
  }

  /** Takes back bytes that were counted as sent and have to be sent again. */
  takenBack(bytes: number, sizeKnown: boolean): void {
    this.counts.sent(-bytes, sizeKnown)
  }

  private note(step: Step): void {
    if (step._tag === "AbortFailed") {
      this.abortsFailed += 1
      if (this.leftBehind.length < UploadReport.failuresListed) {
        this.leftBehind.push({ key: step.upload.file.key, error: summarize(step.error) })
      }
    } else if (step._tag === "Finished" && step.result._tag === "Failed") {
      const { attempts, error, file: { key } } = step.result
      if (this.failures.length < UploadReport.failuresListed) {
        this.failures.push({ key, attempts, error: summarize(error) })
      }
    }
  }

  private finished(
    result: UploadResult,
    event: UploadEvent | undefined,
    restore: Restore
  ): Effect.Effect<void> | undefined {
    const { onResult } = this.options
    return inTurn(
      event === undefined ? undefined : this.emit(event, restore),
      inTurn(
        onResult === undefined ? undefined : tell("onResult", () => onResult(result), restore),
        this.results.listening ? this.publish(this.results, result, restore) : undefined
      )
    )
  }

  private get listening(): boolean {
    return this.options.onEvent !== undefined || this.events.listening
  }

  private emit(event: UploadEvent, restore: Restore): Effect.Effect<void> | undefined {
    const { onEvent } = this.options
    return inTurn(
      onEvent === undefined ? undefined : tell("onEvent", () => onEvent(event), restore),
      this.events.listening ? this.publish(this.events, event, restore) : undefined
    )
  }

  /** Waits for readers that have no room, unless the fiber is interrupted. */
  private publish<A>(broadcast: Broadcast<A>, value: A, restore: Restore): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.hasty) return broadcast.publish(value, restore)
      broadcast.unsafePublish(value)
      return Effect.void
    })
  }
}
