/**
 * The ways in which one upload can fail: one class for each thing that a caller can do about it.
 *
 * | class | what to do |
 * |---|---|
 * | {@link Transient} | retry after a backoff |
 * | {@link Throttled} | retry later and more slowly; `retryAfterMillis` if the server says when |
 * | {@link IntegrityMismatch} | send it again: what arrived is not what was sent |
 * | {@link AuthExpired} | get new credentials |
 * | {@link SessionGone} | start the multipart upload over: the destination has forgotten it |
 * | {@link Conflict} | somebody else wrote there: decide who wins |
 * | {@link Rejected} | change the request or the destination's settings: the same request fails again |
 * | {@link SourceChanged} | upload again when the source no longer changes |
 * | {@link SourceUnreadable} | repair the source |
 *
 * {@link fromStatus} finds the class for an answer over HTTP.
 *
 * Interruption is not an error. No error carries a secret: addresses in messages omit their query.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Statuses from "./internal/values/statuses.js"

const context = {
  /** A human-readable description of what happened, without secrets. */
  detail: Schema.String,
  /** The underlying failure, if there is one. */
  cause: Schema.optional(Schema.Defect)
}

/**
 * A failure that may pass: a broken connection, an attempt in which no bytes moved, a server in trouble.
 *
 * @since 0.1.0
 * @category errors
 */
export class Transient extends Schema.TaggedError<Transient>("@sluice/core/UploadError/Transient")("Transient", {
  reason: Schema.Literal("Connection", "Stalled", "Unavailable"),
  ...context
}) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The destination asks for fewer requests.
 *
 * @since 0.1.0
 * @category errors
 */
