/**
 * One request of a multipart upload: create, a part, complete, abort; and a look at the destination.
 */
import * as Effect from "effect/Effect"
import * as RetryPolicy from "../../RetryPolicy.js"
import type { UploadError } from "../../UploadError.js"
import { withDeadline } from "../calls/deadline.js"
import type { Restore } from "../calls/ended.js"
import { failureOf } from "./driver.js"
import type { Env } from "./env.js"
import { Lease } from "./lease.js"
import type { Look } from "./outage.js"
import * as Request from "./request.js"
import type * as Retries from "./retries.js"
import type { Spanned } from "./spans.js"
import * as Step from "./step.js"
import type { Upload } from "./upload.js"

export interface CallOptions<A> {
  /** The name of its span. */
  readonly name: string
  /** Makes the request once; `attempt` counts from 1. */
  readonly send: (attempt: number) => Effect.Effect<A, UploadError>
  /** The caller closes its lease. Defaults to one without memory. */
  readonly lease?: Lease | undefined
  /** The number of the part that it sends, if any. */
  readonly part?: number | undefined
  /** Defaults to the policy of the uploader, whose retries share a budget. */
  readonly policy?: RetryPolicy.RetryPolicy | undefined
  /** How long after the first attempt a retry may begin, in milliseconds. Defaults to no limit. */
  readonly retryMillis?: number | undefined
  /** The bytes that the request stores. Defaults to 0. */
  readonly bytes?: number | undefined
  /** Whether it waits while the destination is away. Defaults to `false`. */
  readonly waits?: boolean | undefined
  /** Whether a success shows that the destination is reachable. Defaults to `waits`. */
  readonly isHeard?: boolean | undefined
  /** Makes its waits interruptible. Defaults to what the caller can be. */
  readonly restore?: Restore | undefined
}

/**
 * Makes a request until it has succeeded or failed for good. Where the caller can be interrupted, so can the request;
 * elsewhere, only its waits, through `restore`.
 */
export const call = <A>(env: Env, upload: Upload, options: CallOptions<A>): Effect.Effect<A, UploadError> =>
  Effect.uninterruptibleMask((asBefore) =>
    Effect.suspend(() => Request.run(env, new Call(env, upload, options, asBefore), options.restore ?? asBefore))
  )

/** A look at a destination that has failed, if there is a way to look: a probe, or a look for the object. */
export const lookAt = (env: Env, upload: Upload): Look | undefined => {
  const { destination: { head, probe } } = env
  if (env.outage === undefined || (head === undefined && probe === undefined)) return undefined
  const look = Effect.suspend((): Effect.Effect<unknown, UploadError> => probe ?? head!(upload.file.key))
  const millis = Math.min(lookMillis, upload.run.answerMillis)
  return call({ ...env, observe: undefined }, upload, {
    name: "look",
    send: () => withDeadline(look, millis),
    policy: RetryPolicy.none
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How long a look may take, in milliseconds, however long an upload may take. */
const lookMillis = 30_000

class Call<A> implements Request.Request<A> {
  readonly upload: Upload
  readonly lease: Lease
  readonly isOne = true
  readonly roundStart = 0
  attempt = 0
  attemptStartedAt = 0
  lastRetryAt = Infinity
  schedule: Retries.Driver | undefined = undefined
  private readonly options: CallOptions<A>
  private readonly env: Env
  private readonly asBefore: Restore

  constructor(env: Env, upload: Upload, options: CallOptions<A>, asBefore: Restore) {
    this.asBefore = asBefore
    this.env = env
    this.upload = upload
    this.options = options
    this.lease = options.lease ?? new Lease(env, upload.clock, "parts", 0)
  }

  get look(): Look | undefined {
    return this.options.waits === true ? lookAt(this.env, this.upload) : undefined
  }

  get clock() {
    return this.upload.clock
  }

  get request() {
    return { part: this.options.part }
  }

  get policy(): RetryPolicy.RetryPolicy {
    return this.options.policy ?? this.env.retry
  }

  get isBudgeted(): boolean {
    return this.options.policy === undefined
  }

  get isHeard(): boolean {
    return this.options.isHeard ?? this.options.waits === true
  }

  get bytes(): number {
    return this.options.bytes ?? 0
  }

  get span(): Spanned | undefined {
    const { upload: { run: { tracing } }, options: { bytes, name, part } } = this
    if (tracing !== "attempt") return undefined
    const ofPart = part === undefined ? {} : { "sluice.part": part, "sluice.size": bytes }
    return { name: `Uploader.${name}`, attributes: { ...ofPart, "sluice.attempt": this.attempt } }
  }

  record(step: Step.Step): Effect.Effect<void> | undefined {
    return this.upload.record(step)
  }

  begin(now: number): undefined {
    if (this.attempt === 0) this.lastRetryAt = now + (this.options.retryMillis ?? Infinity)
    this.attempt += 1
    this.attemptStartedAt = now
    this.upload.record(Step.requestStarted)
  }

  send(): Effect.Effect<A, UploadError> {
    return this.asBefore(Effect.suspend(() => this.options.send(this.attempt)))
  }

  problem(): undefined {}

  readonly errorOf = failureOf

  end(): void {
    this.upload.record(Step.requestEnded)
  }

  prepare(): undefined {}

  /** A session that is gone does not come back. */
  judged(error: UploadError): UploadError | undefined {
    return error._tag === "SessionGone" ? undefined : error
  }

  backoffStarted(): void {}
}
