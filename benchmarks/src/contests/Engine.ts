/**
 * `engine`: what the engine adds to each file if the upload itself costs almost nothing. The others bound how many
 * uploads are in flight, and do nothing else: no retries, rates, progress, events, metrics or report.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import pLimit from "p-limit"
import pMap from "p-map"
import PQueue from "p-queue"
import * as Contest from "../Contest.js"
import * as Sluice from "../Sluice.js"
import { concurrency, everythingStored, files, instant, putEffect, putPromise } from "../Workload.js"

const everythingOn = "sluice, everything on"

/** What a careful programmer would write without a library. */
const promisePool = async (count: number): Promise<void> => {
  const list = files(count)
  const worker = async () => {
    for (const file of list) await putPromise(file)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}

const pQueue = async (count: number): Promise<void> => {
  const queue = new PQueue({ concurrency })
  for (const file of files(count)) {
    await queue.onSizeLessThan(concurrency)
    void queue.add(() => putPromise(file))
  }
  await queue.onIdle()
}

/** The leanest possible pool in Effect: no read-ahead, no changing limits, no events. */
const sharedPuller = (count: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const list = files(count)
    const worker = Effect.gen(function*() {
      for (const file of list) yield* putEffect(file)
    })
    return Effect.all(Array.from({ length: concurrency }, () => worker), { concurrency: "unbounded", discard: true })
  })

const byPromise = (name: string, upload: (count: number) => Promise<unknown>): Contest.Contestant => ({
  name,
  upload: (count) => Effect.promise(() => upload(count))
})

const contestants: ReadonlyArray<Contest.Contestant> = [
  byPromise("promise pool", promisePool),
  byPromise("p-map", (count) => pMap(files(count), putPromise, { concurrency })),
  byPromise("p-limit", (count) => pLimit(concurrency).map(files(count), putPromise)),
  byPromise("p-queue", pQueue),
  { name: "fibers sharing a puller", upload: sharedPuller },
  {
    name: "Effect.forEach",
    upload: (count) => Effect.forEach(files(count), putEffect, { concurrency, discard: true })
  },
  {
    name: "Stream.mapEffect",
    upload: (count) => Stream.runDrain(Stream.mapEffect(Stream.fromIterable(files(count)), putEffect, { concurrency })),
    // A million files would take minutes.
    atMost: 100_000
  },
  { name: "sluice", upload: (count) => Sluice.upload(files(count), count, instant) },
  { name: everythingOn, upload: (count) => Sluice.uploadWithEverythingOn(files(count), count, instant) }
]

export const contest: Contest.Contest = {
  name: "engine",
  title: `an instant destination, ${concurrency} uploads at a time, from a lazy list`,
  lists: [{ files: 100_000, rounds: 3 }, { files: 1_000_000, rounds: 2 }],
  contestants: contestants.map(everythingStored),
  promises: (of) => {
    const few = of(everythingOn, 100_000)
    const many = of(everythingOn, 1_000_000)
    return [
      Contest.atMost("everything on, 1,000,000 files: at most 15 µs of CPU a file", many.cpuMicros, 15, "µs"),
      Contest.atMost("everything on, 1,000,000 files: at most 240 MB", many.peakBytes / 1e6, 240, "MB"),
      Contest.atMost(
        "everything on: 1,000,000 files take at most 20 MB more than 100,000",
        (many.peakBytes - few.peakBytes) / 1e6,
        20,
        "MB"
      )
    ]
  }
}
