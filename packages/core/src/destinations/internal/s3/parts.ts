/**
 * Multipart uploads to a bucket.
 */
import * as Effect from "effect/Effect"
import type { Algorithm } from "../../../Checksum.js"
import type {
  Body,
  CompleteRequest,
  CreateRequest,
  Multipart,
  PartRequest,
  Session,
  Stored,
  StoredPart
} from "../../../Destination.js"
import { isUnreadable } from "../../../internal/calls/unreadable.js"
import * as Etag from "../../../internal/values/etag.js"
import { answerMillis } from "../../../Transport.js"
import type { Answer } from "../../../Transport.js"
import { Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Evidence from "./evidence.js"
import { headerOf } from "./look.js"
import type { Objects } from "./objects.js"
import { PartEtags } from "./partEtags.js"
import * as Xml from "./xml.js"

export const multipart = (objects: Objects): Multipart => {
  const { bucket, profile } = objects
  const partEtags = new PartEtags(profile)

  const unread = (what: string) => Evidence.without(bucket.name, what)

  /** Whether one checksum covers a whole multipart object. */
  const isFull = (algorithm: Algorithm): boolean => profile.fullObject.includes(algorithm)

  const create = Effect.fnUntraced(function*(request: CreateRequest): Effect.fn.Return<string, UploadError> {
    const { checksum } = request
    yield* objects.checking(checksum)
    // An upload is not begun if the server cannot keep its condition at the end.
    yield* objects.condition(request.key, profile.conditionalComplete)
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
    const root = yield* Evidence.document(bucket.name, answer, {
      root: "InitiateMultipartUploadResult",
      evidence: ["UploadId"],
      subject: "object"
    })
    const uploadId = root.text("UploadId")
    return uploadId === undefined || uploadId === "" ? yield* Effect.fail(unread("upload id")) : uploadId
  })

  const uploadPart = ({ body, key, number, uploadId }: PartRequest): Effect.Effect<StoredPart, UploadError> =>
    Effect.flatMap(body.whole, (whole) => {
      const { checksum, size = 0 } = whole
      const asked = Effect.zipRight(
        objects.checking(checksum?.algorithm),
        bucket.done({
          method: "PUT",
          key,
          subject: "session",
          query: { partNumber: String(number), uploadId },
          headers: checksum === undefined ? {} : { [headerOf(checksum.algorithm)]: checksum.value },
          body: whole
        })
      )
      return Effect.flatMap(
        asked,
        (answer) =>
          Effect.map(storedBy(answer, whole, `${uploadId} ${number}`), (stored): StoredPart => {
            whole.release()
            return { number, size, ...stored }
          })
      )
    })

  /** What an answer says about a part. Without its etag, a part cannot be included at the end. */
  const storedBy = (answer: Answer, body: Body, part: string) =>
    Effect.filterOrFail(
      objects.storedBy(answer, body, partEtags.areMd5(answer.headers["etag"], body, part)),
      ({ etag }) => etag !== undefined,
      () => unread("etag")
    )

  const listParts = Effect.fnUntraced(
    function*({ key, uploadId }: Session): Effect.fn.Return<ReadonlyArray<StoredPart>, UploadError> {
      const parts: Array<StoredPart> = []
      let empty = 0
      for (let marker = 0;;) {
        const answer = yield* bucket.ask({
          method: "GET",
          key,
          subject: "session",
          query: { uploadId, "part-number-marker": String(marker), "max-parts": "1000" },
          answerMillis,
          answerBytes: Xml.largest
        })
        const root = yield* Evidence.document(bucket.name, answer, {
          root: "ListPartsResult",
          evidence: ["UploadId", "MaxParts", "IsTruncated"],
          subject: "session"
        })
        const page = root.all("Part")
        for (const part of page) {
          const number = part.count("PartNumber")
          const size = part.count("Size")
          if (number === undefined || size === undefined) return yield* Effect.fail(unread("parts"))
          parts.push({ number, size, etag: Etag.read(part.text("ETag")) })
        }
        if (!Evidence.hasMore(root, page.length > 0 ? "NextPartNumberMarker" : undefined)) return parts
        const next = Number(root.text("NextPartNumberMarker") ?? parts.at(-1)?.number)
        empty = page.length === 0 ? empty + 1 : 0
        // Each page must lead on, and to a possible part number, so listing always ends.
        if (!(next > marker && next <= profile.limits.maxCount) || empty >= maxEmptyPages) {
          return yield* Effect.fail(unread("next page of parts"))
        }
        marker = next
      }
    }
  )

  const complete = Effect.fnUntraced(function*(request: CompleteRequest): Effect.fn.Return<Stored, UploadError> {
    const { checksum, key, parts, size, uploadId } = request
    const whole = checksum !== undefined && isFull(checksum.algorithm) ? checksum : undefined
    const answer = yield* bucket.ask({
      method: "POST",
      key,
      subject: "completion",
      query: { uploadId },
      headers: {
        "content-type": "application/xml",
        ...(yield* objects.condition(key, profile.conditionalComplete)),
        ...(whole !== undefined && {
          [headerOf(whole.algorithm)]: whole.value,
          "x-amz-checksum-type": "FULL_OBJECT"
        }),
        ...(profile.fullObject.length > 0 && { "x-amz-mp-object-size": String(size) })
      },
      body: new TextEncoder().encode(documentOf(parts)),
      answerMillis: completeMillis
    })
    // A success may turn into an error after its head was sent: the document tells.
    const root = yield* Evidence.document(bucket.name, answer, {
      root: "CompleteMultipartUploadResult",
      evidence: ["ETag"],
      subject: "completion"
    })
    const etag = Etag.read(root.text("ETag"))
    if (etag === undefined) return yield* Effect.fail(unread("etag of what was completed"))
    const theirs = whole === undefined ? undefined : root.text(elementOf(whole.algorithm))
    return {
      etag,
      ...(whole !== undefined && theirs !== undefined && !theirs.includes("-") && {
        checksum: { algorithm: whole.algorithm, value: theirs }
      })
    }
  })

  // Parts in flight may still arrive after an abort: it is done when the session is gone or has no parts.
  const abort = (session: Session): Effect.Effect<void, UploadError> =>
    Effect.gen(function*() {
      const { key, uploadId } = session
      yield* bucket.done({ method: "DELETE", key, subject: "session", query: { uploadId } })
      const left = yield* Effect.catchIf(
        listParts(session),
        // A client that may abort is not necessarily allowed to look, and some servers cannot tell.
        (error) => error._tag === "Rejected" || isUnreadable(error),
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

/** While assembling an object, servers send spaces for minutes, and then the answer. */
const completeMillis = 600_000

/** The most pages without a part that may follow one another. */
const maxEmptyPages = 100

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
