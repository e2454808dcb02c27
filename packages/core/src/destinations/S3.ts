/**
 * S3, and everything that speaks it: one `PUT` for a small object, a multipart upload for a large one.
 *
 * Checksums go in a header, computed before the request is sent; so every body is read whole into memory, within the
 * uploader's budget. Requests are signed with version 4. Over TLS, and to this very machine, the payload is not part of
 * the signature; elsewhere it is. A request that comes to the wrong region, with a clock that is off or with credentials
 * that have expired is put right and sent once more. The modification time is kept as `mtime` in the metadata, in
 * seconds, as rclone does.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { Algorithm } from "../Checksum.js"
import { Destination } from "../Destination.js"
import * as Bucket from "../internal/s3Bucket.js"
import * as Objects from "../internal/s3Objects.js"
import { multipart } from "../internal/s3Parts.js"
import { Transport } from "../Transport.js"
import type { UploadError } from "../UploadError.js"

/**
 * Who is asking.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
}

/**
 * What servers differ in. `aws` has checksums in headers; the others are sent an MD5, which all of them check.
 *
 * @since 0.1.0
 * @category models
 */
export type Provider = "aws" | "r2" | "b2" | "minio" | "ceph" | "swift" | "gcs" | "other"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly bucket: string
  /** What every key begins with, such as `backups/2026/`. Defaults to nothing. */
  readonly prefix?: string | undefined
  /** Defaults to `us-east-1`; where the bucket is elsewhere, the first answer tells. */
  readonly region?: string | undefined
  /** The server's address, such as `https://minio.example.org:9000`. Defaults to that of AWS in the region. */
  readonly endpoint?: string | undefined
  /** Whether the bucket is in the path of addresses, and not in the host name. Defaults to `true` with an endpoint. */
  readonly pathStyle?: boolean | undefined
  /** Asked for before the first request, and again when what it gave has expired. */
  readonly credentials: Effect.Effect<Credentials, UploadError>
  /** Defaults to what the endpoint is known for. */
  readonly provider?: Provider | undefined
  /** Whether an object that is there already is left alone: the upload of it then fails with `Conflict`. */
  readonly ifAbsent?: boolean | undefined
  /** Such as `STANDARD_IA`. */
  readonly storageClass?: string | undefined
  /** Such as `public-read`. */
  readonly acl?: string | undefined
  readonly cacheControl?: string | undefined
  /** Such as `AES256` or `aws:kms`. */
  readonly serverSideEncryption?: string | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { prefix: "", region: "us-east-1", ifAbsent: false } as const

/**
 * A bucket as a destination.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import * as S3 from "@sluice/core/destinations/S3"
 * import * as TransportNode from "@sluice/core/TransportNode"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const BackupUploader = Uploader.layer().pipe(
 *   Layer.provide(S3.layer({
 *     bucket: "backups",
 *     region: "eu-central-1",
 *     credentials: Effect.succeed({
 *       accessKeyId: "AKIDEXAMPLE",
 *       secretAccessKey: Redacted.make("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
 *     })
 *   })),
 *   Layer.provide(TransportNode.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Destination, never, Transport> =>
  Layer.effect(Destination, make(options))

/**
 * Makes a destination of a bucket. Nothing is sent before the first upload.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Destination["Type"], never, Transport> =>
  Effect.gen(function*() {
    const transport = yield* Transport
    const clock = yield* Clock.clockWith(Effect.succeed)
    const bucket = Bucket.make(transport, clock, { ...options, prefix: options.prefix ?? defaults.prefix })
    const checksums = checksumsOf(options.provider ?? providerOf(options.endpoint))
    return Destination.of({
      name: bucket.name,
      capabilities: { maxPutSize: maxPutSize, unknownSize: false, wholeBodies: true, checksums },
      put: (request) => Objects.put(bucket, request),
      head: (key) => Objects.head(bucket, key),
      read: (key) => Objects.read(bucket, key),
      list: Objects.list(bucket),
      multipart: multipart(bucket)
    })
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const maxPutSize = 5 * 1024 ** 3

const checksumsOf = (provider: Provider): ReadonlyArray<Algorithm> =>
  provider === "aws" ? ["crc32", "crc32c", "crc64nvme", "sha256", "md5"] : ["md5"]

const providerOf = (endpoint: string | undefined): Provider => {
  if (endpoint === undefined) return "aws"
  const { hostname } = new URL(endpoint)
  return hostname.endsWith(".amazonaws.com") || hostname.endsWith(".amazonaws.com.cn") ? "aws" : "other"
}
