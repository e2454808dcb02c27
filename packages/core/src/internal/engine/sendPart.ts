/**
 * Sends one part of a large file: its attempts, and how its bytes are counted.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Checksum from "../../Checksum.js"
import type * as Destination from "../../Destination.js"
import { SessionGone } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { UploadBody } from "../bytes/body.js"
import { whileWatched } from "../bytes/watch.js"
import type { Watched } from "../bytes/watch.js"
import * as PartRecords from "../calls/partRecords.js"
import { lookAt, request } from "./requests.js"
import type { RequestContext, RequestOwner } from "./requests.js"
import type { Slot } from "./slot.js"
import { Transfer } from "./transfer.js"
import type { Piece, TransferOwner } from "./transfer.js"

export interface SenderContext extends RequestContext {
  readonly destination: Destination.Destination["Type"]
  readonly parts: { readonly checksum: Checksum.Algorithm | undefined }
}

export interface SenderOwner extends RequestOwner, TransferOwner {
  /** The parts in flight. */
  readonly transfers: Set<Watched>
}

export interface SendOptions {
  readonly multipart: Destination.Multipart
  readonly session: Destination.Session
  /** The bytes of this piece that an earlier process has stored, if it may have sent some. */
  readonly begun: number | undefined
  /** The size of the whole object, if known. */
  readonly total: number | undefined
  readonly contentType: string | undefined
  readonly piece: Piece
  readonly slot: Slot
}

/** Sends a piece until it is stored or has failed for good. */
export const sendPart = (
  context: SenderContext,
  owner: SenderOwner,
  options: SendOptions
): Effect.Effect<Destination.StoredPart, UploadError> => {
  const { begun, multipart, piece, session, slot } = options
  const end = piece.offset + piece.size
  // With parts in order, a broken request may have stored some bytes, and the next one continues after them.
  let persisted = piece.offset + (begun ?? 0)
  let isDamaged = false
  const list = Effect.suspend(() => {
    const transfer = new Transfer(owner, piece, undefined)
    return whileWatched(owner, transfer, multipart.listParts(session), {
      onSuccess: Effect.succeed,
      onFailure: Effect.failCause
    })
  })
  const lookUp = Effect.flatMap(list, (listed) => {
    const now = PartRecords.persistedBytes(listed, piece.offset)
    if (now < piece.offset) {
      return Effect.fail(new SessionGone({ detail: "The destination has lost what it had stored." }))
    }
    // Bytes that arrived damaged and were stored anyway cannot be repaired by sending more.
    if (isDamaged && now > persisted) {
      return Effect.fail(new SessionGone({ detail: `The destination has stored part ${piece.number} damaged.` }))
    }
    isDamaged = false
    const gained = Math.min(now, end) - persisted
    if (gained >= 0) owner.sent(gained)
    else owner.takenBack(-gained)
    persisted += gained
    return Effect.void
  })
  const rest = Effect.suspend((): Effect.Effect<Destination.StoredPart, UploadError> => {
    if (persisted === end && piece.size > 0) return Effect.succeed({ number: piece.number, size: piece.size })
    const from = piece.from + persisted - piece.offset
    const isWhole = persisted === piece.offset
    const rest = isWhole ? piece : { ...piece, offset: persisted, from, size: end - persisted }
    const sent = transfer(context, owner, options, rest)
    // Parts in any order need no look before the next attempt.
    if (!multipart.limits.inOrder) return sent
    const noted = Effect.tapError(sent, (error) =>
      Effect.sync(() => {
        isDamaged = error._tag === "IntegrityMismatch" && error.reason === "Checksum"
      }))
    return isWhole ? noted : Effect.map(noted, ({ etag }) => ({ number: piece.number, size: piece.size, etag }))
  })
  const attempt = (number: number) =>
    multipart.limits.inOrder && (begun !== undefined || number > 1) ? Effect.zipRight(lookUp, rest) : rest
  return request(context, owner, attempt, {
    slot,
    part: piece.number,
    bytes: () => piece.size,
    look: lookAt(context, owner, session.key)
  })
}

const transfer = (
  context: SenderContext,
  owner: SenderOwner,
  { contentType, multipart, session, total }: SendOptions,
  piece: Piece
): Effect.Effect<Destination.StoredPart, UploadError> => {
  const transfer = new Transfer(owner, piece, context.parts.checksum)
  const body = new UploadBody(transfer, context.limits.bandwidth)
  const { number, offset, size } = piece
  const request = multipart.uploadPart({ ...session, number, offset, total, contentType, body })
  return whileWatched(owner, transfer, request, {
    onSuccess: (part) => {
      body.ended()
      const { checksum } = body
      const problem = PartRecords.mismatch(part, transfer.handedOut, size, checksum)
      if (problem === undefined) return Effect.succeed({ ...part, number, size, checksum })
      owner.takenBack(transfer.handedOut)
      return Effect.fail(transfer.sourceError ?? problem)
    },
    onFailure: (cause) => {
      body.ended()
      owner.takenBack(transfer.handedOut)
      const { sourceError } = transfer
      return Effect.failCause(sourceError === undefined ? cause : Cause.map(cause, () => sourceError))
    }
  })
}
