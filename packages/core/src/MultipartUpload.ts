/**
 * One large file on its way: create, parts, complete; and abort or keep on anything else.
 *
 * Every request takes a permit of the shared budget, memory for its body and a start of the rate limit, and none of
 * them is held during a backoff. Parts go up several at once, where the destination allows that, each with its own
 * attempts. When the last part is stored the source is looked at once more, the journal is flushed, and `complete` is
 * called; from there on an interruption waits. A `complete` whose answer is lost is settled by looking.
 *
 * With a journal, what is stored is written down, and an upload that was begun by an earlier process goes on: if the
 * file, the part size and the checksum are what they were. If not, the old upload is aborted and the file begins again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ByteSource } from "./ByteSource.js"
import type * as Checksum from "./Checksum.js"
import type * as Destination from "./Destination.js"
import type * as InFlight from "./InFlight.js"
import { withDeadline } from "./internal/calls/deadline.js"
import { answerMillis, request } from "./internal/engine/requests.js"
import type * as Requests from "./internal/engine/requests.js"
import type { SenderOwner } from "./internal/engine/sendPart.js"
import type { Slot } from "./internal/engine/slot.js"
import type * as Journal from "./Journal.js"
import * as PartPlan from "./PartPlan.js"
import * as RetryPolicy from "./RetryPolicy.js"
import { Rejected } from "./UploadError.js"
import type { UploadError } from "./UploadError.js"
import type { UploadFile } from "./UploadFile.js"

/**
 * How large files are sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** Files larger than this go up in parts, in bytes. */
  readonly threshold: number
  /** The size of a part, in bytes; moved into the destination's limits. */
  readonly partSize: number
  /** Parts of one file in flight, at most. */
  readonly partConcurrency: number
  /** The checksum of parts and objects, if any. */
  readonly checksum: Checksum.Algorithm | undefined
}

/**
 * What all uploads of one uploader share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context extends Requests.RequestContext {
  readonly destination: Destination.Destination["Type"]
  /** The budget of bytes in memory. */
  readonly memory: InFlight.InFlight
  readonly parts: Settings
  readonly journal: Journal.Journal["Type"] | undefined
}

/**
 * A request that has failed and is made again: one of a part, where it has a number.
 *
 * @since 0.1.0
 * @category models
 */
export type RequestRetry = Requests.Retry

/**
 * Why a file that an earlier process has begun begins again: it is not what it was, is to be sent otherwise, or the
 * destination has forgotten it or will not tell its parts.
 *
 * @since 0.1.0
 * @category models
 */
export type RestartReason = "SourceChanged" | "PartSizeChanged" | "ChecksumChanged" | "SessionGone" | "PartsUnknown"

/**
 * Whose parts these are, and who is told of what happens to them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Owner extends SenderOwner {
  readonly file: UploadFile
  readonly source: ByteSource
  readonly fingerprint: string | undefined
  readonly modifiedAt: number | undefined
  readonly mode?: number | undefined
  /** What becomes of an upload that does not end well, but could go on. */
  readonly onInterrupt: "abort" | "keep"
  /** The permit and the start that came with the file are given to its first request. */
  readonly disownPermit: () => void
  /** A source that can be read only once is about to be. */
  readonly onOpen: () => void
  /** Bytes that an earlier process has stored. */
  readonly resumed: (bytes: number, parts: number) => Effect.Effect<void>
  readonly restarted: (reason: RestartReason) => Effect.Effect<void>
  readonly abortFailed: (error: UploadError) => Effect.Effect<void>
  /** The object is there, whatever else happens to this fiber. */
  readonly committed: (stored: Destination.Stored) => void
}

/**
 * Whether a file of this size goes up in parts.
 *
 * @since 0.1.0
 * @category guards
 */
export const applies = (
  { destination: { capabilities, multipart }, parts }: Pick<Context, "destination" | "parts">,
  size: number | undefined
): boolean =>
  multipart !== undefined &&
  (size === undefined ? !capabilities.unknownSize : size > Math.min(parts.threshold, capabilities.maxPutSize))

/**
 * How many parts of one file may be in flight at once.
 *
 * @since 0.1.0
 * @category getters
 */
export const partsAtOnce = ({ destination: { multipart }, parts }: Pick<Context, "destination" | "parts">): number =>
  multipart?.limits.inOrder === true ? 1 : parts.partConcurrency

/**
 * The plan of a file, where its size is known and its destination takes parts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const plan = (
  { destination: { multipart }, parts }: Pick<Context, "destination" | "parts">,
  size: number
): Either.Either<PartPlan.PartPlan, Rejected> =>
  multipart === undefined
    ? Either.left(new Rejected({ reason: "Unsupported", detail: "The destination takes no parts." }))
    : PartPlan.make({ size, partSize: parts.partSize, limits: multipart.limits })

/**
 * Ends a multipart upload that nobody goes on with, with retries and within bounds, and tells whether that worked.
 *
 * @since 0.1.0
 * @category execution
 */
export const abort = (
  context: Context,
  owner: Requests.RequestOwner,
  multipart: Destination.Multipart,
  session: Destination.Session,
  slot?: Slot
): Effect.Effect<Either.Either<void, UploadError>> =>
  request(context, owner, () => withDeadline(multipart.abort(session), answerMillis(owner)), {
    slot,
    retry: abortRetry,
    retryMillis: abortMillis
  }).pipe(
    Effect.catchTag("SessionGone", () => Effect.void),
    Effect.either
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How long after the first attempt to abort another one may begin. */
const abortMillis = 60_000

const abortRetry = RetryPolicy.make({ attempts: 10, base: "200 millis", cap: "5 seconds", budget: false })
