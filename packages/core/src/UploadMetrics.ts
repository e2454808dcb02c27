/**
 * The metrics of uploads: Effect `Metric`s, which any metrics exporter of an Effect application picks up.
 *
 * | metric | kind | tags |
 * |---|---|---|
 * | `sluice_uploads_total` | counter | `outcome` |
 * | `sluice_uploaded_bytes_total` | counter | |
 * | `sluice_sent_bytes_total` | counter | |
 * | `sluice_resumed_bytes_total` | counter | |
 * | `sluice_retries_total` | counter | `reason` |
 * | `sluice_failed_aborts_total` | counter | |
 * | `sluice_in_flight_uploads` | gauge | |
 * | `sluice_limit_uploads` | gauge | `destination` |
 * | `sluice_upload_duration_seconds` | histogram | |
 * | `sluice_throughput_bytes_per_second` | gauge | `destination` |
 *
 * `sent` counts bytes handed to the destination, including those of failed attempts; `uploaded` counts those that were
 * acknowledged. Tags that the fiber has when the run starts (`Effect.tagMetrics`) are kept.
 *
 * `destination` is the destination's name, which has no secrets. Two uploaders to one destination set the same gauges:
 * to tell them apart, tag the fibers in which they are made and used.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import type { UploadError } from "./UploadError.js"
import type { UploadResult } from "./UploadResult.js"

// Tags are part of the key from the start: `Metric.tagged` would look up the metric at every update.
const taggedCounter = (name: string, description: string, tag: string, value: string): Metric.Metric.Counter<number> =>
  Metric.fromMetricKey(
    MetricKey.taggedWithLabels(MetricKey.counter(name, { description, incremental: true }), [
      MetricLabel.make(tag, value)
    ])
  )

const byOutcome = (outcome: UploadResult["_tag"]) =>
  taggedCounter("sluice_uploads_total", "Files with a result", "outcome", outcome)

/**
 * Files that have a result, by outcome.
 *
 * @example
 * ```ts
 * import { UploadMetrics } from "@sluice/core"
 * import { Effect, Metric } from "effect"
 *
 * const failures = Effect.map(Metric.value(UploadMetrics.uploads.Failed), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category metrics
 */
export const uploads: Readonly<Record<UploadResult["_tag"], Metric.Metric.Counter<number>>> = {
  Uploaded: byOutcome("Uploaded"),
  Skipped: byOutcome("Skipped"),
  Failed: byOutcome("Failed"),
  Interrupted: byOutcome("Interrupted")
}

/**
 * Bytes that destinations acknowledged.
 *
 * @since 0.1.0
 * @category metrics
 */
export const uploadedBytes: Metric.Metric.Counter<number> = Metric.counter("sluice_uploaded_bytes_total", {
  description: "Bytes that destinations acknowledged",
  incremental: true
})

/**
 * Bytes handed to destinations, including those of failed attempts.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sentBytes: Metric.Metric.Counter<number> = Metric.counter("sluice_sent_bytes_total", {
  description: "Bytes handed to destinations, failed attempts included",
  incremental: true
})

/**
 * Bytes that an earlier run had already stored.
 *
 * @since 0.1.0
 * @category metrics
 */
export const resumedBytes: Metric.Metric.Counter<number> = Metric.counter("sluice_resumed_bytes_total", {
  description: "Bytes that an earlier run had stored already",
  incremental: true
})

/**
 * Multipart uploads that could not be aborted.
 *
 * @since 0.1.0
 * @category metrics
 */
export const failedAborts: Metric.Metric.Counter<number> = Metric.counter("sluice_failed_aborts_total", {
  description: "Multipart uploads that could not be aborted",
  incremental: true
})

/**
 * Attempts that followed a failed one, by the kind of failure.
 *
 * @since 0.1.0
 * @category metrics
 */
export const retries = (reason: UploadError["_tag"]): Metric.Metric.Counter<number> =>
  taggedCounter("sluice_retries_total", "Attempts that followed a failed one", "reason", reason)

/**
 * Requests in flight, for whole files and for parts.
 *
 * @since 0.1.0
 * @category metrics
 */
export const inFlight: Metric.Metric.Gauge<number> = Metric.gauge("sluice_in_flight_uploads", {
  description: "Upload requests in flight"
})

/**
 * How many requests an uploader currently allows in flight under its strategy: infinitely many under `unlimited`.
 * Tagged with the `destination`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const concurrency: Metric.Metric.Gauge<number> = Metric.gauge("sluice_limit_uploads", {
  description: "Upload requests allowed in flight"
})

/**
 * The time from a file's first attempt to its result, in seconds: 14 buckets from 5 ms, doubling.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duration: Metric.Metric.Histogram<number> = Metric.histogram(
  "sluice_upload_duration_seconds",
  MetricBoundaries.exponential({ start: 0.005, factor: 2, count: 14 }),
  "From a file's first attempt to its result"
)

/**
 * Bytes per second over the last 5 seconds, as progress readers last saw it. Tagged with the `destination`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const throughput: Metric.Metric.Gauge<number> = Metric.gauge("sluice_throughput_bytes_per_second", {
  description: "Bytes per second over the last seconds"
})
