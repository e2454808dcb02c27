/**
 * How far a run has come: an immutable value in counts and bytes.
 *
 * Bytes are counted as uploaded once, when the destination has acknowledged the object; what is on its way counts as
 * in flight, stored parts of unfinished objects included, and is taken back when its attempt fails. What an earlier run
 * has stored already counts as resumed. So `bytesUploaded` never goes backwards and `fraction` never passes 1. Percent,
 * speed and time left are derived by the reader, from this value and a clock.
 *
 * While `listing` is true the list has not ended, and the totals still grow.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  /** When the run started, in milliseconds since the epoch. */
  readonly startedAt: number
  /** Whether more files may yet be found. */
  readonly listing: boolean
  readonly filesFound: number
  readonly filesUploaded: number
  readonly filesSkipped: number
  readonly filesFailed: number
  readonly filesInterrupted: number
  /** Requests under way at this moment, of whole files and of parts; never what waits in a backoff. */
  readonly inFlight: number
  /** The most requests that were ever under way at once. */
  readonly peakInFlight: number
  /** Known sizes of all files found; the bytes of a file of unknown size are added while it is sent. */
  readonly bytesFound: number
  /** Bytes that the destination has acknowledged. */
  readonly bytesUploaded: number
  /** Bytes sent by attempts that are still under way. */
  readonly bytesInFlight: number
  /** Bytes that an earlier run has stored, and this one did not have to send. */
  readonly bytesResumed: number
  /** Attempts started, first ones included. */
  readonly attempts: number
  /** Attempts started after a failed one. */
  readonly retries: number
  /** Since when the destination is away, in milliseconds since the epoch; not there while it is not. */
  readonly awaySince?: number | undefined
}

/**
 * How many files have their result.
 *
 * @since 0.1.0
 * @category getters
 */
export const filesFinished = (self: Progress): number =>
  self.filesUploaded + self.filesSkipped + self.filesFailed + self.filesInterrupted

/**
 * How much of what was found is uploaded or on its way, from 0 to 1: by bytes, or by files where all files are empty.
 * It is 1 only when every file found has been uploaded or skipped, and for a list that turned out empty.
 *
 * @since 0.1.0
 * @category getters
 */
export const fraction = (self: Progress): number => {
  if (!self.listing && self.filesUploaded + self.filesSkipped === self.filesFound) return 1
  const part = self.bytesFound > 0
    ? (self.bytesUploaded + self.bytesResumed + self.bytesInFlight) / self.bytesFound
    : self.filesFound > 0
    ? filesFinished(self) / self.filesFound
    : 0
  return Math.min(part, 0.999)
}
