/**
 * The strategies that a forecast tries, in order of preference: adaptive ones, worker pools from the smallest, a rate
 * of starts if one is known, and all at once.
 */
import * as AdaptiveConcurrency from "@sluice/core/AdaptiveConcurrency"
import * as Strategy from "@sluice/core/Strategy"
import * as Either from "effect/Either"
import type { StrategyName } from "../args/UploadOptions.js"
import { maxConnections } from "../args/UploadRequest.js"
import * as Format from "../terminal/Format.js"
import * as Forecast from "./Forecast.js"
import type { Sample } from "./Workload.js"

export interface Options {
  readonly network: Forecast.Network
  /** The whole workload, as a sample. */
  readonly whole: Sample
  /** The size of an additional worker pool. */
  readonly workers: number | undefined
  /** A rate to try, in starts per second. */
  readonly rate: number | undefined
  /** Only these strategies, if there are any. */
  readonly only: ReadonlyArray<StrategyName>
}

/** The strategies to try, or what is wrong with the options. */
export const make = (options: Options): Either.Either<ReadonlyArray<Forecast.Candidate>, string> => {
  const { only } = options
  const rate = options.rate ?? gentleRate(options)
  if (only.includes("rate") && rate === undefined) {
    return Either.left("--strategy rate needs a rate: add --rate, such as --rate 50/s.")
  }
  const wants = (name: StrategyName) => only.length === 0 || only.includes(name)
  return Either.right([
    ...(wants("adaptive") ? [adaptive] : []),
    ...(only.length === 0 ? [widelyAdaptive] : []),
    ...(wants("pool") ? poolSizes(options).map(pool) : []),
    ...(wants("rate") && rate !== undefined ? [rateLimited(rate)] : []),
    ...(wants("unlimited") ? [unlimited] : [])
  ])
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The number of connections is limited, however many uploads are in flight: the others wait. */
const overConnections = (strategy: Strategy.Strategy): Strategy.Strategy =>
  Strategy.stack(strategy, Strategy.workerPool({ workers: maxConnections }))

const adaptive: Forecast.Candidate = {
  name: Forecast.adaptive,
  detail: `up to ${AdaptiveConcurrency.defaults.max}`,
  flags: [],
  strategy: Strategy.adaptive()
}

const widelyAdaptive: Forecast.Candidate = {
  name: Forecast.adaptive,
  detail: `up to ${maxConnections}`,
  flags: ["--strategy", "adaptive", "--concurrency", String(maxConnections)],
  strategy: Strategy.adaptive({ max: maxConnections })
}

const pool = (workers: number): Forecast.Candidate => ({
  name: "worker pool",
  detail: Format.counted(workers, "worker"),
  flags: ["--concurrency", String(workers)],
  strategy: Strategy.workerPool({ workers })
})

const rateLimited = (uploadsPerSecond: number): Forecast.Candidate => ({
  name: "rate limited",
  detail: `${uploadsPerSecond.toLocaleString("en-US", { maximumSignificantDigits: 3 })} starts a second`,
  flags: ["--strategy", "rate", "--rate", `${Number(uploadsPerSecond.toPrecision(6))}/s`],
  strategy: overConnections(Strategy.rateLimited({ uploadsPerSecond }))
})

const unlimited: Forecast.Candidate = {
  name: "unlimited",
  detail: `over ${maxConnections} connections`,
  flags: ["--strategy", "unlimited"],
  strategy: overConnections(Strategy.unlimited)
}

/** Small, medium and large; the size that was asked for; and as many as the server accepts. */
const poolSizes = ({ network: { throttleAbove }, workers }: Options): ReadonlyArray<number> =>
  [
    ...new Set([
      4,
      16,
      64,
      ...(workers === undefined ? [] : [workers]),
      ...(throttleAbove === undefined ? [] : [throttleAbove])
    ])
  ]
    .sort((a, b) => a - b)

/** The rate that keeps a throttling server exactly as busy as it allows, if the server throttles. */
const gentleRate = ({ network: { throttleAbove }, whole: { sizes, work } }: Options): number | undefined => {
  if (throttleAbove === undefined || work === 0) return undefined
  const rate = (throttleAbove * sizes.length * 1_000) / work
  return Number((rate * 0.9).toPrecision(2))
}
