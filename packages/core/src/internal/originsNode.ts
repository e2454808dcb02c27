/**
 * Where requests go: a pool of connections for each origin, directly or by a proxy.
 */
import { EnvHttpProxyAgent, Pool } from "undici"
import type { Dispatcher } from "undici"
import { renderUrl } from "../Transport.js"
import type { Request } from "../Transport.js"
import { Rejected } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import type { Sent } from "./feedNode.js"
import * as Failures from "./requestFailures.js"

export interface OriginsOptions {
  readonly connections: number
  readonly ca: string | undefined
  readonly verifyTls: boolean
  readonly proxy: boolean
}

/** A place on a server. */
export interface Place {
  readonly dispatcher: Dispatcher
  readonly origin: string
  /** With the query. */
  readonly path: string
}

export interface Handler extends Dispatcher.DispatchHandler {
  readonly fail: (error: UploadError) => void
}

export class Origins {
  private readonly pools = new Map<string, Pool>()
  /** Origins by how addresses begin that begin as origins are written. */
  private readonly known = new Map<string, { readonly dispatcher: Dispatcher; readonly origin: string }>()
  private readonly options: Pool.Options
  private readonly proxies: EnvHttpProxyAgent | Rejected | undefined

  constructor({ ca, connections, proxy, verifyTls }: OriginsOptions) {
    const tls = { rejectUnauthorized: verifyTls, ...(ca !== undefined && { ca }) }
    // The engine watches for stalls by bytes that move: times of the pool's would cut slow uploads that are well.
    const times = { headersTimeout: 0, bodyTimeout: 0 }
    this.options = { connections, ...times, connect: { ...tls, timeout: connectMillis } }
    this.proxies = proxy ? proxiesOf({ connections, ...times, tls }) : undefined
  }

  /** Sends a request, whose headers are those given, and never throws. */
  dispatch(request: Request, body: Sent, handler: Handler): void {
    const { headers, method, url } = request
    const place = this.locate(request)
    if ("_tag" in place) return handler.fail(place)
    const { dispatcher, origin, path } = place
    // After a HEAD the pool would close the connection, for fear of servers that send a body.
    const options = method === "HEAD"
      ? { origin, path, method, headers, body, reset: false }
      : { origin, path, method, headers, body }
    try {
      dispatcher.dispatch(options, handler)
    } catch (error) {
      handler.fail(Failures.failed(renderUrl(url), error))
    }
  }

  /** Where a request goes, if it can be said in HTTP. */
  locate({ headers, url }: Pick<Request, "headers" | "url">): Place | UploadError {
    const problem = problemOf(headers)
    if (problem !== undefined) return Failures.invalidRequest(renderUrl(url), problem)
    const slash = url.indexOf("/", 8)
    const begin = slash < 0 ? url : url.slice(0, slash)
    const known = this.known.get(begin)
    if (known !== undefined) {
      const path = url.slice(begin.length)
      if (plainPath.test(path)) return { dispatcher: known.dispatcher, origin: known.origin, path }
    }
    if (this.proxies !== undefined && "_tag" in this.proxies) return this.proxies
    try {
      const { origin, pathname, search } = new URL(url)
      const dispatcher = this.proxies ?? this.poolOf(origin)
      if (plainOrigin.test(begin)) this.known.set(begin, { dispatcher, origin })
      return { dispatcher, origin, path: pathname + search }
    } catch {
      return Failures.invalidAddress(renderUrl(url))
    }
  }

  async destroy(): Promise<void> {
    const { pools, proxies } = this
    this.known.clear()
    await Promise.all([...pools.values()].map((pool) => pool.destroy()))
    if (proxies !== undefined && !("_tag" in proxies)) await proxies.destroy()
  }

  private poolOf(origin: string): Pool {
    const known = this.pools.get(origin)
    if (known !== undefined) return known
    const pool = new Pool(origin, this.options)
    this.pools.set(origin, pool)
    return pool
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const connectMillis = 30_000

/** Neither user nor password: addresses with those are taken apart each time. */
const plainOrigin = /^https?:\/\/[\w.:[\]-]+$/

/** Paths that are sent as they are written; others are encoded first. */
const plainPath = /^\/(?!.*\/\.)[\w.~%!$&'()*+,;=:@/?-]*$/

/** Proxies from the environment. What is wrong with one of them is told with each request, without its password. */
const proxiesOf = (
  { tls, ...options }: Pick<Pool.Options, "bodyTimeout" | "headersTimeout"> & {
    readonly connections: number
    readonly tls: { readonly rejectUnauthorized: boolean; readonly ca?: string }
  }
): EnvHttpProxyAgent | Rejected => {
  const connect = { ...tls, timeout: connectMillis }
  try {
    return new EnvHttpProxyAgent({
      ...options,
      connect,
      requestTls: connect,
      proxyTls: connect,
      // Requests in the clear go to the proxy itself, as with other clients: many proxies open tunnels for TLS only.
      proxyTunnel: false,
      factory: (origin, given) => new Pool(origin, { ...given, ...options })
    })
  } catch {
    return new Rejected({ reason: "Unsupported", detail: "The address of the proxy in the environment is not valid." })
  }
}

const validName = /^[\w!#$%&'*+.^`|~-]+$/

/** Names that were found to be valid. They are few; where they are not, they are looked at anew. */
const validNames = new Set<string>()

const mostNames = 256

const isValidName = (name: string): boolean => {
  if (validNames.has(name)) return true
  const isValid = validName.test(name) && !ownHeaders.has(name)
  if (isValid && validNames.size < mostNames) validNames.add(name)
  return isValid
}

const invalidValue = /[^\t\x20-\x7e\x80-\xff]/

/** Headers that are the transport's own, or that it cannot do. */
const ownHeaders: ReadonlySet<string> = new Set(["connection", "expect", "keep-alive", "transfer-encoding", "upgrade"])

/** The pool would take a connection out of use for good where a header is not valid. */
const problemOf = (headers: Readonly<Record<string, string>>): string | undefined => {
  for (const name in headers) {
    if (!isValidName(name)) return `the header ${JSON.stringify(name)} is not valid`
    if (invalidValue.test(headers[name]!)) return `the value of the header ${name} is not valid`
  }
  return undefined
}
