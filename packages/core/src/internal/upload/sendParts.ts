/**
 * Sends the parts of a file that are not stored yet, several at once.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Destination from "../../Destination.js"
import type { UploadError } from "../../UploadError.js"
import { memoryOf } from "../bytes/blockSizes.js"
import * as PartPlan from "../calls/partPlan.js"
import * as PartRecords from "../calls/partRecords.js"
import { later } from "./answeringJournal.js"
import type { Env } from "./env.js"
import { inParallel } from "./inParallel.js"
import { Lease } from "./lease.js"
import * as Parts from "./parts.js"
import * as PartSource from "./partSource.js"
import { sendPart } from "./sendPart.js"
import { written } from "./session.js"
import type { Upload } from "./upload.js"

/**
 * The most fibers that send the parts of one file. Without its own bound, a file of very small parts would have one for
 * each of them.
 */
const mostSenders = 1_024

/** A multipart upload that has begun, in this process or in an earlier one. */
export interface Opened {
  readonly session: Destination.Session
  readonly resumed: boolean
  readonly stored: Map<number, Destination.StoredPart>
  /** The bytes of the next part that an earlier process stored. */
  readonly begun: number
}

/** Sends the parts that are not stored yet, and returns all parts by number. */
export const sendParts = Effect.fnUntraced(function*(
  env: Env,
  upload: Upload,
  multipart: Destination.Multipart,
  { begun, resumed, session, stored }: Opened,
  plan: PartPlan.PartPlan | undefined
) {
  const { file: { contentType }, fingerprint, source } = upload
  const { limits } = multipart
  const memoryFor = (size: number) => source.reopenable ? memoryOf(env.destination.capabilities, size) : size
  const leaseOf = (size: number) => new Lease(env, upload.clock, "parts", memoryFor(size))
  const { partSize } = env.parts
  if (!source.reopenable) upload.onOpen()
  const pieces = plan === undefined || !source.reopenable
    ? yield* PartSource.sequential({
      source,
      sizeOf: plan === undefined ? PartPlan.growing({ partSize, limits }).sizeOf : () => plan.partSize,
      maxCount: limits.maxCount,
      total: plan?.size,
      leaseOf,
      reading: (use) => upload.run.stalls.reading(use)
    })
    : PartSource.planned(PartPlan.remaining(plan, stored.values()), { plan, source, fingerprint, leaseOf })
  const options = { multipart, session, total: plan?.size, contentType }
  const goesOnAt = resumed ? stored.size + 1 : undefined
  const sendNext = Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(pieces.next(restore), (claim) => {
      if (Option.isNone(claim)) return Effect.succeed(false)
      const { lease, piece } = claim.value
      const sent = sendPart(env, upload, {
        ...options,
        begun: piece.number === goesOnAt ? begun : undefined,
        piece,
        lease,
        restore
      })
      return Effect.matchCauseEffect(sent, {
        onFailure: (cause) => {
          lease.close()
          return Effect.failCause(cause)
        },
        onSuccess: (part) => {
          stored.set(part.number, part)
          const noted = later(env.journal?.partStored(session.key, part))
          lease.close()
          return noted === undefined ? Effect.succeed(true) : Effect.as(written(noted), true)
        }
      })
    })
  )
  const sendOn: Effect.Effect<void, UploadError> = Effect.flatMap(sendNext, (more) => more ? sendOn : Effect.void)
  const atOnce = Math.min(
    Parts.atOnce(env),
    mostSenders,
    plan?.count ?? limits.maxCount,
    Math.ceil(env.memory.limit / Math.max(1, memoryFor(plan?.partSize ?? partSize))) + 1
  )
  yield* inParallel(atOnce, sendOn)
  return PartRecords.inOrder(stored)
})
