/**
 * Whole objects in a bucket: to put, to look at, to read, to remove.
 */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Algorithm, Checksum } from "../Checksum.js"
import type { Body, Head, PutRequest, Stored } from "../Destination.js"
import type { Answer } from "../Transport.js"
import { Rejected, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import type { Bucket } from "./s3Bucket.js"
import * as Errors from "./s3Errors.js"
import * as Metadata from "./s3Metadata.js"
import * as Provider from "./s3Provider.js"
import * as Xml from "./s3Xml.js"

export interface ObjectOptions extends Metadata.MetadataOptions {
  readonly ifAbsent?: boolean | undefined
}

/** What is done with whole objects, and how all that is written is described. */
export class Objects {
  readonly bucket: Bucket
  readonly profile: Provider.Profile
  readonly describe: ReturnType<typeof Metadata.make>
  private readonly ifAbsent: boolean
  /** Keys that are to be absent, and of which nobody knows whether a request of ours has changed that. */
  private readonly inDoubt = new Set<string>()

  constructor(bucket: Bucket, options: ObjectOptions) {
    this.bucket = bucket
    this.profile = bucket.profile ?? Provider.of("other")
    this.describe = Metadata.make(options, this.profile)
    this.ifAbsent = options.ifAbsent === true
  }

  /** Puts an object in one request. */
  put(request: PutRequest): Effect.Effect<Stored, UploadError> {
    const headers = this.describe(request)
    if (headers._tag === "Left") return headers
    return Effect.flatMap(request.body.whole, (body) => {
      const { checksum } = body
      if (checksum !== undefined) headers.right[headerOf(checksum.algorithm)] = checksum.value
      if (this.ifAbsent) return this.putIfAbsent(request, body, headers.right)
      return this.send(request.key, body, headers.right)
    })
  }

  /** A cheap look at an object. */
  head(key: string): Effect.Effect<Option.Option<Head>, UploadError> {
    // Others need not know of this header.
    const headers = this.profile.checksums[0] === "md5" && this.profile.checksums.length === 1
      ? undefined
      : { "x-amz-checksum-mode": "ENABLED" }
    return this.bucket.ask({ method: "HEAD", key, subject: "object", headers }).pipe(
      Effect.flatMap((answer) => {
        const found = this.headOf(answer.headers)
        return found === undefined
          ? Effect.fail(
            new Rejected({ reason: "Unexpected", detail: `${this.bucket.name} does not tell how large ${key} is.` })
          )
          : Effect.succeed(Option.some(found))
      }),
      Effect.catchIf(isMissing, () => Effect.succeedNone)
    )
  }

  /** The bytes of an object. */
  read(key: string): Stream.Stream<Uint8Array, UploadError> {
    return Stream.unwrapScoped(
      Effect.map(this.bucket.open({ method: "GET", key, subject: "object" }), ({ stream }) => stream)
    )
  }

  /** Removes an object, if it is there. */
  remove(key: string): Effect.Effect<void, UploadError> {
    return Effect.catchIf(
      Effect.asVoid(this.bucket.ask({ method: "DELETE", key, subject: "object" })),
      (error) => isMissing(error) && !error.detail.includes("NoSuchBucket"),
      () => Effect.void
    )
  }

  /** The header that a condition is made with; fails where the server has none. */
  condition(isKnown: boolean | undefined): Effect.Effect<Record<string, string>, Rejected> {
    if (!this.ifAbsent) return Effect.succeed({})
    return isKnown === false
      ? Effect.fail(
        new Rejected({
          reason: "Unsupported",
          detail: `${this.bucket.name} cannot be asked to leave alone what is there already.`
        })
      )
      : Effect.succeed(absent)
  }

  /** What an answer says that was stored, for comparison with what was sent. */
  storedBy(
    { headers }: Answer,
    sent: Checksum | undefined,
    etagIsMd5: boolean
  ): Pick<Stored, "checksum" | "etag"> {
    const etag = headers["etag"]
    if (sent === undefined) return { etag, checksum: undefined }
    if (sent.algorithm === "md5") return { etag, checksum: etagIsMd5 ? this.md5Of(headers) : undefined }
    const value = headers[headerOf(sent.algorithm)]
    return { etag, checksum: value === undefined ? undefined : { algorithm: sent.algorithm, value } }
  }

  private send(key: string, body: Body, headers: Record<string, string>): Effect.Effect<Stored, UploadError> {
    return Effect.flatMap(
      this.bucket.ask({ method: "PUT", key, subject: "object", headers, body }),
      (answer): Effect.Effect<Stored, UploadError> => {
        const error = answer.body.length === 0 ? undefined : errorIn(this.bucket, answer.body, "object")
        if (error !== undefined) return Effect.fail(error)
        body.release()
        const { checksum, etag } = this.storedBy(answer, body.checksum, this.profile.etagIsMd5)
        return Effect.succeed({ etag, checksum, size: body.size })
      }
    )
  }

  /** A conflict that follows a request whose answer was lost may be with that request: then a look settles it. */
  private putIfAbsent(
    { key, modifiedAt }: PutRequest,
    body: Body,
    headers: Record<string, string>
  ): Effect.Effect<Stored, UploadError> {
    const wasInDoubt = this.inDoubt.has(key)
    return Effect.flatMap(
      this.condition(this.profile.conditionalPut),
      (condition) => this.send(key, body, { ...headers, ...condition })
    ).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          const isLost = Exit.isInterrupted(exit) || (Exit.isFailure(exit) && exit.cause._tag === "Fail" &&
            exit.cause.error._tag === "Transient")
          if (isLost) this.inDoubt.add(key)
          else this.inDoubt.delete(key)
        })
      ),
      Effect.catchTag("Conflict", (conflict) =>
        wasInDoubt
          ? Effect.flatMap(this.head(key), (found) =>
            Option.exists(found, (head) => isSame(head, body, modifiedAt))
              ? Effect.succeed<Stored>({ etag: Option.getOrUndefined(found)?.etag, size: body.size })
              : Effect.fail(conflict))
          : Effect.fail(conflict))
    )
  }

  private headOf(headers: Answer["headers"]): Head | undefined {
    const size = headers["content-length"]
    if (size === undefined || !/^\d+$/.test(size)) return undefined
    const algorithm = algorithms.find((name) => headers[headerOf(name)] !== undefined)
    const value = algorithm === undefined ? undefined : headers[headerOf(algorithm)]
    const checksum = algorithm !== undefined && value !== undefined && !value.includes("-")
      ? { algorithm, value }
      : this.profile.etagIsMd5
      ? this.md5Of(headers)
      : undefined
    return {
      size: Number(size),
      etag: headers["etag"],
      modifiedAt: Metadata.modifiedAt(headers),
      ...(checksum !== undefined && { checksum })
    }
  }

  /** The MD5 that an etag is, unless the object is encrypted with a key that is not the server's own. */
  private md5Of(headers: Answer["headers"]): Checksum | undefined {
    const encryption = headers["x-amz-server-side-encryption"]
    const isPlain = headers["x-amz-server-side-encryption-customer-algorithm"] === undefined &&
      (encryption === undefined || (encryption === "AES256" && this.profile.provider === "aws"))
    const md5 = isPlain ? /^"?([0-9a-f]{32})"?$/.exec(headers["etag"] ?? "")?.[1] : undefined
    const digest = md5 === undefined ? undefined : Option.getOrUndefined(Option.getRight(Encoding.decodeHex(md5)))
    return digest === undefined ? undefined : { algorithm: "md5", value: Encoding.encodeBase64(digest) }
  }
}

