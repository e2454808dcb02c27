/**
 * Whole objects in a bucket: to put, to look at, to read, to list.
 */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Algorithm, Checksum } from "../Checksum.js"
import type { Body, CreateRequest, Head, Listed, PutRequest, Stored } from "../Destination.js"
import { Rejected, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import type { Bucket } from "./s3Bucket.js"
import * as Errors from "./s3Errors.js"
import * as Xml from "./s3Xml.js"

/** Puts an object in one request. */
export const put = (bucket: Bucket, request: PutRequest): Effect.Effect<Stored, UploadError> =>
  Effect.gen(function*() {
    const body = yield* request.body.whole
    const headers = { ...describe(bucket, request), ...sumHeader(body), ...condition(bucket) }
    const answer = yield* bucket.ask({ method: "PUT", key: request.key, headers, body })
    return { ...storedBy(answer.headers, body.checksum), size: body.size }
  })

/** A cheap look at an object. */
export const head = (bucket: Bucket, key: string): Effect.Effect<Option.Option<Head>, UploadError> =>
  bucket.ask({ method: "HEAD", key, headers: { "x-amz-checksum-mode": "ENABLED" } }).pipe(
    Effect.map(({ headers }) => Option.some(headOf(headers))),
    Effect.catchIf(
      (error) => error._tag === "Rejected" && error.reason === "NotFound",
      () => Effect.succeed(Option.none())
    )
  )

/** The bytes of an object. */
export const read = (bucket: Bucket, key: string): Stream.Stream<Uint8Array, UploadError> =>
  Stream.unwrapScoped(
    Effect.flatMap(bucket.open({ method: "GET", key }), ({ status, stream }) =>
      Errors.isSuccess({ status })
        ? Effect.succeed(stream)
        : Effect.fail(
          new Rejected({
            reason: status === 404 ? "NotFound" : "Unexpected",
            detail: `${bucket.name} answered ${status} for ${key}.`
          })
        ))
  )

/** All objects below the prefix. */
export const list = (bucket: Bucket): Stream.Stream<Listed, UploadError> => {
  const { prefix } = bucket.options
  const page = (token: string | undefined) =>
    Effect.gen(function*() {
      const query = {
        "list-type": "2",
        "encoding-type": "url",
        prefix,
        ...(token !== undefined && { "continuation-token": token })
      }
      const answer = yield* bucket.ask({ method: "GET", key: undefined, query })
      const root = yield* document(bucket, answer.body, "ListBucketResult")
      const listed = root.all("Contents").flatMap((content): ReadonlyArray<Listed> => {
        const key = decodeKey(content.text("Key") ?? "").slice(prefix.length)
        return key === "" ? [] : [{ key, size: Number(content.text("Size")), etag: content.text("ETag") }]
      })
      const next = root.text("IsTruncated") === "true" ? root.text("NextContinuationToken") : undefined
      return [listed, Option.map(Option.fromNullable(next), (more): string | undefined => more)] as const
    })
  return Stream.flatMap(
    Stream.paginateEffect(undefined as string | undefined, page),
    (listed) => Stream.fromIterable(listed)
  )
}

/** The headers that say what an object is. */
export const describe = (
  { options }: Bucket,
  request: Pick<CreateRequest, "contentType" | "metadata" | "modifiedAt">
): Record<string, string> => {
  const headers: Record<string, string> = { "content-type": request.contentType ?? "application/octet-stream" }
  if (options.cacheControl !== undefined) headers["cache-control"] = options.cacheControl
  if (options.storageClass !== undefined) headers["x-amz-storage-class"] = options.storageClass
  if (options.acl !== undefined) headers["x-amz-acl"] = options.acl
  if (options.serverSideEncryption !== undefined) headers["x-amz-server-side-encryption"] = options.serverSideEncryption
  for (const [name, value] of Object.entries(request.metadata ?? {})) {
    headers[`x-amz-meta-${metaName(name)}`] = metaValue(value)
  }
  if (request.modifiedAt !== undefined) headers[mtime] = String(request.modifiedAt / 1000)
  return headers
}

/** The header that says what has to arrive. */
export const sumHeader = ({ checksum }: Body): Record<string, string> =>
  checksum === undefined ? {} : { [headerOf(checksum.algorithm)]: checksum.value }

export const headerOf = (algorithm: Algorithm): string =>
  algorithm === "md5" ? "content-md5" : `x-amz-checksum-${algorithm}`

export const condition = ({ options }: Bucket): Record<string, string> =>
  options.ifAbsent === true ? { "if-none-match": "*" } : {}

/** What an answer says that was stored, for comparison with what was sent. */
export const storedBy = (
  headers: Readonly<Record<string, string>>,
  sent: Checksum | undefined
): Pick<Stored, "checksum" | "etag"> => {
  const etag = headers["etag"]
  if (sent === undefined) return { etag }
  if (sent.algorithm === "md5") {
    // An etag is the MD5 only where the object is neither encrypted with a key of its own nor stored otherwise.
    const md5 = headers["x-amz-server-side-encryption"] === undefined
      ? /^"?([0-9a-f]{32})"?$/.exec(etag ?? "")?.[1]
      : undefined
    const bytes = md5 === undefined ? Option.none() : Option.getRight(Encoding.decodeHex(md5))
    return Option.match(bytes, {
      onNone: () => ({ etag }),
      onSome: (digest) => ({ etag, checksum: { algorithm: "md5", value: Encoding.encodeBase64(digest) } })
    })
  }
  const value = headers[headerOf(sent.algorithm)]
  return value === undefined ? { etag } : { etag, checksum: { algorithm: sent.algorithm, value } }
}

/** Reads a document that has to have a certain root: one that is cut short or an error is no answer. */
export const document = (
  bucket: Bucket,
  body: Uint8Array,
  name: string
): Effect.Effect<Xml.Element, UploadError> => {
  const root = Option.getOrUndefined(Xml.parse(body))
  if (root?.name === name) return Effect.succeed(root)
  const code = root?.name === "Error" ? root.text("Code") : undefined
  return Effect.fail(
    code === undefined
      ? new Transient({ reason: "Unavailable", detail: `${bucket.name} sent an answer that cannot be read.` })
      : Errors.classify(bucket.name, {
        status: 500,
        code,
        message: root?.text("Message") ?? "",
        region: undefined,
        serverTime: undefined,
        retryAfterMillis: undefined
      })
  )
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const mtime = "x-amz-meta-mtime"

const headOf = (headers: Readonly<Record<string, string>>): Head => {
  const seconds = Number(headers[mtime])
  const algorithm = algorithms.find((name) => headers[headerOf(name)] !== undefined)
  const value = algorithm === undefined ? undefined : headers[headerOf(algorithm)]
  return {
    size: Number(headers["content-length"]),
    etag: headers["etag"],
    modifiedAt: headers[mtime] === undefined || Number.isNaN(seconds) ? undefined : Math.round(seconds * 1000),
    ...(algorithm !== undefined && value !== undefined && !value.includes("-") && { checksum: { algorithm, value } })
  }
}

const algorithms = ["crc64nvme", "crc32", "crc32c", "sha256"] as const

/** Names of metadata are tokens; what is not is encoded. */
const metaName = (name: string): string => name.toLowerCase().replace(/[^a-z0-9!#$&'*+.^_`|~-]/g, "-")

/** Values are printable ASCII; others are sent as RFC 2047 has it, which S3 understands. */
const metaValue = (value: string): string =>
  /^[\x20-\x7e]*$/.test(value) ? value : `=?UTF-8?B?${Encoding.encodeBase64(value)}?=`

const decodeKey = (text: string): string => {
  const spaced = text.replaceAll("+", "%20")
  return Option.getOrElse(Option.liftThrowable(decodeURIComponent)(spaced), () => text)
}
