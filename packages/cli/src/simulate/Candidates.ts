/**
 * The strategies that a forecast tries, in the order in which they are preferred: what finds its limit by itself, worker
 * pools from the smallest, a rate of starts where there is one to go by, and all at once.
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
  /** The workload, as a sample of everything. */
  readonly whole: Sample
  /** A worker pool to try besides. */
  readonly workers: number | undefined
  /** Starts a second to try. */
  readonly rate: number | undefined
  /** Only these, where there are any. */
  readonly only: ReadonlyArray<StrategyName>
}

/** The strategies to try, or what is wrong with the wish. */
export const make = (options: Options): Either.Either<ReadonlyArray<Forecast.Candidate>, string> => {
  const { only } = options
  const rate = options.rate ?? gentleRate(options)
  if (only.includes("rate") && rate === undefined) {
    return Either.left("--strategy rate needs to know the rate: add --rate, such as --rate 50/s.")
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

/** However many are in flight, there are only so many connections: the others wait. */
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

/** Small, medium and large; what was asked for; and as many as the server takes. */
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

/** The rate at which files keep a server that throttles as busy as it likes, where there is such a server. */
const gentleRate = ({ network: { throttleAbove }, whole: { sizes, work } }: Options): number | undefined => {
  if (throttleAbove === undefined || work === 0) return undefined
  const rate = (throttleAbove * sizes.length * 1_000) / work
  return Number((rate * 0.9).toPrecision(2))
}
