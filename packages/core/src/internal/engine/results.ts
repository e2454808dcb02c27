/**
 * The results of uploads.
 */
import * as Duration from "effect/Duration"
import type * as Destination from "../../Destination.js"
import type { UploadError } from "../../UploadError.js"
import type { Failed, Interrupted, Uploaded, UploadResult } from "../../UploadResult.js"
import type { Outcome, Upload } from "../upload/upload.js"

/** The result of an outcome that is not followed by a second round. */
export const of = (upload: Upload, outcome: Outcome): UploadResult => {
  switch (outcome._tag) {
    case "Stored":
      return uploaded(upload, outcome.stored)
    case "Skipped":
      return { _tag: "Skipped", file: upload.file, reason: outcome.reason }
    case "Failed":
      return failed(upload, outcome.error)
    case "Interrupted":
      return interrupted(upload)
  }
}

export const uploaded = (upload: Upload, { checksum, etag }: Destination.Stored): Uploaded => {
  const { attempt, file, handedOut, resumedBytes } = upload
  return {
    _tag: "Uploaded",
    file,
    attempts: attempt,
    bytes: handedOut + resumedBytes,
    resumedBytes,
    duration: durationOf(upload),
    etag,
    checksum
  }
}

export const failed = (upload: Upload, error: UploadError): Failed => ({
  _tag: "Failed",
  file: upload.file,
  attempts: upload.attempt,
  error,
  duration: durationOf(upload)
})

export const interrupted = (upload: Upload): Interrupted => ({
  _tag: "Interrupted",
  file: upload.file,
  attempts: upload.attempt,
  duration: durationOf(upload)
})

const durationOf = ({ clock, startedAt }: Upload): Duration.Duration =>
  Duration.millis(clock.unsafeCurrentTimeMillis() - startedAt)
