/**
 * HTTP over pools of kept-alive connections, one for each origin. For Node.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import { Agent } from "undici"
import type { Dispatcher } from "undici"
import * as ByteSource from "./ByteSource.js"
import type { Body } from "./Destination.js"
import { answerLimit, renderUrl, Transport } from "./Transport.js"
import type { Answer, Head, OpenAnswer, Request } from "./Transport.js"
import { Rejected, Transient } from "./UploadError.js"
import type { UploadError } from "./UploadError.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Connections to one origin, at most: as many as there may be uploads in flight. Defaults to 64. */
  readonly connections?: number | undefined
  /** Certificates of authorities, in PEM, besides which none is trusted. Defaults to those that Node trusts. */
  readonly ca?: string | undefined
  /** Whether certificates are checked. Only for servers that you know to have none that can be. Defaults to `true`. */
  readonly verifyTls?: boolean | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { connections: 64, verifyTls: true } as const

/**
 * A transport over pools of connections, which are closed with the layer.
 *
 * @example
 * ```ts
 * import * as TransportNode from "@sluice/core/TransportNode"
 *
 * const TransportLayer = TransportNode.layer({ connections: 16 })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Transport> => Layer.scoped(Transport, make(options))

/**
 * Makes a transport, whose connections are closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Transport["Type"], never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        new Agent({
          connections: options.connections ?? defaults.connections,
          // The engine watches for stalls by bytes that move: these times would cut slow uploads that are well.
          headersTimeout: 0,
          bodyTimeout: 0,
          connect: { ca: options.ca, rejectUnauthorized: options.verifyTls ?? defaults.verifyTls, timeout: 30_000 }
        })
      ),
      (agent) => Effect.promise(() => agent.destroy())
    ),
    (agent) =>
      Transport.of({
        send: (request) => withBody(request, (body) => exchange(agent, sized(request, body), body)),
        open: (request) => open(agent, request)
      })
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Large enough to cost little, and small enough that a slow link moves one within the time of a stall. */
const blockSize = 512 * 1024

type Sent = Buffer | Uint8Array | Readable | null

const dispatch = (
  agent: Agent,
  { headers, method, url }: Request,
  body: Sent,
  handler: Dispatcher.DispatchHandler
): void => {
  const { origin, pathname, search } = new URL(url)
  agent.dispatch({ origin, path: pathname + search, method, headers, body }, handler)
}

/** Sends a request and reads its answer. */
const exchange = (agent: Agent, request: Request, body: Sent): Effect.Effect<Answer, UploadError> =>
  Effect.async((resume) => {
    let cut = false
    let controller: Dispatcher.DispatchController | undefined = undefined
    let head: Head | undefined = undefined
    let size = 0
    const blocks: Array<Uint8Array> = []
    const done = () =>
      resume(
        head === undefined
          ? Effect.fail(failed(request, undefined))
          : Effect.succeed({ ...head, body: ByteSource.concat(blocks.length === 0 ? [nothing] : blocks) })
      )
    const fail = (error: unknown) => resume(Effect.fail(failed(request, error)))
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (started) => {
        controller = started
        if (cut) started.abort(new Error("interrupted"))
      },
      onResponseStart: (_, status, headers) => {
        head = { status, headers: flat(headers) }
      },
      onResponseData: (from, block) => {
        const room = answerLimit - size
        size += block.length
        if (room > 0) blocks.push(block.subarray(0, room))
        if (room < block.length) {
          done()
          from.abort(new Error("too much of an answer"))
        }
      },
      onResponseEnd: done,
      onResponseError: (_, error) => fail(error)
    }
    try {
      dispatch(agent, request, body, handler)
    } catch (error) {
      fail(error)
    }
    return Effect.sync(() => {
      cut = true
      controller?.abort(new Error("interrupted"))
    })
  })

