/**
 * What it means that a request over HTTP was not sent, or not answered; and what of it may be shown.
 */
import * as Predicate from "effect/Predicate"
import { Rejected, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"

export const invalidAddress = (name: string): Rejected =>
  new Rejected({ reason: "Unsupported", detail: `${name} is not a valid address.` })

/** A request with something in it that cannot be said in HTTP. */
export const invalidRequest = (name: string, problem: string): Rejected =>
  new Rejected({ reason: "Unsupported", detail: `The request to ${name} cannot be sent: ${problem}.` })

export const unknownSize = (name: string): Rejected =>
  new Rejected({ reason: "Unsupported", detail: `${name} has to be told the size of a body beforehand.` })

/** What an answer that goes no further after its head, or does not even come, is taken for. */
export const stalled = (name: string): Transient =>
  new Transient({ reason: "Stalled", detail: `${name} has stopped answering.` })

/** The failure of a request to `name`, by what is underneath. */
export const failed = (name: string, error: unknown): UploadError => {
  const code = codeOf(error)
  if (code !== undefined && /INVALID_URL/.test(code)) return invalidAddress(name)
  const said = code ?? (error instanceof Error ? error.message : "no answer")
  const cause = harmless(error, said)
  const proxied = /^Proxy .*?\b(\d{3})\b/.exec(error instanceof Error ? error.message : "")?.[1]
  if (proxied !== undefined) return refusedByProxy(name, Number(proxied))
  if (code !== undefined && /INVALID_(ARG|CHAR|HTTP_TOKEN)|NOT_SUPPORTED/.test(code)) {
    return new Rejected({
      reason: "Unsupported",
      detail: `The request to ${name} cannot be sent: a header is not valid (${code}).`,
      cause
    })
  }
  if (code !== undefined && /CERT|TLS|SSL|SELF_SIGNED|ISSUER|VERIFY/.test(code)) {
    return new Rejected({ reason: "Forbidden", detail: `${originOf(name)} cannot be trusted (${code}).`, cause })
  }
  // Where no connection came about, what was asked for is none of it: all requests fail alike, and say the same.
  const to = code !== undefined && neverConnected.test(code) ? originOf(name) : name
  return new Transient({ reason: "Connection", detail: `The connection to ${to} failed (${said}).`, cause })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const neverConnected =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/

const originOf = (name: string): string => /^[a-z][a-z0-9+.-]*:\/\/[^/]+/i.exec(name)?.[0] ?? name

const codeOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string"
    ? error.code
    : Predicate.hasProperty(error, "cause")
    ? codeOf(error.cause)
    : undefined

/** What is known of an error without what others have put into it: an address, or some of what the server has sent. */
const harmless = (error: unknown, said: string): unknown =>
  Predicate.hasProperty(error, "data") || Predicate.hasProperty(error, "input") ? new Error(said) : error

const refusedByProxy = (name: string, status: number): UploadError => {
  const detail = `The proxy on the way to ${name} answered ${status}.`
  return status === 407
    ? new Rejected({ reason: "Unauthorized", detail })
    : status >= 400 && status < 500 && status !== 408 && status !== 429
    ? new Rejected({ reason: "Forbidden", detail })
    : new Transient({ reason: "Connection", detail })
}
