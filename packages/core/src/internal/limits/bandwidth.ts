/**
 * Bytes per second: a limit that all uploads share.
 *
 * The limit counts every byte that is handed to a destination, including those of failed attempts. Bytes are granted in
 * units of 20 ms' worth (between 1 KiB and 256 KiB), in FIFO order; a larger request is split, never refused. In any
 * window no more than bytes per second × window + {@link burst} go through. The burst has to be earned: a fresh limit
 * starts empty.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Decode from "../values/decode.js"
import { Pacer } from "./pacer.js"

export interface Bandwidth {
  /** For limits that are part of this one. */
  readonly pacer: Pacer
  /** Bytes per second; `Infinity` when there is no limit. */
  readonly bytesPerSecond: number
  /** Whether there is no limit, here or in what this is part of. */
  readonly isUnlimited: boolean
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
 */
export const burst = (bytesPerSecond: number): number => Math.max(unitOf(bytesPerSecond), bytesPerSecond / 10)

/**
 * A limit of `bytesPerSecond`, more than 0, or `Infinity` for no limit. Throws a `RangeError` for anything else. Each
 * byte is also one of `whole`, if there is one.
 */
export const make = (bytesPerSecond: number, whole?: Bandwidth): Bandwidth => {
  const pacer = new Pacer({
    rate: Decode.rate("bytesPerSecond", bytesPerSecond),
    burst,
    startsFull: false,
    whole: whole?.pacer
  })
  const unit = () => Math.min(unitOf(pacer.rate), whole === undefined ? Infinity : unitOfPart(whole))
  const isUnlimited = () => pacer.rate === Infinity && whole?.isUnlimited !== false
  const takeUnits = (bytes: number): Effect.Effect<void> => {
    const most = unit()
    return bytes <= most
      ? pacer.take(bytes)
      : Effect.zipRight(pacer.take(most), Effect.suspend(() => takeUnits(bytes - most)))
  }
  return {
    pacer,
    get bytesPerSecond() {
      return pacer.rate
    },
    get isUnlimited() {
      return isUnlimited()
    },
    get unit() {
      return unit()
    },
    unsafeTake: (clock, bytes) => isUnlimited() || (bytes <= unit() && pacer.unsafeTake(clock, bytes)),
    take: (bytes) => Effect.suspend(() => isUnlimited() ? Effect.void : takeUnits(bytes)),
    setRate: (rate) => Effect.suspend(() => pacer.setRate(Decode.adjusted("bytesPerSecond", rate)))
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const unitOf = (bytesPerSecond: number): number => Math.round(Math.min(256 * 1024, Math.max(1024, bytesPerSecond / 50)))

/**
 * The most bytes that a part of a limit takes at once: the less, the more parts take turns, so that one that may go
 * only slowly itself gets its turn as often as it needs. It is never less than 0.2 ms' worth.
 */
const unitOfPart = ({ bytesPerSecond, pacer, unit }: Bandwidth): number =>
  Math.min(unit, Math.round(Math.max(1024, bytesPerSecond / 5_000, unit / (1 + pacer.waiting))))
