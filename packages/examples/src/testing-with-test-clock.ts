/**
 * An hour of uploads in a few milliseconds: every wait uses Effect's clock, so a test can move the clock by hand and
 * check any instant. In a test file, `it.effect` of `@effect/vitest` provides the `TestContext`.
 */
import { ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Fiber, Layer, TestClock, TestContext } from "effect"
import { runMain } from "./run.js"

// The application's own effect to test. It needs an Uploader, and does not know that its world is not real.
export const nightlyBackup = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  yield* Effect.sleep("1 hour")
  return yield* uploader.uploadAll([
    UploadFile.make("database.dump", ByteSource.generate(3000)),
    UploadFile.make("settings.json", ByteSource.generate(1000))
  ])
})

// One at a time, at 1 ms per byte: 3 s and then 1 s.
const TestLayer = Uploader.layer({ strategy: Strategy.workerPool({ workers: 1 }) }).pipe(
  Layer.provideMerge(Simulated.layer({ latencyPerByte: "1 millis", observe: true }))
)

export const program = Effect.gen(function*() {
  const network = yield* Simulated.Network
  // The pattern: fork what waits, move the clock, check. Without the fork the test would wait for itself.
  const backup = yield* Effect.fork(nightlyBackup)
  const history: Array<string> = []
  const look = (when: string) =>
    Effect.gen(function*() {
      const inFlight = yield* network.inFlight
      history.push(`${when}: ${inFlight} in flight, stored: ${[...network.objects.keys()].join(", ") || "nothing"}`)
    })
  yield* TestClock.adjust("59 minutes")
  yield* look("after 59 minutes")
  yield* TestClock.adjust("1 minute")
  yield* look("after an hour")
  yield* TestClock.adjust("3 seconds")
  yield* look("3 s later")
  yield* TestClock.adjust("1 second")
  yield* look("1 s later")
  const report = yield* Fiber.join(backup)
  yield* Console.log([...history, `it took ${report.durationMillis} ms`].join("\n"))
  return { history, report }
}).pipe(Effect.provide(TestLayer.pipe(Layer.provideMerge(TestContext.TestContext))))

runMain(import.meta.url, program)
