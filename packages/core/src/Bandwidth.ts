/**
 * Bytes per second: a limit that all uploads share, and a monitor of the throughput reached.
 *
 * The limit counts every byte that is handed to a destination, including those of failed attempts. Bytes are granted in
 * units of 20 ms' worth (between 1 KiB and 256 KiB), in FIFO order; a larger request is split, never refused. In any
 * window no more than bytes per second × window + {@link burst} go through. The burst has to be earned: a fresh limit
 * starts empty.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Pacer } from "./internal/limits/pacer.js"
import * as Decode from "./internal/values/decode.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Bandwidth {
  /** Bytes per second; `Infinity` when there is no limit. */
  readonly bytesPerSecond: number
  /** The most bytes that one grant covers: take bytes in pieces of this size to keep them evenly spaced. */
  readonly unit: number
  /** Takes `bytes` now and returns `true`, or returns `false`. */
  readonly unsafeTake: (clock: Clock.Clock, bytes: number) => boolean
  /** Waits in line until `bytes` may go. */
  readonly take: (bytes: number) => Effect.Effect<void>
  /**
   * Changes the limit; waiting takes are recalculated. With 0 no byte goes until the limit is raised again; `NaN` and
   * negative numbers die with a `RangeError`.
   */
  readonly setRate: (bytesPerSecond: number) => Effect.Effect<void>
}

/**
 * The most bytes that a limit lets through at once after a quiet spell: 100 ms' worth, and at least one unit.
 *
 * @since 0.1.0
 * @category getters
 */
export const burst = (bytesPerSecond: number): number => Math.max(unitOf(bytesPerSecond), bytesPerSecond / 10)

/**
 * A limit of `bytesPerSecond`, more than 0, or `Infinity` for no limit. Throws a `RangeError` for anything else.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (bytesPerSecond: number): Bandwidth => {
  const pacer = new Pacer({ rate: Decode.rate("bytesPerSecond", bytesPerSecond), burst, startsFull: false })
  const takeUnits = (bytes: number): Effect.Effect<void> => {
    const unit = unitOf(pacer.rate)
    return bytes <= unit
      ? pacer.take(bytes)
      : Effect.zipRight(pacer.take(unit), Effect.suspend(() => takeUnits(bytes - unit)))
  }
  return {
    get bytesPerSecond() {
      return pacer.rate
    },
    get unit() {
      return unitOf(pacer.rate)
    },
    unsafeTake: (clock, bytes) =>
      pacer.rate === Infinity || (bytes <= unitOf(pacer.rate) && pacer.unsafeTake(clock, bytes)),
    take: (bytes) => Effect.suspend(() => pacer.rate === Infinity ? Effect.void : takeUnits(bytes)),
    setRate: (rate) => Effect.suspend(() => pacer.setRate(Decode.adjusted("bytesPerSecond", rate)))
  }
}

/**
 * Measured throughput, in bytes per second.
 *
 * @since 0.1.0
 * @category models
 */
export interface Throughput {
  /** Over the last 5 seconds, or since the start if that is less. */
  readonly current: number
  /** Since the start. */
  readonly overall: number
}

/**
 * Measures throughput over a sliding window and overall, in constant memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Monitor {
  /** Counts `bytes` that went through at `now`, a clock time in milliseconds. */
  readonly unsafeRecord: (now: number, bytes: number) => void
  /** The throughput at this moment. */
  readonly throughput: Effect.Effect<Throughput>
}

/**
 * A monitor that starts at `startedAt`, a clock time in milliseconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMonitor = (startedAt: number): Monitor => {
  const slots = new Float64Array(slotCount)
  let lastSlot = Math.floor(startedAt / slotMillis)
  let total = 0
  const advance = (now: number) => {
    const slot = Math.floor(now / slotMillis)
    if (slot - lastSlot >= slotCount) slots.fill(0)
    else for (let i = lastSlot + 1; i <= slot; i++) slots[i % slotCount] = 0
    lastSlot = Math.max(lastSlot, slot)
    return slot
  }
  return {
    unsafeRecord: (now, bytes) => {
      slots[advance(now) % slotCount]! += bytes
      total += bytes
    },
    throughput: Effect.map(Clock.currentTimeMillis, (now) => {
      advance(now)
      const elapsed = now - startedAt
      // The newest slot is only partly over: the window ends now, not at the slot's end.
      const window = Math.min(elapsed, (slotCount - 1) * slotMillis + now % slotMillis)
      return {
        current: window > 0 ? (slots.reduce((sum, bytes) => sum + bytes, 0) * 1000) / window : 0,
        overall: elapsed > 0 ? (total * 1000) / elapsed : 0
      }
    })
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const slotMillis = 100

const slotCount = 50

const unitOf = (bytesPerSecond: number): number => Math.round(Math.min(256 * 1024, Math.max(1024, bytesPerSecond / 50)))
