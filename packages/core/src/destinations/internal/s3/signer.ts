/**
 * Version 4 signatures of requests whose path and query are already encoded. The signing key of each day is cached, and
 * nothing is asynchronous: a signature costs half as much as with `@smithy/signature-v4`. A test checks that both give
 * the same signatures.
 */
import { hmac as portableHmac } from "@noble/hashes/hmac.js"
import { sha256 } from "@noble/hashes/sha2.js"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as Checksum from "../../../Checksum.js"

/** The credentials of the client. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
}

/** A request to sign. */
export interface Signable {
  readonly method: string
  /** The path, encoded once, as it is sent. */
  readonly path: string
  /** The query, encoded and sorted, without `?`. */
  readonly query: string
  readonly host: string
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The hash of the body, or {@link unsigned}. */
  readonly payload: string
}

/** Stands for the hash of an unsigned body, which the connection protects. */
export const unsigned = "UNSIGNED-PAYLOAD"

/** The hash of a body, as used in signatures. */
export const hashOf = (bytes: Uint8Array): string => Encoding.encodeHex(digestOf(bytes))

/** A SHA-256 checksum, as used in signatures. */
export const hexOf = (sum: Checksum.Checksum): string => Encoding.encodeHex(Checksum.digestOf(sum) ?? new Uint8Array())

/** The names of headers, as given and as signed. */
interface Order {
  readonly given: ReadonlyArray<string>
  readonly list: ReadonlyArray<string>
  readonly names: string
}

/** Signs requests with one set of credentials. */
export class Signer {
  readonly credentials: Credentials
  private readonly crypto: Crypto
  private scope = ""
  private key: Uint8Array = new Uint8Array()
  private second = -1
  private stamp = ""
  private order: Order = { given: [], list: [], names: "" }

  constructor(credentials: Credentials, crypto: Crypto = native ?? portable) {
    this.credentials = credentials
    this.crypto = crypto
  }

  /** The headers of a request, signed at `now`, in milliseconds since the epoch. */
  sign({ headers, host, method, path, payload, query }: Signable, region: string, now: number): Record<string, string> {
    const { accessKeyId, sessionToken } = this.credentials
    const stamp = this.stampOf(now)
    const scope = `${stamp.slice(0, 8)}/${region}/s3/aws4_request`
    if (scope !== this.scope) this.deriveKey(scope)
    // In the opposite order V8 takes ten times as long.
    const signed: Record<string, string> = { host, "x-amz-content-sha256": payload, "x-amz-date": stamp, ...headers }
    if (sessionToken !== undefined) signed["x-amz-security-token"] = Redacted.value(sessionToken)
    const { list, names } = this.orderOf(signed)
    let lines = ""
    for (const name of list) lines += `${name}:${collapse(signed[name]!)}\n`
    const canonical = this.crypto.hash(`${method}\n${path}\n${query}\n${lines}\n${names}\n${payload}`)
    const signature = this.crypto.sign(this.key, `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${canonical}`)
    signed["authorization"] =
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`
    return signed
  }

  /** The signed names, sorted: most requests have the same names as the previous one. */
  private orderOf(headers: Readonly<Record<string, string>>): Order {
    let at = 0
    for (const name in headers) {
      if (this.order.given[at++] !== name) {
        at = -1
        break
      }
    }
    if (at !== this.order.given.length) {
      const given = Object.keys(headers)
      const list = given.filter((name) => !neverSigned.has(name)).sort()
      this.order = { given, list, names: list.join(";") }
    }
    return this.order
  }

  private stampOf(now: number): string {
    const second = Math.floor(now / 1000)
    if (second !== this.second) {
      this.second = second
      this.stamp = new Date(second * 1000).toISOString().replace(/\.\d{3}|[-:]/g, "")
    }
    return this.stamp
  }

  private deriveKey(scope: string): void {
    const secret = new TextEncoder().encode(`AWS4${Redacted.value(this.credentials.secretAccessKey)}`)
    this.key = scope.split("/").reduce((key, step) => this.crypto.hmac(key, step), secret)
    this.scope = scope
  }
}

/** The hash functions that signatures use. */
export interface Crypto {
  /** SHA-256 of a text, in hexadecimal. */
  readonly hash: (text: string) => string
  readonly hmac: (key: Uint8Array, text: string) => Uint8Array
  /** The same in hexadecimal. */
  readonly sign: (key: Uint8Array, text: string) => string
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Uses nothing from the platform. */
export const portable: Crypto = {
  hash: (text) => Encoding.encodeHex(sha256(encode(text))),
  hmac: (key, text) => portableHmac(sha256, key, encode(text)),
  sign: (key, text) => Encoding.encodeHex(portableHmac(sha256, key, encode(text)))
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The platform's own functions, if it has any. */
const native = ((): Crypto | undefined => {
  const crypto = globalThis.process?.getBuiltinModule?.("node:crypto")
  if (crypto?.createHmac === undefined) return undefined
  // The one-shot call takes half the time.
  const { hash } = crypto
  return {
    hash: hash === undefined
      ? (text) => crypto.createHash("sha256").update(text).digest("hex")
      : (text) => hash("sha256", text, "hex"),
    hmac: (key, text) => crypto.createHmac("sha256", key).update(text).digest(),
    sign: (key, text) => crypto.createHmac("sha256", key).update(text).digest("hex")
  }
})()

const digestOf = (bytes: Uint8Array): Uint8Array => {
  const fold = Checksum.make("sha256")
  fold.update(bytes)
  return fold.digest()
}

/** Headers that proxies may change. */
const neverSigned: ReadonlySet<string> = new Set([
  "cache-control",
  "connection",
  "expect",
  "from",
  "keep-alive",
  "max-forwards",
  "pragma",
  "referer",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "x-amzn-trace-id"
])

const collapse = (value: string): string =>
  /^\s|\s$|\s\s|[\t\n]/.test(value) ? value.trim().replace(/\s+/g, " ") : value
