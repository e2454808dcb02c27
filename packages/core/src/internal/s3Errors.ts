/**
 * What answers of S3 mean for an upload.
 */
import * as Option from "effect/Option"
import type { Answer } from "../Transport.js"
import {
  AuthExpired,
  Conflict,
  IntegrityMismatch,
  Rejected,
  SessionGone,
  Throttled,
  Transient
} from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import * as Xml from "./s3Xml.js"

/** An error as S3 tells it. */
export interface S3Error {
  readonly status: number
  /** `NoSuchKey` and the like; empty where the answer does not say. */
  readonly code: string
  readonly message: string
  /** The region that the bucket is in, where the answer says so. */
  readonly region: string | undefined
  /** The server's time, in milliseconds since the epoch. */
  readonly serverTime: number | undefined
  readonly retryAfterMillis: number | undefined
}

export const isSuccess = ({ status }: { readonly status: number }): boolean => status >= 200 && status < 300

/** Reads an answer that is no success. */
export const read = ({ body, headers, status }: Answer, now: number): S3Error => {
  const root = Option.getOrUndefined(Option.filter(Xml.parse(body), ({ name }) => name === "Error"))
  const time = Date.parse(headers["date"] ?? "")
  return {
    status,
    code: root?.text("Code") ?? "",
    message: (root?.text("Message") ?? "").replace(/[\p{Cc}\s]+/gu, " ").slice(0, 500),
    region: headers["x-amz-bucket-region"] ?? root?.text("Region"),
    serverTime: Number.isNaN(time) ? undefined : time,
    retryAfterMillis: retryAfter(headers["retry-after"], now)
  }
}

/** The class of an error: what the caller can do about it. */
export const classify = (name: string, error: S3Error): UploadError => {
  const { code, message, retryAfterMillis, status } = error
  const said = [code, message].filter((text) => text !== "").join(": ")
  const detail = `${name} answered ${status}${said === "" ? "" : ` ${said}`}`
  if (throttling.has(code) || status === 429 || (status === 503 && code === "")) {
    return new Throttled({ detail, ...(retryAfterMillis !== undefined && { retryAfterMillis }) })
  }
  if (transient.has(code) || status === 408 || status === 499) return new Transient({ reason: "Unavailable", detail })
  if (damaged.has(code)) return new IntegrityMismatch({ reason: "Checksum", detail })
  if (code === "NoSuchUpload") return new SessionGone({ detail })
  if (expired.has(code)) return new AuthExpired({ detail })
  if (status === 409 || status === 412) return new Conflict({ detail })
  if (status >= 500 && status !== 501 && status !== 507) return new Transient({ reason: "Unavailable", detail })
  if (status >= 300 && status < 400) return new Rejected({ reason: "Redirected", detail })
  return new Rejected({ reason: reasons[code] ?? byStatus[status] ?? "Unsupported", detail })
}

/** Credentials that were good once: others may be better. */
export const expired: ReadonlySet<string> = new Set(["ExpiredToken", "ExpiredTokenException", "RequestExpired"])

/** The clock here and the clock there do not agree. */
export const skewed: ReadonlySet<string> = new Set(["RequestTimeTooSkewed"])

/** The request went to the wrong region. */
export const misdirected: ReadonlySet<string> = new Set([
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
  "PermanentRedirect",
  "TemporaryRedirect"
])

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const throttling: ReadonlySet<string> = new Set([
  "BandwidthLimitExceeded",
  "RequestLimitExceeded",
  "RequestThrottled",
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "ServerBusy",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests"
])

const transient: ReadonlySet<string> = new Set([
  "IncompleteBody",
  "InternalError",
  "OperationAborted",
  "RequestTimeout",
  "ServiceUnavailable"
])

const damaged: ReadonlySet<string> = new Set(["BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"])

const reasons: Readonly<Record<string, Rejected["reason"]>> = {
  AccessDenied: "Forbidden",
  EntityTooLarge: "TooLarge",
  InvalidAccessKeyId: "Unauthorized",
  KeyTooLongError: "InvalidKey",
  NoSuchBucket: "NotFound",
  QuotaExceeded: "NoSpace",
  SignatureDoesNotMatch: "Unauthorized"
}

const byStatus: Readonly<Record<number, Rejected["reason"]>> = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  413: "TooLarge",
  507: "NoSpace"
}

/** `Retry-After`: seconds, or a date. Nonsense and more than a day are ignored. */
const retryAfter = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  const millis = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Math.ceil(Number(header) * 1000) : Date.parse(header) - now
  return millis >= 0 && millis <= 86_400_000 ? millis : undefined
}
