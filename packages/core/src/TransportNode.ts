/**
 * HTTP over pools of kept-alive connections, one for each origin. For Node.
 *
 * A request takes a connection as soon as one is free; there are never more than `connections` of them per origin.
 * Bodies whose bytes are known are written at once, others block by block as the socket takes them. A broken connection
 * is a `Transient` failure of its request, even if the server closed it while it was idle: whether to repeat a request
 * is up to the caller, who knows what the request does.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { eachWithin, within } from "./internal/calls/within.js"
import { BlockSize, blocksOf, withBody } from "./internal/transport/bodyNode.js"
import type { Sent } from "./internal/transport/bodyNode.js"
import * as Failures from "./internal/transport/failures.js"
import * as KernelQueues from "./internal/transport/kernelQueuesNode.js"
import { Pools } from "./internal/transport/poolsNode.js"
import * as Proxies from "./internal/transport/proxiesNode.js"
import * as ProxySecrets from "./internal/transport/proxySecretsNode.js"
import { Exchange, flat } from "./internal/transport/requestNode.js"
import * as Decode from "./internal/values/decode.js"
import { answerMillis, idleMillis, renderUrl, Transport } from "./Transport.js"
import type { Answer, OpenAnswer, Request } from "./Transport.js"
import type { UploadError } from "./UploadError.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The most connections to one origin: as many as there may be uploads in flight. Defaults to 64. */
  readonly connections?: number | undefined
  /**
   * Certificates of authorities, in PEM; no others are trusted. Defaults to those that Node trusts, including those of
   * `NODE_EXTRA_CA_CERTS`.
   */
  readonly ca?: string | undefined
  /**
   * Whether certificates are checked. Turn this off only for servers known to have no verifiable certificate. Defaults
   * to `true`.
   */
  readonly verifyTls?: boolean | undefined
  /**
   * Whether to use the proxies that the environment names, as curl does: `HTTP_PROXY` for http://, `HTTPS_PROXY` for
   * https:// and `ALL_PROXY` for schemes without their own, except for what `NO_PROXY` lists: hosts including their
   * subdomains, addresses, networks such as `10.0.0.0/8`, each with or without a port, or `*`. Lower-case names take
   * precedence. A proxy without a scheme is an HTTP proxy; a SOCKS proxy is refused. The variables are read when the
   * transport is made. Proxy passwords are masked in refusals, in case they repeat them. Defaults to `false`.
   */
  readonly proxy?: boolean | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { connections: 64, verifyTls: true, proxy: false } as const

/**
 * A transport over pools of connections that are closed with the layer.
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
 * Makes a transport whose connections are closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(options: Options = {}): Effect.fn.Return<Transport["Type"], never, Scope.Scope> {
    const proxies = options.proxy ?? defaults.proxy ? Proxies.fromEnvironment(process.env) : Proxies.none
    const origins = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Pools({
          connections: Decode.count("connections", options.connections ?? defaults.connections),
          ca: options.ca,
          verifyTls: options.verifyTls ?? defaults.verifyTls,
          proxies
        })
      ),
      (origins) => Effect.promise(() => origins.destroy())
    )
    // Reads at about the same time share one result.
    const queues = yield* Effect.cachedWithTTL(KernelQueues.read, "1 second")
    const blockSize = new BlockSize()
    const send = (request: Request, sent: Sent) => exchange(origins, request, sent, queues)
    const transport = Transport.of({
      send: (request) => withBody(request, blockSize, send),
      open: (request) => open(origins, request)
    })
    return ProxySecrets.hiding(proxies.secrets, transport)
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const exchange = (
  origins: Pools,
  request: Request,
  sent: Sent,
  queues: Effect.Effect<KernelQueues.Queues>
): Effect.Effect<Answer, UploadError> =>
  // The same as `Effect.async` with a finalizer, in half the steps: this runs for every file.
  Effect.uninterruptibleMask((restore) => {
    let handler: Exchange | undefined = undefined
    const answered = Effect.async<Answer, UploadError>((resume) => {
      const begun = new Exchange(request, resume)
      handler = begun
      if (request.body !== undefined && "track" in request.body) {
        request.body.track?.(Effect.map(queues, (held) => begun.position(held)))
      }
      origins.dispatch(request, sent, begun)
    })
    return Effect.matchCauseEffect(restore(answered), {
      onFailure: (cause) => {
        if (Cause.isInterrupted(cause)) handler?.abort()
        return Effect.failCause(cause)
      },
      onSuccess: (answer) => {
        // A stack left in V8's old generation would keep what was in flight alive until a full garbage collection.
        handler = undefined
        return Effect.succeed(answer)
      }
    })
  })

const open = (origins: Pools, request: Request): Effect.Effect<OpenAnswer, UploadError, Scope.Scope> => {
  const name = renderUrl(request.url)
  const begun = Effect.suspend(() => {
    const place = origins.locate(request)
    if ("_tag" in place) return Effect.fail(place)
    const { dispatcher, origin, path, proxy } = place
    const { headers, method } = request
    const asked = Effect.tryPromise({
      try: (signal) => dispatcher.request({ origin, path, method, headers, signal }),
      catch: (error) => Failures.failed(name, error, proxy)
    })
    // An answer that has arrived always has a finalizer that closes it.
    return Effect.uninterruptibleMask((restore) =>
      restore(asked).pipe(
        Effect.tap(({ body }) => Effect.addFinalizer(() => Effect.sync(() => body.on("error", () => {}).destroy()))),
        Effect.map((answer) => ({ ...answer, proxy }))
      )
    )
  })
  return within(begun, answerMillis, () => Failures.stalled(name)).pipe(
    Effect.map(({ body, headers, proxy, statusCode }) => ({
      status: statusCode,
      headers: flat(headers),
      stream: eachWithin(
        blocksOf(body, (error) => Failures.failed(name, error, proxy)),
        idleMillis,
        () => Failures.stalled(name)
      )
    }))
  )
}
