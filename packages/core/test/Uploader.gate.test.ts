import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import { Cause, Clock, Effect, Exit, Fiber } from "effect"
import * as PartsRecording from "./support/PartsRecording.js"
import * as Recording from "./support/Recording.js"
import { files } from "./support/UploadedFiles.js"

/** A gate that can be closed, and when it was asked. */
const makeGate = Effect.gen(function*() {
  const latch = yield* Effect.makeLatch(true)
  const asked: Array<number> = []
  const gate = Effect.zipRight(Effect.map(Clock.currentTimeMillis, (now) => void asked.push(now)), latch.await)
  return { asked, latch, gate }
})

const large = (key: string, size: number) => UploadFile.make(key, ByteSource.generate(size))

describe("the gate of an uploader", () => {
  it.effect("is asked before each start, and holds starts while it is closed, but not what is in flight", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const { asked, gate, latch } = yield* makeGate
        const uploader = yield* Recording.uploader(recording, {
          gate,
          strategy: Strategy.stack(
            Strategy.workerPool({ workers: 3 }),
            Strategy.rateLimited({ uploadsPerSecond: 200 })
          )
        })
        const run = yield* Effect.fork(uploader.uploadAll(files(9)))
        yield* Effect.sleep(12)
        yield* latch.close
        yield* Effect.sleep(1_000)
        assert.deepStrictEqual([recording.objects.size, recording.inFlight()], [3, 0])
        yield* latch.open
        yield* Fiber.join(run)
        return asked
      }))
      // Those that waited at the closed gate start no faster than the rate allows.
      assert.deepStrictEqual(recording.starts, [0, 5, 10, 1_012, 1_017, 1_022, 1_027, 1_032, 1_037])
      assert.deepStrictEqual(value, [0, 5, 10, 15, 1_017, 1_022, 1_027, 1_032, 1_037])
    }))

  it.effect("is asked for each part, and for each attempt", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ attempt, number }) => number === 2 && attempt === 1 ? PartsRecording.refused() : undefined
      })
      let asked = 0
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Uploader.make({
          multipartThreshold: 10,
          partSize: 10,
          retry: RetryPolicy.make({ base: 1 }),
          gate: Effect.sync(() => void asked++)
        }).pipe(Effect.provideService(Destination.Destination, recording.destination))
        yield* uploader.upload(large("a", 30))
      }))
      // Create, three parts, one of them twice, and complete.
      assert.strictEqual(asked, 6)
    }))

  it.effect("does not keep an upload from being interrupted while it is closed", () =>
    Effect.gen(function*() {
      for (const list of [[large("small", 5)], [large("large", 100)]]) {
        for (const one of [true, false]) {
          const recording = PartsRecording.make()
          const { millis } = yield* Recording.virtual(Effect.gen(function*() {
            const { gate, latch } = yield* makeGate
            const uploader = yield* Uploader.make({ multipartThreshold: 10, partSize: 10, gate }).pipe(
              Effect.provideService(Destination.Destination, recording.destination)
            )
            yield* latch.close
            const running = yield* Effect.fork(
              one ? Effect.asVoid(uploader.upload(list[0]!)) : Effect.asVoid(uploader.uploadAll(list))
            )
            yield* Effect.sleep(100)
            yield* Fiber.interrupt(running)
            assert.strictEqual(yield* uploader.limits.inUse, 0)
          }))
          assert.deepStrictEqual([millis, recording.history], [100, []])
        }
      }
    }))

  it.effect("bounds the wait for an abort that it holds up", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const { millis } = yield* Recording.virtual(Effect.gen(function*() {
        const { gate, latch } = yield* makeGate
        const uploader = yield* Uploader.make({
          strategy: Strategy.workerPool({ workers: 1 }),
          multipartThreshold: 10,
          partSize: 10,
          gate
        }).pipe(Effect.provideService(Destination.Destination, recording.destination))
        const running = yield* Effect.fork(uploader.uploadAll([large("a", 100)]))
        yield* Effect.sleep(35)
        yield* latch.close
        yield* Fiber.interrupt(running)
      }))
      assert.isAtMost(millis, 130_000)
    }))

  it.effect("ends the uploads as a defect if it dies or fails, or interrupts itself", () =>
    Effect.gen(function*() {
      const gates = {
        "no way": Effect.dieMessage("no way"),
        "not now": Effect.fail("not now") as unknown as Effect.Effect<void>,
        Interrupted: Effect.interrupt
      }
      for (const [message, gate] of Object.entries(gates)) {
        yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(Recording.make(), { gate })
          for (
            const upload of [Effect.asVoid(uploader.upload(files(1)[0]!)), Effect.asVoid(uploader.uploadAll(files(2)))]
          ) {
            const exit = yield* Effect.exit(upload)
            assert(Exit.isFailure(exit))
            assert.isTrue(Cause.isDie(exit.cause), message)
            assert.include(String(Cause.squash(exit.cause)), message)
          }
          assert.strictEqual(yield* uploader.limits.inUse, 0)
        }))
      }
    }))
})
