/**
 * The meaning of a local destination's file system failures for an upload.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { isFull, patience } from "../../../internal/calls/tooManyOpenFiles.js"
import { Conflict, Rejected, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"

/** The system's own code, such as `ENOSPC`. */
export const codeOf = (error: PlatformError | UploadError): string | undefined => {
  const cause = error._tag === "SystemError" ? error.cause : undefined
  return Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : undefined
}

/** Whether there is nothing under a name. */
export const isMissing = (error: PlatformError | UploadError): boolean => {
  const code = codeOf(error)
  return code === "ENOENT" || code === "ENOTDIR"
}

/** Maps a failure, unless it is an upload error already. */
export const ownErrors =
  (errorOf: (error: PlatformError) => UploadError) => (error: PlatformError | UploadError): UploadError =>
    error._tag === "SystemError" || error._tag === "BadArgument" ? errorOf(error) : error

/** Opens something, and waits if no descriptor is left. */
export const opening = <A, E, R>(open: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchAll(
    open,
    (error) =>
      hasNoDescriptor(error) ? Effect.retry(open, { while: hasNoDescriptor, schedule: patience }) : Effect.fail(error)
  )

const hasNoDescriptor = (error: unknown): boolean =>
  Predicate.isTagged(error, "SystemError") && isFull(codeOf(error as PlatformError))

/**
 * Turns a file system failure into an upload error: the class follows from the system's code, the text is for people.
 */
export const errorOf =
  (filePath: string, verb: "written" | "read" = "written") => (error: PlatformError): UploadError => {
    const code = codeOf(error)
    const said = code === undefined ? error.message : code
    switch (code) {
      case "ENOSPC":
      case "EDQUOT":
        return new Rejected({ reason: "NoSpace", detail: `No space is left for ${filePath} (${said}).`, cause: error })
      case "EACCES":
      case "EPERM":
      case "EROFS":
        return new Rejected({
          reason: "Forbidden",
          detail: `${filePath} cannot be ${verb}: permission denied (${said}).`,
          cause: error
        })
      case "ENAMETOOLONG":
        return new Rejected({
          reason: "InvalidKey",
          detail: `The name ${filePath} is too long (${said}).`,
          cause: error
        })
      case "EFBIG":
        return new Rejected({
          reason: "TooLarge",
          detail: `${filePath} is too large for this file system (${said}).`,
          cause: error
        })
      case "EISDIR":
      case "ENOTDIR":
      case "EEXIST":
      case "ENOTEMPTY":
        return new Conflict({
          detail: `A file and a directory have the same name at ${filePath} (${said}).`,
          cause: error
        })
      default:
        return new Transient({
          reason: "Unavailable",
          detail: `${filePath} cannot be ${verb} (${said}).`,
          cause: error
        })
    }
  }
