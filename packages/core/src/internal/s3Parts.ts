/**
 * Multipart uploads to a bucket.
 */
import * as Effect from "effect/Effect"
import type { Algorithm } from "../Checksum.js"
import type {
  CompleteRequest,
  CreateRequest,
  Multipart,
  PartRequest,
  Session,
  Stored,
  StoredPart
} from "../Destination.js"
import { answerMillis } from "../Transport.js"
import { Transient } from "../UploadError.js"
import type { Rejected, UploadError } from "../UploadError.js"
import type { Objects } from "./s3Objects.js"
import { document, headerOf } from "./s3Objects.js"
import * as Xml from "./s3Xml.js"

export const multipart = (objects: Objects): Multipart => {
  const { bucket, profile } = objects

  const unread = (what: string) =>
    new Transient({ reason: "Unavailable", detail: `${bucket.name} gave no ${what}: its answer cannot be read.` })

  /** Whether one checksum stands for a whole object of parts. */
  const isFull = (algorithm: Algorithm): boolean => profile.fullObject.includes(algorithm)

  const create = (request: CreateRequest): Effect.Effect<string, UploadError> =>
    Effect.gen(function*() {
      // What the server cannot promise at the end is not begun.
      yield* objects.condition(profile.conditionalComplete)
      const { checksum } = request
      const headers = yield* objects.describe(request)
      if (checksum !== undefined && checksum !== "md5") {
        headers["x-amz-checksum-algorithm"] = checksum.toUpperCase()
        if (profile.fullObject.length > 0) {
          headers["x-amz-checksum-type"] = isFull(checksum)
            ? "FULL_OBJECT"
            : "COMPOSITE"
        }
      }
      const answer = yield* bucket.ask({
        method: "POST",
        key: request.key,
        subject: "object",
        query: { uploads: "" },
        headers
      })
      const root = yield* document(bucket, answer.body, "InitiateMultipartUploadResult", "object")
      const uploadId = root.text("UploadId")
      return uploadId === undefined || uploadId === "" ? yield* Effect.fail(unread("upload id")) : uploadId
    })

  const uploadPart = ({ body, key, number, uploadId }: PartRequest): Effect.Effect<StoredPart, UploadError> =>
    Effect.flatMap(body.whole, (whole) => {
      const { checksum, size = 0 } = whole
      const asked = bucket.ask({
        method: "PUT",
        key,
        subject: "session",
        query: { partNumber: String(number), uploadId },
        headers: checksum === undefined ? {} : { [headerOf(checksum.algorithm)]: checksum.value },
        body: whole
      })
      return Effect.flatMap(asked, (answer) => {
        whole.release()
        const { checksum: theirs, etag } = objects.storedBy(answer, checksum, profile.partEtagIsMd5)
        // Without its etag, a part cannot be asked for at the end.
        return etag === undefined
          ? Effect.fail(unread("etag"))
          : Effect.succeed({ number, size, checksum: theirs, etag: quoted(etag) })
      })
    })

  const listParts = ({ key, uploadId }: Session): Effect.Effect<ReadonlyArray<StoredPart>, UploadError> =>
    Effect.gen(function*() {
      const parts: Array<StoredPart> = []
      for (let marker = 0;;) {
        const answer = yield* bucket.ask({
          method: "GET",
          key,
          subject: "session",
          query: { uploadId, "part-number-marker": String(marker), "max-parts": "1000" },
          answerMillis
        })
        const root = yield* document(bucket, answer.body, "ListPartsResult", "session")
        for (const part of root.all("Part")) {
          const number = Number(part.text("PartNumber"))
          const size = Number(part.text("Size"))
          if (!Number.isSafeInteger(number) || !Number.isSafeInteger(size)) return yield* Effect.fail(unread("parts"))
          parts.push({ number, size, etag: quoted(part.text("ETag")) })
        }
        if (root.text("IsTruncated") !== "true") return parts
        const next = Number(root.text("NextPartNumberMarker") ?? parts.at(-1)?.number)
        // Each page leads on, and to no part that there cannot be: so there is an end.
        if (!(next > marker && next <= profile.limits.maxCount)) return yield* Effect.fail(unread("next page of parts"))
        marker = next
      }
    })

  const complete = (request: CompleteRequest): Effect.Effect<Stored, UploadError> =>
    Effect.gen(function*() {
      const { checksum, key, parts, size, uploadId } = request
      const whole = checksum !== undefined && isFull(checksum.algorithm) ? checksum : undefined
      const answer = yield* bucket.ask({
        method: "POST",
        key,
        subject: "completion",
        query: { uploadId },
        headers: {
          "content-type": "application/xml",
          ...(yield* objects.condition(profile.conditionalComplete)),
          ...(whole !== undefined && {
            [headerOf(whole.algorithm)]: whole.value,
            "x-amz-checksum-type": "FULL_OBJECT"
          }),
          ...(profile.fullObject.length > 0 && { "x-amz-mp-object-size": String(size) })
        },
        body: new TextEncoder().encode(documentOf(parts)),
        answerMillis: completeMillis
      })
      // A success may turn out to be none after its head was sent: the root element tells.
      const root = yield* document(bucket, answer.body, "CompleteMultipartUploadResult", "completion")
      const theirs = whole === undefined ? undefined : root.text(elementOf(whole.algorithm))
      return {
        etag: root.text("ETag"),
        ...(whole !== undefined && theirs !== undefined && !theirs.includes("-") && {
          checksum: { algorithm: whole.algorithm, value: theirs }
        })
      }
    })

  // Parts in flight may still arrive after an abort: it is over when the session is, or has no parts.
  const abort = (session: Session): Effect.Effect<void, UploadError> =>
    Effect.gen(function*() {
      const { key, uploadId } = session
      yield* bucket.ask({ method: "DELETE", key, subject: "session", query: { uploadId } })
      const left = yield* Effect.catchIf(
        listParts(session),
        // Who may abort need not be allowed to look, and some servers cannot tell.
        (error): error is Rejected => error._tag === "Rejected",
        () => Effect.succeed([])
      )
      if (left.length > 0) {
        return yield* Effect.fail(new Transient({ reason: "Unavailable", detail: `${key} still has parts.` }))
      }
    }).pipe(Effect.catchTag("SessionGone", () => Effect.void))

  return { limits: profile.limits, ownIds: false, becomesObject: false, create, uploadPart, listParts, complete, abort }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** While an object is put together, servers send spaces, for minutes; and then the answer. */
const completeMillis = 600_000

/** Some servers list without the quotes that they answered with. */
const quoted = (etag: string | undefined): string | undefined =>
  etag === undefined || etag.startsWith("\"") ? etag : `"${etag}"`

const elementOf = (algorithm: Algorithm): string => `Checksum${algorithm.toUpperCase()}`

const documentOf = (parts: ReadonlyArray<StoredPart>): string => {
  const list = parts.map(({ checksum, etag, number }) => {
    const sum = checksum === undefined || checksum.algorithm === "md5"
      ? ""
      : `<${elementOf(checksum.algorithm)}>${Xml.escape(checksum.value)}</${elementOf(checksum.algorithm)}>`
    return `<Part><PartNumber>${number}</PartNumber><ETag>${Xml.escape(etag ?? "")}</ETag>${sum}</Part>`
  })
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${
    list.join("")
  }</CompleteMultipartUpload>`
}
