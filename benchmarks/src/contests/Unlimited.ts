/**
 * `unlimited`: a hundred thousand uploads in flight at once, of 100 to 1,100 bytes at 1 ms per byte, against fibers
 * that only sleep for as long.
 */
import * as ByteSource from "@sluice/core/ByteSource"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Strategy from "@sluice/core/Strategy"
import * as UploadFile from "@sluice/core/UploadFile"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Contest from "../Contest.js"
import * as Sluice from "../Sluice.js"
import { sizes } from "../Workload.js"

const bareFibers = "bare forked Effect.sleep"

const sluice = "sluice, unlimited"

export const contest: Contest.Contest = {
  name: "unlimited",
  title: "100,000 simulated uploads at once, 100 to 1,100 ms each",
  lists: [{ files: 100_000, rounds: 3 }],
  contestants: [
    {
      name: bareFibers,
      upload: (count) =>
        Effect.gen(function*() {
          const fibers: Array<Fiber.Fiber<void>> = []
          for (const size of sizes(count)) fibers.push(yield* Effect.fork(Effect.sleep(size)))
          for (const fiber of fibers) yield* Fiber.await(fiber)
        })
    },
    {
      name: "Effect.forEach, unbounded",
      upload: (count) =>
        Effect.forEach(sizes(count), (size) => Effect.sleep(size), { concurrency: "unbounded", discard: true })
    },
    { name: sluice, upload: (count) => Sluice.upload(files(count), count, network, Strategy.unlimited) },
    {
      name: "sluice, unlimited, events and progress",
      upload: (count) => Sluice.uploadWithEverythingOn(files(count), count, network, Strategy.unlimited)
    }
  ],
  promises: (of) => {
    const ours = of(sluice, 100_000)
    const bare = of(bareFibers, 100_000)
    return [
      Contest.atMost("at most 1.4 × the wall time of bare fibers", ours.wallMicros / bare.wallMicros, 1.4, "×"),
      Contest.atMost("at most 1.0 × the memory of bare fibers", ours.peakBytes / bare.peakBytes, 1, "×")
    ]
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const network = Simulated.layer({ latencyPerByte: "1 millis" })

function* files(count: number): Generator<UploadFile.UploadFile> {
  let i = 0
  for (const size of sizes(count)) yield UploadFile.make(`file-${(i++).toString(36)}`, ByteSource.generate(size))
}
