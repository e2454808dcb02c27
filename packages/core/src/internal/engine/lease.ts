/**
 * The lease of an attempt: memory, then a permit, then a start, in this order everywhere.
 */
import * as Effect from "effect/Effect"
import type * as Upload from "../../Upload.js"
import { memoryOf as memoryOfBody } from "../bytes/blockSizes.js"
import { inTurn } from "./inTurn.js"
import { lookAt } from "./requests.js"

/** The memory that an attempt takes, in bytes; a multipart upload takes its memory part by part. */
const memoryOf = ({ destination: { capabilities } }: Upload.Context, { large, size }: Upload.Upload): number =>
  large ? 0 : memoryOfBody(capabilities, size)

/**
 * Waits for what an attempt needs and the upload does not hold yet: memory, then a permit, then a start. The holder of
 * a permit never waits for memory.
 */
export const take = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<void> =>
  Effect.suspend(() => {
    const memory = memoryOf(context, upload)
    if (context.outage?.isSuspected === true) {
      const look = lookAt(context, upload, upload.file.key)
      giveBack(context, upload)
      if (look !== undefined) {
        return Effect.flatMap(context.outage.over(upload.clock, look), () => take(context, upload))
      }
    }
    const permit = upload.holdsPermit
      ? undefined
      : context.limits.inFlight.take(1, () => upload.holdsPermit = true)
    const space = memory === upload.heldMemory
      ? undefined
      : context.memory.take(memory, () => upload.heldMemory = memory)
    const taken = inTurn(space, inTurn(permit, context.limits.rate.take)) ?? Effect.void
    // The destination may have gone away during the wait.
    return context.outage === undefined
      ? taken
      : Effect.flatMap(taken, () => context.outage?.isSuspected === true ? take(context, upload) : Effect.void)
  })

/** Takes all an attempt needs at once and returns `true`, or returns `false` and keeps what it has taken so far. */
export const unsafeTake = (context: Upload.Context, upload: Upload.Upload): boolean => {
  if (context.outage?.isSuspected === true) return false
  const memory = memoryOf(context, upload)
  if (memory > 0 && !context.memory.unsafeTake(memory)) return false
  upload.heldMemory = memory
  if (!context.limits.inFlight.unsafeTake(1)) return false
  upload.holdsPermit = true
  return context.limits.rate.unsafeTake(upload.clock)
}

/** Gives back the memory and the permit. A start cannot be given back: it is used up. */
export const giveBack = (context: Upload.Context, upload: Upload.Upload): void => {
  if (upload.heldMemory > 0) {
    context.memory.unsafeRelease(upload.heldMemory)
    upload.heldMemory = 0
  }
  if (upload.holdsPermit) {
    upload.holdsPermit = false
    context.limits.inFlight.unsafeRelease(1)
  }
}
