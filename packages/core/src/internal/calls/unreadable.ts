/**
 * Answers that arrived but cannot be read: the result is unknown, and asking again may not reveal it.
 */
import type { UploadError } from "../../UploadError.js"

/** The cause of a failure to read an answer. */
export class Unreadable extends Error {
  override readonly name = "Unreadable"
}

/** Whether a failure is an answer that arrived but cannot be read. */
export const isUnreadable = (error: UploadError): boolean => error.cause instanceof Unreadable
