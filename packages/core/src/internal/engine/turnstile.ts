/**
 * The turnstile of a run: one worker at a time pulls a file and takes a lease for it, and the others wait in line.
 */
import type * as Effect from "effect/Effect"
import * as InFlight from "../limits/inFlight.js"
import type { Worker } from "./worker.js"

/** The most workers that may wait in line; any more end. */
const maxWaiting = 64

export class Turnstile {
  private readonly turn = InFlight.make(1)
  private count = 0

  /** The workers that wait. */
  get waiting(): number {
    return this.count
  }

  /** Enters if nobody is in it. */
  unsafeEnter(worker: Worker): boolean {
    if (!worker.isInside && !this.turn.unsafeTake(1)) return false
    this.entered(worker)
    return true
  }

  /** Waits to enter; `undefined` if enough workers wait already. */
  enter(worker: Worker): Effect.Effect<void> | undefined {
    if (!worker.isWaiting && this.count >= maxWaiting) return undefined
    this.startWaiting(worker)
    return this.turn.take(1, () => this.entered(worker))
  }

  /** Counts a worker as one that waits. */
  startWaiting(worker: Worker): void {
    if (!worker.isWaiting) this.count += 1
    worker.isWaiting = true
  }

  /** Counts a worker as one that does not wait. */
  stopWaiting(worker: Worker): void {
    if (worker.isWaiting) this.count -= 1
    worker.isWaiting = false
  }

  /** Lets the next worker in. */
  leave(worker: Worker): void {
    if (!worker.isInside) return
    worker.isInside = false
    this.turn.unsafeRelease(1)
  }

  private entered(worker: Worker): void {
    worker.isInside = true
    this.stopWaiting(worker)
  }
}
