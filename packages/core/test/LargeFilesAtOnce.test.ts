import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect } from "effect"

const MiB = 1024 ** 2

/** Uploads files of so many parts each, over connections of 1 MiB a second. */
const upload = (files: number, parts: number) =>
  Effect.gen(function*() {
    const { destination, network } = yield* Simulated.make({ bytesPerSecond: MiB, observe: true })
    const uploader = yield* Uploader.make({
      strategy: Strategy.workerPool({ workers: 16 }),
      partSize: MiB,
      multipartThreshold: MiB
    }).pipe(Effect.provideService(Destination.Destination, destination))
    let most = 0
    const watch = Effect.forever(Effect.zipRight(
      Effect.map(network.sessions, ({ length }) => {
        most = Math.max(most, length)
      }),
      Effect.sleep(100)
    ))
    yield* Effect.forkScoped(watch)
    const report = yield* uploader.uploadAll(
      Array.from({ length: files }, (_, i) => UploadFile.make(`${i}`, ByteSource.generate(parts * MiB)))
    )
    return { seconds: report.durationMillis / 1_000, peak: yield* network.peakInFlight, most }
  }).pipe(Effect.scoped, VirtualClock.run, Effect.map(({ value }) => value))

describe("Large files at once", () => {
  it.effect("are as many as it takes to use all permits, where each has few parts", () =>
    Effect.gen(function*() {
      // 128 parts of a second each, 16 at once.
      const { peak, seconds } = yield* upload(64, 2)
      assert.strictEqual(peak, 16)
      assert.isAtMost(seconds, 9)
    }))

  it.effect("are few where each has many parts", () =>
    Effect.gen(function*() {
      const { most, seconds } = yield* upload(4, 64)
      assert.isAtMost(most, 2)
      assert.isAtMost(seconds, 17)
    }))
})
