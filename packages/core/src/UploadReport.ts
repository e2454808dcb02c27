/**
 * The report of a run at its end: counts, bytes, time, and the first failures by name.
 *
 * The report is a plain value with a schema and a version; the CLI prints it as the last line of `--json`. Its size
 * does not grow with the list: it names at most {@link failuresListed} failures.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as UploadError from "./UploadError.js"
import { version } from "./UploadEvent.js"

/**
 * The most failures that a report names.
 *
 * @since 0.1.0
 * @category constants
 */
export const failuresListed = 100

/**
 * @since 0.1.0
 * @category schemas
 */
export const Failure = Schema.Struct({
  key: Schema.String,
  attempts: Schema.Number,
  error: UploadError.Summary
})

/**
 * @since 0.1.0
 * @category schemas
 */
export type Failure = typeof Failure.Type

/**
 * @since 0.1.0
 * @category schemas
 */
export const UploadReport = Schema.TaggedStruct("Report", {
  version: Schema.Literal(version),
  /** How the run ended: by itself, after `drain`, or by interruption. */
  ended: Schema.Literal("Completed", "Drained", "Interrupted"),
  files: Schema.Struct({
    /** All files found. */
    total: Schema.Number,
    uploaded: Schema.Number,
    /**
     * Left out on purpose: files that an earlier process uploaded according to a journal, links that are not followed,
     * entries that are not regular files, and files that changed with `onSourceChange` set to `skip`. See
     * `UploadResult.Skipped`.
     */
    skipped: Schema.Number,
    failed: Schema.Number,
    interrupted: Schema.Number,
    /** Found but not started when the run was drained or interrupted. */
    notStarted: Schema.Number
  }),
  bytes: Schema.Struct({
    /** Known sizes of all files found. */
    total: Schema.Number,
    /** Bytes that the destination has acknowledged. */
    uploaded: Schema.Number,
    /** Bytes that an earlier run had already stored. */
    resumed: Schema.Number
  }),
  attempts: Schema.Number,
  retries: Schema.Number,
  peakInFlight: Schema.Number,
  durationMillis: Schema.Number,
  /** Bytes uploaded over the whole duration. */
  throughputBytesPerSecond: Schema.Number,
  /** The first failures. `files.failed` counts them all. */
  failures: Schema.Array(Failure),
  /** How many multipart uploads could not be aborted: what they have stored is still at the destination. */
  abortsFailed: Schema.Number,
  /** The first of these. */
  leftBehind: Schema.Array(Schema.Struct({ key: Schema.String, error: UploadError.Summary })),
  /**
   * What is stored of files that another run with the same journal can resume: the number of files with a part stored,
   * and the bytes of their parts. The command adds it, because its journal belongs to one run; a run does not know it.
   */
  kept: Schema.optional(Schema.Struct({ files: Schema.Number, bytes: Schema.Number }))
})

/**
 * @since 0.1.0
 * @category schemas
 */
export interface UploadReport extends Schema.Schema.Type<typeof UploadReport> {}

/**
 * Whether every file found is at the destination or was skipped on purpose: see `UploadResult.Skipped`.
 *
 * @example
 * ```ts
 * import { Uploader, UploadReport } from "@sluice/core"
 * import type { UploadFile } from "@sluice/core"
 * import { Console, Effect } from "effect"
 *
 * const backup = (files: ReadonlyArray<UploadFile.UploadFile>) =>
 *   Effect.gen(function*() {
 *     const uploader = yield* Uploader.Uploader
 *     const report = yield* uploader.uploadAll(files)
 *     for (const { error, key } of report.failures) yield* Console.error(`${key}: ${error.message}`)
 *     return UploadReport.isComplete(report)
 *   })
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isComplete = (report: UploadReport): boolean =>
  report.ended !== "Interrupted" && report.files.uploaded + report.files.skipped === report.files.total