const open = (agent: Agent, request: Request): Effect.Effect<OpenAnswer, UploadError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () => {
        const { origin, pathname, search } = new URL(request.url)
        return agent.request({ origin, path: pathname + search, method: request.method, headers: request.headers })
      },
      catch: (error) => failed(request, error)
    }),
    ({ body }) => Effect.promise(() => body.on("error", () => {}).dump({ limit: 0 }).catch(() => {}))
  ).pipe(
    Effect.map(({ body, headers, statusCode }) => ({
      status: statusCode,
      headers: flat(headers),
      stream: Stream.fromAsyncIterable<Uint8Array, UploadError>(body, (error) => failed(request, error))
    }))
  )

/** Gives the body to send: in one piece, or fed block by block, from the fiber of the request. */
const withBody = (
  { body, url }: Request,
  send: (body: Sent) => Effect.Effect<Answer, UploadError>
): Effect.Effect<Answer, UploadError> => {
  if (body === undefined) return send(null)
  if (body instanceof Uint8Array) return send(body)
  if (body.size === undefined) {
    return Effect.fail(
      new Rejected({ reason: "Unsupported", detail: `${renderUrl(url)} has to be told the size of a body beforehand.` })
    )
  }
  if (body.size === 0) return Effect.flatMap(body.bytes, () => send(nothing))
  return body.inOnePiece ? Effect.flatMap(body.bytes, send) : feed(body, send)
}

const feed = (
  body: Body,
  send: (body: Sent) => Effect.Effect<Answer, UploadError>
): Effect.Effect<Answer, UploadError> =>
  Effect.suspend(() => {
    let wanted: (() => void) | undefined = undefined
    let isWanted = false
    let problem: UploadError | undefined = undefined
    const readable = new Readable({
      highWaterMark: 1,
      read: () => {
        isWanted = true
        wanted?.()
      }
    })
    const push = (block: Uint8Array) =>
      Effect.async<void>((resume) => {
        isWanted = false
        wanted = () => resume(Effect.void)
        readable.push(block)
        if (isWanted) wanted()
      })
    const pump = Stream.runForEach(body.stream({ blockSize }), push).pipe(
      Effect.matchCauseEffect({
        onFailure: (cause) =>
          Effect.zipRight(
            Effect.sync(() => {
              problem = Option.getOrUndefined(Cause.failureOption(cause))
              readable.destroy(new Error("The body ended early."))
            }),
            Effect.never
          ),
        onSuccess: () => Effect.zipRight(Effect.sync(() => readable.push(null)), Effect.never)
      })
    )
    return Effect.raceFirst(Effect.mapError(send(readable), (error) => problem ?? error), pump)
  })

/** Of what is fed block by block nobody but us knows the length. */
const sized = (request: Request, body: Sent): Request =>
  body instanceof Readable && request.body !== undefined && "size" in request.body
    ? { ...request, headers: { ...request.headers, "content-length": String(request.body.size) } }
    : request

const nothing = new Uint8Array(0)

const flat = (headers: Record<string, string | Array<string> | undefined>): Record<string, string> => {
  const all: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) all[name] = Array.isArray(value) ? value.join(", ") : value
  }
  return all
}

const codeOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string"
    ? error.code
    : Predicate.hasProperty(error, "cause")
    ? codeOf(error.cause)
    : undefined

/** What the lack of an answer means. Errors of the pool hold no request, and so no secrets. */
const failed = (request: Request, cause: unknown): UploadError => {
  const name = renderUrl(request.url)
  const code = codeOf(cause)
  if (code !== undefined && /INVALID_(ARG|CHAR|HTTP_TOKEN)|ERR_INVALID_URL/.test(code)) {
    return new Rejected({ reason: "Unsupported", detail: `The request to ${name} cannot be sent (${code}).`, cause })
  }
  if (code !== undefined && /CERT|TLS|SSL|SELF_SIGNED|ISSUER|VERIFY/.test(code)) {
    return new Rejected({ reason: "Forbidden", detail: `${name} cannot be trusted (${code}).`, cause })
  }
  const said = code ?? (cause instanceof Error ? cause.message : "no answer")
  return new Transient({ reason: "Connection", detail: `The connection to ${name} failed (${said}).`, cause })
}
