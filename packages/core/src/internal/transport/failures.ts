/**
 * The meaning of HTTP requests that were not sent or not answered, and how much of it may be shown.
 */
import * as Predicate from "effect/Predicate"
import { Rejected, Transient } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"

export const invalidAddress = (name: string): Rejected =>
  new Rejected({ reason: "Unsupported", detail: `${name} is not a valid address.` })

/** A request that cannot be expressed in HTTP. */
export const invalidRequest = (name: string, problem: string): Rejected =>
  new Rejected({ reason: "Unsupported", detail: `The request to ${name} cannot be sent: ${problem}.` })

/** Why a request with this method cannot be sent, if it cannot. */
export const methodProblem = (method: string): string | undefined =>
  known.has(method)
    ? undefined
    : !/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(method)
    ? `${JSON.stringify(method.slice(0, 100))} is not a method`
    : /^(?:connect|trace|track)$/i.test(method)
    ? `the method ${method} is not for uploads`
    : undefined

export const unknownSize = (name: string): Rejected =>
  new Rejected({ reason: "Unsupported", detail: `${name} must know the size of a body beforehand.` })

/** The failure of an answer that stops after its head, or never arrives. */
export const stalled = (name: string): Transient =>
  new Transient({ reason: "Stalled", detail: `${name} has stopped answering.` })

/** A failure to connect to a proxy. */
export class ProxyFailure extends Error {
  readonly proxy: string

  constructor(proxy: string, cause: Error) {
    super(cause.message, { cause })
    this.proxy = proxy
  }
}

/** The failure of a request to `name`, from the underlying error and the proxy on its way. */
export const failed = (name: string, error: unknown, proxy?: string): UploadError => {
  const code = codeOf(error)
  if (code !== undefined && /INVALID_URL/.test(code)) return invalidAddress(name)
  const said = code ?? (error instanceof Error ? error.message : "no answer")
  const cause = harmless(error, said)
  const refused = /^Proxy .*?\b(\d{3})\b/.exec(error instanceof Error ? error.message : "")?.[1]
  if (refused !== undefined) return refusedByProxy(name, Number(refused), proxy)
  if (code !== undefined && /INVALID_(ARG|CHAR|HTTP_TOKEN)|NOT_SUPPORTED/.test(code)) {
    return new Rejected({
      reason: "Unsupported",
      detail: `The request to ${name} cannot be sent: a header is not valid (${code}).`,
      cause
    })
  }
  const unreached = proxyFailureOf(error)?.proxy
  if (code !== undefined && /CERT|TLS|SSL|SELF_SIGNED|ISSUER|VERIFY/.test(code)) {
    const who = unreached === undefined ? originOf(name) : capitalized(unreached)
    return new Rejected({ reason: "Forbidden", detail: `${who} cannot be trusted (${code}).`, cause })
  }
  if (unreached !== undefined) {
    const detail = `${capitalized(unreached)} cannot be reached (${said}).`
    return new Transient({ reason: "Connection", detail, cause })
  }
  if (code !== undefined && /HEADERS_OVERFLOW/.test(code)) {
    return new Rejected({
      reason: "Unexpected",
      detail: `${name} answered with headers that are too large to read.`,
      cause
    })
  }
  if (isUnparsed(error)) {
    const why = / \((.+)\)$/.exec(said)?.[1] ?? said
    const detail = `${name} answered with something that is not HTTP (${why}).`
    return new Transient({ reason: "Connection", detail, cause })
  }
  // If no connection was made, the path does not matter: all requests fail with the same message.
  const to = code !== undefined && neverConnected.test(code) ? originOf(name) : name
  const by = proxy === undefined ? "" : ` through ${proxy}`
  return new Transient({ reason: "Connection", detail: `The connection to ${to}${by} failed (${said}).`, cause })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const known: ReadonlySet<string> = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])

const neverConnected =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/

const originOf = (name: string): string => /^[a-z][a-z0-9+.-]*:\/\/[^/]+/i.exec(name)?.[0] ?? name

const codeOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string"
    ? error.code
    : Predicate.hasProperty(error, "cause")
    ? codeOf(error.cause)
    : undefined

/** The error without what others may have put into it: an address, or data that the server sent. */
const harmless = (error: unknown, said: string): unknown =>
  Predicate.hasProperty(error, "data") || Predicate.hasProperty(error, "input") ? new Error(said) : error

const isUnparsed = (error: unknown): boolean =>
  Predicate.hasProperty(error, "name") && error.name === "HTTPParserError"
    ? true
    : Predicate.hasProperty(error, "cause") && isUnparsed(error.cause)

const proxyFailureOf = (error: unknown): ProxyFailure | undefined =>
  error instanceof ProxyFailure
    ? error
    : Predicate.hasProperty(error, "cause")
    ? proxyFailureOf(error.cause)
    : undefined

const refusedByProxy = (name: string, status: number, proxy = "the proxy"): UploadError => {
  const detail = `${capitalized(proxy)}, on the way to ${name}, answered ${status}.`
  return status === 407
    ? new Rejected({ reason: "Unauthorized", detail })
    : status >= 400 && status < 500 && status !== 408 && status !== 429
    ? new Rejected({ reason: "Forbidden", detail })
    : new Transient({ reason: "Connection", detail })
}

const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
