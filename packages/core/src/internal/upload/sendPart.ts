/**
 * Sends one part of a large file: its attempts, and how its bytes are counted.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as ByteSource from "../../ByteSource.js"
import type { Algorithm } from "../../Checksum.js"
import type * as Destination from "../../Destination.js"
import { SessionGone } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { UploadBody } from "../bytes/body.js"
import type { Restore } from "../calls/ended.js"
import * as PartRecords from "../calls/partRecords.js"
import { call } from "./call.js"
import type { Env } from "./env.js"
import type { Lease } from "./lease.js"
import { Transfer } from "./transfer.js"
import type { Upload } from "./upload.js"

/** A piece of a file, to be sent in one request. */
export interface Piece {
  /** The part number, from 1. */
  readonly number: number
  /** The offset in the object at which it begins, in bytes. */
  readonly offset: number
  readonly size: number
  readonly source: ByteSource.ByteSource
  /** The offset in `source` at which it begins. */
  readonly from: number
  /** Whether nothing may follow it in `source`. */
  readonly toEnd: boolean
  /** The fingerprint that the source must have. */
  readonly fingerprint: string | undefined
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
  readonly lease: Lease
  readonly restore: Restore
}

/** Sends a piece until it is stored or has failed for good. */
export const sendPart = (
  env: Env,
  upload: Upload,
  options: SendOptions
): Effect.Effect<Destination.StoredPart, UploadError> => {
  const { begun, lease, multipart, piece, restore, session } = options
  const end = piece.offset + piece.size
  // With parts in order, a broken request may have stored some bytes, and the next one continues after them.
  let persisted = piece.offset + (begun ?? 0)
  let isDamaged = false
  const lookUp = Effect.suspend(() =>
    upload.run.stalls.guard(new PartTransfer(upload, piece), multipart.listParts(session), restore)
  ).pipe(Effect.flatMap((listed) => {
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
    if (gained >= 0) upload.onSent(gained)
    else upload.onTakenBack(-gained)
    persisted += gained
    return Effect.void
  }))
  const rest = Effect.suspend((): Effect.Effect<Destination.StoredPart, UploadError> => {
    if (persisted === end && piece.size > 0) return Effect.succeed({ number: piece.number, size: piece.size })
    const from = piece.from + persisted - piece.offset
    const isWhole = persisted === piece.offset
    const rest = isWhole ? piece : { ...piece, offset: persisted, from, size: end - persisted }
    const sent = transfer(env, upload, options, rest)
    // Parts in any order need no look before the next attempt.
    if (!multipart.limits.inOrder) return sent
    const noted = Effect.tapError(sent, (error) =>
      Effect.sync(() => {
        isDamaged = error._tag === "IntegrityMismatch" && error.reason === "Checksum"
      }))
    return isWhole ? noted : Effect.map(noted, ({ etag }) => ({ number: piece.number, size: piece.size, etag }))
  })
  return call(env, upload, {
    name: "part",
    send: (attempt) =>
      multipart.limits.inOrder && (begun !== undefined || attempt > 1) ? Effect.zipRight(lookUp, rest) : rest,
    lease,
    part: piece.number,
    bytes: piece.size,
    waits: true,
    restore
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The bytes of a part, which are bytes of its file. */
class PartTransfer extends Transfer {
  readonly source: ByteSource.ByteSource
  readonly offset: number
  readonly size: number
  readonly toEnd: boolean
  readonly fingerprint: string | undefined
  readonly checksum: Algorithm | undefined
  private readonly upload: Upload

  constructor(upload: Upload, { fingerprint, from, size, source, toEnd }: Piece) {
    super(upload.clock)
    this.upload = upload
    this.source = source
    this.offset = from
    this.size = size
    this.toEnd = toEnd
    this.fingerprint = fingerprint
    this.checksum = upload.checksum
  }

  protected override count(bytes: number): void {
    if (bytes < 0) this.upload.onTakenBack(-bytes)
    else this.upload.onSent(bytes)
  }
}

const transfer = (
  env: Env,
  upload: Upload,
  { contentType, multipart, restore, session, total }: SendOptions,
  piece: Piece
): Effect.Effect<Destination.StoredPart, UploadError> => {
  const transfer = new PartTransfer(upload, piece)
  const body = new UploadBody(transfer, env.limits.bandwidth)
  const { number, offset, size } = piece
  const request = Effect.suspend(() => multipart.uploadPart({ ...session, number, offset, total, contentType, body }))
  return Effect.matchCauseEffect(upload.run.stalls.guard(transfer, request, restore), {
    onSuccess: (part) => {
      body.ended()
      const { checksum } = body
      const problem = PartRecords.mismatch(part, transfer.handedOut, size, checksum)
      if (problem === undefined) return Effect.succeed({ ...part, number, size, checksum })
      upload.onTakenBack(transfer.handedOut)
      return Effect.fail(transfer.sourceError ?? problem)
    },
    onFailure: (cause) => {
      body.ended()
      upload.onTakenBack(transfer.handedOut)
      const { sourceError } = transfer
      return Effect.failCause(sourceError === undefined ? cause : Cause.map(cause, () => sourceError))
    }
  })
}