/** The header that says what has to arrive, or what has arrived. */
export const headerOf = (algorithm: Algorithm): string => checksumHeaders[algorithm]

/** Reads a document that has to have a certain root: one that is cut short or an error is no answer. */
export const document = (
  bucket: Bucket,
  body: Uint8Array,
  name: string,
  subject: Errors.Subject
): Effect.Effect<Xml.Element, UploadError> => {
  const root = Option.getOrUndefined(Xml.parse(body))
  return root?.name === name ? Effect.succeed(root) : Effect.fail(
    errorIn(bucket, body, subject) ??
      new Transient({ reason: "Unavailable", detail: `${bucket.name} sent an answer that cannot be read.` })
  )
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const absent: Record<string, string> = { "if-none-match": "*" }

const algorithms = ["crc64nvme", "crc32", "crc32c", "sha256"] as const

// Written out: names that are put together are looked up anew for every object.
const checksumHeaders: Readonly<Record<Algorithm, string>> = {
  crc32: "x-amz-checksum-crc32",
  crc32c: "x-amz-checksum-crc32c",
  crc64nvme: "x-amz-checksum-crc64nvme",
  md5: "content-md5",
  sha256: "x-amz-checksum-sha256"
}

/**
 * The error in an answer that was to be a success. It has come about on the server after the head was sent: whatever it
 * is, it is taken for a failure of the server's own unless its code says more.
 */
const errorIn = (bucket: Bucket, body: Uint8Array, subject: Errors.Subject): UploadError | undefined =>
  Option.exists(Xml.parse(body), ({ name }) => name === "Error")
    ? Errors.classify(bucket.name, Errors.read({ status: 500, headers: {}, body }, 0), subject)
    : undefined

const isMissing = (error: UploadError): error is Rejected => error._tag === "Rejected" && error.reason === "NotFound"

const isSame = (head: Head, body: Body, modifiedAt: number | undefined): boolean => {
  const sum = head.checksum === undefined ? undefined : body.sum?.(head.checksum.algorithm)
  return head.size === body.size && sum !== undefined && sum.value === head.checksum?.value &&
    (modifiedAt === undefined || head.modifiedAt === Math.round(modifiedAt))
}
