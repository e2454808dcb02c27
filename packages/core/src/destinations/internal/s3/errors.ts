/**
 * The meaning of S3 answers for an upload.
 */
import * as Option from "effect/Option"
import { excerpt } from "../../../internal/transport/answers.js"
import * as AnswerText from "../../../internal/transport/answerText.js"
import { masking } from "../../../internal/transport/masking.js"
import { plausible, rejections, retryAfterMillis, whereTo } from "../../../internal/values/statuses.js"
import type { Answer } from "../../../Transport.js"
import {
  AuthExpired,
  Conflict,
  IntegrityMismatch,
  Rejected,
  SessionGone,
  Throttled,
  Transient
} from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Xml from "./xml.js"

/** An error as S3 reports it. */
export interface S3Error {
  readonly status: number
  /** `NoSuchKey` and the like; empty if the answer does not say. */
  readonly code: string
  readonly message: string
  /** The region of the bucket, if the answer says so. */
  readonly region: string | undefined
  /** The server's time, in milliseconds since the epoch. */
  readonly serverTime: number | undefined
  readonly retryAfterMillis: number | undefined
  /** The target of a redirect. */
  readonly location: string | undefined
}

/** The subject of a request: the same answer may mean different things for an object and for a multipart upload. */
export type Subject = "object" | "session" | "completion"

/** Reads an answer that is not a success. Secrets are masked, in case the server repeats them. */
export const read = (
  { body, headers, status }: Answer,
  now: number,
  secrets: ReadonlyArray<string> = []
): S3Error => {
  const beginning = body.subarray(0, largestError)
  const contentType = headers["content-type"]
  const root = errorIn(beginning, contentType)
  const code = shown(root?.text("Code"), secrets, 100)
  return {
    status,
    code,
    message: root === undefined
      ? saidByOthers(beginning, contentType, secrets)
      : shown(root.text("Message"), secrets, 500),
    region: headers["x-amz-bucket-region"] ?? root?.text("Region"),
    serverTime: timeIn(root?.text("ServerTime")) ?? timeIn(headers["date"]),
    retryAfterMillis: retryAfter(headers, now),
    location: headers["location"] === undefined ? undefined : shown(headers["location"], secrets, 1_000)
  }
}

/** The error that a document is or contains. */
export const errorIn = (body: Uint8Array, contentType: string | undefined = undefined): Xml.Element | undefined =>
  Option.getOrUndefined(Option.flatMapNullable(
    body.length === 0 ? Option.none() : Xml.parse(body, contentType),
    (root) => root.name === "Error" ? root : root.name === "ErrorResponse" ? root.all("Error")[0] : undefined
  ))

/** The class of an error: what the caller can do about it. */
export const classify = (name: string, error: S3Error, subject: Subject): UploadError => {
  const { code, message, retryAfterMillis, status } = error
  const said = [code, message].filter((text) => text !== "").join(": ")
  const detail = `${name} answered ${status}${said === "" ? "" : ` ${said}`}`
  if (
    throttling.has(code) || status === 429 || (status === 503 && (code === "" || retryAfterMillis !== undefined))
  ) {
    return new Throttled({ detail, ...(retryAfterMillis !== undefined && { retryAfterMillis }) })
  }
  if (subject !== "object" && (code === "NoSuchUpload" || (status === 404 && code !== "NoSuchBucket"))) {
    return new SessionGone({ detail })
  }
  if (subject === "completion" && restarting.has(code)) return new SessionGone({ detail })
  if (transient.has(code) || status === 408 || status === 499) return new Transient({ reason: "Unavailable", detail })
  if (damaged.has(code)) return new IntegrityMismatch({ reason: "Checksum", detail })
  if (expired.has(code)) return new AuthExpired({ detail })
  if (status === 409 || status === 412 || code === "PreconditionFailed") return new Conflict({ detail })
  const reason = reasons[code] ?? rejections[status]
  if (status >= 500 && status !== 501 && reason === undefined) return new Transient({ reason: "Unavailable", detail })
  if (status >= 300 && status < 400) {
    return new Rejected({ reason: "Redirected", detail: `${detail} (${whereTo(error.location)})` })
  }
  return new Rejected({ reason: reason ?? "Unsupported", detail })
}

