/**
 * The targets of requests: a pool of connections for each origin, direct or through a proxy.
 */
import * as Option from "effect/Option"
import { ProxyAgent } from "undici"
import type { Dispatcher, Pool } from "undici"
import { renderUrl } from "../../Transport.js"
import type { Request } from "../../Transport.js"
import type { UploadError } from "../../UploadError.js"
import type { Sent } from "./bodyNode.js"
import * as Connections from "./connectionsNode.js"
import * as Failures from "./failures.js"
import type { Proxies, Proxy } from "./proxiesNode.js"

export interface PoolsOptions {
  readonly connections: number
  readonly ca: string | undefined
  readonly verifyTls: boolean
  readonly proxies: Proxies
}

/** A server, and the route to it. */
interface Way {
  readonly dispatcher: Dispatcher
  readonly origin: string
  /** The proxy on the way, by its name in messages. */
  readonly proxy: string | undefined
}

/** A location on a server. */
export interface Place extends Way {
  /** The path with the query. */
  readonly path: string
}

export interface Handler extends Dispatcher.DispatchHandler, Connections.Rider {
  /** The proxy on the way, by its name in messages. */
  proxy: string | undefined
  readonly fail: (error: UploadError) => void
}

export class Pools {
  private readonly pools = new Map<string, Pool>()
  private readonly agents = new Map<Proxy, ProxyAgent>()
  /** Routes by the beginnings of addresses that are written as plain origins. */
  private readonly known = new Map<string, Way>()
  private readonly options: Omit<Pool.Options, "connect">
  private readonly tls: Tls
  private readonly connect: Connections.Connect
  private readonly proxies: Proxies

  constructor({ ca, connections, proxies, verifyTls }: PoolsOptions) {
    this.tls = { rejectUnauthorized: verifyTls, timeout: connectMillis, ...(ca !== undefined && { ca }) }
    this.connect = Connections.connector(this.tls)
    // The engine detects stalls by moving bytes: the pool's timeouts would cut slow but healthy uploads.
    this.options = { connections, headersTimeout: 0, bodyTimeout: 0, maxHeaderSize: mostHeaders }
    this.proxies = proxies
  }

  /** Sends a request with exactly the given headers, and never throws. */
  dispatch(request: Request, body: Sent, handler: Handler): void {
    const { headers, method, url } = request
    const place = this.locate(request)
    if ("_tag" in place) return handler.fail(place)
    const { dispatcher, origin, path, proxy } = place
    handler.proxy = proxy
    // After a HEAD the pool would close the connection, in case the server sends a body.
    const options: Connections.Dispatched = method === "HEAD"
      ? { origin, path, method, headers, body, rider: handler, reset: false }
      : { origin, path, method, headers, body, rider: handler }
    try {
      dispatcher.dispatch(options, handler)
    } catch (error) {
      handler.fail(Failures.failed(renderUrl(url), error, proxy))
    }
  }

  /** Where a request goes, if it can be expressed in HTTP. */
  locate({ headers, method, url }: Pick<Request, "headers" | "method" | "url">): Place | UploadError {
    const problem = Failures.methodProblem(method) ?? problemOf(headers)
    if (problem !== undefined) return Failures.invalidRequest(renderUrl(url), problem)
    const slash = url.indexOf("/", 8)
    const begin = slash < 0 ? url : url.slice(0, slash)
    const known = this.known.get(begin)
    if (known !== undefined) {
      const path = url.slice(begin.length)
      if (plainPath.test(path)) return { ...known, path }
    }
    const parsed = Option.getOrUndefined(parseUrl(url))
    if (parsed === undefined || !protocols.has(parsed.protocol)) return Failures.invalidAddress(renderUrl(url))
    const { origin, pathname, search } = parsed
    const proxy = this.proxies.of(parsed)
    if (proxy !== undefined && "_tag" in proxy) return proxy
    const way = {
      dispatcher: proxy === undefined ? this.poolOf(origin) : this.agentOf(proxy),
      origin,
      proxy: proxy?.name
    }
    if (plainOrigin.test(begin)) this.known.set(begin, way)
    return { ...way, path: pathname + search }
  }

