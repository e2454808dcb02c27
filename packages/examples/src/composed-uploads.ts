/**
 * An upload is an effect like any other, so what Effect has for effects works on it: `forEach` for many, `retry` with a
 * schedule, `timeoutOption` for an end in time, `raceFirst` for two places, and a semaphore for a limit of your own. The
 * limits of the uploader hold across all of them, and an upload that is interrupted leaves nothing behind.
 */
import {
  ByteSize,
  ByteSource,
  RetryPolicy,
  Strategy,
  Uploader,
  UploadError,
  UploadFile,
  UploadResult
} from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Duration, Effect, Layer, Option, Schedule } from "effect"
import { runMain } from "./run.js"

const photos = Array.from({ length: 20 }, (_, i) => UploadFile.make(`photos/${i}.jpg`, ByteSource.generate(100)))

const film = UploadFile.make("films/holiday.mkv", ByteSource.generate(ByteSize.decode("20 MiB")))

/** Many at once: as many as `concurrency` says, and never more than the uploader's strategy allows. */
const many = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const results = yield* Effect.forEach(photos, uploader.upload, { concurrency: 16 })
  const peak = yield* (yield* Simulated.Network).peakInFlight
  yield* Console.log(`forEach: ${results.filter(UploadResult.isUploaded).length} photos, ${peak} at once`)
})

/** More attempts than the retry policy makes, for the failures that are worth it. */
const stubborn = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  let tries = 0
  const result = yield* Effect.suspend(() => {
    tries += 1
    return uploader.upload(UploadFile.fromText("notes.txt", "a line"))
  }).pipe(
    Effect.retry({ schedule: Schedule.spaced("1 second"), times: 20, while: UploadError.isRetryable })
  )
  yield* Console.log(`retry: ${result._tag} at try ${tries}`)
}).pipe(
  Effect.provide(
    Uploader.layer({ retry: RetryPolicy.none }).pipe(
      Layer.provide(Simulated.layer({ failureRate: 0.8, seed: "five" }))
    )
  )
)

/** An end in time. The parts that were sent are removed, as no journal would find them again. */
const inTime = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const network = yield* Simulated.Network
  const result = yield* Effect.timeoutOption(uploader.upload(film), "3 seconds")
  const left = (yield* network.sessions).length
  yield* Console.log(`timeout: ${Option.isNone(result) ? "too late" : "in time"}, ${left} uploads left behind`)
})

/** Whichever place has it first; the other upload is interrupted. */
const race = Effect.gen(function*() {
  const uploadTo = (name: string, bytesPerSecond: ByteSize.ByteSizeInput) =>
    Effect.flatMap(Uploader.Uploader, (uploader) => Effect.as(uploader.upload(film), name)).pipe(
      Effect.provide(Layer.provide(Uploader.layer(), Simulated.layer({ bytesPerSecond })))
    )
  const first = yield* Effect.raceFirst(uploadTo("Paris", "4 MiB"), uploadTo("Oslo", "1 MiB"))
  yield* Console.log(`race: ${first} has it`)
})

/** A limit of your own inside that of the uploader: two at once for each user. */
const perUser = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  const uploadFor = (user: string) =>
    Effect.gen(function*() {
      const permits = yield* Effect.makeSemaphore(2)
      return yield* Effect.forEach(
        photos,
        (photo) => permits.withPermits(1)(uploader.upload({ ...photo, key: `${user}/${photo.key}` })),
        { concurrency: "unbounded", discard: true }
      )
    })
  const [time] = yield* Effect.timed(Effect.all([uploadFor("ada"), uploadFor("bob")], { concurrency: 2 }))
  yield* Console.log(`semaphore: 20 photos for each of two users, two at once, in ${Duration.format(time)}`)
})

export const program = Effect.all([many, stubborn, inTime, race, perUser], { discard: true }).pipe(
  Effect.provide(
    Uploader.layer({ strategy: Strategy.workerPool({ workers: 8 }) }).pipe(
      Layer.provideMerge(Simulated.layer({ requestLatency: "100 millis", bytesPerSecond: "2 MiB", observe: true }))
    )
  )
)

runMain(import.meta.url, program)
