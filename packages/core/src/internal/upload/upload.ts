/**
 * The state of one file's upload, from its first attempt to its last. It is also the transfer of the file's bytes, if it
 * goes up in one request: a hundred thousand uploads may be in flight, and each object counts.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as ByteSource from "../../ByteSource.js"
import type { Algorithm } from "../../Checksum.js"
import type * as Destination from "../../Destination.js"
import type { UploadError } from "../../UploadError.js"
import type { UploadFile } from "../../UploadFile.js"
import { memoryOf } from "../bytes/blockSizes.js"
import type { UploadBody } from "../bytes/body.js"
import type { Env } from "./env.js"
import { Lease } from "./lease.js"
import * as Parts from "./parts.js"
import type { Driver } from "./retries.js"
import type { Stalls } from "./stalls.js"
import type { Recording, Step } from "./step.js"
import { Transfer } from "./transfer.js"

/** What the uploads of one run share. */
export interface Run {
  readonly env: Env
  readonly clock: Clock.Clock
  /** What happens to a multipart upload that was interrupted, or failed and could be resumed. */
  readonly onInterrupt: "abort" | "keep"
  readonly onSourceChange: "fail" | "retry" | "skip"
  /** How long a request without bytes may wait for its answer, in milliseconds. */
  readonly answerMillis: number
  readonly recorder: Recording
  readonly tracing: "run" | "file" | "attempt"
  readonly stalls: Stalls
  /** Counts the uploads that wait before their next attempt and hold nothing. */
  readonly backoffs?: { readonly backoffStarted: () => void; readonly backoffEnded: () => void } | undefined
}

/** How an upload ended. */
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

export class Upload extends Transfer {
  readonly file: UploadFile
  readonly run: Run
  readonly lease: Lease
  /** Whether the file goes up in parts. */
  large: boolean
  /** The current or latest attempt, from 1; 0 before the first. */
  attempt = 0
  /** The attempt after which the current round of attempts began. */
  roundStart = 0
  /** When the first attempt started, as a clock time in milliseconds. */
  startedAt = 0
  /** When the current attempt started. */
  attemptStartedAt = 0
  /** Bytes that an earlier process stored and the current attempt need not send. */
  resumedBytes = 0
  /** Why the previous round failed. */
  lastError: UploadError | undefined = undefined
  source: ByteSource.ByteSource
  fingerprint: string | undefined
  modifiedAt: number | undefined
  mode: number | undefined
  state: "Idle" | "Attempt" | "Backoff" = "Idle"
  /** Whether the source has been read. */
  opened = false
  bodyEnded = false
  body: UploadBody | undefined = undefined
  /** The retry policy's schedule, from the first failure on. */
  schedule: Driver | undefined = undefined
  /** The object of a large file, once it exists, whatever else happens. */
  stored: Destination.Stored | undefined = undefined
  private isRelisted = false

  constructor(run: Run, file: UploadFile) {
    super(run.clock)
    this.run = run
    this.file = file
    this.source = file.source
    this.fingerprint = file.fingerprint
    this.modifiedAt = file.modifiedAt
    this.mode = file.mode
    this.large = Parts.applies(run.env, this.size)
    this.lease = new Lease(run.env, run.clock, "files", this.memory)
  }

  /** The number of bytes to send; `undefined` if it is not known before the end. */
  get size(): number | undefined {
    return this.isRelisted ? this.source.size : this.file.size ?? this.source.size
  }

  get sizeFound(): boolean {
    return this.isRelisted || this.file.size !== undefined
  }

  get checksum(): Algorithm | undefined {
    return this.run.env.parts.checksum
  }

  get offset(): number {
    return 0
  }

  get toEnd(): boolean {
    return true
  }

  /** The memory that an attempt takes, in bytes; a multipart upload takes its memory part by part. */
  private get memory(): number {
    return this.large ? 0 : memoryOf(this.run.env.destination.capabilities, this.size)
  }

  /** Goes on with what the source has become. Nothing is held meanwhile. */
  relist(latest: ByteSource.Latest): void {
    const { size } = this
    this.isRelisted = true
    this.source = latest.source
    this.fingerprint = latest.fingerprint
    this.modifiedAt = latest.modifiedAt
    this.mode = latest.mode ?? this.mode
    this.large = Parts.applies(this.run.env, this.size)
    this.lease.bytes = this.memory
    this.record({ _tag: "Relisted", before: size, now: this.size })
  }

  /** Begins an attempt. */
  begin(now: number): Effect.Effect<void> | undefined {
    this.attempt += 1
    this.attemptStartedAt = now
    this.lastByteAt = now
    this.handedOut = 0
    this.resumedBytes = 0
    this.waits = 0
    this.asking = false
    this.bodyEnded = false
    this.sourceError = undefined
    this.state = "Attempt"
    return this.record({ _tag: "AttemptStarted", upload: this })
  }

  /** Ends an attempt, if there is one. */
  end(stored: boolean): void {
    if (this.state === "Attempt") {
      this.state = "Idle"
      this.record({ _tag: "AttemptEnded", upload: this, stored })
    }
    this.body?.ended()
    this.track = undefined
  }

  backoffStarted(): void {
    if (this.state === "Backoff") return
    this.state = "Backoff"
    this.run.backoffs?.backoffStarted()
  }

  backoffEnded(): void {
    if (this.state !== "Backoff") return
    this.state = "Idle"
    this.run.backoffs?.backoffEnded()
  }

  record(step: Step): Effect.Effect<void> | undefined {
    return this.run.recorder.record(step)
  }

  override onOpen(): void {
    this.opened = true
  }

  override onEnd(): void {
    this.bodyEnded = true
  }

  override onTakenBack(bytes: number): void {
    this.bodyEnded = false
    super.onTakenBack(bytes)
  }

  protected override count(bytes: number): void {
    if (bytes < 0) this.run.recorder.takenBack(-bytes, this.sizeFound)
    else this.run.recorder.sent(bytes, this.lastByteAt, this.sizeFound)
  }
}
