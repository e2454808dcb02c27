/**
 * S3, and everything that speaks it: one `PUT` for a small object, a multipart upload for a large one.
 *
 * Checksums go in a header, computed before the request is sent; so every body is read whole into memory, within the
 * uploader's budget. Requests are signed with version 4. Over TLS, and to this very machine, the payload is not part of
 * the signature; elsewhere it is. A request that comes to the wrong region, with a clock that is off or with credentials
 * that have expired is put right and sent once more, which is part of the same attempt and no retry. Credentials that
 * cannot be had, or do not come within a minute, are asked for once for all files that wait for them, and then not for 30
 * seconds, unless the failure may pass. The modification time is kept as `mtime` in the metadata, in seconds, as rclone does.
 *
 * An object is stored when the answer has an etag, or when a look shows what was sent: a page of somebody in between, or
 * an answer with nothing in it, is a failure whatever its status. A checksum that the server does not repeat in its
 * answer it may not have looked at: then the etag has to be the MD5 of what was sent. Where it is no MD5 either, and the
 * provider is not known to check that algorithm, the upload fails with `Rejected`.
 *
 * An upload in parts whose creation was carried out and never answered, because the connection broke just then, stays on
 * the server without its name being known to anybody: nothing is stored in it, and a rule of the bucket that ends
 * incomplete uploads after some days (`AbortIncompleteMultipartUpload`) sees to it. It is not looked for by its key,
 * since it cannot be told from somebody else's.
 *
 * What servers differ in is known of each {@link Provider}. Options that lead nowhere, such as an endpoint that is no
 * address, fail each upload with `Rejected`, before anything is sent.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { Destination } from "../Destination.js"
import { Transport } from "../Transport.js"
import type { UploadError } from "../UploadError.js"
import { Bucket } from "./internal/s3/bucket.js"
import { checked } from "./internal/s3/givenCredentials.js"
import { list } from "./internal/s3/listing.js"
import { Objects } from "./internal/s3/objects.js"
import { multipart } from "./internal/s3/parts.js"
import type * as Providers from "./internal/s3/provider.js"

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
  /**
   * When they expire, in milliseconds since the epoch: others are asked for a minute before. Defaults to when the server
   * says that they have.
   */
  readonly expiresAt?: number | undefined
}

/**
 * What servers differ in, by who makes them.
 *
 * | provider | known by its endpoint | checksum | `ifAbsent` |
 * |---|---|---|---|
 * | `aws` | `*.amazonaws.com`, or none | CRC-32 in a header; others on demand | yes |
 * | `r2` (Cloudflare) | `*.r2.cloudflarestorage.com`, region `auto` | MD5 | yes |
 * | `b2` (Backblaze) | `*.backblazeb2.com` | MD5 | refused |
 * | `gcs` (Google, by its XML API) | `storage.googleapis.com` | MD5 | refused |
 * | `minio` | by name only | MD5; others on demand | yes |
 * | `ceph` | by name only | MD5 | yes; of what goes in parts, by a look |
 * | `swift` (OpenStack) | by name only | MD5 | refused |
 * | `other` | all else | MD5 | by a look |
 *
 * By a look means that nobody knows whether the server heeds the condition: it is sent, and before that the key is looked
 * at; before an upload in parts is begun, and again before it is completed. Whoever writes between the look and the
 * request may be overwritten. Where looking is refused, so is the upload.
 *
 * Where something is refused, the upload fails with `Rejected` before anything is sent, since such servers would answer
 * with an error or, worse, overwrite. They differ, too, in how large an object, a part and the metadata may be, and in
 * whether an etag is an MD5 that can be checked.
 *
 * @since 0.1.0
 * @category models
 */
export type Provider = Providers.Provider

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** 3 characters at least: letters, digits, dots, dashes and underscores. */
  readonly bucket: string
  /** What every key begins with, such as `backups/2026/`. Defaults to nothing. */
  readonly prefix?: string | undefined
  /**
   * Defaults to what the endpoint's name tells, or else to `us-east-1`, with Cloudflare and Google to `auto`. Where the
   * bucket is elsewhere, the first answer tells.
   */
  readonly region?: string | undefined
  /** The server's address, such as `https://minio.example.org:9000`. Defaults to that of AWS in the region. */
  readonly endpoint?: string | undefined
  /**
   * Whether the bucket is in the path of addresses, and not in the host name. Defaults to `true` with an endpoint or with
   * dots in the bucket's name. Under a numeric address it always is.
   */
  readonly pathStyle?: boolean | undefined
  /**
   * Asked for before the first request, and again when what it gave has expired; once for all requests that wait for it.
   */
  readonly credentials: Effect.Effect<Credentials, UploadError>
  /** Defaults to what the endpoint is known for. */
  readonly provider?: Provider | undefined
  /** Whether an object that is there already is left alone: the upload of it then fails with `Conflict`. */
  readonly ifAbsent?: boolean | undefined
  /** Such as `STANDARD_IA`. */
  readonly storageClass?: string | undefined
  /** Such as `public-read`. */
  readonly acl?: string | undefined
  /** Such as `max-age=3600`. */
  readonly cacheControl?: string | undefined
  /** Such as `AES256` or `aws:kms`. */
  readonly serverSideEncryption?: string | undefined
  /** The key to encrypt with, where that is by `aws:kms`. */
  readonly kmsKeyId?: string | undefined
  /** Tags of every object. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Metadata of every object; those of a file come on top. Values may be any text, names are made tokens. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** More headers for every object, such as `content-disposition`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { prefix: "", ifAbsent: false } as const

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
    const bucket = new Bucket(transport, clock, {
      ...options,
      credentials: checked(options.credentials),
      prefix: options.prefix ?? defaults.prefix
    })
    const objects = new Objects(bucket, options)
    const { checksums, maxPutSize } = objects.profile
    return Destination.of({
      name: bucket.name,
      capabilities: { maxPutSize, unknownSize: false, wholeBodies: true, emptySegments: true, checksums },
      put: (request) => objects.put(request),
      head: (key) => objects.head(key),
      read: (key) => objects.read(key),
      list: list(bucket),
      remove: (key) => objects.remove(key),
      multipart: multipart(objects)
    })
  })
