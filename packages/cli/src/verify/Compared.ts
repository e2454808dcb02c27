/**
 * The results of a comparison: a finding for each key, and the report at the end.
 */
import type * as UploadError from "@sluice/core/UploadError"

/** The version in findings and reports. */
export const version = 1

/** The result for one key. */
export type Finding =
  | { readonly _tag: "Same"; readonly version: 1; readonly key: string; readonly size: number; readonly by: By }
  | { readonly _tag: "Missing"; readonly version: 1; readonly key: string; readonly size: number | undefined }
  | Different
  | { readonly _tag: "Extra"; readonly version: 1; readonly key: string; readonly size: number }
  | Unreadable
  | { readonly _tag: "Skipped"; readonly version: 1; readonly key: string; readonly reason: string }
  | Unlisted

/** How two contents were compared; only by size if the destination does not let objects be read. */
export type By = "Checksum" | "Reading" | "Size"

export interface Different {
  readonly _tag: "Different"
  readonly version: 1
  readonly key: string
  readonly reason: "Size" | "Content"
  /** The size of the source, in bytes. */
  readonly size: number | undefined
  /** The size of the object, in bytes. */
  readonly storedSize: number
}

export interface Unreadable {
  readonly _tag: "Unreadable"
  readonly version: 1
  readonly key: string
  /** The side that could not be read or compared. */
  readonly side: "Source" | "Destination"
  readonly error: UploadError.Summary
}

/** The destination did not list its objects, so it is unknown which ones only it has. */
export interface Unlisted {
  readonly _tag: "Unlisted"
  readonly version: 1
  readonly error: UploadError.Summary
}

/** The report at the end of a comparison. */
export interface Report {
  readonly _tag: "Verification"
  readonly version: 1
  readonly ended: "Completed" | "Interrupted"
  readonly files: Counts & { readonly total: number }
  /** The number of files that count as the same only because their sizes are. */
  readonly sameBySize: number
  readonly bytes: { readonly total: number; readonly compared: number }
  /**
   * What is known about objects that only the destination has: `LookedFor`, `NotLookedFor`, `NotListed` if it cannot
   * list them, or `Failed` if the list failed or broke off.
   */
  readonly extras: "LookedFor" | "NotLookedFor" | "NotListed" | "Failed"
  readonly durationMillis: number
  readonly throughputBytesPerSecond: number
}

export interface Counts {
  readonly same: number
  readonly missing: number
  readonly different: number
  readonly extra: number
  readonly unreadable: number
  readonly skipped: number
}
