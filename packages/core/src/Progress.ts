/**
 * The progress of a run: an immutable value in counts and bytes.
 *
 * Bytes count as uploaded once, when the destination has acknowledged the object. Bytes under way count as in flight,
 * including stored parts of unfinished objects, and are taken back when their attempt fails. Bytes that an earlier run
 * stored count as resumed from the start. So `bytesUploaded` never decreases and `fraction` never exceeds 1. The reader
 * derives percent, speed and time left from this value and a clock.
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
  /** Requests in flight now, for whole files and for parts; those waiting in a backoff are not counted. */
  readonly inFlight: number
  /** The most requests that were ever in flight at once. */
  readonly peakInFlight: number
  /** The known sizes of all files found; the bytes of a file of unknown size are added as they are sent. */
  readonly bytesFound: number
  /** Bytes that the destination has acknowledged. */
  readonly bytesUploaded: number
  /** Bytes sent by attempts still in flight. */
  readonly bytesInFlight: number
  /** Bytes that an earlier run stored and this run did not have to send. */
  readonly bytesResumed: number
  /** Attempts started, including first attempts. */
  readonly attempts: number
  /** Attempts started after a failed one. */
  readonly retries: number
  /** When the destination became unreachable, in milliseconds since the epoch; `undefined` while it is reachable. */
  readonly awaySince?: number | undefined
}

/**
 * How many files have a result.
 *
 * @since 0.1.0
 * @category getters
 */
export const filesFinished = (self: Progress): number =>
  self.filesUploaded + self.filesSkipped + self.filesFailed + self.filesInterrupted

/**
 * The share of what was found that is uploaded or in flight, from 0 to 1: by bytes, or by files if all files are empty.
 * It is 1 only when every file found has been uploaded or skipped, or for a list that turned out to be empty.
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
