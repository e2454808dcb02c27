/**
 * The multipart upload of a key as the journal knows it, and how it ends without an object.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import type * as Destination from "../../Destination.js"
import type * as Journal from "../../Journal.js"
import * as MultipartUpload from "../../MultipartUpload.js"
import { Rejected } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import * as PartRecords from "../calls/partRecords.js"
import { later, whenAnswered } from "./answeringJournal.js"
import type { Asked } from "./answeringJournal.js"
import { Slot } from "./slot.js"

/**
 * Aborts the multipart upload that an earlier process began for a file that no longer needs one. The caller has taken a
 * permit and a start, which are used up.
 */
export const discard = (
  context: MultipartUpload.Context,
  owner: MultipartUpload.Owner,
  multipart: Destination.Multipart,
  known: Journal.Session
): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.suspend(() => {
    const { key } = owner.file
    const slot = Slot.adopt(context, owner)
    owner.disownPermit()
    const uploadId = idOf(multipart)(known)
    return uploadId === undefined
      ? Effect.sync(() => slot.close())
      : abandon(context, owner, multipart, { key, uploadId, parts: PartRecords.inOrder(known.parts) }, slot)
  }))

/** The multipart upload of a key as the journal knows it. */
export const sessionOf = (
  { journal }: MultipartUpload.Context,
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
export const ended = ({ journal }: MultipartUpload.Context, key: string): Effect.Effect<void> =>
  Effect.suspend(() => later(journal?.ended(key)) ?? Effect.void)

/** The destination's id of a session, if known. */
export const idOf = ({ ownIds }: Destination.Multipart) => ({ token, uploadId }: Journal.Session): string | undefined =>
  uploadId ?? (ownIds ? token : undefined)

/** Aborts a session, and forgets it or reports that it is left behind. */
export const abandon = (
  context: MultipartUpload.Context,
  owner: MultipartUpload.Owner,
  multipart: Destination.Multipart,
  session: Destination.Session,
  slot?: Slot
): Effect.Effect<void> =>
  Effect.flatMap(MultipartUpload.abort(context, owner, multipart, session, slot), (outcome) => {
    if (Either.isLeft(outcome)) {
      return owner.record({ _tag: "AbortFailed", upload: owner, error: outcome.left }) ?? Effect.void
    }
    return ended(context, session.key)
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const unusable = (how: "read" | "written", cause: Journal.JournalError) =>
  new Rejected({ reason: "Unexpected", detail: `The journal cannot be ${how}: ${cause.message}`, cause })
