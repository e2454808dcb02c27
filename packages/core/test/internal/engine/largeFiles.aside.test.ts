import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Fiber } from "effect"

const MiB = 1024 ** 2

/** Four permits, and connections that take a second for a part. */
const makeUploader = Effect.gen(function*() {
  const { destination, network } = yield* Simulated.make({ bytesPerSecond: MiB, observe: true })
  const uploader = yield* Uploader.make({
    strategy: Strategy.workerPool({ workers: 4 }),
    partSize: MiB,
    multipartThreshold: MiB
  }).pipe(Effect.provideService(Destination.Destination, destination))
  return { network, uploader }
})

const large = (i: number) => UploadFile.make(`large ${i}`, ByteSource.generate(16 * MiB))

describe("Large files without room", () => {
  it.effect("do not hold up small files after them", () =>
    Effect.gen(function*() {
      const { uploader } = yield* makeUploader
      const order: Array<string> = []
      yield* uploader.uploadAll([
        ...Array.from({ length: 8 }, (_, i) => large(i)),
        ...Array.from({ length: 8 }, (_, i) => UploadFile.fromBytes(`small ${i}`, new Uint8Array(10)))
      ], { onResult: ({ file }) => Effect.sync(() => order.push(file.key)) })
      assert.lengthOf(order, 16)
      assert.isBelow(order.findIndex((key) => key === "small 7"), 8 + 2)
      assert.isBelow(order.findIndex((key) => key.startsWith("small")), 2)
    }).pipe(Effect.scoped, VirtualClock.run))

  it.effect("stay in the list once a thousand of them are set aside", () =>
    Effect.gen(function*() {
      const { uploader } = yield* makeUploader
      let taken = 0
      const files = function*() {
        for (; taken < 2_000; taken++) yield large(taken)
      }
      const run = yield* Effect.fork(uploader.uploadAll(files()))
      yield* Effect.sleep("3 seconds")
      assert.isAtLeast(taken, 1_000)
      assert.isAtMost(taken, 1_010)
      yield* Fiber.interrupt(run)
    }).pipe(Effect.scoped, VirtualClock.run))
})