export class Throttled extends Schema.TaggedError<Throttled>("@sluice/core/UploadError/Throttled")("Throttled", {
  /** How long the destination asks to wait, in milliseconds, if it says so. */
  retryAfterMillis: Schema.optional(Schema.Number),
  ...context
}) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The destination stored something other than what was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class IntegrityMismatch
  extends Schema.TaggedError<IntegrityMismatch>("@sluice/core/UploadError/IntegrityMismatch")(
    "IntegrityMismatch",
    { reason: Schema.Literal("Size", "Checksum"), ...context }
  )
{
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The credentials were valid once and no longer are.
 *
 * @since 0.1.0
 * @category errors
 */
export class AuthExpired extends Schema.TaggedError<AuthExpired>("@sluice/core/UploadError/AuthExpired")(
  "AuthExpired",
  context
) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The destination does not know the multipart upload: it was completed, aborted or has expired.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionGone extends Schema.TaggedError<SessionGone>("@sluice/core/UploadError/SessionGone")(
  "SessionGone",
  context
) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The object is in a state that the request did not expect.
 *
 * @since 0.1.0
 * @category errors
 */
export class Conflict extends Schema.TaggedError<Conflict>("@sluice/core/UploadError/Conflict")("Conflict", context) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The destination will not accept this upload, however often it is retried.
 *
 * @since 0.1.0
 * @category errors
 */
export class Rejected extends Schema.TaggedError<Rejected>("@sluice/core/UploadError/Rejected")("Rejected", {
  reason: Schema.Literal(
    "Unauthorized",
    "Forbidden",
    "NotFound",
    "NoSpace",
    "TooLarge",
    "InvalidKey",
    "Redirected",
    "Unsupported",
    "Unexpected"
  ),
  ...context
}) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The source has changed since the upload was planned.
 *
 * @since 0.1.0
 * @category errors
 */
export class SourceChanged extends Schema.TaggedError<SourceChanged>("@sluice/core/UploadError/SourceChanged")(
  "SourceChanged",
  { reason: Schema.Literal("EndedEarly", "Grew", "Modified"), ...context }
) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The source cannot be read.
 *
 * @since 0.1.0
 * @category errors
 */
export class SourceUnreadable extends Schema.TaggedError<SourceUnreadable>("@sluice/core/UploadError/SourceUnreadable")(
  "SourceUnreadable",
  {
    /** `Stalled`: it produced no bytes for the stall timeout. `Consumed`: it can be read only once, and has been. */
    reason: Schema.Literal("NotFound", "Forbidden", "Consumed", "Stalled", "Failed"),
    ...context
  }
) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * Every way in which reading a source can fail.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SourceError = Schema.Union(SourceChanged, SourceUnreadable)

/**
 * @since 0.1.0
 * @category schemas
 */
export type SourceError = typeof SourceError.Type

/**
 * Every way in which one upload can fail.
 *
 * @example
 * ```ts
 * import { Uploader, UploadError } from "@sluice/core"
 * import type { UploadFile } from "@sluice/core"
 * import { Effect } from "effect"
 *
 * // What to do is decided by the class, and where that is too coarse, by the reason.
 * const publish = (file: UploadFile.UploadFile) =>
 *   Effect.flatMap(Uploader.Uploader, ({ upload }) => upload(file)).pipe(
 *     Effect.catchTags({
 *       Conflict: () => Effect.succeed("somebody else was first"),
 *       Rejected: (error) => error.reason === "NoSpace" ? Effect.succeed("the quota is used up") : Effect.fail(error)
 *     }),
 *     Effect.tapError((error) => Effect.logError(UploadError.summarize(error)))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const UploadError = Schema.Union(
  Transient,
  Throttled,
  IntegrityMismatch,
  AuthExpired,
  SessionGone,
  Conflict,
  Rejected,
  SourceChanged,
  SourceUnreadable
)

/**
 * @since 0.1.0
 * @category schemas
 */
export type UploadError = typeof UploadError.Type

/**
 * What {@link fromStatus} reads of an answer over HTTP; a `Transport.Answer` is one.
 *
 * @since 0.1.0
 * @category models
 */
export interface StatusAnswer {
  /** The status; 0 for a redirect that a browser does not show. */
  readonly status: number
  /** The headers, of which `retry-after` and `location` are read. Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * The error for an answer over HTTP that is not a success.
 *
 * | status | error |
 * |---|---|
 * | 429 | `Throttled` |
 * | 408, 423, 425, 499, 500 and above | `Transient`, or `Throttled` with a `Retry-After` |
 * | 403, 409, 413 with a `Retry-After` | `Throttled` |
 * | 409, 412 | `Conflict` |
 * | 3xx | `Rejected`, `Redirected` |
 * | 401 | `Rejected`, `Unauthorized` |
 * | 402, 403 | `Rejected`, `Forbidden` |
 * | 404, 410 | `Rejected`, `NotFound` |
 * | 413 | `Rejected`, `TooLarge` |
 * | 507 | `Rejected`, `NoSpace` |
 * | 501, 505 and all others | `Rejected`, `Unsupported` |
 *
 * `Retry-After` is a number of seconds or a date, compared with `now`, in milliseconds since the epoch. Nonsense and
 * past dates are ignored, and more than a day counts as a day. `detail` is the message: it must not contain a secret,
 * so be careful with what the server says. `Transport.refused` writes one from the answer itself.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { UploadError } from "@sluice/core"
 *
 * const error = UploadError.fromStatus(
 *   { status: 503, headers: { "retry-after": "2" } },
 *   { detail: "The archive is being moved.", now: 0 }
 * )
 * assert.deepStrictEqual(
 *   error,
 *   new UploadError.Throttled({ detail: "The archive is being moved.", retryAfterMillis: 2_000 })
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromStatus = (
  { headers, status }: StatusAnswer,
  { detail, now }: { readonly detail: string; readonly now: number }
): UploadError => {
  const retryAfterMillis = Statuses.retryAfterMillis(headers["retry-after"], now)
  if (status === 429) {
    return new Throttled({ detail, ...(retryAfterMillis !== undefined && { retryAfterMillis }) })
  }
  const passes = Statuses.passing.has(status) || (status >= 500 && !Statuses.lasting.has(status))
  if (retryAfterMillis !== undefined && (passes || Statuses.mayPass.has(status))) {
    return new Throttled({ detail, retryAfterMillis })
  }
  if (passes) {
    return new Transient({ reason: "Unavailable", detail: status === 423 ? `${detail} (it is locked)` : detail })
  }
  if (status === 409 || status === 412) return new Conflict({ detail })
  // A browser reports only that there was a redirect, by a status of 0.
  if (status === 0 || (status >= 300 && status < 400)) {
    return new Rejected({ reason: "Redirected", detail: `${detail} (${Statuses.whereTo(headers["location"])})` })
  }
  return new Rejected({ reason: Statuses.rejections[status] ?? "Unsupported", detail })
}

/**
 * Whether the same upload may succeed later: after a transient failure, a throttled request, corruption in transit, a
 * source that stalled, or when it starts over because the destination has forgotten it.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRetryable = (error: UploadError): boolean =>
  error._tag === "Transient" || error._tag === "Throttled" || error._tag === "IntegrityMismatch" ||
  error._tag === "SessionGone" || (error._tag === "SourceUnreadable" && error.reason === "Stalled")

/**
 * Whether the failure is the source's own, so that it does not affect other files.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSourceError = (error: UploadError): error is SourceError =>
  error._tag === "SourceChanged" || error._tag === "SourceUnreadable"

/**
 * An error as events and reports carry it: its name and its message.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Summary = Schema.Struct({
  _tag: Schema.String,
  reason: Schema.optional(Schema.String),
  message: Schema.String
})

/**
 * @since 0.1.0
 * @category schemas
 */
export type Summary = typeof Summary.Type

/**
 * Summarizes an error for events and reports, without its cause.
 *
 * @since 0.1.0
 * @category conversions
 */
export const summarize = (error: UploadError): Summary =>
  "reason" in error
    ? { _tag: error._tag, reason: error.reason, message: error.message }
    : { _tag: error._tag, message: error.message }
