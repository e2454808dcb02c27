/**
 * The port to HTTP for destinations: one request with a body of known length, and its answer, read to a bound.
 *
 * A request is sent as it is: redirects are not followed, since following one would hand the credentials to whoever it
 * names, nothing is tried again, and nothing is traced unless {@link layerTraced} is in between. The body's length is
 * sent as `Content-Length`, and never chunked. An interrupted request has ended when its fiber has.
 *
 * `TransportNode.layer` is the fast one, for Node; {@link layerHttpClient} is for every runtime, and for clients of your
 * own.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ByteSource from "./ByteSource.js"
import type { Body } from "./Destination.js"
import { eachWithin, within } from "./internal/calls/within.js"
import * as Failures from "./internal/transport/failures.js"
import type { UploadError } from "./UploadError.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly method: "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT"
  /** The whole address. Messages have it as {@link renderUrl} gives it. */
  readonly url: string
  /** Names are in lower case. The transport adds `content-length`, `host` and what concerns the connection. */
  readonly headers: Readonly<Record<string, string>>
  /** What is sent: the body of an upload, whose size has to be known, or some bytes. */
  readonly body?: Body | Uint8Array | undefined
  /** How long the body of the answer may take after its head, in milliseconds. Defaults to {@link answerMillis}. */
  readonly answerMillis?: number | undefined
  /** How many bytes of the answer's body are kept at most. Defaults to {@link answerLimit}. */
  readonly answerBytes?: number | undefined
  /**
   * Whether the bytes of the body are still wanted when the answer of a success has come: then whoever asks releases the
   * body. Defaults to `false`.
   */
  readonly keepsBody?: boolean | undefined
}

/**
 * The head of an answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  readonly status: number
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * An answer that has been read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer extends Head {
  /** The first {@link answerLimit} bytes of the body at most, or as many as the request allows. */
  readonly body: Uint8Array
  /** Whether there was more, which was too much, took too long or was lost with the connection. Defaults to `false`. */
  readonly isCut?: boolean | undefined
}

/**
 * An answer whose body is still to come.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenAnswer extends Head {
  readonly stream: Stream.Stream<Uint8Array, UploadError>
}

/**
 * How many bytes of an answer `send` keeps, unless the request says otherwise: 1 MiB. Where there are more, the connection is closed.
 *
 * @since 0.1.0
 * @category constants
 */
export const answerLimit = 1024 * 1024

/**
 * How long `send` reads the body of an answer, in milliseconds: a minute. What has not come by then is left out, and
 * the connection is closed.
 *
 * @since 0.1.0
 * @category constants
 */
export const answerMillis = 60_000

/**
 * How long the body of an answer may stand still, in milliseconds: 30 seconds. Then `send` leaves out what has not
 * come, and the stream of `open` fails with `Transient`.
 *
 * @since 0.1.0
 * @category constants
 */
export const idleMillis = 30_000

/**
 * @since 0.1.0
 * @category tags
 */
export class Transport extends Context.Tag("@sluice/core/Transport")<Transport, {
  /**
   * Sends a request and reads its answer, whatever its status, and however little of the body comes. Fails where there
   * is no answer: with `Rejected` where the request cannot be sent or the server is not to be trusted, with `Transient`
   * where the connection broke, and with the failure of the body.
   */
  readonly send: (request: Request) => Effect.Effect<Answer, UploadError>
  /**
   * Sends a request without a body, and gives its answer while the body is still coming; the scope closes it. A server
   * that does not begin within a minute is stalled.
   */
  readonly open: (request: Omit<Request, "body">) => Effect.Effect<OpenAnswer, UploadError, Scope.Scope>
}>() {}

