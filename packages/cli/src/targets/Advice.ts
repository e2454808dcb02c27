/**
 * What to do about an error that a destination answers with, by what it is and by what was tried.
 */
import type { UploadError } from "@sluice/core/UploadError"
import type { Kind } from "./Targets.js"
import { blockBlob } from "./Targets.js"

/** What was tried. */
export type Check =
  | "server"
  | "credentials"
  | "write"
  | "nested"
  | "look"
  | "read"
  | "list"
  | "parts"
  | "resume"
  | "abort"
  | "remove"

/** What to do, in a sentence or two; `undefined` where nobody knows. */
export const forError = (
  error: UploadError,
  { check, kind }: { readonly check: Check; readonly kind: Kind }
): string | undefined => {
  const ofProxy = forProxy(error.message)
  if (ofProxy !== undefined) return ofProxy
  if (error.message.includes("answered with a web page")) return signIn
  switch (error._tag) {
    case "Transient":
      if (kind === "Http" && error.message.includes("answered 423")) {
        return "Somebody has it locked: try again when they are done."
      }
      return error.reason === "Connection"
        ? connection.find(([pattern]) => pattern.test(error.message))?.[1] ?? unreachable
        : "The server is unwell or overloaded: try again in a while."
    case "Throttled":
      return "The server asks for fewer requests: try again later, with a lower --concurrency or --rate."
    case "AuthExpired":
      return "Get new credentials, such as by aws sso login, and try again."
    case "IntegrityMismatch":
      return "What arrives is not what is sent: something in between changes it, or --provider is not what the server is."
    case "Conflict":
      return speaksTus(error.message) && kind !== "Tus"
        ? isTus
        : kind === "Http" && error.message.includes("answered 409")
        ? noDirectories
        : (check === "write" || check === "nested") && kind === "S3"
        ? "Something at the destination has that name already, or holds it; or what answers there is no S3 server."
        : "Something at the destination has that name already, or holds it."
    case "Rejected":
      return rejected(error, check, kind)
    case "SessionGone":
    case "SourceChanged":
    case "SourceUnreadable":
      return undefined
  }
}

/** What to do where a destination has not kept what it said it had. */
export const notStored = "Do not trust this destination with uploads before you know why."

/** Whether a server says what tus servers say to those who speak something else. */
export const speaksTus = (message: string): boolean => /tus-resumable/i.test(message)

/** Whether S3 says of a key that there is nothing to be found, and so of neither the bucket nor the address. */
export const isOfOneKey = ({ message, reason }: Extract<UploadError, { readonly _tag: "Rejected" }>): boolean =>
  reason === "NotFound" && /\banswered 404 (?!NoSuchBucket\b)[A-Z][A-Za-z]+(?::|$)/.test(message)

/** What to do where clocks are apart. */
export const clock = "Set the clock of this machine, such as by turning its time synchronization on."

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const signIn =
  "Open the address in a browser: if the network asks you to sign in, do so, and try again. If a proxy has answered, ask " +
  "who runs it, or go around it: what NO_PROXY lists is reached without one."

const unreachable =
  "Check the address, and whether it is reached by a proxy only: see HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."

const connection: ReadonlyArray<readonly [RegExp, string]> = [
  [/ECONNREFUSED/, "Nothing listens there: check the host and the port, and that the server is running."],
  [/ENOTFOUND|EAI_AGAIN/, "There is no host of that name: check how it is written, and that this machine has DNS."],
  [/TIMEOUT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/, `It does not answer: check for a firewall. ${unreachable}`],
  [
    /EPROTO|ECONNRESET|HTTP_PARSER|HPE_|is not HTTP|other side closed|SOCKET/i,
    "What answers there may not be what you think: check the port, and whether it is https:// or http://."
  ]
]

/** What to do about a proxy, by what is said of it. */
const proxies: ReadonlyArray<readonly [RegExp, (variable: string) => string]> = [
  [
    /^The proxy \S+ \((\w+)\) cannot be reached/,
    (variable) => `Check the address in ${variable}, and that the proxy is running. ${withoutProxy}`
  ],
  [
    /^The proxy \S+ \((\w+)\), on the way .* answered 407/,
    (variable) => `Write who asks into ${variable}, as in http://user:password@proxy:3128.`
  ],
  [
    /^The proxy \S+ \((\w+)\), on the way/,
    (variable) => `The proxy in ${variable} does not lead there: ask who runs it. ${withoutProxy}`
  ],
  [
    /^The (?:address of the )?proxy in (\w+) /,
    (variable) =>
      `Set ${variable} to the address of an HTTP proxy, such as http://proxy:3128, or unset it. ${withoutProxy}`
  ],
  [
    / by the proxy \S+ \((\w+)\) failed/,
    (variable) => `Check that what ${variable} names is an HTTP proxy, and well. ${withoutProxy}`
  ]
]

