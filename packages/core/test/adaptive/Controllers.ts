import type { Limits } from "@sluice/core"
import { Effect, Queue } from "effect"
import * as Draws from "./Draws.js"

/**
 * How others find the number of requests in flight, by their own constants: what ours is measured against. A rule is
 * told of each attempt that has ended, and tells the limit from then on.
 */
export interface Rule {
  readonly name: string
  readonly limit: number
  readonly observe: (observation: Limits.Observation, now: number) => number
}

export interface Bounds {
  readonly initial: number
  readonly max: number
}

/** A second of attempts, or as long as ten of them take: Netflix's `WindowedLimit`. */
export interface Sample {
  readonly meanMillis: number
  /** The most in flight. */
  readonly inFlight: number
  readonly isDropped: boolean
}

const windowMillis = 1_000
const leastSamples = 10

const windowed = (name: string, bounds: Bounds, next: (limit: number, sample: Sample) => number): Rule => {
  let limit = bounds.initial
  let since = 0
  let ended = 0
  let busyMillis = 0
  let inFlight = 0
  let isDropped = false
  return {
    name,
    limit,
    observe: (observation, now) => {
      inFlight = Math.max(inFlight, observation.inFlight)
      if (observation.outcome === "Succeeded") {
        ended += 1
        busyMillis += observation.durationMillis
      } else isDropped = true
      if (ended < leastSamples || now < since + windowMillis) return Math.floor(limit)
      const sample = { meanMillis: busyMillis / ended, inFlight, isDropped }
      limit = Math.min(bounds.max, Math.max(1, next(limit, sample)))
      since = now
      ended = busyMillis = inFlight = 0
      isDropped = false
      return Math.floor(limit)
    }
  }
}

/** Netflix's `AIMDLimit`: one more while nothing fails or takes over 5 s, else a tenth fewer. */
export const aimd = (bounds: Bounds): Rule =>
  windowed("AIMD", bounds, (limit, { inFlight, isDropped, meanMillis }) =>
    isDropped || meanMillis > 5_000
      ? Math.floor(limit * 0.9)
      : inFlight * 2 >= limit
      ? limit + 1
      : limit)

/** Netflix's `Gradient2Limit`: as many times the limit as durations are what they were in the long run, and 4 more. */
export const gradient2 = (bounds: Bounds): Rule => {
  let long = 0
  let samples = 0
  return windowed("Gradient2", bounds, (limit, { inFlight, meanMillis: short }) => {
    samples += 1
    long = samples <= 10 ? long + (short - long) / samples : long + (short - long) * 2 / 601
    if (long / short > 2) long *= 0.95
    if (inFlight < limit / 2) return limit
    const gradient = Math.max(0.5, Math.min(1, 1.5 * long / short))
    return limit * 0.8 + (limit * gradient + 4) * 0.2
  })
}

/** Netflix's `VegasLimit`: keeps so many waiting as the logarithm of the limit says, by the shortest duration seen. */
export const vegas = (bounds: Bounds, seed: number): Rule => {
  const dice = Draws.make(seed)
  const jitter = () => 0.5 + dice.next() / 2
  let shortest = Infinity
  let probes = 0
  let patience = jitter()
  return windowed("Vegas", bounds, (limit, { inFlight, isDropped, meanMillis }) => {
    probes += 1
    if (probes >= patience * 30 * limit) {
      probes = 0
      patience = jitter()
      shortest = meanMillis
      return limit
    }
    if (meanMillis < shortest) {
      shortest = meanMillis
      return limit
    }
    const step = Math.max(1, Math.floor(Math.log10(limit)))
    const waiting = Math.ceil(limit * (1 - shortest / meanMillis))
    if (isDropped) return limit - step
    if (inFlight * 2 < limit) return limit
    if (waiting <= step) return limit + 6 * step
    if (waiting < 3 * step) return limit + step
    return waiting > 6 * step ? limit - step : limit
  })
}

/**
 * azcopy's `concurrencyTuner`: measures for 4 s, after 4 s to settle; four times as many while a fifth of that comes of
 * it, twice as many from 256; goes back and tries less where it does not; and stays for good where less is under 1.19.
 */
export const azcopy = (bounds: Bounds): Rule => {
  const measureMillis = 4_000
  let limit = bounds.initial
  let multiplier = 4
  let reductions = 0
  let wanted: number | undefined = undefined
  let isAtMax = false
  let isFrozen = false
  let measuresAt = measureMillis
  let bytes = 0

  const raise = (speed: number) => {
    if (limit >= 256 && multiplier > 2) multiplier = 2
    isAtMax = limit * multiplier > bounds.max
    if (isAtMax) multiplier = bounds.max / limit
    limit *= multiplier
    wanted = speed * (1 + (multiplier - 1) * 0.2)
  }

  const lower = () => {
    limit /= multiplier
    multiplier = multiplier > 2 ? 2 : 1 + (multiplier - 1) / 5
    reductions += 1
    if (reductions <= 2) { while (Math.floor(multiplier * limit) === Math.floor(limit)) multiplier += 0.05 }
    wanted = undefined
    isFrozen = multiplier < 1.19
  }

  const measured = (speed: number) => {
    if (wanted === undefined) return raise(speed)
    if (speed <= wanted) return lower()
    if (isAtMax) isFrozen = true
    else raise(speed)
  }

  return {
    name: "azcopy",
    limit,
    observe: (observation, now) => {
      if (isFrozen) return Math.floor(limit)
      // What ends before that is of the time in which it settles.
      if (now >= measuresAt) bytes += observation.bytes
      if (now < measuresAt + measureMillis) return Math.floor(limit)
      measured(bytes * 1_000 / (now - measuresAt))
      bytes = 0
      measuresAt = now + measureMillis
      return Math.floor(limit)
    }
  }
}

/** Applies a rule to an uploader while it runs. */
export const controller = (rule: Rule): Limits.Controller => ({
  name: rule.name,
  start: (limits) =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      const turned = yield* Queue.unbounded<number>()
      let limit = rule.limit
      yield* limits.set({ concurrency: limit })
      yield* Effect.forkScoped(
        Effect.forever(Effect.flatMap(Queue.take(turned), (concurrency) => limits.set({ concurrency })))
      )
      return (observation) => {
        const next = rule.observe(observation, clock.unsafeCurrentTimeMillis())
        if (next === limit) return
        limit = next
        turned.unsafeOffer(next)
      }
    })
})
