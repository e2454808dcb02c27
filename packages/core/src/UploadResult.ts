/**
 * What became of one file. One file's failure is data: it never fails the batch.
 *
 * Every file that a run takes from its list ends as exactly one of {@link Uploaded}, {@link Skipped}, {@link Failed}
 * and {@link Interrupted}.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Checksum } from "./Checksum.js"
import type { UploadError } from "./UploadError.js"
import type { UploadFile } from "./UploadFile.js"

/**
 * The destination has the whole file.
 *
 * @since 0.1.0
 * @category models
 */
export interface Uploaded {
  readonly _tag: "Uploaded"
  readonly file: UploadFile
  /** How often it was tried, from 1. */
  readonly attempts: number
  /** The size of the object, in bytes. */
  readonly bytes: number
  /** How many of them an earlier run had stored already. */
  readonly resumedBytes: number
  /** From the start of the first attempt to the end of the last. */
  readonly duration: Duration.Duration
  /** The destination's tag for the content, where it gives one. */
  readonly etag: string | undefined
  /** The checksum of the object, where one is computed: as the destination reckoned it or, where it does not, as sent. */
  readonly checksum: Checksum | undefined
}

/**
 * The file was left out on purpose, which is no failure. A file is skipped when
 *
 * - a journal says that an earlier process has uploaded it as it is now: the destination has it, and nothing is sent;
 * - it is a symbolic link that is not followed, that leads out of the directory or to a directory that it is in, or it is
 *   behind such a link;
 * - it is not a regular file, but a pipe, a socket or a device;
 * - it changed while it was uploaded, and `onSourceChange` is `skip`: some of it may have been sent, and none is stored;
 * - the list that it comes from says so, by {@link skipped}.
 *
 * In the first case only, the destination has the file. One that `ifAbsent` leaves alone is not skipped: it fails with
 * `Conflict`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Skipped {
  readonly _tag: "Skipped"
  readonly file: Pick<UploadFile, "key" | "size">
  /** Why, for people. */
  readonly reason: string
}

/**
 * The destination does not have the file, and the engine will not try again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failed {
  readonly _tag: "Failed"
  readonly file: Pick<UploadFile, "key" | "size">
  /** How often it was tried; 0 when it could not even be listed, or was refused for its key or size. */
  readonly attempts: number
  readonly error: UploadError
  readonly duration: Duration.Duration
}

/**
 * The run was interrupted while the file was on its way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Interrupted {
  readonly _tag: "Interrupted"
  readonly file: UploadFile
  readonly attempts: number
  readonly duration: Duration.Duration
}

/**
 * @since 0.1.0
 * @category models
 */
export type UploadResult = Uploaded | Skipped | Failed | Interrupted

/**
 * Whether the destination has the file.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUploaded = (result: UploadResult): result is Uploaded => result._tag === "Uploaded"

/**
 * Whether the file failed.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFailed = (result: UploadResult): result is Failed => result._tag === "Failed"

/**
 * A result for something that a listing saw and left out, such as a link that is not followed. A list may hold it
 * among its files, so that the report counts it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skipped = (key: string, reason: string): Skipped => ({
  _tag: "Skipped",
  file: { key, size: undefined },
  reason
})
