import { Destination, Strategy, Uploader } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect } from "effect"
import * as EngineLimits from "../../src/internal/limits/engineLimits.js"
import * as Controllers from "./Controllers.js"
import { mean, percentile } from "./Criterion.js"
import * as Network from "./Network.js"
import * as Scenario from "./Scenario.js"

/** The contestants: each run has its own strategy. */
export interface Contestant {
  readonly name: string
  readonly strategy: (seed: number, bounds: Controllers.Bounds) => Strategy.Strategy
}

const ruled = (name: string, rule: (bounds: Controllers.Bounds, seed: number) => Controllers.Rule): Contestant => ({
  name,
  strategy: (seed, bounds) => ({
    ...Strategy.unlimited,
    name,
    concurrency: bounds.initial,
    controllers: [Controllers.controller(rule(bounds, seed))]
  })
})

const fixed = (workers: number): Contestant => ({
  name: `fixed ${workers}`,
  strategy: () => Strategy.workerPool({ workers })
})

export const contestants: ReadonlyArray<Contestant> = [
  { name: "Sluice", strategy: (seed, bounds) => Strategy.adaptive({ ...bounds, seed }) },
  ruled("azcopy", Controllers.azcopy),
  ruled("AIMD", Controllers.aimd),
  ruled("Gradient2", Controllers.gradient2),
  ruled("Vegas", Controllers.vegas),
  fixed(4),
  fixed(16),
  fixed(64)
]

/** The state at the end of a second: the limit, and the total so far. */
interface Second {
  readonly limit: number
  readonly carried: number
  readonly requests: number
  readonly throttled: number
}

/** Four minutes of uploads. Since ours begins with 4, all do that begin anywhere. */
const watch = (contestant: Contestant, options: Network.Options, max = 512): Effect.Effect<ReadonlyArray<Second>> =>
  Effect.suspend(() => {
    const network = new Network.Network(options)
    const seconds: Array<Second> = []
    const program = Effect.gen(function*() {
      const uploader = yield* Uploader.make({ strategy: contestant.strategy(options.seed, { initial: 4, max }) })
      const look = () =>
        seconds.push({
          limit: EngineLimits.of(uploader.limits).inFlight.limit,
          carried: network.carried(seconds.length * 1_000),
          requests: network.starts.length,
          throttled: network.throttled
        })
      look()
      const run = yield* uploader.start(Scenario.files())
      yield* Effect.repeatN(Effect.zipRight(Effect.sleep("1 second"), Effect.sync(look)), lasts - 1)
      yield* run.interrupt
    }).pipe(Effect.scoped, Effect.provideService(Destination.Destination, network.destination))
    return Effect.as(VirtualClock.run(program), seconds)
  })

const lasts = 240
/** The last seconds of it, for what it comes to. */
const judged = 60

const late = (seconds: ReadonlyArray<Second>) => {
  const from = seconds[lasts - judged]!
  const to = seconds[lasts]!
  return {
    rate: (to.carried - from.carried) / judged,
    limit: mean(seconds.slice(lasts - judged).map(({ limit }) => limit)),
    throttled: (to.throttled - from.throttled) / Math.max(1, to.requests - from.requests)
  }
}

/** A column of the table: what it is called, and what one run has come to. */
export interface Column {
  readonly title: string
  readonly measure: (contestant: Contestant, seed: number) => Effect.Effect<ReadonlyArray<number>>
  /** The medians, as they are shown. */
  readonly show: (medians: ReadonlyArray<number>) => string
}

const percent = (share: number): string => `${Math.round(share * 1_000) / 10} %`

const steadily = (lanes: keyof typeof Network.links, noise: number): Column => {
  const link = Network.links[lanes]
  return {
    title: `${lanes} lanes, ${noise * 100} % noise`,
    measure: (contestant, seed) =>
      Effect.map(watch(contestant, { link: [[0, link]], noise, seed }), (seconds) => {
        const found = seconds.findIndex(({ limit }) => Network.throughput(limit, link) >= 0.95 * link)
        const { limit, rate } = late(seconds)
        return [found < 0 ? Infinity : found, rate / link, limit]
      }),
    show: ([found, share, limit]) =>
      `${found === Infinity ? "never" : `${found} s`}, ${percent(share!)}, ${Math.round(limit!)}`
  }
}

const fallen: Column = {
  title: "11 lanes, then 3",
  measure: (contestant, seed) => {
    const link = Network.links[3]
    return Effect.map(
      watch(contestant, { link: [[0, Network.links[11]], [(lasts / 2) * 1_000, link]], seed }),
      (seconds) => {
        const { limit, rate } = late(seconds)
        return [rate / link, limit]
      }
    )
  },
  show: ([share, limit]) => `${percent(share!)}, ${Math.round(limit!)}`
}

const refused: Column = {
  title: "no more than 20 at once",
  measure: (contestant, seed) => {
    const link = Network.links[101]
    return Effect.map(watch(contestant, { link: [[0, link]], maxInFlight: 20, seed }, 64), (seconds) => {
      const { limit, rate, throttled } = late(seconds)
      return [throttled, rate / Network.throughput(20, link), limit]
    })
  },
  show: ([throttled, share, limit]) => `${percent(throttled!)}, ${percent(share!)}, ${Math.round(limit!)}`
}

export const columns: ReadonlyArray<Column> = [
  steadily(3, 0.05),
  steadily(11, 0.05),
  steadily(101, 0.05),
  steadily(101, 0.15),
  fallen,
  refused
]

/** What a contestant comes to in a column, as the median of so many seeds of each number. */
export const cell = (contestant: Contestant, column: Column, seeds: number): Effect.Effect<string> =>
  Effect.map(
    Effect.forEach(Array.from({ length: seeds }, (_, i) => i + 1), (seed) => column.measure(contestant, seed)),
    (runs) => column.show(runs[0]!.map((_, i) => percentile(runs.map((numbers) => numbers[i]!), 0.5)))
  )
