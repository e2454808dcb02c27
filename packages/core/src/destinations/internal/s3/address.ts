/**
 * The addresses of a bucket and its objects, which nothing in a name can redirect.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { Rejected } from "../../../UploadError.js"
import * as Provider from "./provider.js"

export interface AddressOptions {
  readonly bucket: string
  readonly prefix: string
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly pathStyle?: boolean | undefined
  readonly provider?: Provider.Provider | undefined
}

/** Where requests to a bucket go. */
export interface Address {
  /** The origin, as in `https://host:port`. */
  readonly origin: string
  /** The value of the `host` header. */
  readonly host: string
  /** The path of the bucket, encoded, without a trailing slash. */
  readonly root: string
  /** Whether nobody can change the request in transit. */
  readonly isSafe: boolean
}

export interface Place {
  readonly profile: Provider.Profile
  /** The region to begin with. */
  readonly region: string
  /** The address of the bucket in a region. */
  readonly inRegion: (region: string) => Address
}

/** Whether text is a valid region name, so that no answer can redirect requests. */
export const isRegion = (name: string): boolean => /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/.test(name)

/** Finds the address of a bucket, or what is wrong with the options. */
export const make = (options: AddressOptions): Either.Either<Place, Rejected> => {
  const { bucket, endpoint, prefix } = options
  if (!bucketName.test(bucket) || bucket.includes("..")) {
    return refused(`${JSON.stringify(bucket)} is not a valid bucket name.`)
  }
  const base = endpoint === undefined ? undefined : Option.getOrUndefined(parse(endpoint))
  if (endpoint !== undefined && base === undefined) {
    return refused("The endpoint must be an http or https address without user, query and fragment.")
  }
  const problem = prefixProblem(prefix)
  if (problem !== undefined) return refused(`The prefix ${JSON.stringify(prefix)} ${problem}.`)
  const profile = Provider.of(options.provider ?? Provider.at(base?.hostname))
  const region = options.region ?? Provider.regionAt(base?.hostname) ?? profile.region
  if (!isRegion(region)) return refused(`${JSON.stringify(region)} is not a valid region name.`)
  const inPath = (base !== undefined && isNumeric(base.hostname)) ||
    (options.pathStyle ?? (endpoint !== undefined || bucket.includes(".")))
  return Either.right({
    profile,
    region,
    inRegion: (inRegion) => {
      const domain = inRegion.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
      const { host, hostname, pathname, protocol } = base ?? new URL(`https://s3.${inRegion}.${domain}`)
      const path = encodeKey(decode(pathname).replace(/\/+$/, ""))
      const full = inPath ? host : `${bucket}.${host}`
      return {
        origin: `${protocol}//${full}`,
        host: full,
        root: inPath ? `${path}/${bucket}` : path,
        isSafe: protocol === "https:" || localHosts.has(hostname)
      }
    }
  })
}

/** Why a key cannot be an object's; `undefined` if it can. `full` includes the prefix. */
export const keyProblem = (full: string): string | undefined => {
  if (full === "") return "is empty"
  if (!plain.test(full)) {
    if (/\p{Surrogate}/u.test(full)) return "is not well-formed Unicode"
    if (full.length * 3 > maxKeySize && new TextEncoder().encode(full).length > maxKeySize) return tooLong
  } else if (full.length > maxKeySize) return tooLong
  return dots.test(full)
    ? "contains a segment \".\" or \"..\", which clients and proxies would remove"
    : undefined
}

/** Encodes a key for the path of an address, as signatures require. */
export const encodeKey = (key: string): string => plain.test(key) ? key : key.split("/").map(encodeName).join("/")

/** Encodes a name or a value in a query. */
export const encodeName = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  )

/** Writes a query as signatures require: encoded, then sorted. */
export const encodeQuery = (query: Readonly<Record<string, string>>): string =>
  Object.entries(query)
    .map(([name, value]) => [encodeName(name), encodeName(value)] as const)
    .sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, value]) => `${name}=${value}`)
    .join("&")

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Letters, digits, dots, dashes and underscores: old buckets may have upper case and be long. */
const bucketName = /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/

const plain = /^[A-Za-z0-9\-_.~/]*$/

const dots = /(?:^|\/)\.{1,2}(?:\/|$)/

/** In bytes of UTF-8. */
const maxKeySize = 1024

const tooLong = `is longer than ${maxKeySize} bytes`

const localHosts: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"])

const isNumeric = (hostname: string): boolean => hostname.startsWith("[") || /^[\d.]+$/.test(hostname)

const parse = (endpoint: string): Option.Option<URL> =>
  Option.filter(
    Option.liftThrowable(() => new URL(endpoint))(),
    ({ hash, password, protocol, search, username }) =>
      (protocol === "https:" || protocol === "http:") && `${username}${password}${search}${hash}` === ""
  )

const decode = (path: string): string => Option.getOrElse(Option.liftThrowable(decodeURIComponent)(path), () => path)

const prefixProblem = (prefix: string): string | undefined =>
  prefix === "" ? undefined : prefix.startsWith("/") ? "begins with a slash" : keyProblem(prefix)

const refused = (detail: string) => Either.left(new Rejected({ reason: "Unsupported", detail }))
