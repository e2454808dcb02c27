/**
 * The measurements of a window of attempts, and the cost that makes uploads of different sizes comparable.
 *
 * Bytes a second say little if sizes differ a thousandfold, and neither do files a second. Lanes are comparable: a
 * request that takes `perRequest + perByte × size` milliseconds, as learned from recent requests, is that much work,
 * and the pace of a window is the milliseconds of work done per millisecond. It is computed as work divided by the time
 * that it took, times the requests in flight, so it does not matter where a window begins and ends, or that completions
 * come in bursts.
 */
import type { Observation } from "../../Limits.js"
import type { Moments, State, Window } from "../../unstable/AdaptiveState.js"

/** The cost of requests, in milliseconds. */
export interface Cost {
  readonly perRequest: number
  readonly perByte: number
}

export const noMoments: Moments = { weight: 0, size: 0, millis: 0, sizeSquared: 0, sizeMillis: 0 }

export interface Opening {
  readonly limit: number
  readonly now: number
  readonly since: number
  readonly scale: number
}

/** The opening of a window under a state's limit. */
export const openingOf = ({ limit, moments: { size, weight } }: State, now: number, since: number): Opening => ({
  limit,
  now,
  since,
  scale: Math.max(1, weight === 0 ? defaultScale : size / weight)
})

export const open = (opening: Opening): Window => new Gathering(opening).close()

export const gather = (window: Window, observation: Observation, now: number): Window => {
  const { limit, openedAt, scale, since } = window
  const gathering = new Gathering({ limit, now: openedAt, since, scale }, window)
  return gathering.add(observation, now) ? gathering.close() : window
}

/** A mutable window, updated once for each attempt that ends. */
export class Gathering {
  readonly limit: number
  readonly openedAt: number
  readonly since: number
  readonly scale: number
  ended: number
  stored: number
  bytes: number
  busyMillis: number
  lanes: number
  throttledAt: number
  private weight: number
  private size: number
  private millis: number
  private sizeSquared: number
  private sizeMillis: number

  constructor({ limit, now, scale, since }: Opening, from?: Window) {
    this.limit = limit
    this.openedAt = now
    this.since = since
    this.scale = scale
    this.ended = from?.ended ?? 0
    this.stored = from?.stored ?? 0
    this.bytes = from?.bytes ?? 0
    this.busyMillis = from?.busyMillis ?? 0
    this.lanes = from?.lanes ?? 0
    this.throttledAt = from?.throttledAt ?? 0
    const { millis, size, sizeMillis, sizeSquared, weight } = from?.moments ?? noMoments
    this.weight = weight
    this.size = size
    this.millis = millis
    this.sizeSquared = sizeSquared
    this.sizeMillis = sizeMillis
  }

  /** Adds an observation and returns whether it counts. */
  add({ bytes, durationMillis, inFlight, outcome }: Observation, now: number): boolean {
    const startedAt = now - durationMillis
    // An attempt that began in the instant of a change may have begun before it: its throttling does not count.
    if (startedAt < this.since || (outcome === "Throttled" && startedAt === this.since)) return false
    this.ended += 1
    this.busyMillis += durationMillis
    this.lanes += inFlight
    if (outcome === "Throttled" && this.throttledAt === 0) this.throttledAt = inFlight
    if (outcome === "Succeeded") {
      this.stored += 1
      this.bytes += bytes
      this.learn(bytes, durationMillis)
    }
    return true
  }

  /** The gathered window, under the limit that was in force. */
  close(limit = this.limit): Window {
    const { bytes, busyMillis, ended, lanes, openedAt, scale, since, stored, throttledAt } = this
    const { millis, size, sizeMillis, sizeSquared, weight } = this
    const moments = { weight, size, millis, sizeSquared, sizeMillis }
    return { limit, openedAt, since, ended, stored, bytes, busyMillis, lanes, throttledAt, scale, moments }
  }

  // Sizes are measured relative to the scale, so that their squares cannot swallow the digits of the other sums.
  private learn(size: number, millis: number): void {
    const weight = (this.scale / (size + this.scale)) ** 2
    this.weight += weight
    this.size += weight * size
    this.millis += weight * millis
    this.sizeSquared += weight * size * size
    this.sizeMillis += weight * size * millis
  }
}

/**
 * Windows of one time, each gathered under its share of the limit, as one: what was in flight adds up. `total` has the
 * limit and the times.
 */
export const allTogether = (total: Window, shares: ReadonlyArray<Window>): Window => {
  const all = [total, ...shares]
  const sum = (of: (window: Window) => number): number => all.reduce((sum, window) => sum + of(window), 0)
  const ended = sum((window) => window.ended)
  const isThrottled = all.some((window) => window.throttledAt > 0)
  return {
    ...total,
    ended,
    stored: sum((window) => window.stored),
    bytes: sum((window) => window.bytes),
    busyMillis: sum((window) => window.busyMillis),
    lanes: ended * sum(meanLanes),
    throttledAt: isThrottled ? sum((window) => window.throttledAt > 0 ? window.throttledAt : meanLanes(window)) : 0,
    moments: all.reduce((sum, window) => addMoments(sum, window.moments, 1), noMoments)
  }
}

/** Merges two windows. */
export const together = (a: Window | undefined, b: Window): Window => a === undefined ? b : mixed(a, b, 1)

/** Mixes a window with the remaining share of an older one. */
export const mixed = (older: Window, newer: Window, kept: number): Window => ({
  ...newer,
  ended: older.ended * kept + newer.ended,
  stored: older.stored * kept + newer.stored,
  bytes: older.bytes * kept + newer.bytes,
  busyMillis: older.busyMillis * kept + newer.busyMillis,
  lanes: older.lanes * kept + newer.lanes
})

/** The mean number in flight. */
export const meanLanes = ({ ended, lanes }: Window): number => ended === 0 ? 0 : lanes / ended

/** The milliseconds of work done per millisecond. */
export const pace = (window: Window, { perByte, perRequest }: Cost): number =>
  meanLanes(window) * (perRequest * window.stored + perByte * window.bytes) / Math.max(window.busyMillis, tick)

export const addMoments = (older: Moments, newer: Moments, kept: number): Moments => ({
  weight: older.weight * kept + newer.weight,
  size: older.size * kept + newer.size,
  millis: older.millis * kept + newer.millis,
  sizeSquared: older.sizeSquared * kept + newer.sizeSquared,
  sizeMillis: older.sizeMillis * kept + newer.sizeMillis
})

/** The line through durations by size; neither coefficient is negative. */
export const cost = ({ millis, size, sizeMillis, sizeSquared, weight }: Moments): Cost => {
  if (weight === 0 || millis <= 0) return { perRequest: 1, perByte: 0 }
  const meanSize = size / weight
  const meanMillis = millis / weight
  const spread = sizeSquared / weight - meanSize * meanSize
  // If all sizes are alike, it does not matter how the cost is divided between the request and its bytes.
  if (!(spread > 1e-6 * meanSize * meanSize)) return { perRequest: meanMillis, perByte: 0 }
  const slope = (sizeMillis / weight - meanSize * meanMillis) / spread
  const perByte = Math.min(Math.max(slope, 0), meanMillis / meanSize)
  return { perRequest: Math.max(0, meanMillis - perByte * meanSize), perByte }
}

/** The duration that a clock of whole milliseconds cannot tell from zero. */
const tick = 0.5

const defaultScale = 1_000_000