/** The credentials were valid once: new ones may work. */
export const expired: ReadonlySet<string> = new Set([
  "ExpiredToken",
  "ExpiredTokenException",
  "InvalidToken",
  "RequestExpired",
  "TokenRefreshRequired"
])

/** The request went to the wrong region. */
export const misdirected: ReadonlySet<string> = new Set([
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
  "PermanentRedirect",
  "Redirect",
  "TemporaryRedirect"
])

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How much of an error is read, in bytes. */
const largestError = 64 * 1024

/** The content of an answer that S3 did not write: a page, or text that is declared as text. */
const saidByOthers = (
  body: Uint8Array,
  contentType: string | undefined,
  secrets: ReadonlyArray<string>
): string =>
  AnswerText.isPage(body) || textual.test(contentType ?? "")
    ? excerpt(body, masking(...secrets), contentType)
    : ""

const textual = /^\s*(?:text\/|application\/(?:[\w.+-]*\+)?(?:json|xml)\b)/i

/** A time as in headers, or as S3 writes it: with or without separators. */
const timeIn = (text: string | undefined): number | undefined => {
  const divided = text?.trim().replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z$/, "$1-$2-$3T$4:$5:$6Z")
  const time = Date.parse(divided ?? "")
  return Number.isNaN(time) ? undefined : time
}

const shown = (text: string | undefined, secrets: ReadonlyArray<string>, length: number): string =>
  masking(...secrets)(text ?? "")
    .replace(/[\p{Cc}\s]+/gu, " ")
    .slice(0, length)

const throttling: ReadonlySet<string> = new Set([
  "BandwidthLimitExceeded",
  "PriorRequestNotComplete",
  "RequestLimitExceeded",
  "RequestThrottled",
  "RequestThrottledException",
  "ServerBusy",
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "Throttled",
  "ThrottledException",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests",
  "TooManyRequestsException"
])

/** Somebody else is writing there at the same time: a put should be retried. */
const transient: ReadonlySet<string> = new Set([
  "ConditionalRequestConflict",
  "IncompleteBody",
  "InternalError",
  "OperationAborted",
  "RequestTimeout",
  "ServiceUnavailable"
])

/** Errors after which a multipart upload cannot be completed, but can start over. */
const restarting: ReadonlySet<string> = new Set(["ConditionalRequestConflict", "InvalidPart"])

const damaged: ReadonlySet<string> = new Set([
  "BadDigest",
  "InvalidDigest",
  "XAmzContentChecksumMismatch",
  "XAmzContentSHA256Mismatch"
])

const reasons: Readonly<Record<string, Rejected["reason"]>> = {
  AccessDenied: "Forbidden",
  AccountProblem: "Forbidden",
  AllAccessDisabled: "Forbidden",
  EntityTooLarge: "TooLarge",
  InvalidAccessKeyId: "Unauthorized",
  InvalidObjectName: "InvalidKey",
  InvalidSecurity: "Unauthorized",
  InvalidURI: "InvalidKey",
  KeyTooLongError: "InvalidKey",
  MetadataTooLarge: "TooLarge",
  NoSuchBucket: "NotFound",
  NotImplemented: "Unsupported",
  NotSignedUp: "Forbidden",
  QuotaExceeded: "NoSpace",
  SignatureDoesNotMatch: "Unauthorized",
  XMinioInvalidObjectName: "InvalidKey",
  XMinioStorageFull: "NoSpace"
}

/**
 * `x-amz-retry-after` in milliseconds, or `Retry-After` in seconds or as a date. Nonsense is ignored, and more than a
 * day counts as a day.
 */
const retryAfter = (headers: Answer["headers"], now: number): number | undefined => {
  const exact = headers["x-amz-retry-after"]
  return exact === undefined
    ? retryAfterMillis(headers["retry-after"], now)
    : plausible(/^\d+$/.test(exact) ? Number(exact) : NaN)
}
