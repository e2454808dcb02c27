/**
 * The events of a run: plain values with versioned schemas, which can be written as JSON as they are.
 *
 * A file's events are `UploadStarted` (once for each attempt), `UploadRetrying` between attempts, `UploadDeferred` if
 * it will be retried at the end of the run, and `UploadFinished` exactly once. A multipart upload may also have
 * `UploadResumed`, `UploadRestarted` and `AbortFailed`, and `UploadRetrying` for its requests. Times are milliseconds
 * since the epoch, on the run's clock. A later version may add events and fields; it will not change the meaning of
 * these without a new `version`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { Progress } from "./Progress.js"
import * as UploadError from "./UploadError.js"

/**
 * The version that every event and report carries.
 *
 * @since 0.1.0
 * @category constants
 */
export const version = 1

const common = { version: Schema.Literal(version), at: Schema.Number }

/**
 * An attempt has started.
 *
 * @since 0.1.0
 * @category schemas
 */
export const UploadStarted = Schema.TaggedStruct("UploadStarted", {
  ...common,
  key: Schema.String,
  size: Schema.optional(Schema.Number),
  /** From 1. */
  attempt: Schema.Number
})

/**
 * An attempt, or one of its requests, has failed, and another follows after `delayMillis`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const UploadRetrying = Schema.TaggedStruct("UploadRetrying", {
  ...common,
  key: Schema.String,
  /** The number of the part whose request failed, from 1. */
  part: Schema.optional(Schema.Number),
  /** The attempt that failed, from 1. */
  attempt: Schema.Number,
  /** The most attempts that there may be; absent if there is no limit. */
  attempts: Schema.optional(Schema.Number),
  delayMillis: Schema.Number,
  error: UploadError.Summary
})

/**
 * The file has failed for now and will be retried at the end of the run.
 *
 * @since 0.1.0
 * @category schemas
 */
export const UploadDeferred = Schema.TaggedStruct("UploadDeferred", {
  ...common,
  key: Schema.String,
  attempts: Schema.Number,
  error: UploadError.Summary
})

/**
 * The file resumes where an earlier run left off.
 *
 * @since 0.1.0
 * @category schemas
 */
export const UploadResumed = Schema.TaggedStruct("UploadResumed", {
  ...common,
  key: Schema.String,
  size: Schema.optional(Schema.Number),
  /** Bytes already stored. */
  bytes: Schema.Number,
  parts: Schema.Number
})

/**
 * What an earlier run stored of the file cannot be used, and the file starts over.
 *
 * @since 0.1.0
 * @category schemas
 */
export const UploadRestarted = Schema.TaggedStruct("UploadRestarted", {
  ...common,
  key: Schema.String,
  reason: Schema.Literal("SourceChanged", "PartSizeChanged", "ChecksumChanged", "SessionGone", "PartsUnknown")
})

/**
 * A multipart upload could not be aborted: what it has stored is still at the destination.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AbortFailed = Schema.TaggedStruct("AbortFailed", {
  ...common,
  key: Schema.String,
  error: UploadError.Summary
})

/**
 * The file has a result.
 *
 * @since 0.1.0
 * @category schemas
 */
export const UploadFinished = Schema.TaggedStruct("UploadFinished", {
  ...common,
  key: Schema.String,
  outcome: Schema.Literal("Uploaded", "Skipped", "Failed", "Interrupted"),
  attempts: Schema.Number,
  /** Bytes that the destination stored: 0 unless uploaded. */
  bytes: Schema.Number,
  durationMillis: Schema.Number,
  /** Why a file was skipped. */
  reason: Schema.optional(Schema.String),
  error: Schema.optional(UploadError.Summary)
})

/**
 * The list has ended: the totals are final.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ListingFinished = Schema.TaggedStruct("ListingFinished", {
  ...common,
  files: Schema.Number,
  bytes: Schema.Number
})

/**
 * The run takes files, has paused, or takes no more files.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunChanged = Schema.TaggedStruct("RunChanged", {
  ...common,
  state: Schema.Literal("Running", "Paused", "Draining", "Interrupting")
})

/**
 * The strategy or a caller has changed the uploader's limits. An absent limit means no limit.
 *
 * @since 0.1.0
 * @category schemas
 */
