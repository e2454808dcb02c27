import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, Destination, Limits, RetryPolicy, Strategy, Uploader, UploadError, UploadFile } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Fiber, Random } from "effect"
import * as fc from "fast-check"
import * as EngineLimits from "../src/internal/limits/engineLimits.js"
import * as PartsRecording from "./support/PartsRecording.js"
import * as Property from "./support/Property.js"
import * as Recording from "./support/Recording.js"
import { files } from "./support/UploadedFiles.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

const pool = (workers: number) => Strategy.workerPool({ workers })

const refused = new UploadError.Throttled({ detail: "Slower." })

describe("uploaders within limits that they share", () => {
  it.effect("upload no more at once than each of them may, nor than all of them may", () =>
    Effect.gen(function*() {
      const { millis } = yield* Recording.virtual(Effect.gen(function*() {
        const within = yield* Limits.shared({ strategy: pool(6) })
        const tenants = [1, 2, 3].map(() => Recording.make(Recording.takeAfter(10)))
        const uploaders = yield* Effect.forEach(tenants, (tenant) =>
          Recording.uploader(tenant, { within, strategy: pool(4) }))
        const peaks: Array<number> = []
        const watch = Effect.forever(Effect.zipRight(
          Effect.flatMap(within.inUse, (inUse) =>
            Effect.sync(() => {
              peaks.push(inUse)
              assert.strictEqual(
                inUse,
                tenants.reduce((sum, { inFlight }) =>
                  sum + inFlight(), 0)
              )
            })),
          Effect.sleep(10)
        ))
        yield* Effect.forkScoped(Effect.zipRight(Effect.sleep(5), watch))
        yield* Effect.forEach(uploaders, (uploader, i) => uploader.uploadAll(files(12, `t${i}-`)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(tenants.map(({ objects, peak }) => [objects.size, peak() <= 4]), [
          [12, true],
          [12, true],
          [12, true]
        ])
        assert.strictEqual(Math.max(...peaks), 6)
        assert.strictEqual(yield* within.inUse, 0)
      }))
      // 36 files, 6 at a time.
      assert.strictEqual(millis, 60)
    }))

  it.effect("take turns, so that one with many files does not hold up the others", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const within = yield* Limits.shared({ strategy: pool(2) })
        const flood = yield* Recording.uploader(recording, { within, strategy: Strategy.unlimited })
        const small = yield* Recording.uploader(recording, { within, strategy: Strategy.unlimited })
        const flooding = yield* Effect.fork(
          Effect.forEach(files(1_000, "flood"), flood.upload, { concurrency: "unbounded" })
        )
        yield* Effect.sleep(100)
        yield* Effect.forEach(files(10, "small"), small.upload, { concurrency: "unbounded" })
        yield* Fiber.interrupt(flooding)
        return recording.history.filter(([, event]) => event.startsWith("stored small")).map(([at]) => at)
      }))
      assert.lengthOf(value, 10)
      // Every other permit is theirs: 10 files over 2 lanes, half of the time.
      assert.isAtMost(Math.max(...value), 230)
    }))

  it.effect("share rate of starts, bandwidth and memory", () =>
    Effect.gen(function*() {
      const starts = Recording.make()
      yield* Recording.virtual(Effect.gen(function*() {
        const within = yield* Limits.shared({ strategy: Strategy.rateLimited({ uploadsPerSecond: 10 }) })
        const uploaders = yield* Effect.all([1, 2].map(() => Recording.uploader(starts, { within })))
        yield* Effect.forEach(uploaders, (uploader, i) => uploader.uploadAll(files(5, `${i}`)), { concurrency: 2 })
      }))
      assert.deepStrictEqual(starts.starts, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900])

      const bytes = yield* Recording.virtual(Effect.gen(function*() {
        const within = yield* Limits.shared({ strategy: Strategy.bandwidth({ bytesPerSecond: 10_000 }) })
        const uploaders = yield* Effect.all(
          [1, 2].map(() => Recording.uploader(Recording.make(Recording.takeStream), { within }))
        )
        yield* Effect.forEach(uploaders, (uploader) =>
          uploader.uploadAll([UploadFile.make("a", ByteSource.generate(20_000))]), { concurrency: 2 })
      }))
      assert.closeTo(bytes.millis, 4_000, 150)

      // Two of the files fit into the memory of all.
      const memory = Recording.make(Recording.takeAfter(10), { wholeBodies: true })
      const inMemory = yield* Recording.virtual(Effect.gen(function*() {
        const within = yield* Limits.shared({ memory: 3_000_000 })
        const uploaders = yield* Effect.all([1, 2].map(() =>
          Recording.uploader(memory, { within })
        ))
        yield* Effect.forEach(uploaders, (uploader, i) =>
          uploader.uploadAll(
            Array.from({ length: 4 }, (_, file) => UploadFile.make(`${i}-${file}`, ByteSource.generate(1_000_000)))
          ), { concurrency: 2 })
      }))
      assert.deepStrictEqual([memory.objects.size, memory.peak(), inMemory.millis], [8, 2, 40])
    }))

  it.effect("wait while the shared limits are 0, and go on when they are raised", () =>
    Effect.gen(function*() {
      for (const limit of ["concurrency", "uploadsPerSecond", "bytesPerSecond"] as const) {
        const recording = Recording.make(Recording.takeStream)
        yield* Recording.virtual(Effect.gen(function*() {
          const within = yield* Limits.shared()
          const uploaders = yield* Effect.all([1, 2].map(() => Recording.uploader(recording, { within })))
          yield* within.set({ [limit]: 0 })
          const running = yield* Effect.fork(
            Effect.forEach(uploaders, (uploader, i) => uploader.uploadAll(files(3, `${i}`)), { concurrency: 2 })
          )
          yield* Effect.sleep(60_000)
          assert.strictEqual(recording.objects.size, 0, limit)
          yield* within.set({ [limit]: 1_000 })
          yield* Fiber.join(running)
          assert.strictEqual(recording.objects.size, 6, limit)
        }))
      }
    }))

  it.effect("are observed by the controllers of the shared strategy, with what all have in flight", () =>
    Effect.gen(function*() {
      const observed: Array<Limits.Observation> = []
      const strategy: Strategy.Strategy = {
        ...pool(3),
        controllers: [{
          name: "watching",
          start: () => Effect.succeed((observation) => void observed.push(observation))
        }]
      }
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.virtual(Effect.gen(function*() {
        const within = yield* Limits.shared({ within: yield* Limits.shared({ strategy }) })
        const uploaders = yield* Effect.all(
          [1, 2, 3].map(() => Recording.uploader(recording, { within, strategy: pool(1) }))
        )
        yield* Effect.forEach(uploaders, (uploader, i) => uploader.uploadAll(files(2, `${i}`)), { concurrency: 3 })
      }))
      assert.lengthOf(observed, 6)
      assert.isTrue(observed.every(({ durationMillis, outcome }) => outcome === "Succeeded" && durationMillis === 10))
      assert.deepStrictEqual(observed.slice(0, 3).map(({ inFlight }) => inFlight), [3, 3, 3])
      assert.isAtMost(Math.max(...observed.map(({ inFlight }) => inFlight)), 3)
    }))

  it.effect("are tuned together by an adaptive strategy over all: one that is throttled slows all down", () =>
    Effect.gen(function*() {
      const recording = Recording.make((put) =>
        recording.inFlight() > 8 ? Effect.zipRight(Effect.sleep(1), Effect.fail(refused)) : Recording.takeAfter(50)(put)
      )
      yield* Recording.virtual(Effect.gen(function*() {
        const within = yield* Limits.shared({ strategy: Strategy.adaptive({ initial: 32, seed: 1 }) })
        const uploaders = yield* Effect.all(
          [1, 2].map(() => Recording.uploader(recording, { within, strategy: Strategy.unlimited }))
        )
        yield* Effect.forEach(uploaders, (uploader, i) => uploader.uploadAll(files(200, `${i}`)), { concurrency: 2 })
        assert.isAtMost((yield* within.current).concurrency, 10)
      }))
      assert.strictEqual(recording.objects.size, 400)
    }))

  it.effect("leave nothing taken, whatever they were doing when they were interrupted, and make progress", () =>
    Property.check(
      fc.record({
        all: fc.integer({ min: 1, max: 6 }),
        each: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 3 }),
        rate: fc.option(fc.integer({ min: 20, max: 200 }), { nil: Infinity }),
        bytesPerSecond: fc.option(fc.integer({ min: 1_000, max: 10_000 }), { nil: Infinity }),
        memory: fc.integer({ min: 1, max: 300 }),
        interruptedAt: fc.array(fc.option(fc.nat(400), { nil: undefined }), { minLength: 3, maxLength: 3 }),
        pausedAt: fc.option(fc.nat(200), { nil: undefined })
      }),
      ({ all, bytesPerSecond, each, interruptedAt, memory, pausedAt, rate }) =>
        Effect.gen(function*() {
          const tenants = each.map(() => PartsRecording.make({ latency: () => 7 }))
          let inFlight = 0
          let peak = 0
          const counted = (destination: Destination.Destination["Type"]): Destination.Destination["Type"] => {
            const count = <A, E>(request: Effect.Effect<A, E>) =>
              Effect.acquireUseRelease(
                Effect.sync(() => {
                  peak = Math.max(peak, inFlight += 1)
                }),
                () => request,
                () => Effect.sync(() => inFlight -= 1)
              )
            const { multipart, put } = destination
            return {
              ...destination,
              put: (request) => count(put(request)),
              ...(multipart !== undefined &&
                { multipart: { ...multipart, uploadPart: (request) => count(multipart.uploadPart(request)) } })
            }
          }
          yield* VirtualClock.run(Effect.scoped(Effect.gen(function*() {
            const within = yield* Limits.shared({
              strategy: { ...pool(all), uploadsPerSecond: rate, bytesPerSecond },
              memory
            })
            const uploaders = yield* Effect.forEach(tenants, ({ destination }, i) =>
              Uploader.make({
                within,
                strategy: pool(each[i]!),
                multipartThreshold: 40,
                partSize: 20,
                retry: RetryPolicy.make({ base: 1 })
              }).pipe(Effect.provideService(Destination.Destination, counted(destination))))
            const list = (tenant: number) =>
              Array.from({ length: 8 }, (_, i) => UploadFile.make(`${tenant}-${i}`, ByteSource.generate(i * 10)))
            const fibers = yield* Effect.forEach(uploaders, (uploader, tenant) =>
              Effect.fork(
                tenant % 2 === 0
                  ? Effect.asVoid(uploader.uploadAll(list(tenant)))
                  : Effect.orDie(
                    Effect.forEach(list(tenant), uploader.upload, { concurrency: "unbounded", discard: true })
                  )
              ))
            if (pausedAt !== undefined) {
              yield* Effect.fork(
                Effect.sleep(pausedAt).pipe(
                  Effect.zipRight(within.set({ concurrency: 0 })),
                  Effect.zipRight(Effect.sleep(100)),
                  Effect.zipRight(within.set({ concurrency: all }))
                )
              )
            }
            yield* Effect.forEach(fibers, (fiber, i) => {
              const at = interruptedAt[i]
              return at === undefined
                ? Fiber.join(fiber)
                : Effect.asVoid(Effect.zipRight(Effect.sleep(at), Fiber.interrupt(fiber)))
            }, { concurrency: "unbounded", discard: true })
            tenants.forEach(({ objects }, i) => {
              if (interruptedAt[i] === undefined) assert.strictEqual(objects.size, 8)
            })
            const limits = [within, ...uploaders.map(({ limits }) => limits)].map(EngineLimits.of)
            assert.deepStrictEqual(
              limits.map(({ inFlight, memory, rate }) => [
                inFlight.taken,
                inFlight.waiting,
                memory.taken,
                memory.waiting,
                rate.waiting
              ]),
              limits.map(() => [0, 0, 0, 0, 0])
            )
          })))
          assert.isAtMost(peak, all)
        }),
      60
    ))

  it.effect("wait for the memory of all in turns, large files too", () =>
    Effect.gen(function*() {
      const recording = Recording.make(
        (put) => Effect.flatMap(Random.nextIntBetween(1, 20), (millis) => Recording.takeAfter(millis)(put)),
        { wholeBodies: true }
      )
      yield* Recording.virtual(Effect.gen(function*() {
        const within = yield* Limits.shared({ memory: 3_000_000 })
        const large = yield* Recording.uploader(recording, { within, strategy: Strategy.unlimited })
        const small = yield* Recording.uploader(recording, { within, strategy: Strategy.unlimited })
        const file = (key: string, size: number) => UploadFile.make(key, ByteSource.generate(size))
        const smallOnes = yield* Effect.fork(
          small.uploadAll(Array.from({ length: 300 }, (_, i) => file(`small${i}`, 100_000)))
        )
        yield* Effect.sleep(5)
        yield* large.upload(file("large", 2_900_000))
        // It had its turn before all the small ones were through.
        assert.isBelow(recording.objects.size, 200)
        yield* Fiber.join(smallOnes)
      }))
      assert.strictEqual(recording.objects.size, 301)
    }))
})
