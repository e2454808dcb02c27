/**
 * Interrupts an upload of 1,000 files at random instants, and looks at what it leaves behind.
 */
import { assert } from "@effect/vitest"
import { ByteSource, Destination, Strategy, Uploader, UploadFile, UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Clock, Effect, Random, Stream } from "effect"
import * as EngineLimits from "../../src/internal/limits/engineLimits.js"
import { leftRunning } from "./RunFiles.js"

export const atRandomInstants = (count: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    const sizes = new Map(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, (i * 7919) % 300]))
    const list = Array.from(sizes, ([key, size]) => UploadFile.make(key, ByteSource.generate(size)))
    const strategies = [
      Strategy.workerPool({ workers: 50 }),
      Strategy.stack(Strategy.workerPool({ workers: 50 }), Strategy.rateLimited({ uploadsPerSecond: 1_500 })),
      Strategy.stack(Strategy.workerPool({ workers: 50 }), Strategy.bandwidth({ bytesPerSecond: 200_000 })),
      Strategy.workerPool({ workers: 100 })
    ]
    const random = Random.make("instants")
    for (let instant = 0; instant < count; instant++) {
      // More of them early on: that costs less, and there is more to interrupt.
      const at = Math.floor(900 * (yield* Effect.withRandom(Random.next, random)) ** 2)
      yield* VirtualClock.run(leftRunning(Effect.scoped(Effect.gen(function*() {
        const { destination, network } = yield* Simulated.make({
          observe: true,
          requestLatency: 3,
          latencyPerByte: "200 micros",
          failureRate: instant % 2 === 0 ? 0.1 : 0,
          maxInFlight: 60
        })
        const uploader = yield* Uploader.make({ strategy: strategies[instant % 4]! }).pipe(
          Effect.provideService(Destination.Destination, destination)
        )
        const results: Array<UploadResult.UploadResult> = []
        const run = yield* uploader.start(
          instant % 3 === 0 ? list : instant % 3 === 1 ? list.values() : Stream.fromIterable(list),
          { lookahead: 100, onResult: (result) => Effect.sync(() => results.push(result)) }
        )
        yield* Effect.sleep(at)
        yield* run.interrupt
        const report = yield* run.report
        const { inFlight } = EngineLimits.of(uploader.limits)
        assert.deepStrictEqual([yield* network.inFlight, inFlight.taken, inFlight.waiting], [0, 0, 0], `at ${at}`)
        assert.strictEqual(yield* Clock.currentTimeMillis, at)
        // What is stored is whole, and every file that was finished has kept its result.
        const partial = Array.from(network.objects).filter(([key, { bytes }]) => bytes.length !== sizes.get(key))
        assert.deepStrictEqual(partial, [])
        const uploaded = results.filter(UploadResult.isUploaded)
        assert.deepStrictEqual(uploaded.map(({ file }) => file.key).sort(), Array.from(network.objects.keys()).sort())
        assert.strictEqual(new Set(results.map(({ file }) => file.key)).size, results.length)
        const { files } = report
        assert.strictEqual(files.uploaded, uploaded.length)
        assert.strictEqual(files.uploaded + files.failed + files.interrupted, results.length)
        assert.strictEqual(files.total, results.length + files.notStarted)
        const progress = yield* run.currentProgress
        assert.deepStrictEqual([progress.inFlight, progress.bytesInFlight], [0, 0])
      })))).pipe(
        Effect.map(({ value }) => assert.strictEqual(value, 0, `fibers left running at ${at}`)),
        Effect.withRandom(Random.make(instant))
      )
    }
  })
