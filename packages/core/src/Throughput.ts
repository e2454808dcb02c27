/**
 * Throughput: the bytes per second that went through, now and overall.
 *
 * A {@link Monitor} counts bytes as they go and answers at any time, in constant memory. Each run has one; a program
 * that moves bytes by itself can make its own. What may go through is the bandwidth: see `Limits` and
 * `Strategy.bandwidth`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

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
 * Measures throughput over the last 5 seconds and overall, in constant memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Monitor {
  /** Counts `bytes` that went through at `now`, a clock time in milliseconds, at once. */
  readonly record: (now: number, bytes: number) => void
  /** The throughput at this moment. */
  readonly throughput: Effect.Effect<Throughput>
}

/**
 * A monitor that starts at `startedAt`, a clock time in milliseconds.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Throughput } from "@sluice/core"
 * import { Clock, Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const monitor = Throughput.makeMonitor(yield* Clock.currentTimeMillis)
 *   yield* Effect.sleep("20 millis")
 *   monitor.record(yield* Clock.currentTimeMillis, 1_000)
 *   const { current, overall } = yield* monitor.throughput
 *   assert.ok(current > 0 && current <= 50_000 && overall === current)
 * })
 *
 * Effect.runPromise(program)
 * ```
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
    record: (now, bytes) => {
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
