import { assert, describe, it } from "@effect/vitest"
import {
  Destination,
  RetryPolicy,
  Strategy,
  Uploader,
  UploadError,
  UploadFile,
  UploadMetrics,
  UploadResult
} from "@sluice/core"
import { Effect, Metric, MetricLabel, MetricState } from "effect"
import * as Recording from "./support/Recording.js"

const broken = new UploadError.Transient({ reason: "Connection", detail: "" })

/** Labels that no other test has, so that its metrics start at nothing. */
const labelled = (test: string) => MetricLabel.make("test", test)

const read = <Type, In, Out>(
  metric: Metric.Metric<Type, In, Out>,
  ...labels: ReadonlyArray<MetricLabel.MetricLabel>
): Effect.Effect<Out> => Metric.value(Metric.taggedWithLabels(metric, labels))

const destination = MetricLabel.make("destination", "recording:")

const files = (count: number) => Array.from({ length: count }, (_, i) => UploadFile.fromText(`f${i}`, "12345"))

describe("UploadMetrics", () => {
  it.effect("show how many may be in flight, from the start and after each change", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const look = Effect.map(
        read(UploadMetrics.concurrency, labelled("limit"), destination),
        ({ value }) => seen.push(value)
      )
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(1)), {
          strategy: Strategy.workerPool({ workers: 3 })
        })
        yield* look
        yield* uploader.limits.set({ concurrency: 7 })
        yield* look
        yield* uploader.limits.set({ concurrency: Infinity })
        yield* look
      })).pipe(Effect.tagMetrics("test", "limit"))
      assert.deepStrictEqual(seen, [3, 7, Infinity])
    }))

  it.effect("show the limit and the throughput of each destination by its name", () =>
    Effect.gen(function*() {
      const names = ["first:", "second:"]
      const seen = yield* Recording.virtual(Effect.gen(function*() {
        const uploaders = yield* Effect.forEach(names, (name, i) =>
          Uploader.make({ strategy: Strategy.workerPool({ workers: i + 1 }) }).pipe(
            Effect.provideService(Destination.Destination, {
              ...Recording.make(Recording.takeAfter(100)).destination,
              name
            })
          ))
        const runs = yield* Effect.forEach(uploaders, (uploader, i) =>
          uploader.start(files(4 * (i + 1))))
        yield* Effect.sleep(500)
        yield* Effect.forEach(runs, ({ throughput }) =>
          throughput)
        return yield* Effect.forEach(names, (name) =>
          Effect.forEach([UploadMetrics.concurrency, UploadMetrics.throughput], (gauge) =>
            Effect.map(
              read(gauge, labelled("destinations"), MetricLabel.make("destination", name)),
              ({ value }) =>
                value
            )))
      })).pipe(Effect.tagMetrics("test", "destinations"))
      assert.deepStrictEqual(seen.value, [[1, 40], [2, 80]])
    }))

  it.effect("count what a run does, with the labels of the fiber that started it", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        Effect.zipRight(
          Effect.sleep(100),
          key === "f0" && attempt < 3
            ? Effect.zipRight(body.bytes, Effect.fail(broken))
            : key === "f1" && attempt === 1
            ? Effect.fail(new UploadError.Throttled({ detail: "", retryAfterMillis: 5 }))
            : key === "f2"
            ? Effect.fail(new UploadError.Conflict({ detail: "" }))
            : key === "f9"
            ? Effect.never
            : body.bytes
        )
      )
      const list = [...files(10), UploadResult.skipped("link", "a link")]
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.workerPool({ workers: 16 }),
          retry: RetryPolicy.make({ base: 10, jitter: "none" })
        })
        const run = yield* uploader.start(list)
        yield* Effect.sleep(50)
        assert.strictEqual((yield* read(UploadMetrics.inFlight, labelled("counts"))).value, 10)
        yield* Effect.sleep(1_950)
        assert.strictEqual((yield* run.throughput).overall, 25)
        assert.strictEqual((yield* read(UploadMetrics.throughput, labelled("counts"), destination)).value, 25)
        yield* run.interrupt
      })).pipe(Effect.tagMetrics("test", "counts"))

      const count = (metric: Metric.Metric.Counter<number>) =>
        Effect.map(read(metric, labelled("counts")), ({ count }) => count)
      const { Failed, Interrupted, Skipped, Uploaded } = UploadMetrics.uploads
      assert.deepStrictEqual(
        yield* Effect.forEach([Uploaded, Failed, Skipped, Interrupted], count),
        [8, 1, 1, 1]
      )
      assert.deepStrictEqual(
        yield* Effect.forEach([UploadMetrics.uploadedBytes, UploadMetrics.sentBytes], count),
        [8 * 5, (8 + 2) * 5]
      )
      assert.deepStrictEqual(
        yield* Effect.forEach(
          [UploadMetrics.retries("Transient"), UploadMetrics.retries("Throttled"), UploadMetrics.retries("Conflict")],
          count
        ),
        [2, 1, 0]
      )
      assert.strictEqual((yield* read(UploadMetrics.inFlight, labelled("counts"))).value, 0)
      const durations = yield* read(UploadMetrics.duration, labelled("counts"))
      assert.strictEqual(durations.count, 10)
      assert.approximately(durations.min, 0.1, 1e-9)
      assert.approximately(durations.max, 2, 1e-9)
    }))

  it.effect("have no labels of another run", () =>
    Effect.gen(function*() {
      const upload = (label: string) =>
        Recording.uploadAll(Recording.make(), files(3)).pipe(Effect.tagMetrics("test", label))
      yield* upload("one")
      yield* upload("two")
      yield* upload("two")
      const uploaded = (label: string) =>
        Effect.map(read(UploadMetrics.uploads.Uploaded, labelled(label)), ({ count }) => count)
      assert.deepStrictEqual(yield* Effect.all([uploaded("one"), uploaded("two"), uploaded("three")]), [3, 6, 0])
    }))

  it.effect("say how many are in flight in all runs of an uploader together", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.unlimited })
        const label = labelled("runs")
        yield* Effect.fork(uploader.uploadAll(files(3)))
        yield* Effect.sleep(10)
        yield* Effect.fork(uploader.uploadAll(files(2)))
        yield* Effect.sleep(10)
        assert.strictEqual((yield* read(UploadMetrics.inFlight, label)).value, 5)
        yield* Effect.sleep(85)
        assert.strictEqual((yield* read(UploadMetrics.inFlight, label)).value, 2)
        yield* Effect.sleep(50)
        assert.strictEqual((yield* read(UploadMetrics.inFlight, label)).value, 0)
      })).pipe(Effect.tagMetrics("test", "runs"))
    }))

  it.effect("have names that end in their unit", () =>
    Effect.gen(function*() {
      yield* Recording.uploadAll(Recording.make(), files(1)).pipe(Effect.tagMetrics("test", "names"))
      const snapshot = yield* Metric.snapshot
      const names = new Set(
        snapshot.filter(({ metricKey }) => metricKey.name.startsWith("sluice_")).map(({ metricKey }) => metricKey.name)
      )
      for (
        const name of [
          "sluice_in_flight_uploads",
          "sluice_sent_bytes_total",
          "sluice_upload_duration_seconds",
          "sluice_uploaded_bytes_total",
          "sluice_uploads_total"
        ]
      ) assert.isTrue(names.has(name), name)
      const histogram = yield* read(UploadMetrics.duration, labelled("names"))
      assert.isTrue(MetricState.isHistogramState(histogram))
      // 14 bounds from 5 ms, doubling, and all the rest.
      assert.deepStrictEqual(
        histogram.buckets.map(([bound]) => Math.round(bound * 1000)).slice(0, 4),
        [5, 10, 20, 40]
      )
    }))
})
