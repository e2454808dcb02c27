/**
 * What one request of a multipart upload holds while in flight: memory for its body, a permit, and a start from the rate
 * limit, taken in this order. (`lease` does the same for a file in one request.)
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Limits from "../../Limits.js"
import type * as InFlight from "../limits/inFlight.js"
import { inTurn } from "./inTurn.js"
import * as Step from "./step.js"

export interface SlotContext {
  readonly limits: Limits.Limits
  /** The budget of bytes in memory. */
  readonly memory: InFlight.InFlight
}

/** What the requests of an owner share. */
export interface SlotOwner {
  readonly clock: Clock.Clock
  readonly record: Step.Record
}

export class Slot {
  private readonly context: SlotContext
  private readonly owner: SlotOwner
  private readonly bytes: number
  private keepsMemory = false
  private lane: InFlight.Lane = "parts"
  private holdsPermit = false
  private holdsMemory = false
  private holdsStart = false
  private counted = false

  constructor(context: SlotContext, owner: SlotOwner, bytes: number) {
    this.context = context
    this.owner = owner
    this.bytes = bytes
  }

  /** A slot that adopts the permit and the start that were taken for a file. */
  static adopt(context: SlotContext, owner: SlotOwner): Slot {
    const slot = new Slot(context, owner, 0)
    slot.lane = "files"
    slot.holdsPermit = true
    slot.holdsStart = true
    return slot
  }

  /** Waits for the memory, which is kept from one attempt to the next, because its content cannot be read again. */
  readonly reserve: Effect.Effect<void> = Effect.suspend(() => {
    this.keepsMemory = true
    return this.takeMemory ?? Effect.void
  })

  /**
   * Waits for whatever it does not hold yet: for memory before the permit, in this order everywhere, so that a holder
   * of a permit waits for nothing else; and for the start last, because a start is used at once.
   */
  readonly take: Effect.Effect<void> = Effect.suspend(() =>
    (this.unsafeTake() ? this.takeStart : inTurn(this.takeMemory, inTurn(this.takePermit, this.takeStart))) ??
      Effect.void
  )

  /** The request is in flight from here on. */
  begin(): void {
    this.counted = true
    this.owner.record(Step.requestStarted)
  }

  /** Gives back what a request holds when it is over or waits for its next attempt. */
  release(): void {
    this.holdsStart = false
    if (this.counted) this.owner.record(Step.requestEnded)
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

  /** Takes the memory and the permit, if both are available at once. Anything taken until then stays taken. */
  private unsafeTake(): boolean {
    const { limits, memory } = this.context
    this.holdsMemory ||= this.bytes > 0 && memory.unsafeTake(this.bytes, "parts")
    if (!this.holdsMemory && this.bytes > 0) return false
    return this.holdsPermit ||= limits.inFlight.unsafeTake(1, this.lane)
  }

  private get takeMemory(): Effect.Effect<void> | undefined {
    return this.holdsMemory || this.bytes === 0
      ? undefined
      : this.context.memory.take(this.bytes, () => this.holdsMemory = true, "parts")
  }

  private readonly takePermit: Effect.Effect<void> = Effect.suspend(() =>
    this.holdsPermit
      ? Effect.void
      : this.context.limits.inFlight.take(1, () => this.holdsPermit = true, this.lane)
  )

  private readonly takeStart: Effect.Effect<void> = Effect.suspend(() => {
    const { rate } = this.context.limits
    this.holdsStart ||= rate.unsafeTake(this.owner.clock)
    return this.holdsStart ? Effect.void : Effect.map(rate.take, () => {
      this.holdsStart = true
    })
  })

  private releaseMemory(): void {
    if (this.holdsMemory) this.context.memory.unsafeRelease(this.bytes, "parts")
    this.holdsMemory = false
  }
}
