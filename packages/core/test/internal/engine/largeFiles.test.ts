import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Supervisor } from "effect"

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
  it.effect("are as many as it takes to use all permits, if each has few parts", () =>
    Effect.gen(function*() {
      // 128 parts of a second each, 16 at once.
      const { peak, seconds } = yield* upload(64, 2)
      assert.strictEqual(peak, 16)
      assert.isAtMost(seconds, 9)
    }))

  it.effect("are few if each has many parts", () =>
    Effect.gen(function*() {
      const { most, seconds } = yield* upload(4, 64)
      assert.isAtMost(most, 2)
      assert.isAtMost(seconds, 17)
    }))

  it.effect("of very many parts have a bounded number of fibers to send them", () =>
    Effect.gen(function*() {
      let [live, peak] = [0, 0]
      class Counting extends Supervisor.AbstractSupervisor<void> {
        override value = Effect.void
        override onStart(): void {
          peak = Math.max(peak, ++live)
        }
        override onEnd(): void {
          live -= 1
        }
      }
      const { destination } = yield* Simulated.make({ bytesPerSecond: MiB })
      const uploader = yield* Uploader.make({
        strategy: Strategy.workerPool({ workers: 4 }),
        partSize: 1,
        multipartThreshold: 1
      }).pipe(Effect.provideService(Destination.Destination, destination))
      const { limits } = destination.multipart ?? assert.fail("takes no parts")
      const count = 4_000
      const size = count * Math.max(limits.minSize, limits.multiple)
      const report = yield* Effect.supervised(
        uploader.uploadAll([UploadFile.make("large", ByteSource.generate(size))]),
        new Counting()
      )
      assert.strictEqual(report.files.uploaded, 1)
      assert.isAtMost(peak, 1_200)
    }).pipe(Effect.scoped, VirtualClock.run, Effect.map(({ value }) => value)))
})
