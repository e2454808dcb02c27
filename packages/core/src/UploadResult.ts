/**
 * The result of one file. A file's failure is data: it never fails the batch.
 *
 * Every file that a run takes from its list ends as exactly one of {@link Uploaded}, {@link Skipped}, {@link Failed}
 * and {@link Interrupted}. {@link Summary} is the schema for sending one.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Checksum } from "./Checksum.js"
import { UploadError } from "./UploadError.js"
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
  /** The number of attempts, from 1. */
  readonly attempts: number
  /** The size of the object, in bytes. */
  readonly bytes: number
  /** How many of these bytes an earlier run had already stored. */
  readonly resumedBytes: number
  /** From the start of the first attempt to the end of the last. */
  readonly duration: Duration.Duration
  /** The destination's tag for the content, if it gives one. */
  readonly etag: string | undefined
  /**
   * The checksum of the object, if one is used: as the destination computed it or, if it does not compute one, as sent.
   */
  readonly checksum: Checksum | undefined
}

/**
 * The file was left out on purpose, which is not a failure. A file is skipped if
 *
 * - a journal records that an earlier process uploaded it in its current state: the destination has it, and nothing is
 *   sent;
 * - it is a symbolic link that is not followed, or leads out of the directory or to a directory that contains it, or
 *   it is behind such a link;
 * - it is not a regular file, but a pipe, a socket or a device;
 * - it changed during its upload, and `onSourceChange` is `skip`: some of it may have been sent, but none is stored;
 * - the list that it comes from says so, with {@link skipped}.
 *
 * Only in the first case does the destination have the file. A file that `ifAbsent` leaves alone is not skipped: it
 * fails with `Conflict`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Skipped {
  readonly _tag: "Skipped"
  readonly file: Pick<UploadFile, "key" | "size">
  /** A human-readable reason. */
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
  /** The number of attempts; 0 if the file could not be listed, or was refused for its key or size. */
  readonly attempts: number
  readonly error: UploadError
  readonly duration: Duration.Duration
}

/**
 * The run was interrupted while the file was being uploaded.
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
 * The result of one file.
 *
 * @example
 * ```ts
 * import type { UploadResult } from "@sluice/core"
 * import { Duration, Match } from "effect"
 *
 * const line = Match.type<UploadResult.UploadResult>().pipe(
 *   Match.tag("Uploaded", ({ bytes, duration, file }) => `${file.key}: ${bytes} bytes in ${Duration.format(duration)}`),
 *   Match.tag("Skipped", ({ file, reason }) => `${file.key}: skipped. ${reason}`),
 *   Match.tag("Failed", ({ attempts, error, file }) => `${file.key}: ${error.message} (attempts: ${attempts})`),
 *   Match.tag("Interrupted", ({ file }) => `${file.key}: interrupted`),
 *   Match.exhaustive
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type UploadResult = Uploaded | Skipped | Failed | Interrupted

/** A property that is required, and absent from JSON if it is `undefined`. */
const orUndefined = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.optionalToRequired(schema, Schema.UndefinedOr(Schema.typeSchema(schema)), {
    decode: Option.getOrUndefined,
    encode: Option.fromNullable
  })

const file = Schema.Struct({ key: Schema.String, size: orUndefined(Schema.Number) })

const attempts = Schema.Number

const duration = Schema.propertySignature(Schema.DurationFromMillis).pipe(Schema.fromKey("durationMillis"))

/** An error without its cause, which may hold what is not for others. */
const error = Schema.transform(Schema.encodedSchema(UploadError), UploadError, {
  strict: true,
  decode: identity,
  encode: ({ cause: _, ...error }) => error
})

/**
 * The schema of a result as it can be sent: of the file, its key and its size, and of an error, all but its cause. Times
 * are `durationMillis`, in milliseconds. Every {@link UploadResult} can be encoded; what has been decoded has no source.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { UploadResult } from "@sluice/core"
 * import { Schema } from "effect"
 *
 * const json = Schema.encodeSync(Schema.parseJson(UploadResult.Summary))(UploadResult.skipped("a.txt", "a link"))
 * assert.strictEqual(json, `{"_tag":"Skipped","file":{"key":"a.txt"},"reason":"a link"}`)
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const Summary = Schema.Union(
  Schema.TaggedStruct("Uploaded", {
    file,
    attempts,
    bytes: Schema.Number,
    resumedBytes: Schema.Number,
    duration,
    etag: orUndefined(Schema.String),
    checksum: orUndefined(Checksum)
  }),
  Schema.TaggedStruct("Skipped", { file, reason: Schema.String }),
  Schema.TaggedStruct("Failed", { file, attempts, error, duration }),
  Schema.TaggedStruct("Interrupted", { file, attempts, duration })
)

/**
 * A result without the source of its file.
 *
 * @since 0.1.0
 * @category schemas
 */
export type Summary = typeof Summary.Type

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
 * A result for something that a listing found and left out, such as a link that is not followed. A list may hold it
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
