/**
 * Multipart uploads to a bucket.
 */
import * as Effect from "effect/Effect"
import type {
  CompleteRequest,
  CreateRequest,
  Multipart,
  PartRequest,
  Session,
  Stored,
  StoredPart
} from "../Destination.js"
import type { PartLimits } from "../PartPlan.js"
import { SessionGone, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import type { Bucket } from "./s3Bucket.js"
import * as Objects from "./s3Objects.js"
import * as Xml from "./s3Xml.js"

const mib = 1024 ** 2

export const limits: PartLimits = {
  minSize: 5 * mib,
  maxSize: 5 * 1024 * mib,
  multiple: 1,
  maxCount: 10_000,
  maxObjectSize: 10_000 * 5 * 1024 * mib,
  inOrder: false
}

export const multipart = (bucket: Bucket): Multipart => {
  const create = (request: CreateRequest): Effect.Effect<string, UploadError> =>
    Effect.gen(function*() {
      const answer = yield* bucket.ask({
        method: "POST",
        key: request.key,
        query: { uploads: "" },
        headers: { ...Objects.describe(bucket, request), ...declare(request) }
      })
      const root = yield* Objects.document(bucket, answer.body, "InitiateMultipartUploadResult")
      const uploadId = root.text("UploadId")
      return uploadId === undefined || uploadId === ""
        ? yield* Effect.fail(new Transient({ reason: "Unavailable", detail: `${bucket.name} gave no upload id.` }))
        : uploadId
    })

  const uploadPart = ({ body, key, number, uploadId }: PartRequest): Effect.Effect<StoredPart, UploadError> =>
    Effect.gen(function*() {
      const whole = yield* body.whole
      const answer = yield* bucket.ask({
        method: "PUT",
        key,
        query: { partNumber: String(number), uploadId },
        headers: Objects.sumHeader(whole),
        body: whole
      })
      return { number, size: whole.size ?? 0, ...Objects.storedBy(answer.headers, whole.checksum) }
    })

  const listParts = ({ key, uploadId }: Session): Effect.Effect<ReadonlyArray<StoredPart>, UploadError> => {
    const from = (marker: string, before: ReadonlyArray<StoredPart>): Effect.Effect<
      ReadonlyArray<StoredPart>,
      UploadError
    > =>
      Effect.gen(function*() {
        const answer = yield* bucket.ask({ method: "GET", key, query: { uploadId, "part-number-marker": marker } })
        const root = yield* Objects.document(bucket, answer.body, "ListPartsResult")
        const parts = [
          ...before,
          ...root.all("Part").map((part) => ({
            number: Number(part.text("PartNumber")),
            size: Number(part.text("Size")),
            etag: part.text("ETag")
          }))
        ]
        const next = root.text("NextPartNumberMarker")
        return root.text("IsTruncated") === "true" && next !== undefined && next !== marker
          ? yield* from(next, parts)
          : parts
      })
    return from("0", [])
  }

  const complete = (request: CompleteRequest): Effect.Effect<Stored, UploadError> =>
    Effect.gen(function*() {
      const { checksum, key, parts, size, uploadId } = request
      const isFull = checksum !== undefined && checksum.algorithm !== "md5"
      const answer = yield* bucket.ask({
        method: "POST",
        key,
        query: { uploadId },
        headers: {
          "content-type": "application/xml",
          ...Objects.condition(bucket),
          ...(isFull && {
            [Objects.headerOf(checksum.algorithm)]: checksum.value,
            "x-amz-checksum-type": "FULL_OBJECT",
            "x-amz-mp-object-size": String(size)
          })
        },
        body: new TextEncoder().encode(documentOf(parts))
      })
      // A success may turn out to be none after its head was sent: the root element tells.
      const root = yield* Objects.document(bucket, answer.body, "CompleteMultipartUploadResult")
      return { etag: root.text("ETag") }
    })

  // Parts in flight may still arrive after an abort: it is over when the session is.
  const abort = (session: Session): Effect.Effect<void, UploadError> =>
    Effect.gen(function*() {
      const { key, uploadId } = session
      yield* bucket.ask({ method: "DELETE", key, query: { uploadId } })
      const left = yield* Effect.either(listParts(session))
      if (left._tag === "Left") return left.left._tag === "SessionGone" ? undefined : yield* Effect.fail(left.left)
      return yield* Effect.fail(new Transient({ reason: "Unavailable", detail: `${key} still has parts.` }))
    }).pipe(Effect.catchTag("SessionGone", () => Effect.void))

  return {
    limits,
    ownIds: false,
    create,
    uploadPart,
    listParts: (session) => Effect.mapError(listParts(session), (error) => goneIfMissing(error, session)),
    complete: (request) => Effect.mapError(complete(request), (error) => goneIfMissing(error, request)),
    abort
  }
}

/** Some servers know no other word for it than that there is nothing. */
const goneIfMissing = (error: UploadError, { key }: Session): UploadError =>
  error._tag === "Rejected" && error.reason === "NotFound" && !error.detail.includes("NoSuchBucket")
    ? new SessionGone({ detail: `There is no upload of ${key} any more. ${error.detail}` })
    : error

const declare = ({ checksum }: CreateRequest): Record<string, string> =>
  checksum === undefined || checksum === "md5"
    ? {}
    : {
      "x-amz-checksum-algorithm": checksum.toUpperCase(),
      "x-amz-checksum-type": checksum === "sha256" ? "COMPOSITE" : "FULL_OBJECT"
    }

const documentOf = (parts: ReadonlyArray<StoredPart>): string => {
  const list = parts.map(({ checksum, etag, number }) => {
    const sum = checksum?.algorithm === "sha256" ? `<ChecksumSHA256>${Xml.escape(checksum.value)}</ChecksumSHA256>` : ""
    return `<Part><PartNumber>${number}</PartNumber><ETag>${Xml.escape(etag ?? "")}</ETag>${sum}</Part>`
  })
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${
    list.join("")
  }</CompleteMultipartUpload>`
}
