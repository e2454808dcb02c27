import { assert, describe, it } from "@effect/vitest"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect } from "effect"
import * as TestBody from "../../../support/TestBody.js"
import { pattern } from "../../../support/TestSource.js"

/** How many of 300 puts are stored, break and stall. */
const fates = (options: Simulated.Options) =>
  Effect.gen(function*() {
    const { destination } = yield* Simulated.make({ seed: "fates", requestLatency: "10 millis", ...options })
    const counts = { stored: 0, broken: 0, stalled: 0 }
    const put = (i: number) =>
      destination.put({ key: `${i}`, body: TestBody.make(pattern(100)) }).pipe(
        Effect.match({ onSuccess: () => "stored" as const, onFailure: () => "broken" as const }),
        Effect.timeoutTo({ duration: "1 minutes", onTimeout: () => "stalled" as const, onSuccess: (fate) => fate }),
        Effect.map((fate) => {
          counts[fate] += 1
        })
      )
    yield* Effect.forEach(Array.from({ length: 300 }, (_, i) => i), put, { concurrency: 50, discard: true })
    return counts
  }).pipe(VirtualClock.run, Effect.map(({ value }) => value))

const about = (count: number, expected: number) => assert.isAtMost(Math.abs(count - expected), 30)

describe("a simulated connection", () => {
  it.effect("breaks and stalls at the given rates", () =>
    Effect.gen(function*() {
      for (const [failureRate, stallRate] of [[0.3, 0.2], [0.25, 0.25], [0, 0.4], [0.4, 0]] as const) {
        const { broken, stalled, stored } = yield* fates({ failureRate, stallRate })
        about(broken, 300 * failureRate)
        about(stalled, 300 * stallRate)
        assert.strictEqual(stored, 300 - broken - stalled)
        if (failureRate === 0) assert.strictEqual(broken, 0)
        if (stallRate === 0) assert.strictEqual(stalled, 0)
      }
      assert.deepStrictEqual(yield* fates({}), { stored: 300, broken: 0, stalled: 0 })
    }))
})
