import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, UploadError, UploadFile } from "@sluice/core"
import { Effect, HashMap, Logger, LogLevel } from "effect"
import * as Recording from "../../support/Recording.js"

const options = {
  strategy: Strategy.workerPool({ workers: 1 }),
  retry: RetryPolicy.make({ jitter: "none", attempts: 3 })
}

describe("the log", () => {
  it.effect("tells at level debug of throttling, retries and changes of the limits, with what they concern", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ annotations, logLevel, message }) => {
        lines.push(
          [logLevel.label, message, JSON.stringify(Object.fromEntries(HashMap.toEntries(annotations).sort()))].join(" ")
        )
      })
      const recording = Recording.make((put) =>
        put.attempt === 1
          ? Effect.fail(new UploadError.Throttled({ detail: "Slow down." }))
          : put.attempt === 2
          ? Effect.fail(new UploadError.Transient({ reason: "Connection", detail: "The connection broke." }))
          : Recording.takeAll(put)
      )
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, options)
        const run = yield* uploader.start([UploadFile.fromText("a", "hello")])
        yield* uploader.limits.set({ concurrency: 2 }, "There is room.")
        yield* run.report
      })).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Logger.withMinimumLogLevel(LogLevel.Debug)
      )
      assert.deepStrictEqual(lines.map((line) => line.replace(/"error":"[^"]*"/, "error")).toSorted(), [
        `DEBUG An attempt has failed. {"attempt":2,"attempts":3,"delay":"200ms",error,"key":"a"}`,
        `DEBUG The destination throttles. {"attempt":1,"attempts":3,"delay":"1s",error,"key":"a"}`,
        `DEBUG The limits have changed. {"bytesPerSecond":null,"concurrency":2,"reason":"There is room.","uploadsPerSecond":null}`
      ])
    }))
})
