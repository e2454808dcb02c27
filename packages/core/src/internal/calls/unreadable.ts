/**
 * Answers that have come and cannot be read: what was asked is not known after that, and need not be by asking again.
 */
import type { UploadError } from "../../UploadError.js"

/** The cause of a failure to read an answer. */
export class Unreadable extends Error {
  override readonly name = "Unreadable"
}

/** Whether a failure is an answer that has come and cannot be read. */
export const isUnreadable = (error: UploadError): boolean => error.cause instanceof Unreadable
