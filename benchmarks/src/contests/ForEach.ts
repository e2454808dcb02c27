/**
 * `forEach`: what one file costs as an effect of its own, composed by `Effect.forEach`. Each upload is a fiber with its
 * own retries, stall watch and span; a run spreads that over its workers.
 */
import { Strategy, Uploader } from "@sluice/core"
import type * as UploadFile from "@sluice/core/UploadFile"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Contest from "../Contest.js"
import * as Sluice from "../Sluice.js"
import { concurrency, everythingStored, files, instant, putEffect } from "../Workload.js"

const forEachUpload = "Effect.forEach(files, uploader.upload)"

const forkEach = (file: UploadFile.UploadFile): Effect.Effect<void> =>
  Effect.flatMap(Effect.fork(putEffect(file)), (fiber) => fiber.await)

const contestants: ReadonlyArray<Contest.Contestant> = [
  {
    name: "Effect.forEach, a bare fork each",
    upload: (count) => Effect.forEach(files(count), forkEach, { concurrency, discard: true })
  },
  {
    name: forEachUpload,
    upload: (count) =>
      Effect.flatMap(
        Uploader.Uploader,
        (uploader) => Effect.forEach(files(count), uploader.upload, { concurrency, discard: true })
      ).pipe(
        Effect.orDie,
        Effect.provide(
          Layer.provide(Uploader.layer({ strategy: Strategy.workerPool({ workers: concurrency }) }), instant)
        )
      )
  },
  { name: "uploader.uploadAll(files)", upload: (count) => Sluice.upload(files(count), count, instant) }
]

export const contest: Contest.Contest = {
  name: "forEach",
  title: `files as effects of their own, ${concurrency} at a time, an instant destination`,
  lists: [{ files: 30_000, rounds: 3 }],
  contestants: contestants.map(everythingStored),
  promises: (of) => [
    Contest.atMost("a file: at most 60 µs of CPU", of(forEachUpload, 30_000).cpuMicros, 60, "µs")
  ]
}
