/**
 * What a request holds while it is in flight: memory for its body, a permit, and a start from the rate limit, taken in
 * this order everywhere. So the holder of a permit never waits for memory, and a start is used at once.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as InFlight from "../limits/inFlight.js"
import type { Env } from "./env.js"

export class Lease {
  /** The memory that it takes, in bytes. */
  bytes: number
  private readonly env: Pick<Env, "limits" | "memory">
  private readonly clock: Clock.Clock
  private readonly lane: InFlight.Lane
  private keepsMemory = false
  private holdsMemory = false
  private holdsPermit = false
  private holdsStart = false

  constructor(env: Pick<Env, "limits" | "memory">, clock: Clock.Clock, lane: InFlight.Lane, bytes: number) {
    this.env = env
    this.clock = clock
    this.lane = lane
    this.bytes = bytes
  }

  /** Takes everything at once and returns `true`, or returns `false` and keeps what it has taken so far. */
  unsafeTake(): boolean {
    return this.unsafeTakePermit() && this.unsafeTakeStart()
  }

  /** Waits for whatever it does not hold yet. An interruption keeps what it has taken so far. */
  get take(): Effect.Effect<void> {
    return Effect.suspend(() => this.unsafeTake() ? Effect.void : this.wait)
  }

  /** Waits for the memory, and keeps it from one attempt to the next: its content cannot be read again. */
  get reserve(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.keepsMemory = true
      return this.unsafeTakeMemory() ? Effect.void : this.waitForMemory
    })
  }

  /** The start has been used for another request. */
  useStart(): void {
    this.holdsStart = false
  }

  /** Gives back what a request holds when it is over or waits for its next attempt. */
  release(): void {
    this.holdsStart = false
    if (this.holdsPermit) {
      this.holdsPermit = false
      this.env.limits.inFlight.unsafeRelease(1, this.lane)
    }
    if (!this.keepsMemory) this.releaseMemory()
  }

  /** Gives everything back. */
  close(): void {
    this.keepsMemory = false
    this.release()
  }

  private unsafeTakeMemory(): boolean {
    return this.holdsMemory ||= this.bytes === 0 || this.env.memory.unsafeTake(this.bytes, this.lane)
  }

  private unsafeTakePermit(): boolean {
    return this.unsafeTakeMemory() && (this.holdsPermit ||= this.env.limits.inFlight.unsafeTake(1, this.lane))
  }

  private unsafeTakeStart(): boolean {
    return this.holdsStart ||= this.env.limits.rate.unsafeTake(this.clock)
  }

  private get wait(): Effect.Effect<void> {
    const { env: { limits }, lane } = this
    const start = Effect.suspend(() =>
      this.unsafeTakeStart() ? Effect.void : Effect.map(limits.rate.take, () => {
        this.holdsStart = true
      })
    )
    const permit = Effect.suspend(() =>
      this.unsafeTakePermit()
        ? start
        : Effect.zipRight(limits.inFlight.take(1, () => this.holdsPermit = true, lane), start)
    )
    return this.holdsMemory ? permit : Effect.zipRight(this.waitForMemory, permit)
  }

  private get waitForMemory(): Effect.Effect<void> {
    return this.env.memory.take(this.bytes, () => this.holdsMemory = true, this.lane)
  }

  private releaseMemory(): void {
    if (!this.holdsMemory) return
    this.holdsMemory = false
    if (this.bytes > 0) this.env.memory.unsafeRelease(this.bytes, this.lane)
  }
}
