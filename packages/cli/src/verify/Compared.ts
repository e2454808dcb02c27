/**
 * What a comparison finds, as values: a finding for each key, and the report at the end.
 */
import type * as UploadError from "@sluice/core/UploadError"

/** The version that findings and reports carry. */
export const version = 1

/** What became of one key. */
export type Finding =
  | { readonly _tag: "Same"; readonly version: 1; readonly key: string; readonly size: number; readonly by: By }
  | { readonly _tag: "Missing"; readonly version: 1; readonly key: string; readonly size: number | undefined }
  | Different
  | { readonly _tag: "Extra"; readonly version: 1; readonly key: string; readonly size: number }
  | Unreadable
  | { readonly _tag: "Skipped"; readonly version: 1; readonly key: string; readonly reason: string }
  | Unlisted

/** How two contents were found to be the same or not; of what the destination does not let be read, by the size only. */
export type By = "Checksum" | "Reading" | "Size"

export interface Different {
  readonly _tag: "Different"
  readonly version: 1
  readonly key: string
  readonly reason: "Size" | "Content"
  /** Of the source, in bytes. */
  readonly size: number | undefined
  /** Of the object, in bytes. */
  readonly storedSize: number
}

export interface Unreadable {
  readonly _tag: "Unreadable"
  readonly version: 1
  readonly key: string
  /** Which side could not be read, or not be compared. */
  readonly side: "Source" | "Destination"
  readonly error: UploadError.Summary
}

/** The destination did not list what it has, so that nobody knows what only it has. */
export interface Unlisted {
  readonly _tag: "Unlisted"
  readonly version: 1
  readonly error: UploadError.Summary
}

/** What was found, told at the end. */
export interface Report {
  readonly _tag: "Verification"
  readonly version: 1
  readonly ended: "Completed" | "Interrupted"
  readonly files: Counts & { readonly total: number }
  /** How many files are taken for the same only because their size is. */
  readonly sameBySize: number
  readonly bytes: { readonly total: number; readonly compared: number }
  /**
   * What is known of what only the destination has: `LookedFor`, `NotLookedFor`, `NotListed` where it cannot say, or
   * `Failed` where it did not, or not to the end.
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
