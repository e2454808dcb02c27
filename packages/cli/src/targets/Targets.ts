/**
 * Parses destinations as users type them: a path or an address.
 *
 * | typed | destination |
 * |---|---|
 * | `backup`, `/mnt/backup`, `file:///mnt/backup` | a local directory |
 * | `s3://bucket/prefix`, `s3://bucket/prefix?endpoint=https://host` | a bucket and the prefix of its keys |
 * | `tus+https://host/files` | a server that speaks tus 1.0.0 |
 * | `https://host/path`, `https://host/{key}?overwrite=1` | an HTTP server that accepts files by PUT |
 * | `https://host/app.tgz?X-Amz-Signature=…` | one object at exactly that address |
 * | `sim:?latency=20ms&failures=5%`, `sim:flaky` | the simulated network, which stores nothing |
 *
 * Credentials are never part of an address: they come from the environment, or from the profiles of AWS.
 */
import type * as Simulated from "@sluice/core/destinations/Simulated"
import * as ObjectKey from "@sluice/core/ObjectKey"
import { renderUrl } from "@sluice/core/Transport"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as SimulatedNetwork from "./SimulatedNetwork.js"

/** The place where files go. */
export type Target =
  | { readonly _tag: "Local"; readonly root: string }
  | S3Target
  | { readonly _tag: "Tus"; readonly url: string }
  | { readonly _tag: "Http"; readonly url: string }
  | { readonly _tag: "Simulated"; readonly network: Simulated.Options }

export interface S3Target {
  readonly _tag: "S3"
  readonly bucket: string
  /** The prefix of every key: empty, or ending in a slash. */
  readonly prefix: string
  /** The address of the server, without a trailing slash; `undefined` for AWS. */
  readonly endpoint: string | undefined
}

export type Kind = Target["_tag"]

/** The context in which a destination is parsed. */
export interface Around {
  /** The S3 server that a flag names. */
  readonly endpoint?: string | undefined
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
  /** Defaults to that of this process. */
  readonly platform?: NodeJS.Platform | undefined
}

/** Parses a destination, or says what is wrong with it. No message contains what may be a secret. */
export const parse = (text: string, around: Around = {}): Either.Either<Target, string> => {
  const { platform = process.platform } = around
  if (text === "") return Either.left("The destination is empty. Name a directory or an address.")
  const before = /^([^/\\:]*):/.exec(text)?.[1]
  const isDrive = before !== undefined && /^[a-z]$/i.test(before)
  if (before === undefined || (isDrive && platform === "win32")) return Either.right({ _tag: "Local", root: text })
  if (isDrive) return Either.left(`"${before}:" is a Windows drive, and this is not Windows. ${asDirectory(before)}.`)
  const scheme = before.toLowerCase()
  if (/^(?:tus\+)?https?$/.test(scheme) && !text.slice(before.length).startsWith("://")) {
    return Either.left(`${JSON.stringify(text)} lacks a slash: an address begins with ${scheme}://.`)
  }
  switch (scheme) {
    case "file":
      return Either.try({
        try: () => ({ _tag: "Local", root: fileURLToPath(text) }),
        catch: () => `${JSON.stringify(text)} is not the address of a local directory, such as file:///mnt/backup.`
      })
    case "s3":
      return parseS3(text, around)
    case "http":
    case "https":
      return Either.map(checkAddress(text, "http(s)"), (url) => ({ _tag: "Http", url }))
    case "tus+http":
    case "tus+https":
      return Either.map(checkAddress(text.slice("tus+".length), "tus+http(s)"), (url) => ({ _tag: "Tus", url }))
    case "sim":
      return Either.map(
        SimulatedNetwork.parse(text.slice("sim:".length)),
        (network) => ({ _tag: "Simulated", network })
      )
    default:
      return Either.left(
        Object.hasOwn(hints, scheme) ? `${hints[scheme]}` : unknownKind(before, text.startsWith(`${before}://`))
      )
  }
}

/**
 * Whether an address is that of one object, so that no key is added to it: it has a query, such as a signature, and
 * neither `{key}` nor a slash at the end of its path. The query is valid only for that address.
 */
export const isExact = (target: Target): boolean =>
  target._tag === "Http" && !target.url.includes("{key}") && /^[a-z]+:\/\/[^/?]+\/[^?]*[^/?]\?./i.test(target.url)

