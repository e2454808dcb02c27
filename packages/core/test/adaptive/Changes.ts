import { Effect } from "effect"
import { atLeast, atMost, mean } from "./Criterion.js"
import type { Criterion } from "./Criterion.js"
import * as Network from "./Network.js"
import * as Scenario from "./Scenario.js"

const c3: Criterion = {
  id: "C3",
  title: "the link falls to a quarter",
  seeds: 200,
  measure: (seed) => {
    const changesAt = 40_000 + (seed % 50) * 700
    const link = 2_500
    return Effect.map(
      Scenario.run({
        link: [[0, 10_000], [changesAt, link]],
        seed,
        windows: 400,
        until: (seen) => seen.filter(({ openedAt }) => openedAt >= changesAt).length >= 22
      }),
      ({ seen }) => {
        // The window in which it happens is the first.
        const after = seen.filter(({ closedAt }) => closedAt > changesAt)
        const most = 2 * Network.knee(link)
        const settled = after.findIndex((_, i) => after.slice(i).every(({ limit }) => limit <= most))
        return {
          "windows to twice the lanes": settled < 0 ? Infinity : settled,
          "latency after window 20": Math.max(...after.slice(20).map(({ meanMillis }) => meanMillis)) /
            Network.aloneMillis
        }
      }
    )
  },
  promises: [atMost("windows to twice the lanes", 0.99, 10), atMost("latency after window 20", 0.99, 3)]
}

const c4: Criterion = {
  id: "C4",
  title: "the link grows four times",
  seeds: 200,
  measure: (seed) => {
    const changesAt = 100_000 + (seed % 50) * 1_700
    const link = 10_000
    return Effect.map(
      Scenario.run({
        link: [[0, 2_500], [changesAt, link]],
        seed,
        windows: 400,
        until: (seen) => {
          const { closedAt, limit } = seen[seen.length - 1]!
          return closedAt > changesAt && Network.throughput(limit, link) >= 0.9 * link
        }
      }),
      ({ seen }) => {
        const from = seen.findIndex(({ closedAt }) => closedAt > changesAt)
        return { "windows to 90 %": Scenario.windowsTo(0.9, link, seen, from) }
      }
    )
  },
  promises: [atMost("windows to 90 %", 0.99, 75), atMost("windows to 90 %", 0.5, 20)]
}

const c6: Criterion = {
  id: "C6",
  title: "the server takes 20 at once",
  seeds: 200,
  measure: (seed) =>
    Effect.map(
      Scenario.run({ link: [[0, Network.links[101]]], maxInFlight: 20, seed, windows: 110 }),
      ({ seen }) => {
        const late = seen.slice(40)
        return {
          "throttled windows": late.filter(({ isThrottled }) => isThrottled).length / late.length,
          "mean limit": mean(late.map(({ limit }) => limit))
        }
      }
    ),
  promises: [atMost("throttled windows", "mean", 0.03), atLeast("mean limit", "mean", 16)]
}

const c7: Criterion = {
  id: "C7",
  title: "the server asks for 10 s of quiet",
  seeds: 200,
  measure: (seed) => {
    const closesAt = 12_000 + (seed % 40) * 250
    return Effect.map(
      Scenario.run({
        link: [[0, 10_000]],
        seed,
        closed: [closesAt, closesAt + 8_000],
        retryAfterMillis: 10_000,
        windows: 400,
        until: (seen) => seen[seen.length - 1]!.closedAt > closesAt + 20_000
      }),
      ({ network: { starts } }) => {
        // In whole microseconds: times are sums of fractions. The pause begins when the first refusal is heard.
        const times = starts.map((at) => Math.round(at * 1_000))
        const heard = times.find((at) => at >= closesAt * 1_000)! + Network.overheadMillis * 1_000
        const next = times.find((at) => at > heard)!
        const until = heard + 10_000_000
        return {
          "requests in the pause": times.filter((at) => at > heard && at < until).length,
          "resumes after": (next - until) / 1_000
        }
      }
    )
  },
  promises: [atMost("requests in the pause", 1, 0), atMost("resumes after", 1, 1_000), atLeast("resumes after", 0, 0)]
}

const c12: Criterion = {
  id: "C12",
  title: "interrupted in any window",
  seeds: 200,
  measure: (seed) =>
    Effect.map(
      Scenario.run({ link: [[0, 10_000]], seed, windows: 1 + seed % 40 }),
      ({ endedWithin, left }) => ({ "left in flight": left, "milliseconds to the end": endedWithin })
    ),
  promises: [atMost("left in flight", 1, 0), atMost("milliseconds to the end", 1, 0)]
}

export const changes: ReadonlyArray<Criterion> = [c3, c4, c6, c7, c12]