const withoutProxy = "What NO_PROXY lists is reached without one."

const forProxy = (message: string): string | undefined => {
  for (const [pattern, advice] of proxies) {
    const variable = pattern.exec(message)?.[1]
    if (variable !== undefined) return advice(variable)
  }
  return undefined
}

/** What permission of S3 each check needs. */
const permissions: Readonly<Record<Check, string>> = {
  server: "",
  credentials: "",
  write: "s3:PutObject (and s3:PutObjectAcl with --acl)",
  nested: "s3:PutObject",
  look: "s3:GetObject",
  read: "s3:GetObject",
  list: "s3:ListBucket",
  parts: "s3:PutObject",
  resume: "s3:ListMultipartUploadParts",
  abort: "s3:AbortMultipartUpload",
  remove: "s3:DeleteObject"
}

const rejected = (
  error: Extract<UploadError, { readonly _tag: "Rejected" }>,
  check: Check,
  kind: Kind
): string | undefined => {
  const { message, reason } = error
  switch (reason) {
    case "Unauthorized":
      if (kind !== "S3") return httpCredentials
      if (message.includes("SignatureDoesNotMatch")) {
        return "The access key and the secret do not belong together: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile."
      }
      return message.includes("InvalidAccessKeyId")
        ? "The server does not know the access key: check AWS_ACCESS_KEY_ID or the profile, and --endpoint."
        : undefined
    case "Forbidden":
      if (message.includes("WRONG_VERSION_NUMBER")) {
        return "The server does not speak TLS there: write http://, or another port."
      }
      if (message.includes("cannot be trusted")) {
        return "Its certificate is by an authority that is not trusted here, or is not for this host. Name a file with " +
          "the authority's certificate by --ca."
      }
      return kind === "S3" ? `Allow ${permissions[check]} on this bucket and prefix, or use another profile.` : kind ===
          "Local"
        ? "Change who may write there, or run sluice as somebody who may."
        : httpCredentials
    case "NotFound":
      return kind === "S3"
        ? isOfOneKey(error)
          ? check === "write" || check === "nested"
            ? "The server refuses this name: upload the file under another one."
            : undefined
          : message.includes("NoSuchBucket") || check === "write" || check === "nested"
          ? "Make the bucket, or check its name, --endpoint and --region."
          : undefined
        : kind === "Local"
        ? "Make the directory, or check its name."
        : kind === "Http" && check === "nested"
        ? noDirectories
        : kind === "Http"
        ? "Check the path of the address: the server has nothing there that takes files, or it makes no directories and " +
          "that of the file has to be made there first."
        : "Check the path of the address: the server has nothing there that takes files."
    case "NoSpace":
      return "Make room there, or have the quota raised."
    case "Redirected":
      return "Use the address that it redirects to, if you trust it: sluice does not follow redirects with credentials."
    case "Unsupported":
      if (kind === "Http" && /x-ms-|MissingRequiredHeader/i.test(message)) {
        return `It is Azure Blob Storage. ${blockBlob}`
      }
      if (/(?:know|told) the size|size is not known/.test(message)) return sizeless
      return check === "remove"
        ? undefined
        : kind === "Http"
        // What was never sent says nothing of the server.
        ? (check === "write" || check === "server") && message.includes(" answered ")
          ? speaksTus(message) ? isTus : takesNoFiles
          : undefined
        : kind === "S3"
        ? check === "write" || check === "parts" ? flagsOfS3 : check === "resume" ? undefined : unlikeS3
        : undefined
    case "TooLarge":
    case "InvalidKey":
    case "Unexpected":
      return undefined
  }
}

const noDirectories =
  "The directory is not there, and the server makes none: many WebDAV servers do not. Make it there first (MKCOL), or " +
  "upload to one that is there."

const sizeless = "Write it to a file first, and upload that: then its size is known."

const takesNoFiles =
  "The server does not take files by PUT there: check the address, or whether it is a tus server (tus+https://…)."

const unlikeS3 = "Check --provider and --path-style, which say what the server is like."

const flagsOfS3 =
  "Check what is asked for by --storage-class, --acl, --header and --if-absent, which servers differ in, and " +
  "--provider and --path-style, which say what the server is like."

const isTus = "It is a tus server: write tus+https://… or tus+http://…"

const httpCredentials =
  "Set SLUICE_HTTP_TOKEN, or SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD, in the environment, and check what they may do."
