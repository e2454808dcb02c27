/**
 * What one request holds while it is in flight: a permit, memory for its body, and a start of the rate limit.
 */
import * as Effect from "effect/Effect"
import type * as InFlight from "../InFlight.js"
import type * as Limits from "../Limits.js"

export interface SlotContext {
  readonly limits: Limits.Limits
  /** The budget of bytes in memory. */
  readonly memory: InFlight.InFlight
}

/** Who is told that a request is in flight. */
export interface SlotOwner {
  readonly requestStarted: () => void
  readonly requestEnded: () => void
}

export class Slot {
  private readonly context: SlotContext
  private readonly owner: SlotOwner
  private readonly bytes: number
  private lane: InFlight.Lane = "parts"
  private holdsPermit = false
  private holdsMemory = false
  private holdsStart = false
  private counted = false
  /** Whether memory is held from one attempt to the next, since what it is for cannot be read again. */
  keepsMemory = false

  constructor(context: SlotContext, owner: SlotOwner, bytes: number) {
    this.context = context
    this.owner = owner
    this.bytes = bytes
  }

  /** A slot that has the permit and the start that somebody else took for it, as a file's. */
  static adopt(context: SlotContext, owner: SlotOwner): Slot {
    const slot = new Slot(context, owner, 0)
    slot.lane = "files"
    slot.holdsPermit = true
    slot.holdsStart = true
    return slot
  }

  /** Waits for the permit and then for memory, in this order everywhere: else two could wait for each other. */
  readonly reserve: Effect.Effect<void> = Effect.suspend(() => {
    const { limits, memory } = this.context
    const permit = this.holdsPermit
      ? Effect.void
      : limits.inFlight.take(1, () => this.holdsPermit = true, this.lane)
    const space = Effect.suspend(() =>
      this.holdsMemory || this.bytes === 0
        ? Effect.void
        : memory.take(this.bytes, () => this.holdsMemory = true, "parts")
    )
    return Effect.zipRight(permit, space)
  })

  /** Waits for whatever of it is not held yet: the start last, since that is for now. */
  readonly take: Effect.Effect<void> = Effect.suspend(() =>
    Effect.zipRight(
      this.reserve,
      this.holdsStart
        ? Effect.void
        : Effect.map(this.context.limits.rate.take, () => {
          this.holdsStart = true
        })
    )
  )

  /** From here on the request is in flight. */
  begin(): void {
    this.counted = true
    this.owner.requestStarted()
  }

  /** Gives back what a request holds that is over, or that waits for its next attempt. */
  release(): void {
    this.holdsStart = false
    if (this.counted) this.owner.requestEnded()
    this.counted = false
    if (this.holdsPermit) this.context.limits.inFlight.unsafeRelease(1, this.lane)
    this.holdsPermit = false
    this.lane = "parts"
    if (!this.keepsMemory) this.releaseMemory()
  }

  /** Gives everything back. */
  close(): void {
    this.keepsMemory = false
    this.release()
  }

  private releaseMemory(): void {
    if (this.holdsMemory) this.context.memory.unsafeRelease(this.bytes, "parts")
    this.holdsMemory = false
  }
}
