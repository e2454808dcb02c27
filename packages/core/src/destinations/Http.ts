/**
 * An HTTP server that takes files by `PUT`, through the `HttpClient` in the context.
 *
 * One request a file, or a part where `parts` says so, with a true `Content-Length` and never chunked: a body of unknown
 * size is held in memory first, up to 8 MiB. Redirects are refused, since following one would hand the credentials to whoever it names; take care that
 * the client does not follow them itself. Requests are not traced: an address may be a secret.
 *
 * Of the platform's clients, `NodeHttpClient.layerUndici` over a dispatcher with as many connections as uploads in
 * flight does well. `NodeHttpClient.layer` opens a connection for every request, and `FetchHttpClient` drops the
 * `Content-Length` of streams.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Destination } from "../Destination.js"
import type { PutRequest, Stored } from "../Destination.js"
import * as InFlight from "../InFlight.js"
import { discardRest, invalidAddress, masking, refused, requestFailed } from "../internal/httpAnswers.js"
import { bodyOf, contentRange, head, isSuccess } from "../internal/httpParts.js"
import type { Wire, WireRequest } from "../internal/httpParts.js"
import * as ObjectKey from "../ObjectKey.js"
import { Rejected } from "../UploadError.js"
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
  /**
   * How large objects go in parts. `contentRange` sends each as a `PUT` with `Content-Range: bytes a-b/total` to the
   * address of the object, one after the other; the server answers 308 and `Range: bytes=0-n` while it waits for more.
   * A part at 0 begins anew, an empty `PUT` with `*` for the range asks how far it is, and `DELETE` ends an upload that
   * is not complete. Only for servers that are known to do so: others store a part as the object, or delete it. Defaults
   * to none: every object goes in one request.
   */
  readonly parts?: "contentRange" | undefined
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
    const method = options.method ?? defaults.method

    const put = ({ body, contentType, key }: PutRequest): Effect.Effect<Stored, UploadError> =>
      Effect.gen(function*() {
        if (!valid) return yield* Effect.fail(invalidAddress(name))
        const request = HttpClientRequest.make(method)(urlOf(options.url, key), {
          headers,
          body: yield* bodyOf(body, contentType)
        })
        const response = yield* Effect.mapError(client.execute(request), (error) => requestFailed(name, error))
        if (!isSuccess(response)) return yield* refused(name, response, mask)
        yield* discardRest(response)
        return { etag: response.headers["etag"] }
      }).pipe(Effect.scoped, requests.withPermits(1, (turn) => body.unwatched(turn)))

    const execute = <R>(
      via: HttpClient.HttpClient.With<HttpClientError.HttpClientError, R>,
      key: string,
      request: WireRequest
    ): Effect.Effect<HttpClientResponse, UploadError, R> => {
      const problem = ObjectKey.problem(key)
      if (problem !== undefined) return Effect.fail(invalidKey(key, problem))
      if (!valid) return Effect.fail(invalidAddress(name))
      const sent = HttpClientRequest.make(request.method)(urlOf(options.url, key), {
        headers: Headers.setAll(headers, request.headers ?? {}),
        body: request.body
      })
      return Effect.mapError(via.execute(sent), (error) => requestFailed(name, error))
    }

    const wire: Wire = {
      name,
      requests,
      ask: (key, request, read) => Effect.flatMap(execute(client, key, request), read),
      refused: (response) => refused(name, response, mask)
    }

    const read = (key: string): Stream.Stream<Uint8Array, UploadError> =>
      Stream.unwrapScoped(
        Effect.gen(function*() {
          yield* holdPermit(requests)
          const response = yield* execute(HttpClient.withScope(client), key, { method: "GET" })
          if (!isSuccess(response)) return yield* refused(name, response, mask)
          return Stream.mapError(response.stream, (error) => requestFailed(name, error))
        })
      )

    return Destination.of({
      name,
      capabilities: { maxPutSize: Infinity, unknownSize: false },
      put,
      ...(method === "PUT" && { head: (key) => head(wire, key), read }),
      ...(options.parts === "contentRange" && { multipart: contentRange(wire) })
    })
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

const invalidKey = (key: string, problem: string) =>
  new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(key)} ${problem}.` })

/** Takes a permit to have a request under way, until the scope ends. */
const holdPermit = (requests: InFlight.InFlight): Effect.Effect<void, never, Scope.Scope> =>
  Effect.suspend(() => {
    let held = false
    return Effect.zipRight(
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (held) requests.unsafeRelease(1)
        })
      ),
      requests.take(1, () => held = true)
    )
  })