/**
 * A transport over the `HttpClient` in the context: for other runtimes than Node, and for clients of your own.
 *
 * The client must not follow redirects; fetch is told not to. Of the platform's clients, `NodeHttpClient.layerUndici`
 * does well. `NodeHttpClient.layer` opens a connection for every request, and `FetchHttpClient` sends a body that is
 * streamed without its length, which many servers refuse. Nothing is traced.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient: Layer.Layer<Transport, never, HttpClient.HttpClient> = Layer.effect(
  Transport,
  Effect.map(HttpClient.HttpClient, (httpClient) => {
    const client = HttpClient.withScope(HttpClient.withTracerDisabledWhen(httpClient, () => true))
    const begin = (
      { headers, method, url }: Request,
      body: HttpBody.HttpBody
    ): Effect.Effect<HttpClientResponse, UploadError, Scope.Scope> => {
      const length = body.contentLength ?? (method.startsWith("P") ? 0 : undefined)
      const request = HttpClientRequest.make(method)(url, { body }).pipe(
        HttpClientRequest.setHeaders(length === undefined ? headers : { ...headers, "content-length": String(length) })
      )
      return Effect.mapError(withoutRedirects(client.execute(request)), (error) => requestFailed(renderUrl(url), error))
    }
    return Transport.of({
      send: (request) =>
        Effect.suspend(() => {
          let problem: UploadError | undefined = undefined
          return bodyOf(request, (error) => problem = error).pipe(
            Effect.flatMap((body) => begin(request, body)),
            Effect.flatMap((response) => readAnswer(response, request)),
            Effect.mapError((error) => problem ?? error),
            Effect.scoped
          )
        }),
      open: (request) => {
        const name = renderUrl(request.url)
        return Effect.map(
          within(begin(request, HttpBody.empty), answerMillis, () => Failures.stalled(name)),
          (response) => ({
            ...headOf(response),
            stream: eachWithin(
              Stream.mapError(response.stream, (error) => requestFailed(name, error)),
              idleMillis,
              () => Failures.stalled(name)
            )
          })
        )
      }
    })
  })
)

/**
 * Has each request over the transport in the context traced: a span `http.client PUT` with the address as
 * {@link renderUrl} gives it, the size of the body and the status of the answer. Headers and queries are in none. What
 * stands in the path is: on tus servers that may be all that somebody needs to go on with an upload.
 *
 * @example
 * ```ts
 * import { Transport } from "@sluice/core"
 * import * as TransportNode from "@sluice/core/TransportNode"
 * import { Layer } from "effect"
 *
 * const TransportLayer = Layer.provide(Transport.layerTraced, TransportNode.layer())
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTraced: Layer.Layer<Transport, never, Transport> = Layer.effect(
  Transport,
  Effect.map(Transport, (transport) =>
    Transport.of({
      send: (request) => traced(request, transport.send(request)),
      open: (request) => traced(request, transport.open(request))
    }))
)

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

/** Blocks are small enough that a slow link moves one within the time of a stall. */
const blockSize = 64 * 1024

const bodyOf = (
  { body, headers, url }: Request,
  onError: (error: UploadError) => void
): Effect.Effect<HttpBody.HttpBody, UploadError> => {
  if (body === undefined) return Effect.succeed(HttpBody.empty)
  // Other bodies than raw ones would have a type of content even where none is given.
  const raw = (bytes: Uint8Array) => HttpBody.raw(bytes, { contentLength: bytes.length })
  if (body instanceof Uint8Array) return Effect.succeed(raw(body))
  if (body.size === undefined) return Effect.fail(Failures.unknownSize(renderUrl(url)))
  if (body.inOnePiece || body.size === 0) return Effect.map(body.bytes, raw)
  const blocks = Stream.tapError(body.stream({ blockSize }), (error) => Effect.sync(() => onError(error)))
  return Effect.succeed(HttpBody.stream(blocks, headers["content-type"] ?? "", body.size))
}

/** Runs a request in a span of its own, which ends with the head of the answer or with the failure. */
const traced = <A extends Head, R>(
  { body, method, url }: Request,
  send: Effect.Effect<A, UploadError, R>
): Effect.Effect<A, UploadError, R> => {
  const size = body instanceof Uint8Array ? body.length : body?.size
  const attributes = {
    "http.request.method": method,
    "url.full": renderUrl(url),
    ...(size !== undefined && { "http.request.body.size": size })
  }
  return Effect.useSpan(
    `http.client ${method}`,
    { kind: "client", attributes, captureStackTrace: false },
    (span) => Effect.tap(send, ({ status }) => Effect.sync(() => span.attribute("http.response.status_code", status)))
  )
}

const withoutRedirects = <A, E, R>(request: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(request, (context: Context.Context<R>) => {
    const init = Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit))
    return Context.add(context, FetchHttpClient.RequestInit, { ...init, redirect: "manual" })
  })

/** The error holds the whole request, secrets included: only its cause is kept. */
const requestFailed = (name: string, error: HttpClientError.HttpClientError): UploadError =>
  error.reason === "InvalidUrl"
    ? Failures.invalidAddress(name)
    : Failures.failed(name, error.cause)

const headOf = ({ headers, status }: HttpClientResponse): Head => ({ status, headers })

/** The body as far as it comes, within bounds. */
const readAnswer = (
  response: HttpClientResponse,
  { answerBytes = answerLimit, answerMillis: millis = answerMillis }: Request
): Effect.Effect<Answer> =>
  Effect.suspend((): Effect.Effect<Answer> => {
    const head = headOf(response)
    if (head.status === 204 || head.headers["content-length"] === "0") {
      return Effect.succeed({ ...head, body: new Uint8Array(0) })
    }
    const blocks: Array<Uint8Array> = []
    let size = 0
    const read = Stream.runForEachWhile(
      eachWithin(response.stream, idleMillis, () => "idle" as const),
      (block) =>
        Effect.sync(() => {
          blocks.push(block.subarray(0, answerBytes - size))
          size = Math.min(answerBytes + 1, size + block.length)
          return size <= answerBytes
        })
    )
    return within(read, millis, () => "late" as const).pipe(
      Effect.match({ onFailure: () => false, onSuccess: () => size <= answerBytes }),
      Effect.map((isWhole) => ({ ...head, body: ByteSource.concat(blocks), ...(!isWhole && { isCut: true }) }))
    )
  })
