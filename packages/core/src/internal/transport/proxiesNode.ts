/**
 * The proxies that an environment names, and which requests use them.
 *
 * `HTTP_PROXY` is for http://, `HTTPS_PROXY` for https://, and `ALL_PROXY` for schemes without their own, as in curl.
 * Lower-case names take precedence, and an empty variable counts as unset. A proxy without a scheme is an HTTP proxy.
 */
import * as Option from "effect/Option"
import { renderUrl } from "../../Transport.js"
import { Rejected } from "../../UploadError.js"
import * as NoProxy from "./noProxyNode.js"

/** The variables of an environment. */
export type Environment = Readonly<Record<string, string | undefined>>

export interface Proxy {
  /** Its name in messages, with its variable, and without user and password. */
  readonly name: string
  /** Its address without user and password. */
  readonly url: string
  /** The credentials for the proxy's authorization header. */
  readonly token: string | undefined
  /** The credentials of the proxy, which its answers may repeat and messages must not. */
  readonly secrets: ReadonlyArray<string>
}

export interface Proxies {
  /** The proxy for an address; `undefined` if there is none, and a failure if it cannot be used. */
  readonly of: (url: URL) => Proxy | Rejected | undefined
  /** The secrets that only the proxies may know. */
  readonly secrets: ReadonlyArray<string>
}

/** No proxies at all. */
export const none: Proxies = { of: () => undefined, secrets: [] }

export const fromEnvironment = (environment: Environment): Proxies => {
  const all = read(environment, ["all_proxy", "ALL_PROXY"])
  // The client of a CGI program controls HTTP_PROXY, through a header named Proxy.
  const isCgi = environment["REQUEST_METHOD"] !== undefined
  const byProtocol: Readonly<Record<string, Proxy | Rejected | undefined>> = {
    "http:": read(environment, isCgi ? ["http_proxy"] : ["http_proxy", "HTTP_PROXY"]) ?? all,
    "https:": read(environment, ["https_proxy", "HTTPS_PROXY"]) ?? all
  }
  const isLeftOut = NoProxy.parse(valueOf(environment, ["no_proxy", "NO_PROXY"])?.value ?? "")
  const proxies = [...Object.values(byProtocol), all]
  return {
    of: (url) => {
      const proxy = byProtocol[url.protocol]
      return proxy === undefined || isLeftOut(url) ? undefined : proxy
    },
    secrets: proxies.flatMap((proxy) => proxy === undefined || "_tag" in proxy ? [] : proxy.secrets)
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The first of the variables that has a value. */
const valueOf = (environment: Environment, variables: ReadonlyArray<string>) => {
  for (const variable of variables) {
    const value = environment[variable]?.trim()
    if (value !== undefined && value !== "") return { variable, value }
  }
  return undefined
}

const read = (environment: Environment, variables: ReadonlyArray<string>): Proxy | Rejected | undefined => {
  const found = valueOf(environment, variables)
  return found === undefined ? undefined : proxyOf(found.variable, found.value)
}

const proxyOf = (variable: string, value: string): Proxy | Rejected => {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value)?.[1]?.toLowerCase()
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") return unsupported(variable, scheme)
  const parsed = Option.liftThrowable(() => new URL(scheme === undefined ? `http://${value}` : value))()
  if (Option.isNone(parsed) || parsed.value.hostname === "") return invalid(variable)
  const { password, username } = parsed.value
  const url = `${parsed.value.protocol}//${parsed.value.host}/`
  const name = `the proxy ${renderUrl(url).slice(0, -1)} (${variable})`
  if (username === "" && password === "") return { name, url, token: undefined, secrets: [] }
  const basic = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64")
  const secrets = password === "" ? [] : [basic, password, decoded(password)]
  return { name, url, token: `Basic ${basic}`, secrets }
}

const decoded = (text: string): string => Option.getOrElse(Option.liftThrowable(decodeURIComponent)(text), () => text)

const invalid = (variable: string) =>
  new Rejected({ reason: "Unsupported", detail: `The address of the proxy in ${variable} is not valid.` })

const unsupported = (variable: string, scheme: string) =>
  new Rejected({
    reason: "Unsupported",
    detail:
      `The proxy in ${variable} cannot be used: it is a ${scheme}:// proxy, and only http:// and https:// proxies are supported.`
  })
