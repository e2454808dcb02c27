import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, UploadError, UploadFile } from "@sluice/core"
import type { Uploader } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Effect } from "effect"
import * as Recording from "../../support/Recording.js"
import * as Spans from "../../support/Spans.js"

const options: Uploader.Options = {
  strategy: Strategy.workerPool({ workers: 1 }),
  retry: RetryPolicy.make({ jitter: "none", attempts: 2, secondRound: false })
}

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

/** What a program's spans are, each in a line. */
const spansOf = (
  recording: Recording.Recording,
  tracing: Uploader.Options["tracing"],
  use: (uploader: Uploader.Uploader["Type"]) => Effect.Effect<unknown, unknown>,
  more: Uploader.Options = {}
) =>
  Effect.gen(function*() {
    const { layer, spans } = Spans.make()
    yield* Recording.virtual(
      Effect.flatMap(Recording.uploader(recording, { ...options, ...more, tracing }), (uploader) =>
        Effect.exit(use(uploader))).pipe(Effect.provide(layer))
    )
    return spans.map(Spans.line)
  })

const flaky = () =>
  Recording.make((put) => put.attempt === 1 && put.key !== "a" ? Effect.fail(broken) : Recording.takeAll(put))

const files = ["a", "b"].map((key) => UploadFile.fromText(key, "hello"))

describe("spans", () => {
  it.effect("are one for a run, with its counts", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* spansOf(flaky(), undefined, (uploader) => uploader.uploadAll(files)), [
        "- > Uploader.uploadAll ok " + JSON.stringify({
          "sluice.destination": "recording:",
          "sluice.ended": "Completed",
          "sluice.files.uploaded": 2,
          "sluice.files.skipped": 0,
          "sluice.files.failed": 0,
          "sluice.files.interrupted": 0,
          "sluice.bytes.uploaded": 10
        })
      ])
    }))

  it.effect("lead from the run to the file and the attempt, with errors and retries", () =>
    Effect.gen(function*() {
      const spans = yield* spansOf(flaky(), "attempt", (uploader) => uploader.uploadAll(files))
      assert.deepStrictEqual(spans.slice(1), [
        `Uploader.uploadAll > Uploader.upload ok {"sluice.key":"a","sluice.size":5,"sluice.attempts":1,"sluice.outcome":"Uploaded"}`,
        `Uploader.upload > Uploader.attempt ok {"sluice.attempt":1}`,
        `Uploader.uploadAll > Uploader.upload ok {"sluice.key":"b","sluice.size":5,"sluice.attempts":2,"sluice.outcome":"Uploaded"} sluice.retry`,
        `Uploader.upload > Uploader.attempt error {"sluice.attempt":1}`,
        `Uploader.upload > Uploader.attempt ok {"sluice.attempt":2}`
      ])
    }))

  it.effect("of single uploads end with their error, and leave the caller's context as it was", () =>
    Effect.gen(function*() {
      const never = Recording.make(() => Effect.fail(broken))
      const spans = yield* spansOf(never, undefined, (uploader) =>
        Effect.zipRight(
          Effect.exit(uploader.upload(files[0]!)),
          Effect.withSpan(Effect.exit(uploader.upload(files[1]!)), "caller")
        ))
      assert.deepStrictEqual(spans, [
        `- > Uploader.upload error {"sluice.key":"a","sluice.size":5,"sluice.attempts":2,"sluice.outcome":"Failed"}`,
        `- > caller ok {}`,
        `caller > Uploader.upload error {"sluice.key":"b","sluice.size":5,"sluice.attempts":2,"sluice.outcome":"Failed"}`
      ])
    }))

  it.effect("end when the upload is interrupted", () =>
    Effect.gen(function*() {
      const hanging = Recording.make(() => Effect.never)
      const spans = yield* spansOf(hanging, "attempt", (uploader) =>
        Effect.timeout(uploader.upload(files[0]!), "1 second"))
      assert.deepStrictEqual(spans, [
        `- > Uploader.upload interrupted {"sluice.key":"a","sluice.size":5,"sluice.attempts":1,"sluice.outcome":"Interrupted"}`,
        `Uploader.upload > Uploader.attempt interrupted {"sluice.attempt":1}`
      ])
    }))

  it.effect("of a large file name its requests and parts", () =>
    Effect.gen(function*() {
      const { destination } = yield* Simulated.make({ observe: true, parts: { minSize: 1 } })
      const recording = { ...Recording.make(), destination }
      const large = UploadFile.fromText("large", "x".repeat(25))
      const spans = yield* spansOf(recording, "attempt", (uploader) => uploader.upload(large), {
        multipartThreshold: 10,
        partSize: 10
      })
      assert.deepStrictEqual(spans.map((line) => line.replace(/ \{.*"sluice.key".*\}/, "")), [
        "- > Uploader.upload ok",
        `Uploader.upload > Uploader.attempt ok {"sluice.attempt":1}`,
        `Uploader.attempt > Uploader.create ok {"sluice.attempt":1}`,
        `Uploader.attempt > Uploader.part ok {"sluice.part":1,"sluice.size":10,"sluice.attempt":1}`,
        `Uploader.attempt > Uploader.part ok {"sluice.part":2,"sluice.size":10,"sluice.attempt":1}`,
        `Uploader.attempt > Uploader.part ok {"sluice.part":3,"sluice.size":5,"sluice.attempt":1}`,
        `Uploader.attempt > Uploader.complete ok {"sluice.attempt":1}`
      ])
    }))
})
