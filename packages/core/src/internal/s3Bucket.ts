/**
 * A bucket to send requests to: where it is, who asks, and what is put right once when a request has gone wrong for a
 * reason that can be mended.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Body } from "../Destination.js"
import type * as Transport from "../Transport.js"
import { Rejected, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import * as Errors from "./s3Errors.js"
import * as Signer from "./s3Signer.js"

export interface BucketOptions {
  readonly bucket: string
  readonly prefix: string
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly pathStyle?: boolean | undefined
  readonly credentials: Effect.Effect<Signer.Credentials, UploadError>
  readonly ifAbsent?: boolean | undefined
  readonly storageClass?: string | undefined
  readonly acl?: string | undefined
  readonly cacheControl?: string | undefined
  readonly serverSideEncryption?: string | undefined
}

/** A request to the bucket, or to an object in it. */
export interface BucketRequest {
  readonly method: Transport.Request["method"]
  /** The key without the prefix; `undefined` for the bucket itself. */
  readonly key: string | undefined
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A body whose bytes are in memory already, or some bytes. */
  readonly body?: Body | Uint8Array | undefined
}

export interface Bucket {
  readonly name: string
  readonly options: BucketOptions
  /** Sends a request, and fails unless the answer is a success. */
  readonly ask: (request: BucketRequest) => Effect.Effect<Transport.Answer, UploadError>
  readonly open: (request: BucketRequest) => Effect.Effect<Transport.OpenAnswer, UploadError, Scope.Scope>
}

export const make = (
  transport: Transport.Transport["Type"],
  clock: Clock.Clock,
  options: BucketOptions
): Bucket => new Connection(transport, clock, options)

/** Encodes a key for the path of an address, as signatures want it. */
export const encodeKey = (key: string): string =>
  key.split("/").map((segment) =>
    encodeURIComponent(segment).replace(
      /[!'()*]/g,
      (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
    )
  ).join("/")

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** What a region is called, so that no answer can send us elsewhere. */
const regionName = /^[a-z0-9-]{1,40}$/

const localHosts: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"])

class Connection implements Bucket {
  readonly name: string
  readonly options: BucketOptions
  private readonly transport: Transport.Transport["Type"]
  private readonly clock: Clock.Clock
  private region: string
  /** How far the server's clock is ahead of ours, in milliseconds. */
  private skew = 0
  private signer: Signer.Signer | undefined = undefined

  constructor(transport: Transport.Transport["Type"], clock: Clock.Clock, options: BucketOptions) {
    this.transport = transport
    this.clock = clock
    this.options = options
    this.region = options.region ?? "us-east-1"
    this.name = `s3://${options.bucket}/${options.prefix}`.replace(/\/$/, "")
  }

  ask(request: BucketRequest): Effect.Effect<Transport.Answer, UploadError> {
    return this.attempt(request, true)
  }

  open(request: BucketRequest): Effect.Effect<Transport.OpenAnswer, UploadError, Scope.Scope> {
    return Effect.flatMap(this.signed(request), (signed) => this.transport.open(signed))
  }

  private get addressesPaths(): boolean {
    const { bucket, endpoint, pathStyle } = this.options
    return pathStyle ?? (endpoint !== undefined || bucket.includes("."))
  }

  private urlOf({ key, query = {} }: BucketRequest): string {
    const { bucket, endpoint, prefix } = this.options
    const base = new URL(endpoint ?? `https://s3.${this.region}.amazonaws.com`)
    const root = this.addressesPaths
      ? `${base.protocol}//${base.host}${base.pathname.replace(/\/$/, "")}/${bucket}`
      : `${base.protocol}//${bucket}.${base.host}${base.pathname.replace(/\/$/, "")}`
    const names = Object.entries(query)
    const search = names.length === 0
      ? ""
      : `?${
        names.map(([name, value]) => `${encodeURIComponent(name)}=${encodeKey(value).replaceAll("/", "%2F")}`).join("&")
      }`
    return `${root}${key === undefined ? "" : `/${encodeKey(prefix + key)}`}${search}`
  }

  private get signing(): Effect.Effect<Signer.Signer, UploadError> {
    return Effect.suspend(() =>
      this.signer !== undefined
        ? Effect.succeed(this.signer)
        : Effect.map(this.options.credentials, (credentials) => this.signer = Signer.make(credentials, this.region))
    )
  }

  private signed(request: BucketRequest): Effect.Effect<Transport.Request, UploadError> {
    const { body, headers = {}, method } = request
    const url = this.urlOf(request)
    const plain: Transport.Request = { method, url, headers, body }
    return Effect.flatMap(this.signing, (signer) => {
      const now = this.clock.unsafeCurrentTimeMillis() + this.skew
      const { hostname, protocol } = new URL(url)
      if (body === undefined || body instanceof Uint8Array) {
        return signer.sign(plain, Signer.hashOf(body ?? nothing), now)
      }
      if (protocol === "https:" || localHosts.has(hostname)) return signer.sign(plain, Signer.unsigned, now)
      // On its way in the clear the payload could be changed: the signature covers it.
      const sum = body.sum?.("sha256")
      return sum === undefined
        ? Effect.fail(new Rejected({ reason: "Unsupported", detail: `${this.name} needs TLS for bodies like this.` }))
        : signer.sign(plain, Signer.hexOf(sum), now)
    })
  }

  private attempt(request: BucketRequest, mayMend: boolean): Effect.Effect<Transport.Answer, UploadError> {
    return Effect.flatMap(this.signed(request), (signed) => this.transport.send(signed)).pipe(
      Effect.flatMap((answer) => {
        if (Errors.isSuccess(answer)) return Effect.succeed(answer)
        const error = Errors.read(answer, this.clock.unsafeCurrentTimeMillis())
        if (!mayMend || !this.mend(error)) return Effect.fail(Errors.classify(this.name, error))
        const { body } = request
        // A body is taken once: whoever gave it makes the request again.
        return body === undefined || body instanceof Uint8Array
          ? this.attempt(request, false)
          : Effect.fail(
            new Transient({ reason: "Unavailable", detail: `${Errors.classify(this.name, error).message}` })
          )
      })
    )
  }

  /** Puts right what the answer says is wrong with the request, and tells whether there was anything. */
  private mend(error: Errors.S3Error): boolean {
    if (Errors.expired.has(error.code)) {
      this.signer = undefined
      return true
    }
    if (Errors.skewed.has(error.code) && error.serverTime !== undefined) {
      this.skew = error.serverTime - this.clock.unsafeCurrentTimeMillis()
      return true
    }
    const { region, status } = error
    const misdirected = Errors.misdirected.has(error.code) || status === 301 || status === 307 || status === 400
    if (!misdirected || region === undefined || region === this.region || !regionName.test(region)) return false
    this.region = region
    this.signer = undefined
    return true
  }
}

const nothing = new Uint8Array(0)
