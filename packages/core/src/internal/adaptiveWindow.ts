/**
 * What a window of attempts measures, and what uploads of different sizes have in common: their cost.
 *
 * Bytes a second say little where sizes differ a thousand times, and so do files a second. What compares is lanes: a
 * request that takes `perRequest + perByte × size` milliseconds, as learned from all requests lately, is so much work,
 * and the pace of a window is how many milliseconds of work were done in a millisecond. It is reckoned as work done by
 * the time that it took, times the requests in flight: so it does not matter where a window begins and ends, nor that
 * its completions come in bursts.
 */
import type { Observation } from "../Limits.js"

/** Sums from which a line through durations by size is found: each request weighs less the larger it is. */
export interface Moments {
  readonly weight: number
  readonly size: number
  readonly millis: number
  readonly sizeSquared: number
  readonly sizeMillis: number
}

export interface Window {
  /** The limit that was in force. */
  readonly limit: number
  /** When it began, in milliseconds. */
  readonly openedAt: number
  /** Attempts that began before this do not count: they ran under another limit. */
  readonly since: number
  /** Attempts that ended. */
  readonly ended: number
  /** Those of them that stored something. */
  readonly stored: number
  /** The bytes that these stored. */
  readonly bytes: number
  /** How long all attempts took, added up. */
  readonly busyMillis: number
  /** Attempts in flight, added up over those that ended. */
  readonly lanes: number
  /** How many were in flight when the destination throttled first, or 0. */
  readonly throttledAt: number
  /** The mean size that requests are weighed by. */
  readonly scale: number
  readonly moments: Moments
}

/** What requests cost, in milliseconds. */
export interface Cost {
  readonly perRequest: number
  readonly perByte: number
}

export const noMoments: Moments = { weight: 0, size: 0, millis: 0, sizeSquared: 0, sizeMillis: 0 }

export const open = (options: {
  readonly limit: number
  readonly now: number
  readonly since: number
  readonly scale: number
}): Window => ({
  limit: options.limit,
  openedAt: options.now,
  since: options.since,
  ended: 0,
  stored: 0,
  bytes: 0,
  busyMillis: 0,
  lanes: 0,
  throttledAt: 0,
  scale: options.scale,
  moments: noMoments
})

export const gather = (window: Window, observation: Observation, now: number): Window => {
  const { bytes, durationMillis, inFlight, outcome } = observation
  const startedAt = now - durationMillis
  // What began in the instant of a change may have begun before it: no throttling is held against the new limit.
  if (startedAt < window.since || (outcome === "Throttled" && startedAt === window.since)) return window
  const isStored = outcome === "Succeeded"
  return {
    ...window,
    ended: window.ended + 1,
    stored: isStored ? window.stored + 1 : window.stored,
    bytes: isStored ? window.bytes + bytes : window.bytes,
    busyMillis: window.busyMillis + durationMillis,
    lanes: window.lanes + inFlight,
    throttledAt: outcome === "Throttled" && window.throttledAt === 0 ? inFlight : window.throttledAt,
    moments: isStored ? learn(window.moments, bytes, durationMillis, window.scale) : window.moments
  }
}

/** Several windows as one. */
export const together = (a: Window | undefined, b: Window): Window => a === undefined ? b : mixed(a, b, 1)

/** A window with what is left of an older one. */
export const mixed = (older: Window, newer: Window, kept: number): Window => ({
  ...newer,
  ended: older.ended * kept + newer.ended,
  stored: older.stored * kept + newer.stored,
  bytes: older.bytes * kept + newer.bytes,
  busyMillis: older.busyMillis * kept + newer.busyMillis,
  lanes: older.lanes * kept + newer.lanes
})

/** How many were in flight on average. */
export const meanLanes = ({ ended, lanes }: Window): number => ended === 0 ? 0 : lanes / ended

/** Milliseconds of work done in a millisecond. */
export const pace = (window: Window, { perByte, perRequest }: Cost): number =>
  meanLanes(window) * (perRequest * window.stored + perByte * window.bytes) / Math.max(window.busyMillis, tick)

export const addMoments = (older: Moments, newer: Moments, kept: number): Moments => ({
  weight: older.weight * kept + newer.weight,
  size: older.size * kept + newer.size,
  millis: older.millis * kept + newer.millis,
  sizeSquared: older.sizeSquared * kept + newer.sizeSquared,
  sizeMillis: older.sizeMillis * kept + newer.sizeMillis
})

/** The line through durations by size; neither part of it is negative. */
export const cost = ({ millis, size, sizeMillis, sizeSquared, weight }: Moments): Cost => {
  if (weight === 0 || millis <= 0) return { perRequest: 1, perByte: 0 }
  const meanSize = size / weight
  const meanMillis = millis / weight
  const spread = sizeSquared / weight - meanSize * meanSize
  // Where sizes are all alike, it does not matter what is laid to the request and what to its bytes.
  if (!(spread > 1e-6 * meanSize * meanSize)) return { perRequest: meanMillis, perByte: 0 }
  const slope = (sizeMillis / weight - meanSize * meanMillis) / spread
  const perByte = Math.min(Math.max(slope, 0), meanMillis / meanSize)
  return { perRequest: Math.max(0, meanMillis - perByte * meanSize), perByte }
}

// A size is weighed as a part of the scale, so that its square cannot swallow the digits of the others.
const learn = (moments: Moments, size: number, millis: number, scale: number): Moments => {
  const weight = (scale / (size + scale)) ** 2
  return {
    weight: moments.weight + weight,
    size: moments.size + weight * size,
    millis: moments.millis + weight * millis,
    sizeSquared: moments.sizeSquared + weight * size * size,
    sizeMillis: moments.sizeMillis + weight * size * millis
  }
}

/** What a clock of whole milliseconds cannot tell from nothing. */
const tick = 0.5