export const LimitsChanged = Schema.TaggedStruct("LimitsChanged", {
  ...common,
  /** Uploads in flight. */
  concurrency: Schema.optional(Schema.Number),
  uploadsPerSecond: Schema.optional(Schema.Number),
  bytesPerSecond: Schema.optional(Schema.Number),
  /** Why, in a few words. */
  reason: Schema.optional(Schema.String)
})

/**
 * The destination, which has answered before, no longer answers; or it answers again; or it has been out for longer
 * than the uploader waits, so that failures count as failures of the files again. Nothing starts during an outage.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OutageChanged = Schema.TaggedStruct("OutageChanged", {
  ...common,
  state: Schema.Literal("Away", "Back", "GivenUp"),
  /** When the outage was detected. */
  since: Schema.Number,
  /** The error that revealed the outage. */
  error: Schema.optional(UploadError.Summary)
})

/**
 * A sample of the run's progress: not an event of the run itself, but a line among the events for readers who want to
 * show progress. `sluice upload --json` writes one each second.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ProgressSampled = Schema.TaggedStruct("ProgressSampled", {
  ...common,
  /** Whether more files may yet be found, so that the totals still grow. */
  listing: Schema.Boolean,
  files: Schema.Struct({
    total: Schema.Number,
    uploaded: Schema.Number,
    skipped: Schema.Number,
    failed: Schema.Number,
    interrupted: Schema.Number
  }),
  bytes: Schema.Struct({
    total: Schema.Number,
    /** Stored and acknowledged. */
    uploaded: Schema.Number,
    /** Sent by attempts still in flight. */
    inFlight: Schema.Number,
    /** Stored by an earlier run. */
    resumed: Schema.Number
  }),
  /** Requests in flight. */
  inFlight: Schema.Number,
  retries: Schema.Number,
  /** When the destination became unreachable; absent while it is reachable. */
  awaySince: Schema.optional(Schema.Number),
  /** Over the last 5 seconds. */
  throughputBytesPerSecond: Schema.Number
})

/**
 * Every event of a run. Events are plain values: a line of JSON needs no encoding, and the schema reads it back.
 *
 * @example
 * ```ts
 * import { Uploader, UploadEvent } from "@sluice/core"
 * import type { UploadFile } from "@sluice/core"
 * import { Console, Effect, Schema } from "effect"
 *
 * const upload = (files: ReadonlyArray<UploadFile.UploadFile>) =>
 *   Effect.flatMap(Uploader.Uploader, (uploader) =>
 *     uploader.uploadAll(files, {
 *       onEvent: (event) =>
 *         event._tag === "UploadRetrying"
 *           ? Effect.logWarning(`${event.key}: ${event.error.message} Again in ${event.delayMillis} ms.`)
 *           : Console.log(JSON.stringify(event))
 *     }))
 *
 * const readLine = Schema.decodeUnknown(Schema.parseJson(UploadEvent.UploadEvent))
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const UploadEvent = Schema.Union(
  UploadStarted,
  UploadRetrying,
  UploadDeferred,
  UploadResumed,
  UploadRestarted,
  AbortFailed,
  UploadFinished,
  ListingFinished,
  RunChanged,
  LimitsChanged,
  OutageChanged
)

/**
 * @since 0.1.0
 * @category schemas
 */
export type UploadEvent = typeof UploadEvent.Type

/**
 * A sample of a run's progress.
 *
 * @since 0.1.0
 * @category constructors
 */
export const progressSampled = (
  at: number,
  progress: Progress,
  throughputBytesPerSecond: number
): typeof ProgressSampled.Type => ({
  _tag: "ProgressSampled",
  version,
  at,
  listing: progress.listing,
  files: {
    total: progress.filesFound,
    uploaded: progress.filesUploaded,
    skipped: progress.filesSkipped,
    failed: progress.filesFailed,
    interrupted: progress.filesInterrupted
  },
  bytes: {
    total: progress.bytesFound,
    uploaded: progress.bytesUploaded,
    inFlight: progress.bytesInFlight,
    resumed: progress.bytesResumed
  },
  inFlight: progress.inFlight,
  retries: progress.retries,
  ...(progress.awaySince !== undefined && { awaySince: progress.awaySince }),
  throughputBytesPerSecond
})
