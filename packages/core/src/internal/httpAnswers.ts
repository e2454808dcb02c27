/**
 * What answers over HTTP, and failures to get one, mean for an upload; and what of them may be shown.
 */
import type * as Headers from "@effect/platform/Headers"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as ByteSource from "../ByteSource.js"
import { Conflict, Rejected, Throttled, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"

/** How much of an answer's text is shown, in characters. */
const excerptSize = 512

/** How much of an answer that nobody reads is taken in, so that its connection can be used again, in bytes. */
const discardedSize = 64 * 1024

const codeOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string"
    ? error.code
    : Predicate.hasProperty(error, "cause")
    ? codeOf(error.cause)
    : undefined

export const requestFailed = (name: string, error: HttpClientError.HttpClientError): UploadError => {
  // The error holds the whole request, secrets included: only its cause is kept.
  const cause = error.cause
  const code = codeOf(cause)
  const said = code ?? (cause instanceof Error ? cause.message : error.reason)
  if (error.reason === "InvalidUrl") return invalidAddress(name)
  if (code !== undefined && /INVALID_(ARG|CHAR|HTTP_TOKEN)/.test(code)) {
    return new Rejected({
      reason: "Unsupported",
      detail: `The request to ${name} cannot be sent: a header is not valid (${code}).`,
      cause
    })
  }
  if (code !== undefined && /CERT|TLS|SSL|SELF_SIGNED|ISSUER|VERIFY/.test(code)) {
    return new Rejected({ reason: "Forbidden", detail: `${name} cannot be trusted (${code}).`, cause })
  }
  return new Transient({ reason: "Connection", detail: `The connection to ${name} failed (${said}).`, cause })
}

/** The first bytes of an answer. What breaks off, or does not come within a second, is not waited for. */
const firstBytes = (response: HttpClientResponse, size: number): Effect.Effect<Uint8Array> =>
  response.stream.pipe(
    Stream.runFoldWhile<Uint8Array, Uint8Array>(
      new Uint8Array(0),
      (bytes) => bytes.length < size,
      (bytes, block) => ByteSource.concat([bytes, block])
    ),
    Effect.timeoutTo({ duration: "1 second", onSuccess: (bytes) => bytes, onTimeout: () => new Uint8Array(0) }),
    Effect.orElseSucceed(() => new Uint8Array(0))
  )

/** Takes in what is left of an answer; where that is much, or slow, the connection is closed instead. */
export const discardRest = (response: HttpClientResponse): Effect.Effect<unknown> =>
  response.status === 204 || response.headers["content-length"] === "0"
    ? Effect.void
    : firstBytes(response, discardedSize)

/** The first part of what the server says, on one line and without control characters and secrets. */
const excerpt = (response: HttpClientResponse, mask: (text: string) => string): Effect.Effect<string> =>
  Effect.map(
    firstBytes(response, 4 * excerptSize),
    (bytes) =>
      mask(new TextDecoder().decode(bytes.subarray(0, 4 * excerptSize)))
        .replace(/<[^>]*>/g, " ")
        .replace(/[\p{Cc}\s]+/gu, " ")
        .trim()
        .slice(0, excerptSize)
  )

/**
 * Blots out what is secret, in case a server repeats it: the query of the address and the values of the headers. Short
 * values are no secrets, and blotting them out would spoil the text.
 */
export const masking = (url: string, headers: Headers.Headers): (text: string) => string => {
  const query = /\?([^#]*)/.exec(url)?.[1] ?? ""
  const values = [
    ...query.split("&").map((parameter) => parameter.slice(parameter.indexOf("=") + 1)),
    ...UrlParams.fromInput(new URLSearchParams(query)).map(([, value]) => value),
    ...Object.values(headers).flatMap((value) => [value, ...value.split(/\s+/)])
  ]
  const secrets = values.filter((value) => value.length >= 8 && !value.includes("{key}"))
  secrets.sort((a, b) => b.length - a.length)
  return (text) => secrets.reduce((masked, secret) => masked.replaceAll(secret, "<redacted>"), text)
}

export const invalidAddress = (name: string) =>
  new Rejected({ reason: "Unsupported", detail: `${name} is not a valid address.` })

export const refused = (
  name: string,
  response: HttpClientResponse,
  mask: (text: string) => string
): Effect.Effect<never, UploadError> =>
  Effect.gen(function*() {
    const said = yield* excerpt(response, mask)
    const now = yield* Clock.currentTimeMillis
    return yield* Effect.fail(
      statusError(name, response.status, said, retryAfterMillis(response.headers["retry-after"], now))
    )
  })

const statusError = (
  name: string,
  status: number,
  said: string,
  retryAfter: number | undefined
): UploadError => {
  const detail = `${name} answered ${status}${said === "" ? "" : `: ${said}`}`
  if (status === 429 || (status === 503 && retryAfter !== undefined)) {
    return new Throttled({ detail, ...(retryAfter !== undefined && { retryAfterMillis: retryAfter }) })
  }
  if (status === 408 || status === 425 || status === 499 || (status >= 500 && status !== 501 && status !== 507)) {
    return new Transient({ reason: "Unavailable", detail })
  }
  if (status === 409 || status === 412 || status === 423) return new Conflict({ detail })
  if (status >= 300 && status < 400) {
    return new Rejected({ reason: "Redirected", detail: `${detail} (redirects are not followed)` })
  }
  return new Rejected({ reason: rejections[status] ?? "Unsupported", detail })
}

const rejections: Readonly<Record<number, Rejected["reason"]>> = {
  401: "Unauthorized",
  402: "Forbidden",
  403: "Forbidden",
  404: "NotFound",
  410: "NotFound",
  413: "TooLarge",
  507: "NoSpace"
}

/** `Retry-After`: seconds, or a date. Nonsense and more than a day are ignored. */
const retryAfterMillis = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  const millis = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Math.ceil(Number(header) * 1000) : Date.parse(header) - now
  return millis >= 0 && millis <= 86_400_000 ? millis : undefined
}
