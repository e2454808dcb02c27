import { Effect } from "effect"
import { atLeast, atMost, mean, percentile } from "./Criterion.js"
import type { Criterion, Measured } from "./Criterion.js"
import * as Network from "./Network.js"
import * as Scenario from "./Scenario.js"

/** What a steady controller is judged by: from window 10 on, when the beginning is over. */
const steady = (seen: ReadonlyArray<Scenario.Seen>, link: number): Measured => {
  const windows = seen.slice(10)
  const shares = windows.map(({ throughput }) => throughput / link)
  const limits = windows.map(({ limit }) => limit)
  const meanLimit = mean(limits)
  return {
    throughput: mean(shares),
    "1 % of windows": percentile(shares, 0.01),
    "mean limit": meanLimit,
    variation: Math.sqrt(mean(limits.map((limit) => (limit - meanLimit) ** 2))) / meanLimit
  }
}

interface Length {
  readonly seeds: number
  readonly windows: number
}

/** C1 and C2: what the first windows of a run show, and what the rest of it does. */
const found = (lanes: keyof typeof Network.links, { seeds, windows }: Length): Criterion => {
  const link = Network.links[lanes]
  return {
    id: `C1 C2 ${lanes}`,
    title: `finds ${lanes} lanes and stays there, at 5 % noise, ${windows} windows`,
    seeds,
    measure: (seed) =>
      Effect.map(Scenario.run({ link: [[0, link]], seed, windows }), ({ seen }) => ({
        "windows to 95 %": Scenario.windowsTo(0.95, link, seen),
        "limit after window 20": Math.max(...seen.slice(20).map(({ limit }) => limit)),
        ...steady(seen, link)
      })),
    promises: [
      atMost("windows to 95 %", 0.99, 8),
      atMost("limit after window 20", 0.99, 2 * lanes + 2),
      atLeast("throughput", "mean", 0.975),
      atLeast("throughput", 0.05, 0.96),
      ...(lanes >= 11 ? [atMost("variation", "mean", 0.2)] : []),
      atLeast("1 % of windows", 0.01, 0.7)
    ]
  }
}

const noisy = (lanes: keyof typeof Network.links, { seeds, windows }: Length): Criterion => {
  const link = Network.links[lanes]
  return {
    id: `C5 ${lanes}`,
    title: `finds ${lanes} lanes and stays there, at 15 % noise, ${windows} windows`,
    seeds,
    measure: (seed) =>
      Effect.map(Scenario.run({ link: [[0, link]], noise: 0.15, seed, windows }), ({ seen }) => ({
        "windows to 95 %": Scenario.windowsTo(0.95, link, seen),
        ...steady(seen, link)
      })),
    promises: [
      atMost("windows to 95 %", 0.5, 8),
      atMost("windows to 95 %", 0.99, 70),
      atLeast("throughput", "mean", 0.96),
      atLeast("throughput", 0.05, 0.94)
    ]
  }
}

/** After the beginning, two rests with their probes; or one, where many lanes have many uploads in each window. */
const shortly: Length = { seeds: 200, windows: 42 }
const many: Length = { seeds: 200, windows: 26 }

export const steadily: ReadonlyArray<Criterion> = [
  found(1, { seeds: 200, windows: 60 }),
  found(3, { seeds: 200, windows: 210 }),
  found(11, { seeds: 200, windows: 210 }),
  found(43, many),
  found(101, many)
]

export const noisily: ReadonlyArray<Criterion> = [
  noisy(1, shortly),
  noisy(3, shortly),
  noisy(11, shortly),
  noisy(43, many),
  noisy(101, many)
]
