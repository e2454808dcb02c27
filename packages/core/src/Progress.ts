/**
 * The progress of a run: an immutable value in counts and bytes, with a schema.
 *
 * Bytes count as uploaded once, when the destination has acknowledged the object. Bytes under way count as in flight,
 * including stored parts of unfinished objects, and are taken back when their attempt fails. Bytes that an earlier run
 * stored count as resumed from the start. So `bytesUploaded` never decreases and {@link fraction} never exceeds 1. The
 * reader derives percent, speed and time left from this value and the run's throughput.
 *
 * While `listing` is true the list has not ended, and the totals still grow.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Throughput } from "./Throughput.js"

/**
 * The schema of {@link Progress}, for servers that send it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Progress = Schema.Struct({
  /** When the run started, in milliseconds since the epoch. */
  startedAt: Schema.Number,
  /** Whether more files may yet be found. */
  listing: Schema.Boolean,
  filesFound: Schema.Number,
  filesUploaded: Schema.Number,
  filesSkipped: Schema.Number,
  filesFailed: Schema.Number,
  filesInterrupted: Schema.Number,
  /** Files found whose size is not known and that have no result yet. */
  filesOfUnknownSize: Schema.Number,
  /** Requests in flight now, for whole files and for parts; those waiting in a backoff are not counted. */
  inFlight: Schema.Number,
  /** The most requests that were ever in flight at once. */
  peakInFlight: Schema.Number,
  /** The known sizes of all files found; the bytes of a file of unknown size are added as they are sent. */
  bytesFound: Schema.Number,
  /** Bytes that the destination has acknowledged. */
  bytesUploaded: Schema.Number,
  /** Bytes sent by attempts still in flight. */
  bytesInFlight: Schema.Number,
  /** Bytes that an earlier run stored and this run did not have to send. */
  bytesResumed: Schema.Number,
  /** Attempts started, including first attempts. */
  attempts: Schema.Number,
  /** Attempts started after a failed one. */
  retries: Schema.Number,
  /** When the destination became unreachable, in milliseconds since the epoch; `undefined` while it is reachable. */
  awaySince: Schema.optional(Schema.Number)
})

/**
 * @since 0.1.0
 * @category schemas
 */
export interface Progress extends Schema.Schema.Type<typeof Progress> {}

/**
 * How many files have a result.
 *
 * @since 0.1.0
 * @category getters
 */
export const filesFinished = (self: Progress): number =>
  self.filesUploaded + self.filesSkipped + self.filesFailed + self.filesInterrupted

/**
 * The share of all files that is uploaded or in flight, from 0 to 1: by bytes, or by files if all files are empty. It
 * is 1 only when every file has been uploaded or skipped, or if the list turned out to be empty.
 *
 * `None` while the total is unknown: until the list has ended, and until each file of unknown size has a result.
 *
 * @example
 * ```ts
 * import { Progress } from "@sluice/core"
 * import { Option } from "effect"
 *
 * const percent = (progress: Progress.Progress): string =>
 *   Option.match(Progress.fraction(progress), {
 *     onNone: () => `${progress.bytesUploaded} bytes`,
 *     // Rounded down: 100 % means that everything is done.
 *     onSome: (fraction) => `${Math.floor(fraction * 100)} %`
 *   })
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const fraction = (self: Progress): Option.Option<number> => {
  if (!isTotalKnown(self)) return Option.none()
  if (self.filesUploaded + self.filesSkipped === self.filesFound) return Option.some(1)
  const part = self.bytesFound > 0
    ? (self.bytesUploaded + self.bytesResumed + self.bytesInFlight) / self.bytesFound
    : filesFinished(self) / self.filesFound
  return Option.some(Math.min(part, 0.999))
}

/**
 * How long the rest takes at the current throughput, as `UploadRun.throughput` returns it. What an earlier run stored is
 * not part of the rest; the bytes of a file that has failed for good remain in it. Zero once every file has a result.
 *
 * `None` while the total is unknown, as in {@link fraction}, while no bytes move, and if all files are empty.
 *
 * @example
 * ```ts
 * import { Progress } from "@sluice/core"
 * import type { UploadRun } from "@sluice/core"
 * import { Duration, Effect, Option } from "effect"
 *
 * const timeLeft = (run: UploadRun.UploadRun) =>
 *   Effect.gen(function*() {
 *     const left = Progress.eta(yield* run.currentProgress, yield* run.throughput)
 *     return Option.match(left, { onNone: () => "unknown", onSome: Duration.format })
 *   })
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const eta = (self: Progress, throughput: Throughput): Option.Option<Duration.Duration> => {
  if (!isTotalKnown(self)) return Option.none()
  if (filesFinished(self) === self.filesFound) return Option.some(Duration.zero)
  if (self.bytesFound === 0 || !(throughput.current > 0)) return Option.none()
  const left = self.bytesFound - self.bytesUploaded - self.bytesResumed - self.bytesInFlight
  return Option.some(Duration.millis((Math.max(0, left) * 1000) / throughput.current))
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isTotalKnown = (self: Progress): boolean =>
  !self.listing && (self.filesOfUnknownSize === 0 || filesFinished(self) === self.filesFound)
