/**
 * The watch for attempts that make no progress: of small files and of parts.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Moving } from "../bytes/watch.js"
import type { Worker } from "./worker.js"

/**
 * Interrupts stalled attempts. It sleeps until the first instant at which one can be overdue. The observable progress
 * of bytes in transit is checked twice: halfway through the stall timeout, and at its end.
 */
export const watchForStalls = (
  clock: Clock.Clock,
  stallMillis: number,
  workers: Iterable<Worker>
): Effect.Effect<void> => {
  if (stallMillis === Infinity) return Effect.void
  const round: Effect.Effect<void> = Effect.suspend(() => {
    const now = clock.unsafeCurrentTimeMillis()
    let wait = stallMillis / 2
    const looks: Array<Effect.Effect<void>> = []
    const look = (transfer: Moving & { readonly moved: () => void }, isUnderWay: () => boolean, cut: () => void) => {
      if (transfer.waits > 0) return
      const { lastByteAt, track } = transfer
      const left = lastByteAt + stallMillis - now
      const tracked = track !== undefined && !track.isSeenSince(lastByteAt)
      if (left > 0) wait = Math.min(wait, tracked && left > stallMillis / 2 ? left - stallMillis / 2 : left)
      if (track === undefined) return left <= 0 ? cut() : undefined
      if (left > (tracked ? stallMillis / 2 : 0)) return
      looks.push(Effect.map(track.look(lastByteAt, stallMillis / 2), (moved) => {
        if (transfer.lastByteAt !== lastByteAt || transfer.waits > 0 || !isUnderWay()) return
        if (moved) transfer.moved()
        else if (left <= 0) cut()
      }))
    }
    for (const worker of workers) {
      const { upload } = worker
      if (upload?.state !== "Attempt") continue
      if (upload.large) {
        const { transfers } = upload
        for (const part of transfers) look(part, () => transfers.has(part), () => part.unsafeStall(stallMillis))
      } else {
        look(upload, () => worker.upload === upload && upload.state === "Attempt", () => worker.unsafeCut())
      }
    }
    // On a clock with fractions, the rest may be too small for the clock to advance.
    const sleep = clock.sleep(Duration.millis(Math.max(1, wait)))
    return Effect.zipRight(
      looks.length === 0
        ? sleep
        : Effect.zipRight(Effect.all(looks, { concurrency: "unbounded", discard: true }), sleep),
      round
    )
  })
  return round
}
