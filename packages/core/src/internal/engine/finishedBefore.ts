/**
 * Files that an earlier run finished before it was interrupted: what the journal knows, and how to look for the object.
 */
import type * as Destination from "../../Destination.js"
import type * as Upload from "../../Upload.js"
import * as PartRecords from "../calls/partRecords.js"
import * as Etag from "../values/etag.js"

/** Whether an earlier, interrupted run has uploaded exactly this file. */
export const isNoted = (context: Upload.Context, { file, fingerprint, size }: Upload.Upload): boolean => {
  const { destination: { head, headAt }, journal } = context
  if (journal === undefined || (head ?? headAt) === undefined || size === undefined || fingerprint === undefined) {
    return false
  }
  const finished = { key: file.key, size, fingerprint }
  return journal.wasFinished(finished) && (head !== undefined || journal.locationOf?.(finished) !== undefined)
}

/** A look at the object that an earlier run stored: at its recorded location or, if there is none, by its key. */
export const look = (context: Upload.Context, { file: { key }, fingerprint, size }: Upload.Upload) => {
  const { destination: { head, headAt }, journal } = context
  const location = headAt === undefined || size === undefined || fingerprint === undefined
    ? undefined
    : journal?.locationOf?.({ key, size, fingerprint })
  return location === undefined ? head?.(key) : headAt?.(location, key)
}

/** Whether an object found is the one that was uploaded: another may have replaced it, even one of the same size. */
export const isSame = (context: Upload.Context, upload: Upload.Upload, found: Destination.Head): boolean => {
  const { file: { key }, fingerprint, modifiedAt, size } = upload
  return size !== undefined && fingerprint !== undefined &&
    context.journal?.wasFinished({ key, size, fingerprint, etag: Etag.read(found.etag) }) === true &&
    PartRecords.isSame(found, { size, checksum: undefined, modifiedAt }) !== false
}
