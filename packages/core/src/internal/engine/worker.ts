/**
 * One worker of a run: what it holds now, and what it reports about its uploads.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type * as Limits from "../../Limits.js"
import type * as MultipartUpload from "../../MultipartUpload.js"
import * as Upload from "../../Upload.js"
import type { UploadError } from "../../UploadError.js"
import type { UploadFile } from "../../UploadFile.js"
import type { UploadResult } from "../../UploadResult.js"
import type { Account } from "./account.js"
import type { Gate } from "./gate.js"

/** The run's side of a worker. */
export interface Crew {
  readonly context: Upload.Context
  readonly clock: Clock.Clock
  readonly account: Account
  readonly onInterrupt: "abort" | "keep"
  readonly onSourceChange: Upload.OnSourceChange
  readonly answerMillis: number
  readonly gate: Gate
  readonly backoffStarted: () => void
  readonly settle: (upload: Upload.Upload, outcome: Upload.Outcome) => Effect.Effect<void>
  /** What the worker does next. */
  readonly step: (worker: Worker) => Effect.Effect<void>
}

export class Worker implements Upload.Observer {
  private readonly crew: Crew
  isWaiting = false
  isInside = false
  /** Whether `upload` has its permit and its start. */
  ready = false
  /** The current upload, or the file pulled for the next one. */
  upload: Upload.Upload | undefined = undefined
  /** A result that came from the list and has not been reported yet. */
  decided: UploadResult | undefined = undefined
  fiber: Fiber.RuntimeFiber<void> | undefined = undefined
  /** Whether it was interrupted because another run will resume its upload. */
  leavesOff = false
  /** Whether it was interrupted because nothing moved. */
  private isCut = false

  constructor(crew: Crew) {
    this.crew = crew
  }

  get clock(): Clock.Clock {
    return this.crew.clock
  }

  get onInterrupt(): "abort" | "keep" {
    return this.crew.onInterrupt
  }

  get onSourceChange(): Upload.OnSourceChange {
    return this.crew.onSourceChange
  }

  get answerMillis(): number {
    return this.crew.answerMillis
  }

  /**
   * Interrupts it because nothing moves: only once, since further interruptions would only lengthen the cause of the
   * first.
   */
  unsafeCut(): void {
    if (this.isCut) return
    this.isCut = true
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  take(item: UploadFile | Upload.Upload): Upload.Upload {
    const upload = item instanceof Upload.Upload ? item : new Upload.Upload(this.crew.context, item, this)
    upload.observer = this
    this.upload = upload
    return upload
  }

  attemptStarted(upload: Upload.Upload): Effect.Effect<void> {
    return this.crew.account.attemptStarted(upload)
  }

  sent(upload: Upload.Upload, bytes: number): void {
    this.crew.account.sent(upload, bytes)
  }

  takenBack(upload: Upload.Upload, bytes: number): void {
    this.crew.account.takenBack(upload, bytes)
  }

  requestStarted(): void {
    this.crew.account.requestStarted()
  }

  requestEnded(): void {
    this.crew.account.requestEnded()
  }

  requestRetried(upload: Upload.Upload, retry: MultipartUpload.RequestRetry): Effect.Effect<void> {
    return this.crew.account.requestRetried(upload, retry)
  }

  resumed(upload: Upload.Upload, bytes: number, parts: number): Effect.Effect<void> {
    return this.crew.account.resumed(upload, bytes, parts)
  }

  restarted(upload: Upload.Upload, reason: MultipartUpload.RestartReason): Effect.Effect<void> {
    return this.crew.account.restarted(upload, reason)
  }

  abortFailed(upload: Upload.Upload, error: UploadError): Effect.Effect<void> {
    return this.crew.account.abortFailed(upload, error)
  }

  relisted(upload: Upload.Upload, sizeBefore: number | undefined): void {
    this.crew.account.tally.relisted(sizeBefore, upload.size)
  }

  attemptEnded(upload: Upload.Upload, outcome: Limits.Observation["outcome"]): void {
    this.crew.account.attemptEnded(upload, outcome === "Succeeded")
  }

  backoffStarted(): void {
    this.crew.backoffStarted()
  }

  retrying(upload: Upload.Upload, delayMillis: number, error: UploadError): Effect.Effect<void> {
    const { attempt, roundStart } = upload
    // Attempts lost to an outage are not counted, so there may be more of them.
    const attempts = Math.max(attempt + 1, roundStart + this.crew.context.retry.attempts)
    return this.crew.account.retrying(upload, { attempt, attempts, delayMillis }, error)
  }

  backoffEnded(): void {
    this.crew.gate.backoffEnded()
  }

  settled(upload: Upload.Upload, outcome: Upload.Outcome): Effect.Effect<void> {
    upload.state = "Settled"
    const told = this.crew.settle(upload, outcome)
    // With files that fail before they begin, each next step would go deeper into the call stack.
    if (told === Effect.void) {
      return outcome._tag === "Stored" ? this.crew.step(this) : Effect.suspend(() => this.crew.step(this))
    }
    this.crew.gate.reportStarted()
    return Effect.flatMap(told, () => {
      this.crew.gate.reportEnded()
      return this.crew.step(this)
    })
  }
}
