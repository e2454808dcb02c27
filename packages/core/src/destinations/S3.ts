/**
 * S3 and compatible servers: one `PUT` for a small object, a multipart upload for a large one.
 *
 * Checksums go in a header, computed before the request is sent, so every body is read whole into memory, within the
 * uploader's budget. Requests are signed with Signature Version 4. The signature covers the payload, except over TLS
 * and to the local machine. A request that goes to the wrong region, with a wrong clock or with expired credentials is
 * corrected and sent once more, within the same attempt and not as a retry. Credentials are requested once for all
 * files that wait for them. If they cannot be obtained, or do not arrive within a minute, they are not requested again
 * for 30 seconds, unless the failure may pass. The modification time is kept as `mtime` in the metadata, in seconds, as
 * rclone does.
 *
 * An object counts as stored when the answer has an etag, or when a look at the object shows what was sent: a page from
 * an intermediary, or an empty answer, is a failure whatever its status. If the server does not repeat a checksum in
 * its answer, it may not have checked it: then the etag must be the MD5 of what was sent. If the etag is not an MD5,
 * and the provider is not known to check that algorithm, the upload fails with `Rejected`.
 *
 * If the server creates a multipart upload but its answer is lost because the connection broke at that moment, the
 * upload stays on the server under a name that nobody knows. Nothing is stored in it, and a bucket rule that ends
 * incomplete uploads after some days (`AbortIncompleteMultipartUpload`) removes it. It is not looked up by its key,
 * because it cannot be distinguished from somebody else's.
 *
 * The differences between servers are known for each {@link Provider}. With invalid options, such as an endpoint that
 * is not an address, each upload fails with `Rejected` before anything is sent.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { Destination } from "../Destination.js"
import * as Decode from "../internal/values/decode.js"
import { Transport } from "../Transport.js"
import type { UploadError } from "../UploadError.js"
import { Bucket } from "./internal/s3/bucket.js"
import { checked } from "./internal/s3/givenCredentials.js"
import { list } from "./internal/s3/listing.js"
import { Objects } from "./internal/s3/objects.js"
import { multipart } from "./internal/s3/parts.js"
import type * as Providers from "./internal/s3/provider.js"

/**
 * The credentials of the client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
  /**
   * When they expire, in milliseconds since the epoch: new ones are requested a minute before. Defaults to when the
   * server says that they have expired.
   */
  readonly expiresAt?: number | undefined
}