  async destroy(): Promise<void> {
    const { agents, pools } = this
    this.known.clear()
    await Promise.all([...pools.values(), ...agents.values()].map((dispatcher) => dispatcher.destroy()))
  }

  private poolOf(origin: string): Pool {
    const known = this.pools.get(origin)
    if (known !== undefined) return known
    const pool = Connections.pool(origin, { ...this.options, connect: this.connect })
    this.pools.set(origin, pool)
    return pool
  }

  private agentOf(proxy: Proxy): ProxyAgent {
    const known = this.agents.get(proxy)
    if (known !== undefined) return known
    const { options, tls } = this
    const connect = toProxy(this.connect, proxy)
    const agent = new ProxyAgent({
      uri: proxy.url,
      ...(proxy.token !== undefined && { token: proxy.token }),
      requestTls: tls,
      proxyTls: tls,
      // Unencrypted requests go to the proxy itself, as in other clients: many proxies open tunnels only for TLS.
      proxyTunnel: false,
      clientFactory: (origin) => Connections.pool(origin, { ...options, connect }),
      // A pool for the proxy itself gets the proxy's address; every other pool connects through a tunnel.
      factory: (origin, given: { readonly connect?: Connections.Connect }) =>
        Connections.pool(origin, {
          ...options,
          connect: String(origin) === proxy.url || given.connect === undefined ? connect : byTunnel(given.connect)
        })
    })
    this.agents.set(proxy, agent)
    return agent
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const connectMillis = 30_000

/** The largest headers of an answer, in bytes: more than healthy servers send. */
const mostHeaders = 256 * 1024

/** The options of encrypted connections. */
interface Tls {
  readonly rejectUnauthorized: boolean
  readonly timeout: number
  readonly ca?: string
}

const failingAs =
  (connect: Connections.Connect, failure: (error: Error) => Error): Connections.Connect => (options, callback) =>
    connect(options, (...outcome) => outcome[0] === null ? callback(...outcome) : callback(failure(outcome[0]), null))

/** Connects to a proxy, and marks failures as the proxy's. */
const toProxy = (connect: Connections.Connect, { name }: Proxy): Connections.Connect =>
  failingAs(connect, (error) => new Failures.ProxyFailure(name, error))

/** Connects through a tunnel. The pool would retry at once, forever, if the failure had a socket error code. */
const byTunnel = (connect: Connections.Connect): Connections.Connect =>
  failingAs(connect, (error) => new Error(error.message, { cause: error }))

const protocols: ReadonlySet<string> = new Set(["http:", "https:"])

const parseUrl = Option.liftThrowable((url: string) => new URL(url))

/** Neither user nor password: addresses with those are parsed each time. */
const plainOrigin = /^https?:\/\/[\w.:[\]-]+$/

/** Paths that are sent as they are written; others are encoded first. */
const plainPath = /^\/(?!.*\/\.)[\w.~%!$&'()*+,;=:@/?-]*$/

const validName = /^[\w!#$%&'*+.^`|~-]+$/

/** Names known to be valid. They are usually few; otherwise they are checked again. */
const validNames = new Set<string>()

const mostNames = 256

const isValidName = (name: string): boolean => {
  if (validNames.has(name)) return true
  const isValid = validName.test(name) && !ownHeaders.has(name)
  if (isValid && validNames.size < mostNames) validNames.add(name)
  return isValid
}

const invalidValue = /[^\t\x20-\x7e\x80-\xff]/

/** Headers that the transport sets itself or does not support. */
const ownHeaders: ReadonlySet<string> = new Set(["connection", "expect", "keep-alive", "transfer-encoding", "upgrade"])

/** The pool would permanently lose a connection to an invalid header. */
const problemOf = (headers: Readonly<Record<string, string>>): string | undefined => {
  for (const name in headers) {
    if (!isValidName(name)) return `the header ${JSON.stringify(name)} is not valid`
    if (invalidValue.test(headers[name]!)) return `the value of the header ${name} is not valid`
  }
  return undefined
}
