/**
 * The port to HTTP for destinations: one request with a body of known length, and its answer, read up to a bound.
 *
 * A request is sent as it is. Redirects are not followed, because that would hand the credentials to whatever host they
 * name; nothing is retried; and nothing is traced unless {@link layerTraced} is in between. The body's length is sent
 * as `Content-Length`, and the body is never chunked. By the time the fiber of an interrupted request ends, the request
 * has ended.
 *
 * `TransportNode.layer` is the fast transport, for Node; {@link layerHttpClient} works in every runtime and with custom
 * clients.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import type { HttpMethod } from "@effect/platform/HttpMethod"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ByteSource from "./ByteSource.js"
import type { Body } from "./Destination.js"
import { eachWithin, within } from "./internal/calls/within.js"
import * as Answers from "./internal/transport/answers.js"
import * as Failures from "./internal/transport/failures.js"
import { masking } from "./internal/transport/masking.js"
import * as RenderUrl from "./internal/values/renderUrl.js"
import type { UploadError } from "./UploadError.js"

/**
 * A method: one of those that every client knows, or any other token (RFC 9110, section 9.1), such as `MKCOL` or
 * `PROPFIND` of WebDAV. Case matters. A request with a method that is not a token is `Rejected` before it is sent, and
 * so is one with `CONNECT`, `TRACE` or `TRACK`, which browsers do not send either.
 *
 * @since 0.1.0
 * @category models
 */
export type Method = HttpMethod | (string & {})

/**
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly method: Method
  /** The whole address. Messages show it through {@link renderUrl}. */
  readonly url: string
  /** Names are in lower case. The transport adds `content-length`, `host` and the connection headers. */
  readonly headers: Readonly<Record<string, string>>
  /** The body to send: the body of an upload, whose size must be known, or plain bytes. */
  readonly body?: Body | Uint8Array | undefined
  /** How long the body of the answer may take after the head, in milliseconds. Defaults to {@link answerMillis}. */
  readonly answerMillis?: number | undefined
  /** The most bytes of the answer's body that are kept. Defaults to {@link answerLimit}. */
  readonly answerBytes?: number | undefined
  /**
   * Whether the caller still needs the bytes of the body after a successful answer, and releases the body itself.
   * Defaults to `false`.
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
  /** The body, up to its first {@link answerLimit} bytes, or up to the limit of the request. */
  readonly body: Uint8Array
  /**
   * Whether there was more that was over the limit, took too long or was lost with the connection. Defaults to `false`.
   */
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
 * The most bytes of an answer that `send` keeps, unless the request says otherwise: 1 MiB. If there are more, the
 * connection is closed.
 *
 * @since 0.1.0
 * @category constants
 */
export const answerLimit = 1024 * 1024

/**
 * How long `send` reads the body of an answer, in milliseconds: one minute. Bytes that have not arrived by then are
 * left out, and the connection is closed.
 *
 * @since 0.1.0
 * @category constants
 */
export const answerMillis = 60_000

/**
 * How long the body of an answer may stall, in milliseconds: 30 seconds. After that `send` leaves out what has not
 * arrived, and the stream of `open` fails with `Transient`.
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
   * Sends a request and reads its answer, whatever the status, and however little of the body arrives. Fails if there
   * is no answer: with `Rejected` if the request cannot be sent or the server cannot be trusted, with `Transient` if
   * the connection broke, and with the failure of the body.
   */
  readonly send: (request: Request) => Effect.Effect<Answer, UploadError>
  /**
   * Sends a request without a body and returns its answer while the answer's body is still arriving; the scope closes
   * it. A server that does not begin its answer within a minute counts as stalled.
   */
  readonly open: (request: Omit<Request, "body">) => Effect.Effect<OpenAnswer, UploadError, Scope.Scope>
}>() {}

/**
 * A transport over the `HttpClient` in the context: for runtimes other than Node, and for custom clients.
 *
 * The client must not follow redirects; fetch is told not to. Of the platform's clients, `NodeHttpClient.layerUndici`
 * works well. `NodeHttpClient.layer` opens a connection for every request, and `FetchHttpClient` sends a streamed body
 * without its length, which many servers refuse. Nothing is traced.
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
      const problem = Failures.methodProblem(method)
      if (problem !== undefined) return Effect.fail(Failures.invalidRequest(renderUrl(url), problem))
      const length = body.contentLength ?? (method.startsWith("P") ? 0 : undefined)
      // The client's type knows seven methods; its implementations pass on any.
      const request = HttpClientRequest.make(method as HttpMethod)(url, { body }).pipe(
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
 * Traces each request of the transport in the context: a span `http.client PUT` with the address as {@link renderUrl}
 * shows it, the size of the body and the status of the answer. Headers and queries are left out. The path is included:
 * on tus servers it may be all that somebody needs to continue an upload.
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
 * Formats an address without user, password, query and fragment, which may hold secrets.
 *
 * @since 0.1.0
 * @category formatting
 */
export const renderUrl: (url: string) => string = RenderUrl.renderUrl

/**
 * Fails with the meaning of an answer that is not a success, as `UploadError.fromStatus` finds it. The message has the
 * address as {@link renderUrl} shows it, the status, and the beginning of what the server says, as text on one line of
 * at most 512 characters. The values of the request's headers and of its query may be secrets, and are masked if the
 * server repeats them.
 *
 * @example
 * ```ts
 * import { Transport } from "@sluice/core"
 * import { Effect } from "effect"
 *
 * const remove = (url: string) =>
 *   Effect.gen(function*() {
 *     const transport = yield* Transport.Transport
 *     const request: Transport.Request = { method: "DELETE", url, headers: {} }
 *     const answer = yield* transport.send(request)
 *     if (answer.status !== 204 && answer.status !== 404) yield* Transport.refused(request, answer)
 *   })
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export const refused = (
  { headers, url }: Pick<Request, "headers" | "url">,
  answer: Answer
): Effect.Effect<never, UploadError> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.fail(Answers.refused(renderUrl(url), answer, masking(...Answers.secretsOf(url, headers)), now))
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Blocks are small enough that a slow link moves one within the stall timeout. */
const blockSize = 64 * 1024

const bodyOf = (
  { body, headers, url }: Request,
  onError: (error: UploadError) => void
): Effect.Effect<HttpBody.HttpBody, UploadError> => {
  if (body === undefined) return Effect.succeed(HttpBody.empty)
  // A body other than a raw one would get a content type even if none is given.
  const raw = (bytes: Uint8Array) => HttpBody.raw(bytes, { contentLength: bytes.length })
  if (body instanceof Uint8Array) return Effect.succeed(raw(body))
  if (body.size === undefined) return Effect.fail(Failures.unknownSize(renderUrl(url)))
  if (body.inOnePiece || body.size === 0) return Effect.map(body.bytes, raw)
  const blocks = Stream.tapError(body.stream({ blockSize }), (error) => Effect.sync(() => onError(error)))
  return Effect.succeed(HttpBody.stream(blocks, headers["content-type"] ?? "", body.size))
}

/** Runs a request in its own span, which ends with the head of the answer or with the failure. */
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

/** The error holds the whole request, including secrets, so only its cause is kept. */
const requestFailed = (name: string, error: HttpClientError.HttpClientError): UploadError =>
  error.reason === "InvalidUrl"
    ? Failures.invalidAddress(name)
    : Failures.failed(name, error.cause)

const headOf = ({ headers, status }: HttpClientResponse): Head => ({ status, headers })

/** Reads as much of the body as arrives within the bounds. */
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
