/**
 * One worker of a run: what it holds now, and what it reports about its uploads.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Upload from "../../Upload.js"
import type { UploadFile } from "../../UploadFile.js"
import type { UploadResult } from "../../UploadResult.js"
import type { Gate } from "./gate.js"

/** The run's side of a worker. */
export interface Crew {
  readonly context: Upload.Context
  readonly run: Upload.Run
  readonly gate: Gate
  readonly backoffStarted: () => void
  readonly settle: (upload: Upload.Upload, outcome: Upload.Outcome) => Effect.Effect<void> | undefined
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
    const upload = item instanceof Upload.Upload
      ? item
      : new Upload.Upload(this.crew.context, this.crew.run, item, this)
    upload.observer = this
    this.upload = upload
    return upload
  }

  backoffStarted(): void {
    this.crew.backoffStarted()
  }

  backoffEnded(): void {
    this.crew.gate.backoffEnded()
  }

  settled(upload: Upload.Upload, outcome: Upload.Outcome): Effect.Effect<void> {
    upload.state = "Settled"
    const told = this.crew.settle(upload, outcome)
    // With files that fail before they begin, each next step would go deeper into the call stack.
    if (told === undefined) {
      return outcome._tag === "Stored" ? this.crew.step(this) : Effect.suspend(() => this.crew.step(this))
    }
    this.crew.gate.reportStarted()
    return Effect.flatMap(told, () => {
      this.crew.gate.reportEnded()
      return this.crew.step(this)
    })
  }
}
