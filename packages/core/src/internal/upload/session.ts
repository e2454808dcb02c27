/**
 * The multipart upload of a key as the journal knows it, and how it ends without an object.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import type * as Destination from "../../Destination.js"
import type * as Journal from "../../Journal.js"
import * as RetryPolicy from "../../RetryPolicy.js"
import { Rejected } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { withDeadline } from "../calls/deadline.js"
import * as PartRecords from "../calls/partRecords.js"
import { later, whenAnswered } from "./answeringJournal.js"
import type { Asked } from "./answeringJournal.js"
import { call } from "./call.js"
import type { Env } from "./env.js"
import type { Lease } from "./lease.js"
import type { Upload } from "./upload.js"

/**
 * Aborts the multipart upload that an earlier process began for a file that no longer needs one. The caller has taken a
 * lease, which is used up.
 */
export const discard = (
  env: Env,
  upload: Upload,
  multipart: Destination.Multipart,
  known: Journal.Session
): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.suspend(() => {
    const uploadId = idOf(multipart)(known)
    if (uploadId !== undefined) {
      const session = { key: upload.file.key, uploadId, parts: PartRecords.inOrder(known.parts) }
      return abandon(env, upload, multipart, session, upload.lease)
    }
    return Effect.sync(() => upload.lease.release())
  }))

/** The multipart upload of a key as the journal knows it. */
export const sessionOf = (
  { journal }: Env,
  key: string
): Effect.Effect<Journal.Session | undefined, Rejected> =>
  journal === undefined
    ? Effect.succeed(undefined)
    : Effect.mapError(whenAnswered(journal.session(key)), (cause) => unusable("read", cause))

/** Waits until the journal has written something. If that fails, the upload fails, and is not kept. */
export const written = (asked: Asked<void, Journal.JournalError> | undefined): Effect.Effect<void, Rejected> =>
  Effect.mapError(later(asked) ?? Effect.void, (cause) => unusable("written", cause))

/** Whether an upload failed because its journal did: what the journal says of it cannot be relied on. */
export const isOfJournal = (error: UploadError): boolean =>
  error._tag === "Rejected" && Predicate.isTagged(error.cause, "JournalError")

/** Notes that the session of a key has ended. */
export const ended = ({ journal }: Env, key: string): Effect.Effect<void> =>
  Effect.suspend(() => later(journal?.ended(key)) ?? Effect.void)

/** The destination's id of a session, if known. */
export const idOf = ({ ownIds }: Destination.Multipart) => ({ token, uploadId }: Journal.Session): string | undefined =>
  uploadId ?? (ownIds ? token : undefined)

/** Aborts a session, and forgets it or reports that it is left behind. */
export const abandon = (
  env: Env,
  upload: Upload,
  multipart: Destination.Multipart,
  session: Destination.Session,
  lease?: Lease
): Effect.Effect<void> =>
  Effect.flatMap(abort(env, upload, multipart, session, lease), (outcome) => {
    if (Either.isLeft(outcome)) {
      return upload.record({ _tag: "AbortFailed", upload, error: outcome.left }) ?? Effect.void
    }
    return ended(env, session.key)
  })

/** Aborts a session that will not be resumed, with bounded retries, and returns whether that worked. */
export const abort = (
  env: Env,
  upload: Upload,
  multipart: Destination.Multipart,
  session: Destination.Session,
  lease?: Lease
): Effect.Effect<Either.Either<void, UploadError>> =>
  call(env, upload, {
    name: "abort",
    send: () => withDeadline(multipart.abort(session), upload.run.answerMillis),
    lease,
    policy: abortRetry,
    retryMillis: abortMillis
  }).pipe(
    Effect.catchTag("SessionGone", () => Effect.void),
    Effect.either
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const unusable = (how: "read" | "written", cause: Journal.JournalError) =>
  new Rejected({ reason: "Unexpected", detail: `The journal cannot be ${how}: ${cause.message}`, cause })

/** How long after the first attempt to abort a retry may begin. */
const abortMillis = 60_000

const abortRetry = RetryPolicy.make({ attempts: 10, base: "200 millis", cap: "5 seconds", budget: false })
