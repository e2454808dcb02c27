import { Effect } from "effect"
import { Destination, Strategy, Uploader } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import * as Scenario from "./Scenario.js"
for (const which of ["study", "simulated"]) {
const t0 = process.cpuUsage(); let reqs = 0
for (let seed = 1; seed <= 10; seed++) {
  if (which === "study") {
  const o = await Effect.runPromise(Scenario.run({ link: [[0, 10000]], seed, windows: 200 }))
  reqs += o.network.starts.length
  } else {
    const { destination: d } = await Effect.runPromise(Simulated.make({ requestLatency: 50, bytesPerSecond: 1000, sharedBytesPerSecond: 10000, noise: 0.05, seed, parts: false }))
    const destination = { ...d, put: (r: any) => Effect.suspend(() => { reqs++; return d.put(r) }) }
    const limits: number[] = []
    await Effect.runPromise(VirtualClock.run(Effect.gen(function*() {
      let run: any
      const uploader = yield* Uploader.make({ strategy: Strategy.adaptive({ max: 512, seed, onWindow: (w) => Effect.suspend(() => { limits.push(w.limit); return limits.length === 200 ? run.interrupt : Effect.void }) }) })
      run = yield* uploader.start(Scenario.files())
      yield* run.report
    }).pipe(Effect.scoped, Effect.provideService(Destination.Destination, destination))))
    if (seed < 3) console.log(limits.join(" "))
  }
}
const c = process.cpuUsage(t0)
console.log(which, (c.user+c.system)/reqs, reqs)
}
