/**
 * What answers of tus servers mean for an upload.
 */
import * as HttpAnswers from "../../../internal/transport/answers.js"
import type { Answer } from "../../../Transport.js"
import { IntegrityMismatch, Rejected, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Offer from "./offer.js"

/** The failure that an answer stands for which is no success: one of an upload, or one where uploads are created. */
export const refused = (
  name: string,
  answer: Answer,
  options: { readonly isOfUpload: boolean; readonly mask: (text: string) => string; readonly now: number }
): UploadError => {
  const { isOfUpload, mask, now } = options
  const error = HttpAnswers.refused(name, isOfUpload ? withoutPath(answer) : answer, mask, now)
  const { detail } = error
  // The server says when to come again.
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
      return new IntegrityMismatch({ reason: "Checksum", detail: `${detail} (not what the checksum says)` })
    default:
      return error
  }
}

/** Who knows where an upload is may go on with it: of a redirect only the host is shown. */
const withoutPath = (answer: Answer): Answer => {
  const host = /^(?:[a-z]+:)?\/\/[^/?#]*/i.exec(answer.headers["location"] ?? "")?.[0] ?? ""
  return { ...answer, headers: { ...answer.headers, location: host } }
}

export const otherVersion = (name: string, versions: ReadonlyArray<string>) =>
  new Rejected({
    reason: "Unsupported",
    detail: `${name} speaks tus ${plain(versions.join(", "))}, and not ${Offer.version}.`
  })

/** Text of a server, short and on one line. */
const plain = (text: string): string => text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 100)
