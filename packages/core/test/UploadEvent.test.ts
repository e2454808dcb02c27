import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, UploadError, UploadEvent, UploadFile, UploadResult } from "@sluice/core"
import { Effect, Schema, Stream } from "effect"
import * as Recording from "./support/Recording.js"

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

const files = (count: number, prefix = "f"): Array<UploadFile.UploadFile> =>
  Array.from({ length: count }, (_, i) => UploadFile.fromText(`${prefix}${i}`, "x".repeat(10)))

describe("UploadEvent", () => {
  it.effect("is a value of its schema, for every kind of event", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        key === "f0" && attempt < 3
          ? Effect.fail(broken)
          : key === "f1"
          ? Effect.fail(new UploadError.Throttled({ detail: "Slower.", retryAfterMillis: 5 }))
          : key === "f2"
          ? Effect.fail(new UploadError.Conflict({ detail: "No." }))
          : Recording.takeAfter(20)({ body })
      )
      const events: Array<UploadEvent.UploadEvent> = []
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.workerPool({ workers: 3 }),
          retry: RetryPolicy.make({ attempts: 2, base: 1 })
        })
        const list = [
          ...files(5),
          UploadResult.skipped("link", "a link"),
          { ...files(1, "unknown")[0]!, size: undefined },
          ...files(100, "rest")
        ]
        const run = yield* uploader.start(Stream.fromIterable(list), {
          onEvent: (event) => Effect.sync(() => events.push(event))
        })
        yield* Effect.sleep(5)
        yield* run.pause
        yield* Effect.sleep(5)
        yield* run.resume
        yield* run.limits.set({ concurrency: 2, uploadsPerSecond: Infinity }, "by hand")
        yield* Effect.sleep(100)
        yield* run.drain
        yield* run.interrupt
      }))
      const kinds = new Set(events.map((event) =>
        event._tag === "RunChanged" ? event.state : event._tag === "UploadFinished" ? event.outcome : event._tag
      ))
      assert.deepStrictEqual(Array.from(kinds).sort(), [
        "Draining",
        "Failed",
        "Interrupted",
        "Interrupting",
        "LimitsChanged",
        "ListingFinished",
        "Paused",
        "Running",
        "Skipped",
        "UploadDeferred",
        "UploadRetrying",
        "UploadStarted",
        "Uploaded"
      ])
      for (const event of events) {
        const encoded = yield* Schema.encode(UploadEvent.UploadEvent)(event, { onExcessProperty: "error" })
        // They can be written as JSON as they are.
        assert.deepStrictEqual(JSON.parse(JSON.stringify(encoded)), JSON.parse(JSON.stringify(event)))
        assert.deepStrictEqual(yield* Schema.decode(UploadEvent.UploadEvent)(encoded), event)
        const read = yield* Schema.decode(Schema.parseJson(UploadEvent.UploadEvent))(JSON.stringify(event))
        assert.deepStrictEqual(Recording.told(read), Recording.told(event))
      }
    }))

  it.effect("of another version is refused", () =>
    Effect.gen(function*() {
      const event = { _tag: "RunChanged", version: 2, at: 0, state: "Running" }
      const exit = yield* Effect.exit(Schema.decodeUnknown(UploadEvent.UploadEvent)(event))
      assert.strictEqual(exit._tag, "Failure")
    }))
})
