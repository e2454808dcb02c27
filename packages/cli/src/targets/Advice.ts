/**
 * Advice about an error of a destination, by the kind of error and by what was tried.
 */
import type { UploadError } from "@sluice/core/UploadError"
import type { Kind } from "./Targets.js"
import { blockBlob } from "./Targets.js"

/** The operation that was tried. */
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

/** What to do, in a sentence or two; `undefined` if there is no advice. */
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
        return "Somebody has locked it: try again when the lock is released."
      }
      return error.reason === "Connection"
        ? connection.find(([pattern]) => pattern.test(error.message))?.[1] ?? unreachable
        : "The server is failing or overloaded: try again later."
    case "Throttled":
      return "The server asks for fewer requests: try again later, with a lower --concurrency or --rate."
    case "AuthExpired":
      return "Get new credentials, for example with aws sso login, and try again."
    case "IntegrityMismatch":
      return "The server receives other data than was sent: something on the way changes it, or --provider is wrong for this server."
    case "Conflict":
      return speaksTus(error.message) && kind !== "Tus"
        ? isTus
        : kind === "Http" && error.message.includes("answered 409")
        ? noDirectories
        : (check === "write" || check === "nested") && kind === "S3"
        ? "Something at the destination has that name already or locks it, or the server does not speak S3."
        : "Something at the destination has that name already or locks it."
    case "Rejected":
      return rejected(error, check, kind)
    case "SessionGone":
    case "SourceChanged":
    case "SourceUnreadable":
      return undefined
  }
}

/** Advice if a destination has not kept what it said it had stored. */
export const notStored = "Do not trust this destination with uploads until you know why."

/** Whether the message is a tus server's answer to a client of another protocol. */
export const speaksTus = (message: string): boolean => /tus-resumable/i.test(message)

/** Whether S3 says that a key was not found, as opposed to the bucket or the address. */
export const isOfOneKey = ({ message, reason }: Extract<UploadError, { readonly _tag: "Rejected" }>): boolean =>
  reason === "NotFound" && /\banswered 404 (?!NoSuchBucket\b)[A-Z][A-Za-z]+(?::|$)/.test(message)

/** Advice if the clocks differ. */
export const clock = "Set the clock of this machine, for example by turning on time synchronization."

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const signIn =
  "Open the address in a browser: if the network asks you to sign in, do so, and try again. If a proxy has answered, ask " +
  "its operator, or bypass it: list the host in NO_PROXY."

const unreachable =
  "Check the address, and whether it can be reached only through a proxy: see HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."

const connection: ReadonlyArray<readonly [RegExp, string]> = [
  [/ECONNREFUSED/, "Nothing listens there: check the host and the port, and that the server is running."],
  [/ENOTFOUND|EAI_AGAIN/, "No host has that name: check its spelling, and that DNS works on this machine."],
  [/TIMEOUT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/, `It does not answer: check for a firewall. ${unreachable}`],
  [
    /EPROTO|ECONNRESET|HTTP_PARSER|HPE_|is not HTTP|other side closed|SOCKET/i,
    "Another server may be answering there: check the port, and whether it is https:// or http://."
  ]
]

/** Advice about a proxy, by the error message. */
const proxies: ReadonlyArray<readonly [RegExp, (variable: string) => string]> = [
  [
    /^The proxy \S+ \((\w+)\) cannot be reached/,
    (variable) => `Check the address in ${variable}, and that the proxy is running. ${withoutProxy}`
  ],
  [
    /^The proxy \S+ \((\w+)\), on the way .* answered 407/,
    (variable) => `Put the user and the password into ${variable}, as in http://user:password@proxy:3128.`
  ],
  [
    /^The proxy \S+ \((\w+)\), on the way/,
    (variable) => `The proxy in ${variable} does not reach the destination: ask its operator. ${withoutProxy}`
  ],
  [
    /^The (?:address of the )?proxy in (\w+) /,
    (variable) =>
      `Set ${variable} to the address of an HTTP proxy, such as http://proxy:3128, or unset it. ${withoutProxy}`
  ],
  [
    / through the proxy \S+ \((\w+)\) failed/,
    (variable) => `Check that ${variable} names an HTTP proxy, and that it works. ${withoutProxy}`
  ]
]

const withoutProxy = "Hosts in NO_PROXY are reached without a proxy."

const forProxy = (message: string): string | undefined => {
  for (const [pattern, advice] of proxies) {
    const variable = pattern.exec(message)?.[1]
    if (variable !== undefined) return advice(variable)
  }
  return undefined
}

/** The S3 permission that each operation needs. */
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
        return "The secret key does not match the access key: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile."
      }
      return message.includes("InvalidAccessKeyId")
        ? "The server does not know the access key: check AWS_ACCESS_KEY_ID or the profile, and --endpoint."
        : undefined
    case "Forbidden":
      if (message.includes("WRONG_VERSION_NUMBER")) {
        return "The server does not speak TLS there: write http://, or another port."
      }
      if (message.includes("cannot be trusted")) {
        return "Its certificate comes from an authority that is not trusted here, or is not for this host. Name a file with " +
          "the authority's certificate with --ca."
      }
      return kind === "S3" ? `Allow ${permissions[check]} on this bucket and prefix, or use another profile.` : kind ===
          "Local"
        ? "Change the permissions there, or run sluice as a user who may write there."
        : httpCredentials
    case "NotFound":
      return kind === "S3"
        ? isOfOneKey(error)
          ? check === "write" || check === "nested"
            ? "The server refuses this name: upload the file under another one."
            : undefined
          : message.includes("NoSuchBucket") || check === "write" || check === "nested"
          ? "Create the bucket, or check its name, --endpoint and --region."
          : undefined
        : kind === "Local"
        ? "Create the directory, or check its name."
        : kind === "Http" && check === "nested"
        ? noDirectories
        : kind === "Http"
        ? "Check the path of the address: nothing there accepts files, or the server does not create directories and the " +
          "directory has to be created there first."
        : "Check the path of the address: nothing there accepts files."
    case "NoSpace":
      return "Free some space there, or have the quota raised."
    case "Redirected":
      return "Use the address of the redirect if you trust it: sluice does not follow redirects with credentials."
    case "Unsupported":
      if (kind === "Http" && /x-ms-|MissingRequiredHeader/i.test(message)) {
        return `It is Azure Blob Storage. ${blockBlob}`
      }
      if (/(?:know|told) the size|size is not known/.test(message)) return sizeless
      return check === "remove"
        ? undefined
        : kind === "Http"
        // A request that was never sent says nothing about the server.
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
  "The directory does not exist, and the server does not create it: many WebDAV servers do not. Create it first (MKCOL), " +
  "or upload to an existing one."

const sizeless = "Write it to a file first, and upload the file: then its size is known."

const takesNoFiles =
  "The server does not accept files by PUT there: check the address, or whether it is a tus server (tus+https://…)."

const unlikeS3 = "Check --provider and --path-style, which describe the server."

const flagsOfS3 =
  "Check --storage-class, --acl, --header and --if-absent, since not all servers support them, and --provider and " +
  "--path-style, which describe the server."

const isTus = "It is a tus server: write tus+https://… or tus+http://…"

const httpCredentials =
  "Set SLUICE_HTTP_TOKEN, or SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD, in the environment, and check their permissions."