/** A hint for uploads to Azure over HTTP; `undefined` if the target is not Azure, or nothing is missing. */
export const azureHint = (
  target: Target,
  headers: Readonly<Record<string, unknown>>
): string | undefined =>
  target._tag === "Http" && isAzure(target.url) && headers["x-ms-blob-type"] === undefined
    ? `${renderUrl(target.url)} is Azure Blob Storage. ${blockBlob}`
    : undefined

/** How to upload files there over HTTP. */
export const blockBlob =
  "It accepts files by PUT with --header \"x-ms-blob-type: BlockBlob\" and a SAS in the address: " +
  "https://ACCOUNT.blob.core.windows.net/CONTAINER/{key}?SAS"

/** The placeholder for the query of an address that is written down. */
export const hiddenQuery = "?…"

/** A target in a form without secrets that can be written down. For S3 it can be parsed again. */
export const nameOf = (target: Target): string => {
  switch (target._tag) {
    case "Local":
      return path.resolve(target.root)
    case "S3": {
      const { bucket, endpoint, prefix } = target
      return `s3://${bucket}${prefix === "" ? "" : `/${prefix.slice(0, -1)}`}${
        endpoint === undefined ? "" : `?endpoint=${readableComponent(endpoint)}`
      }`
    }
    case "Tus":
      return `tus+${target.url.replace(/\?.*$/s, hiddenQuery)}`
    case "Http":
      return target.url.replace(/\?.*$/s, hiddenQuery)
    case "Simulated":
      return "sim:"
  }
}

/** Whether endpoints that the user did not type are ignored. */
export const ignoresEndpoints = (environment: NonNullable<Around["environment"]>): boolean =>
  environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] === "true"

/** An endpoint without a trailing slash, or what is wrong with it. */
export const checkEndpoint = (text: string, name: string): Either.Either<string, string> => {
  const url = parseUrl(text)
  if (Option.isNone(url) || !/^https?:\/\//i.test(text) || url.value.hash !== "") {
    return Either.left(`${name} is not the address of a server, such as https://minio.example.org:9000.`)
  }
  const { host, password, pathname, protocol, search, username } = url.value
  return username !== "" || password !== "" || search !== ""
    ? Either.left(`${name} must not contain a user, a password or a query: other users of this machine can read them.`)
    : Either.right(`${protocol}//${host}${pathname.replace(/\/+$/, "")}`)
}

/** The plural name of each kind of destination. */
export const kinds: Readonly<Record<Kind, string>> = {
  Local: "directories",
  S3: "s3://",
  Tus: "tus+http(s)://",
  Http: "http(s)://",
  Simulated: "sim:"
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const allKinds = "Destinations are directories, s3://, tus+http(s)://, http(s):// and sim:"

const asDirectory = (before: string): string => `For a directory of that name, write ./${before}:…`

const unknownKind = (before: string, isAddress: boolean): string => {
  const scheme = before.toLowerCase()
  if (notYet.has(scheme)) return `Destinations of the kind "${scheme}:" are not supported yet. ${allKinds}.`
  return isAddress
    ? `"${before}:" is not a kind of destination. ${allKinds}. ${asDirectory(before)}`
    : `"${before}:" looks like another machine, as scp and rsync write it, or like a remote of rclone; sluice can reach ` +
      `neither. ${allKinds}. ${asDirectory(before)}`
}

const notYet = new Set([
  "sftp",
  "ssh",
  "scp",
  "rsync",
  "ftp",
  "ftps",
  "smb",
  "cifs",
  "nfs",
  "hdfs",
  "oss",
  "cos",
  "obs"
])

const isAzure = (url: string): boolean =>
  /^https?:\/\/[^/?]*\.(?:blob|dfs|file)\.(?:core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)|storage\.azure\.net)(?::\d+)?(?:[/?]|$)/i
    .test(url)

const azure = (scheme: string): string =>
  `Destinations of the kind "${scheme}:" are not supported yet. Azure Blob Storage can be reached by its HTTP address. ${blockBlob}`

const webdav = (scheme: string): string =>
  `Instead of "${scheme}:", write http://host/path or https://host/path: WebDAV servers accept files by PUT. Many do not ` +
  "create directories for them: these must exist."

const speaksS3 = (scheme: string, endpoint: string): string =>
  `Instead of "${scheme}:", write s3://bucket/prefix --endpoint ${endpoint}.`

