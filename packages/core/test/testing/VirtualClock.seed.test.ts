import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { UploadEvent } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Random } from "effect"

const files = Array.from({ length: 20 }, (_, i) => UploadFile.make(`${i}`, ByteSource.generate(100 * i)))

/** Uploads over a network that fails at random, with backoffs of random length, and returns everything that happened. */
const history = Effect.gen(function*() {
  const events: Array<UploadEvent.UploadEvent> = []
  const { destination } = yield* Simulated.make({ requestLatency: "1 second", failureRate: 0.4 })
  const uploader = yield* Uploader.make({
    strategy: Strategy.stack(Strategy.adaptive(), Strategy.bandwidth({ bytesPerSecond: 1_000 })),
    retry: RetryPolicy.make({ attempts: 3 })
  }).pipe(Effect.provideService(Destination.Destination, destination))
  const report = yield* uploader.uploadAll(files, { onEvent: (event) => Effect.sync(() => void events.push(event)) })
  return { events, report }
}).pipe(Effect.scoped)

const draws = Effect.replicateEffect(Random.next, 5)

describe("the seed of VirtualClock.run", () => {
  it.effect("decides the whole history: the same seed gives the same one, another seed another", () =>
    Effect.gen(function*() {
      const first = yield* VirtualClock.run(history, { seed: "first" })
      assert.isAbove(first.value.report.retries, 5)
      assert.deepStrictEqual(yield* VirtualClock.run(history, { seed: "first" }), first)
      const other = yield* VirtualClock.run(history, { seed: "other" })
      assert.notDeepEqual(other.value.events, first.value.events)
      assert.notStrictEqual(other.millis, first.millis)
    }))

  it.effect("is 0 by default", () =>
    Effect.gen(function*() {
      const expected = yield* Effect.withRandom(draws, Random.make(0))
      assert.strictEqual(VirtualClock.defaults.seed, 0)
      assert.deepStrictEqual((yield* VirtualClock.run(draws)).value, expected)
      assert.deepStrictEqual((yield* VirtualClock.run(draws)).value, expected)
    }))

  it.effect("leaves a Random that the run was given alone, unless a seed is given, too", () =>
    Effect.gen(function*() {
      const fixed = Effect.withRandom(Random.fixed([0.25]))
      assert.deepStrictEqual((yield* fixed(VirtualClock.run(draws))).value, Array.from({ length: 5 }, () => 0.25))
      assert.deepStrictEqual(
        (yield* fixed(VirtualClock.run(draws, { seed: 7 }))).value,
        yield* Effect.withRandom(draws, Random.make(7))
      )
      assert.deepStrictEqual(
        (yield* VirtualClock.run(fixed(draws), { seed: 7 })).value,
        Array.from({ length: 5 }, () => 0.25)
      )
    }))
})
