/**
 * The multipart upload of a key as the journal knows it, and how it ends without an object.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Destination from "../../Destination.js"
import type * as Journal from "../../Journal.js"
import * as MultipartUpload from "../../MultipartUpload.js"
import * as PartRecords from "../calls/partRecords.js"
import { Slot } from "./slot.js"

/**
 * Aborts the multipart upload that an earlier process began for a file that no longer needs one. The caller has taken a
 * permit and a start, which are used up.
 */
export const discard = (
  context: MultipartUpload.Context,
  owner: MultipartUpload.Owner,
  multipart: Destination.Multipart
): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.suspend(() => {
    const { key } = owner.file
    const slot = Slot.adopt(context, owner)
    owner.disownPermit()
    const known = Option.getOrUndefined(sessionOf(context, key))
    const uploadId = known === undefined ? undefined : idOf(multipart)(known)
    return known === undefined || uploadId === undefined
      ? Effect.sync(() => slot.close())
      : abandon(context, owner, multipart, { key, uploadId, parts: PartRecords.inOrder(known.parts) }, slot)
  }))

/** Whether a multipart upload of a key is in the journal. */
export const isBegun = (context: MultipartUpload.Context, key: string): boolean =>
  Option.isSome(sessionOf(context, key))

/** What the journal knows of the multipart upload of a key. */
export const sessionOf = ({ journal }: MultipartUpload.Context, key: string): Option.Option<Journal.Session> =>
  journal?.session(key) ?? Option.none()

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
    context.journal?.ended(session.key)
    return Effect.void
  })
