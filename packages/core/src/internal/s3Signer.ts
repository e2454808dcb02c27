/**
 * Signatures of version 4, by `@smithy/signature-v4`, which keeps the keys that it derives.
 */
import { SignatureV4 } from "@smithy/signature-v4"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as Checksum from "../Checksum.js"
import type { Request } from "../Transport.js"
import { Rejected } from "../UploadError.js"

/** Who is asking. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
}

/** Signs requests for one region with one set of credentials. */
export interface Signer {
  /** Signs as of `now`, in milliseconds since the epoch. `payload` is what the body hashes to. */
  readonly sign: (request: Request, payload: string, now: number) => Effect.Effect<Request, Rejected>
}

/** What stands for the hash of a body that is not signed: the connection vouches for it. */
export const unsigned = "UNSIGNED-PAYLOAD"

/** The hash of a body, as signatures have it. */
export const hashOf = (bytes: Uint8Array): string => Encoding.encodeHex(digestOf(bytes))

/** A checksum by SHA-256, as signatures have it. */
export const hexOf = (sum: Checksum.Checksum): string => Encoding.encodeHex(Checksum.digestOf(sum) ?? new Uint8Array())

export const make = (credentials: Credentials, region: string): Signer => {
  const { sessionToken } = credentials
  const signer = new SignatureV4({
    credentials: {
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: Redacted.value(credentials.secretAccessKey),
      ...(sessionToken !== undefined && { sessionToken: Redacted.value(sessionToken) })
    },
    region,
    service: "s3",
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false
  })
  return {
    sign: (request, payload, now) => {
      const url = new URL(request.url)
      return Effect.map(
        Effect.tryPromise({
          try: () =>
            signer.sign({
              method: request.method,
              protocol: url.protocol,
              hostname: url.hostname,
              path: url.pathname,
              query: Object.fromEntries(url.searchParams),
              headers: { ...request.headers, host: url.host, "x-amz-content-sha256": payload }
            }, { signingDate: new Date(now) }),
          catch: (cause) => new Rejected({ reason: "Unauthorized", detail: "The request could not be signed.", cause })
        }),
        ({ headers }) => ({ ...request, headers })
      )
    }
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const digestOf = (bytes: Uint8Array): Uint8Array => {
  const fold = Checksum.make("sha256")
  fold.update(bytes)
  return fold.digest()
}

const bytesOf = (data: string | ArrayBuffer | ArrayBufferView): Uint8Array =>
  typeof data === "string"
    ? new TextEncoder().encode(data)
    : ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)

const blockSize = 64

/** SHA-256, and HMAC of it where there is a secret, as the signer wants to be given it. */
class Sha256 {
  private readonly fold = Checksum.make("sha256")
  private readonly outer: Checksum.Fold | undefined

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    if (secret === undefined) return
    const given = bytesOf(secret)
    const key = new Uint8Array(blockSize)
    key.set(given.length > blockSize ? digestOf(given) : given)
    this.fold.update(key.map((byte) => byte ^ 0x36))
    this.outer = Checksum.make("sha256")
    this.outer.update(key.map((byte) => byte ^ 0x5c))
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.fold.update(bytesOf(data))
  }

  async digest(): Promise<Uint8Array> {
    const inner = this.fold.digest()
    if (this.outer === undefined) return inner
    this.outer.update(inner)
    return this.outer.digest()
  }

  reset(): void {}
}
