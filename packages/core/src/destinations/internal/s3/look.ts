/**
 * Looks at objects in a bucket: with `HEAD` and, if that is not enough, by reading the first byte of the object or by
 * listing it alone.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import type { Algorithm, Checksum } from "../../../Checksum.js"
import type { Head } from "../../../Destination.js"
import * as Etag from "../../../internal/values/etag.js"
import type * as Transport from "../../../Transport.js"
import { Rejected } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import type { Bucket } from "./bucket.js"
import * as Evidence from "./evidence.js"
import * as Metadata from "./metadata.js"
import type { Profile } from "./provider.js"

type Headers = Transport.Head["headers"]

/** The header for the checksum of what is sent, or of what has arrived. */
export const headerOf = (algorithm: Algorithm): string => checksumHeaders[algorithm]

/** The MD5 in an etag, unless the object is encrypted with a key that is not the server's own. */
export const md5Of = (headers: Headers, { provider }: Profile): Checksum | undefined => {
  const encryption = headers["x-amz-server-side-encryption"]
  const isPlain = headers["x-amz-server-side-encryption-customer-algorithm"] === undefined &&
    (encryption === undefined || (encryption === "AES256" && provider === "aws"))
  const md5 = isPlain ? Etag.md5Of(headers["etag"]) : undefined
  const digest = md5 === undefined ? undefined : Either.getOrUndefined(Encoding.decodeHex(md5))
  return digest === undefined ? undefined : { algorithm: "md5", value: Encoding.encodeBase64(digest) }
}

/** A cheap look at an object. */
export const head = (
  bucket: Bucket,
  profile: Profile,
  key: string
): Effect.Effect<Option.Option<Head>, UploadError> => {
  // Other servers may not know this header.
  const headers = profile.checksums[0] === "md5" && profile.checksums.length === 1
    ? undefined
    : { "x-amz-checksum-mode": "ENABLED" }
  return bucket.ask({ method: "HEAD", key, subject: "object", headers }).pipe(
    Effect.flatMap((answer): Effect.Effect<Option.Option<Head>, UploadError> => {
      if (Evidence.isOfPage(answer)) return Effect.fail(Evidence.pageOf(bucket.name))
      const size = sizeIn(answer.headers["content-length"])
      return size === undefined
        ? Effect.map(otherwise(bucket, key), Option.map((found) => headOf(answer.headers, profile, found)))
        : Effect.succeed(Option.some(headOf(answer.headers, profile, { size })))
    }),
    Effect.catchIf(isMissing, () => Effect.succeedNone)
  )
}

/** Whether there is nothing under a key, or nothing any more. */
export const isMissing = (error: UploadError): error is Rejected =>
  error._tag === "Rejected" && error.reason === "NotFound"

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const algorithms = ["crc64nvme", "crc32", "crc32c", "sha256"] as const

// Written out: concatenated names would be looked up again for every object.
const checksumHeaders: Readonly<Record<Algorithm, string>> = {
  crc32: "x-amz-checksum-crc32",
  crc32c: "x-amz-checksum-crc32c",
  crc64nvme: "x-amz-checksum-crc64nvme",
  md5: "content-md5",
  sha256: "x-amz-checksum-sha256"
}

const sizeIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined

const headOf = (headers: Headers, profile: Profile, found: Pick<Head, "etag" | "size">): Head => {
  const algorithm = algorithms.find((name) => headers[headerOf(name)] !== undefined)
  const value = algorithm === undefined ? undefined : headers[headerOf(algorithm)]
  const checksum = algorithm !== undefined && value !== undefined && !value.includes("-")
    ? { algorithm, value }
    : profile.etagIsMd5
    ? md5Of(headers, profile)
    : undefined
  return {
    size: found.size,
    etag: Etag.read(headers["etag"]) ?? found.etag,
    modifiedAt: Metadata.modifiedAt(headers),
    ...(checksum !== undefined && { checksum })
  }
}

/** The size of an object if a look did not tell it: some proxies leave it out. */
const otherwise = (
  bucket: Bucket,
  key: string
): Effect.Effect<Option.Option<Pick<Head, "etag" | "size">>, UploadError> =>
  Effect.flatMap(ranged(bucket, key), (size) =>
    size !== undefined
      ? Effect.succeed(Option.some({ size }))
      : Effect.matchEffect(listed(bucket, key), {
        onFailure: (error) => Effect.fail(isPassing(error) ? error : unsaid(bucket, key)),
        onSuccess: (found) => Option.isSome(found) ? Effect.succeed(found) : Effect.fail(unsaid(bucket, key))
      }))

/** The size of the whole from the answer to a request for its first byte. */
const ranged = (bucket: Bucket, key: string): Effect.Effect<number | undefined, UploadError> =>
  bucket.open({ method: "GET", key, subject: "object", headers: { range: "bytes=0-0" } }).pipe(
    Effect.map((answer) =>
      Evidence.isOfPage(answer)
        ? undefined
        : answer.status === 206
        ? sizeIn(/\/(\d+)\s*$/.exec(answer.headers["content-range"] ?? "")?.[1])
        : sizeIn(answer.headers["content-length"])
    ),
    Effect.scoped,
    // An empty object has no first byte. A server that refuses otherwise may still list.
    Effect.catchTag("Rejected", ({ detail }) => Effect.succeed(/answered 416\b/.test(detail) ? 0 : undefined))
  )

/** The size of an object from a listing of its key. */
const listed = (
  bucket: Bucket,
  key: string
): Effect.Effect<Option.Option<Pick<Head, "etag" | "size">>, UploadError> => {
  const prefix = bucket.prefix + key
  const query = { "list-type": "2", "encoding-type": "url", "max-keys": "1", prefix }
  return bucket.ask({ method: "GET", key: undefined, subject: "object", query }).pipe(
    Effect.flatMap((answer) => Evidence.document(bucket.name, answer, { root: "ListBucketResult", subject: "object" })),
    Effect.map((root) => {
      const [first] = root.all("Contents")
      const size = first?.count("Size")
      const isIt = first !== undefined && Evidence.keyIn(root, first) === prefix
      return isIt && size !== undefined
        ? Option.some({ size, etag: Etag.read(first.text("ETag")) })
        : Option.none()
    })
  )
}

const isPassing = (error: UploadError): boolean =>
  error._tag === "Throttled" || (error._tag === "Transient" && error.reason !== "Unavailable")

const unsaid = ({ name }: Bucket, key: string) =>
  new Rejected({ reason: "Unexpected", detail: `${name} does not report the size of ${key}.` })
