/**
 * The engine as a contestant: with the defaults, and with everything switched on.
 */
import type * as Destination from "@sluice/core/Destination"
import * as RetryPolicy from "@sluice/core/RetryPolicy"
import * as Strategy from "@sluice/core/Strategy"
import * as Uploader from "@sluice/core/Uploader"
import type { UploadList } from "@sluice/core/UploadList"
import * as UploadMetrics from "@sluice/core/UploadMetrics"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import * as assert from "node:assert"
import { concurrency } from "./Workload.js"

/** Uploads a list, and dies unless the report says that all of it was uploaded. */
export const upload = (
  files: UploadList,
  count: number,
  destination: Layer.Layer<Destination.Destination>,
  strategy: Strategy.Strategy = Strategy.workerPool({ workers: concurrency })
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const report = yield* uploader.uploadAll(files)
    assert.strictEqual(report.files.uploaded, count)
  }).pipe(Effect.provide(Layer.provide(Uploader.layer({ strategy }), destination)))

/**
 * Uploads a list with everything on: retries, a pool with a rate limit and a bandwidth cap that are computed for each
 * file but never reached, an `onEvent` that the run waits for, progress and throughput read ten times a second,
 * metrics.
 */
export const uploadWithEverythingOn = (
  files: UploadList,
  count: number,
  destination: Layer.Layer<Destination.Destination>,
  strategy: Strategy.Strategy = limited
): Effect.Effect<void> =>
  Effect.gen(function*() {
    let events = 0
    let looks = 0
    const uploader = yield* Uploader.Uploader
    const run = yield* uploader.start(files, {
      onEvent: () =>
        Effect.sync(() => {
          events += 1
        })
    })
    const reader = yield* Effect.fork(Stream.runForEach(run.progress, () =>
      Effect.map(run.throughput, () => {
        looks += 1
      })))
    const report = yield* run.report
    yield* Fiber.join(reader)
    const counted = yield* Metric.value(UploadMetrics.uploads.Uploaded)
    assert.strictEqual(report.files.uploaded, count)
    // Each file starts and finishes, and the list ends.
    assert.strictEqual(events, 2 * count + 1)
    assert.strictEqual(counted.count, count)
    assert.ok(looks > 0)
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.provide(Uploader.layer({ strategy, retry: RetryPolicy.make() }), destination))
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const limited = Strategy.stack(
  Strategy.workerPool({ workers: concurrency }),
  Strategy.rateLimited({ uploadsPerSecond: 1e9 }),
  Strategy.bandwidth({ bytesPerSecond: 1e9 })
)
