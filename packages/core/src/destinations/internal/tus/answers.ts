/**
 * The meaning of tus servers' answers for an upload.
 */
import * as HttpAnswers from "../../../internal/transport/answers.js"
import type { Answer } from "../../../Transport.js"
import { IntegrityMismatch, Rejected, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Offer from "./offer.js"

/** The failure for an answer that is not a success: from an upload, or from the endpoint that creates uploads. */
export const refused = (
  name: string,
  answer: Answer,
  options: { readonly isOfUpload: boolean; readonly mask: (text: string) => string; readonly now: number }
): UploadError => {
  const { isOfUpload, mask, now } = options
  const error = HttpAnswers.refused(name, isOfUpload ? withoutPath(answer) : answer, mask, now)
  const { detail } = error
  // The server says when to retry.
  if (error._tag === "Throttled") return error
  switch (answer.status) {
    case 409:
      return isOfUpload
        ? new Transient({ reason: "Unavailable", detail: `${detail} (the upload is at another offset)` })
        : error
    case 412: {
      const versions = Offer.versionsOf(answer)
      return versions.length === 0 || versions.includes(Offer.version)
        ? new Rejected({ reason: "Unsupported", detail })
        : otherVersion(name, versions)
    }
    case 423:
      return new Transient({ reason: "Unavailable", detail: `${detail} (the upload is locked)` })
    case 460:
      return new IntegrityMismatch({ reason: "Checksum", detail: `${detail} (the checksum does not match)` })
    default:
      return error
  }
}

/** Knowing where an upload is may allow continuing it, so only the host of a redirect is shown. */
const withoutPath = (answer: Answer): Answer => {
  const host = /^(?:[a-z]+:)?\/\/[^/?#]*/i.exec(answer.headers["location"] ?? "")?.[0] ?? ""
  return { ...answer, headers: { ...answer.headers, location: host } }
}

export const otherVersion = (name: string, versions: ReadonlyArray<string>) =>
  new Rejected({
    reason: "Unsupported",
    detail: `${name} speaks tus ${plain(versions.join(", "))}, not ${Offer.version}.`
  })

/** A server's text, shortened and on one line. */
const plain = (text: string): string => text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 100)
