/**
 * File system calls for a file being read, and what their failures mean for an upload.
 */
import * as Effect from "effect/Effect"
import { SourceChanged, SourceUnreadable } from "../../UploadError.js"
import * as CallNode from "../calls/callNode.js"

/** A file system call for a path: see {@link CallNode.call}. */
export const call = <A>(
  filePath: string,
  start: (done: CallNode.Callback<A>) => void
): Effect.Effect<A, SourceUnreadable> => Effect.mapError(CallNode.call(start), (error) => unreadable(filePath, error))

export const unreadable = (filePath: string, cause: NodeJS.ErrnoException): SourceUnreadable =>
  new SourceUnreadable({
    reason: cause.code === "ENOENT" || cause.code === "ENOTDIR"
      ? "NotFound"
      : cause.code === "EACCES" || cause.code === "EPERM"
      ? "Forbidden"
      : "Failed",
    detail: cause.code === "ENOENT"
      ? `${filePath} does not exist.`
      : cause.code === "EACCES" || cause.code === "EPERM"
      ? `${filePath} cannot be read: permission denied (${cause.code}).`
      : filePath.includes("\0")
      ? `${JSON.stringify(filePath)} has a NUL character in its name, which no file can have.`
      : `${filePath} cannot be read: ${cause.message}.`,
    cause
  })

export const leadsOut = (filePath: string, root: string) =>
  new SourceUnreadable({
    reason: "Failed",
    detail: `${filePath} now leads out of ${root}: a directory on its path is a link.`
  })

export const notRegular = (filePath: string) =>
  new SourceUnreadable({ reason: "Failed", detail: `${filePath} is no longer a regular file.` })

/** The failure of a file that has changed and grown by `growth` bytes. */
export const changed = (filePath: string, growth: number): SourceChanged =>
  growth === 0
    ? new SourceChanged({ reason: "Modified", detail: `${filePath} was modified or replaced while it was uploaded.` })
    : new SourceChanged({
      reason: growth > 0 ? "Grew" : "EndedEarly",
      detail: `${filePath} has become ${Math.abs(growth)} bytes ${growth > 0 ? "longer" : "shorter"} meanwhile.`
    })
