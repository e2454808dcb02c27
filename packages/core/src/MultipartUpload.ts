/**
 * Uploads one large file: create, upload parts, complete; on any other outcome, abort or keep.
 *
 * Every request takes a permit of the shared budget, memory for its body and a start from the rate limit, and holds
 * none of them during a backoff. Parts go up concurrently where the destination allows that, each with its own
 * attempts. When the last part is stored, the source is checked once more, the journal is flushed, and `complete` is
 * called; from then on, interruption is deferred. If the answer to `complete` is lost, a look at the destination
 * settles the outcome.
 *
 * With a journal, stored parts are recorded, and an upload that an earlier process began continues if the file, the
 * part size and the checksum have not changed. Otherwise the old upload is aborted and the file begins again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ByteSource } from "./ByteSource.js"
import type * as Checksum from "./Checksum.js"
import type * as Destination from "./Destination.js"
import { withDeadline } from "./internal/calls/deadline.js"
import * as PartPlan from "./internal/calls/partPlan.js"
import type { AnsweringJournal } from "./internal/engine/answeringJournal.js"
import { answerMillis, request } from "./internal/engine/requests.js"
import type * as Requests from "./internal/engine/requests.js"
import type { SenderOwner } from "./internal/engine/sendPart.js"
import type { Slot } from "./internal/engine/slot.js"
import type * as InFlight from "./internal/limits/inFlight.js"
import * as RetryPolicy from "./RetryPolicy.js"
import { Rejected } from "./UploadError.js"
import type { UploadError } from "./UploadError.js"
import type { UploadFile } from "./UploadFile.js"

/**
 * How files are sent in parts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** Files larger than this go up in parts, in bytes. */
  readonly threshold: number
  /** The size of a part, in bytes; adjusted to the destination's limits. */
  readonly partSize: number
  /** Parts of one file in flight, at most. */
  readonly partConcurrency: number
  /** The checksum of parts and objects, if any. */
  readonly checksum: Checksum.Algorithm | undefined
}

/**
 * The context that all uploads of one uploader share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context extends Requests.RequestContext {
  readonly destination: Destination.Destination["Type"]
  /** The budget of bytes in memory. */
  readonly memory: InFlight.InFlight
  readonly parts: Settings
  readonly journal: AnsweringJournal | undefined
}

/**
 * The owner of the parts.
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
  /** What happens to an upload that does not succeed but could be resumed. */
  readonly onInterrupt: "abort" | "keep"
  /** Called when the permit and the start that came with the file are given to its first request. */
  readonly disownPermit: () => void
  /** Called when a source that can be read only once is about to be read. */
  readonly onOpen: () => void
  readonly size: number | undefined
  /** Bytes that an earlier process stored and the current attempt need not send. */
  resumedBytes: number
  /** Called when the object is stored, whatever else happens to this fiber. */
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
 * The plan of a file, if its size is known and its destination takes parts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const plan = (
  { destination: { multipart }, parts }: Pick<Context, "destination" | "parts">,
  size: number
): Either.Either<PartPlan.PartPlan, Rejected> =>
  multipart === undefined
    ? Either.left(new Rejected({ reason: "Unsupported", detail: "The destination does not support parts." }))
    : PartPlan.make({ size, partSize: parts.partSize, limits: multipart.limits })

/**
 * Aborts a multipart upload that will not be resumed, with bounded retries, and returns whether that worked.
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

/** How long after the first attempt to abort a retry may begin. */
const abortMillis = 60_000

const abortRetry = RetryPolicy.make({ attempts: 10, base: "200 millis", cap: "5 seconds", budget: false })