/**
 * The differences between servers, by provider.
 *
 * | provider | known by its endpoint | checksum | `ifAbsent` |
 * |---|---|---|---|
 * | `aws` | `*.amazonaws.com`, or none | CRC-32 in a header; others on demand | yes |
 * | `r2` (Cloudflare) | `*.r2.cloudflarestorage.com`, region `auto` | MD5 | yes |
 * | `b2` (Backblaze) | `*.backblazeb2.com` | MD5 | refused |
 * | `gcs` (Google, by its XML API) | `storage.googleapis.com` | MD5 | refused |
 * | `minio` | by name only | MD5; others on demand | yes |
 * | `ceph` | by name only | MD5 | yes; for multipart uploads, by a look |
 * | `swift` (OpenStack) | by name only | MD5 | refused |
 * | `other` | all else | MD5 | by a look |
 *
 * "By a look" means that the server may not heed the condition: the condition is sent, and the key is looked at before
 * that; for a multipart upload, before it is created and again before it is completed. A write between the look and the
 * request may be overwritten. If looking is refused, so is the upload.
 *
 * "Refused" means that the upload fails with `Rejected` before anything is sent, because such servers would answer with
 * an error or, worse, overwrite. Providers also differ in the largest object, part and metadata, and in whether an etag
 * is an MD5 that can be checked.
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
  /** The bucket: at least 3 characters out of letters, digits, dots, dashes and underscores. */
  readonly bucket: string
  /** A prefix for every key, such as `backups/2026/`. Defaults to nothing. */
  readonly prefix?: string | undefined
  /**
   * The region. Defaults to the one in the endpoint's name, or else to `us-east-1`, and to `auto` for Cloudflare and
   * Google. If the bucket is elsewhere, the first answer says so.
   */
  readonly region?: string | undefined
  /** The server's address, such as `https://minio.example.org:9000`. Defaults to the one of AWS in the region. */
  readonly endpoint?: string | undefined
  /**
   * Whether the bucket is in the path of addresses instead of in the host name. Defaults to `true` with an endpoint or
   * with dots in the bucket's name. With a numeric address it is always in the path.
   */
  readonly pathStyle?: boolean | undefined
  /**
   * Runs before the first request and again when the credentials have expired; once for all requests that wait for
   * them.
   */
  readonly credentials: Effect.Effect<Credentials, UploadError>
  /** The provider. Defaults to the one known by the endpoint. */
  readonly provider?: Provider | undefined
  /** Whether an existing object is left alone: its upload then fails with `Conflict`. Defaults to `false`. */
  readonly ifAbsent?: boolean | undefined
  /** The storage class, such as `STANDARD_IA`. */
  readonly storageClass?: string | undefined
  /** The canned ACL, such as `public-read`. */
  readonly acl?: string | undefined
  /** The `Cache-Control` header, such as `max-age=3600`. */
  readonly cacheControl?: string | undefined
  /** The server-side encryption, such as `AES256` or `aws:kms`. */
  readonly serverSideEncryption?: string | undefined
  /** The encryption key for `aws:kms`. */
  readonly kmsKeyId?: string | undefined
  /** Tags of every object. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Metadata of every object; a file's own metadata is added. Values may be any text; names are made into tokens. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** More headers for every object, such as `content-disposition`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * The options as {@link layerConfig} takes them: credentials from a configuration are known beforehand.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConfigOptions extends Omit<Options, "credentials"> {
  /** The credentials, such as {@link credentialsConfig}, or an effect that gets and renews them. */
  readonly credentials: Credentials | Effect.Effect<Credentials, UploadError>
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { prefix: "", ifAbsent: false } as const

/**
 * Credentials from the configuration, under the names that AWS gives them in the environment: `AWS_ACCESS_KEY_ID`,
 * `AWS_SECRET_ACCESS_KEY` and, for a session, `AWS_SESSION_TOKEN`. An empty value counts as missing; a missing one is
 * `MissingData`, by its name. Profiles, roles and other sources of AWS are not searched, and credentials that expire
 * are not renewed: for these, an effect gets the credentials.
 *
 * @since 0.1.0
 * @category config
 */
export const credentialsConfig: Config.Config<Credentials> = Config.map(
  Config.all({
    accessKeyId: Config.nonEmptyString("AWS_ACCESS_KEY_ID"),
    secretAccessKey: Config.redacted(Config.nonEmptyString("AWS_SECRET_ACCESS_KEY")),
    sessionToken: Config.option(Config.redacted(Config.nonEmptyString("AWS_SESSION_TOKEN")))
  }),
  ({ sessionToken, ...keys }) => ({ ...keys, sessionToken: Option.getOrUndefined(sessionToken) })
)

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
 * A bucket as a destination, with options from the configuration: each is a `Config`. An option that the program
 * decides itself, such as an effect that renews credentials, is a `Config.succeed`.
 *
 * @example
 * ```ts
 * import * as S3 from "@sluice/core/destinations/S3"
 * import { Config } from "effect"
 *
 * const BackupsLayer = S3.layerConfig({
 *   bucket: Config.string("S3_BUCKET"),
 *   endpoint: Config.withDefault(Config.string("S3_ENDPOINT"), undefined),
 *   credentials: S3.credentialsConfig
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<ConfigOptions>
): Layer.Layer<Destination, ConfigError, Transport> =>
  Layer.effect(
    Destination,
    Decode.configured(config, ({ credentials, ...options }: ConfigOptions) =>
      make({ ...options, credentials: Effect.isEffect(credentials) ? credentials : Effect.succeed(credentials) }))
  )

/**
 * Makes a destination from a bucket. Nothing is sent before the first upload.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<Destination["Type"], never, Transport> {
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
  }
)