const hints: Readonly<Record<string, string>> = {
  s3a: "Instead of \"s3a:\", write s3://bucket/prefix.",
  r2: speaksS3("r2", "https://ACCOUNT.r2.cloudflarestorage.com"),
  b2: speaksS3("b2", "https://s3.REGION.backblazeb2.com"),
  gs: speaksS3("gs", "https://storage.googleapis.com"),
  gcs: speaksS3("gcs", "https://storage.googleapis.com"),
  minio: speaksS3("minio", "https://HOST:9000"),
  az: azure("az"),
  azure: azure("azure"),
  azblob: azure("azblob"),
  abfs: azure("abfs"),
  abfss: azure("abfss"),
  wasb: azure("wasb"),
  wasbs: azure("wasbs"),
  dav: webdav("dav"),
  davs: webdav("davs"),
  webdav: webdav("webdav"),
  webdavs: webdav("webdavs"),
  swift:
    "Instead of \"swift:\", write s3://container/prefix --endpoint https://HOST --provider swift: OpenStack Swift speaks " +
    "S3 if its s3api is on.",
  tus: "Instead of \"tus:\", write tus+https://host/path, or tus+http://…",
  tuss: "Instead of \"tuss:\", write tus+https://host/path."
}

const parseUrl = Option.liftThrowable((url: string) => new URL(url))

/** An HTTP address as the user typed it, without its fragment. */
const checkAddress = (text: string, kind: string): Either.Either<string, string> => {
  const parsed = parseUrl(text)
  if (Option.isNone(parsed)) return Either.left(`The destination is not a valid ${kind} address.`)
  if (parsed.value.username !== "" || parsed.value.password !== "") {
    return Either.left(
      `The address of ${parsed.value.host} contains a user or a password, which other users of this machine can read. ` +
        "Leave it out, and set SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD, or SLUICE_HTTP_TOKEN, in the environment."
    )
  }
  return Either.right(text.replace(/#.*$/s, ""))
}

const parseS3 = (text: string, around: Around): Either.Either<S3Target, string> => {
  const [, bucket = "", rest = "", query] = /^s3:\/\/([^/?]*)\/?([^?]*)(?:\?(.*))?$/is.exec(text) ?? []
  if (bucket.includes("@")) {
    return Either.left(
      "The address of a bucket contains credentials, which other users of this machine can read. Leave them out, and set " +
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or name a profile with --profile."
    )
  }
  if (!bucketName.test(bucket)) {
    return Either.left(
      bucket === ""
        ? "The bucket is missing: write s3://bucket/prefix."
        : `${
          JSON.stringify(bucket)
        } is not a valid bucket name: use 3 to 63 lower-case letters, digits, hyphens and dots.`
    )
  }
  const prefix = rest === "" || rest.endsWith("/") ? rest : `${rest}/`
  const problem = prefix === "" ? undefined : ObjectKey.problemAsPath(prefix.slice(0, -1))
  if (problem !== undefined) return Either.left(`The prefix ${JSON.stringify(prefix)} ${problem}.`)
  const settings = new URLSearchParams(query?.replaceAll("+", "%2B"))
  const unknown = Array.from(settings.keys()).find((name) => name !== "endpoint")
  if (unknown !== undefined || (query !== undefined && settings.size !== 1)) {
    return Either.left(
      "After ?, an S3 address takes only an endpoint, as in s3://bucket/prefix?endpoint=https://host."
    )
  }
  const { environment = {} } = around
  const written = settings.get("endpoint") ?? undefined
  if (written !== undefined && around.endpoint !== undefined && written !== around.endpoint) {
    return Either.left("--endpoint and the endpoint in the address contradict each other.")
  }
  const typed = written ?? around.endpoint
  const fromEnvironment = ignoresEndpoints(environment)
    ? undefined
    : environment["AWS_ENDPOINT_URL_S3"] || environment["AWS_ENDPOINT_URL"] || undefined
  const endpoint = typed ?? fromEnvironment
  const s3 = { _tag: "S3", bucket, prefix } as const
  return endpoint === undefined
    ? Either.right({ ...s3, endpoint })
    : Either.map(
      checkEndpoint(endpoint, typed === undefined ? "AWS_ENDPOINT_URL" : "--endpoint"),
      (endpoint) => ({ ...s3, endpoint })
    )
}

/**
 * Matches names of buckets: old buckets, and those of other servers, may be longer and have capitals and underscores.
 */
const bucketName = /^[a-z0-9][a-z0-9._-]{1,254}$/i

const readableComponent = (text: string): string =>
  encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%2F", "/")
