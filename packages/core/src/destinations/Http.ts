/**
 * An HTTP server that takes files by `PUT`, through the `HttpClient` in the context.
 *
 * One request a file, with a true `Content-Length` and never chunked: a body of unknown size is held in memory first, up
 * to 8 MiB. Redirects are refused, since following one would hand the credentials to whoever it names; take care that
 * the client does not follow them itself. Requests are not traced: an address may be a secret.
 *
 * Of the platform's clients, `NodeHttpClient.layerUndici` over a dispatcher with as many connections as uploads in
 * flight does well. `NodeHttpClient.layer` opens a connection for every request, and `FetchHttpClient` drops the
 * `Content-Length` of streams.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as ByteSource from "../ByteSource.js"
import { Destination } from "../Destination.js"
import type { Body, PutRequest, Stored } from "../Destination.js"
import * as InFlight from "../InFlight.js"
import { Conflict, Rejected, Throttled, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"

/**
 * Who is asking: see {@link bearer} and {@link basic}.
 *
 * @since 0.1.0
 * @category models
 */
export type Credentials = Redacted.Redacted<string>

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Where files go: an address that the key is appended to, or a template with `{key}` in it, such as
   * `https://example.org/files/{key}?overwrite=true`. The key's segments are percent-encoded.
   */
  readonly url: string
  /** Headers for every request. */
  readonly headers?: Headers.Input | undefined
  /** What the `Authorization` header says. */
  readonly credentials?: Credentials | undefined
  /** The method. Defaults to `PUT`. */
  readonly method?: "PUT" | "POST" | undefined
  /** How many requests are under way at once, at most; other uploads wait for their turn. Defaults to 256. */
  readonly maxRequests?: number | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { method: "PUT", maxRequests: 256 } as const

/**
 * Credentials of a bearer token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bearer = (token: Redacted.Redacted<string>): Credentials =>
  Redacted.make(`Bearer ${Redacted.value(token)}`)

/**
 * Credentials of a user name and a password.
 *
 * @since 0.1.0
 * @category constructors
 */
export const basic = (user: string, password: Redacted.Redacted<string>): Credentials =>
  Redacted.make(`Basic ${Encoding.encodeBase64(`${user}:${Redacted.value(password)}`)}`)

/**
 * An HTTP server as a destination.
 *
 * @example
 * ```ts
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Uploader } from "@sluice/core"
 * import * as Http from "@sluice/core/destinations/Http"
 * import { Layer, Redacted } from "effect"
 *
 * const ArtifactUploader = Uploader.layer().pipe(
 *   Layer.provide(Http.layer({
 *     url: "https://ci.example.org/artifacts/{key}",
 *     credentials: Http.bearer(Redacted.make("token"))
 *   })),
 *   Layer.provide(NodeHttpClient.layerUndici)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Destination, never, HttpClient.HttpClient> =>
  Layer.effect(Destination, make(options))

/**
 * Makes a destination of an HTTP server.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Destination["Type"], never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, (httpClient) => {
    const client = HttpClient.withTracerDisabledWhen(httpClient, () => true)
    const name = renderUrl(options.url)
    const requests = InFlight.make(options.maxRequests ?? defaults.maxRequests)
    const headers = options.credentials === undefined
      ? Headers.fromInput(options.headers)
      : Headers.set(Headers.fromInput(options.headers), "authorization", Redacted.value(options.credentials))
    const mask = masking(options.url, headers)
    // Where the key could be the host, or a part of it, whoever names files would say who gets the credentials.
    const host = hostOf(urlOf(options.url, "a"))
    const valid = host !== undefined && host === hostOf(urlOf(options.url, "b"))
    const put = ({ body, contentType, key }: PutRequest): Effect.Effect<Stored, UploadError> =>
      Effect.gen(function*() {
        if (!valid) return yield* Effect.fail(invalidAddress(name))
        const request = HttpClientRequest.make(options.method ?? defaults.method)(urlOf(options.url, key), {
          headers,
          body: yield* bodyOf(body, contentType ?? "application/octet-stream")
        })
        const response = yield* Effect.mapError(client.execute(request), (error) => requestFailed(name, error))
        if (response.status < 200 || response.status >= 300) return yield* refused(name, response, mask)
        yield* discardRest(response)
        return { etag: response.headers["etag"] }
      }).pipe(Effect.scoped, requests.withPermits(1, (turn) => body.unwatched(turn)))
    return Destination.of({ name, capabilities: { maxPutSize: Infinity, unknownSize: false }, put })
  })

/**
 * Writes an address for people: without user, password, query and fragment, where secrets may be.
 *
 * @since 0.1.0
 * @category formatting
 */
export const renderUrl = (url: string): string =>
  url
    .replace(/[?#].*$/s, "")
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, "$1")
    // What is no port may be a password that was cut.
    .replace(/^([a-z][a-z0-9+.-]*:\/\/(?!\[)[^/:]*):(?!\d+(?:\/|$))[^/]*/i, "$1")

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Blocks are small enough that a slow link still moves one within the stall time. */
const blockSize = 64 * 1024

/** How much of an answer's text is shown, in characters. */
const excerptSize = 512

/** How much of an answer that nobody reads is taken in, so that its connection can be used again, in bytes. */
const discardedSize = 64 * 1024

const urlOf = (template: string, key: string): string => {
  const encoded = key.split("/").map(encodeURIComponent).join("/")
  if (template.includes("{key}")) return template.replaceAll("{key}", () => encoded)
  const [, base = "", rest = ""] = /^([^?#]*)(.*)$/s.exec(template) ?? []
  return `${base.endsWith("/") ? base : `${base}/`}${encoded}${rest}`
}

const hostOf = (url: string): string | undefined =>
  Either.match(UrlParams.makeUrl(url, UrlParams.empty, Option.none()), {
    onLeft: () => undefined,
    onRight: ({ host, protocol }) => /^https?:$/.test(protocol) ? `${protocol}//${host}` : undefined
  })

const bodyOf = (body: Body, contentType: string): Effect.Effect<HttpBody.HttpBody, UploadError> =>
  body.inOnePiece
    ? Effect.map(body.bytes, (bytes) => HttpBody.uint8Array(bytes, contentType))
    : Effect.succeed(HttpBody.stream(body.stream({ blockSize }), contentType, body.size))

const codeOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string"
    ? error.code
    : Predicate.hasProperty(error, "cause")
    ? codeOf(error.cause)
    : undefined

const requestFailed = (name: string, error: HttpClientError.HttpClientError): UploadError => {
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
const discardRest = (response: HttpClientResponse): Effect.Effect<unknown> =>
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
const masking = (url: string, headers: Headers.Headers): (text: string) => string => {
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

const invalidAddress = (name: string) =>
  new Rejected({ reason: "Unsupported", detail: `${name} is not a valid address.` })

const refused = (
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
