/**
 * A running batch: its results, progress and events while it runs, its report at the end, and controls to steer it.
 *
 * Files are pulled from a lazy list by fibers that share a turnstile: one of them at a time pulls a file and waits for
 * its memory, permit and start; then it lets the next fiber in and uploads its file. So at most one file waits ahead of
 * the limits, the list is pulled no faster than uploads start, and runs that share an uploader take turns.
 *
 * A run is scoped: closing its scope interrupts everything that it started and waits until nothing is left running.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type * as Limits from "./Limits.js"
import type * as Progress from "./Progress.js"
import type { Throughput } from "./Throughput.js"
import type { UploadEvent } from "./UploadEvent.js"
import type { UploadReport } from "./UploadReport.js"
import type { UploadResult } from "./UploadResult.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never, R = never> {
  /**
   * Called for every event, in order for each file. The run waits for it, so a slow callback slows the run. If it fails,
   * the run is interrupted and fails with the same error. Fibers that it forks belong to the run and end with it, or
   * earlier: to outlive the callback, they need `Effect.forkDaemon`.
   */
  readonly onEvent?: ((event: UploadEvent) => Effect.Effect<void, E, R>) | undefined
  /**
   * Called for every result, as `onEvent` is for every event. An interruption of the run interrupts the callbacks that
   * it waits for; those for the results of interrupted files begin after it, and may take one second each.
   */
  readonly onResult?: ((result: UploadResult) => Effect.Effect<void, E, R>) | undefined
  /**
   * Whether the run waits for `resume` before its first file, so that readers can subscribe first. Defaults to `false`.
   */
  readonly paused?: boolean | undefined
  /**
   * How many files of a stream or async iterable are read ahead, so that totals are known early. Defaults to 10,000.
   */
  readonly lookahead?: number | undefined
  /** How often `progress` is sampled. Defaults to 100 milliseconds. */
  readonly progressInterval?: Duration.DurationInput | undefined
  /**
   * An attempt on which no bytes move for this long fails and may be retried. So does a request without a body that is
   * not answered within this time, except the one that completes a multipart upload. Bytes move when the source
   * produces them, when they are handed over and, over `TransportNode`, when the connection takes them: on Linux, until
   * the other side has acknowledged them, so that a slow server is waited for; elsewhere, until the system has them,
   * which may buffer megabytes. Informational answers, such as 102 (still processing), count as movement. Defaults to
   * 30 seconds.
   */
  readonly stallTimeout?: Duration.DurationInput | undefined
  /** How many failed files are kept for a second round at the end of the run. Defaults to 10,000. */
  readonly failuresKept?: number | undefined
  /**
   * What happens to a multipart upload that is interrupted, or that fails but could be resumed: it is aborted, or kept
   * for another run with the same journal. Defaults to `keep` with a journal, and to `abort` without.
   */
  readonly onInterrupt?: "abort" | "keep" | undefined
  /**
   * What happens to a file that changes while it is uploaded: it fails, starts over with its new content, or is
   * skipped. Defaults to `fail`.
   */
  readonly onSourceChange?: OnSourceChange | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  paused: false,
  lookahead: 10_000,
  progressInterval: "100 millis",
  stallTimeout: "30 seconds",
  failuresKept: 10_000,
  onSourceChange: "fail"
} as const

/**
 * What happens to a file whose source changes while it is uploaded: it fails, starts over with its new content, or is
 * skipped.
 *
 * @since 0.1.0
 * @category models
 */
export type OnSourceChange = "fail" | "retry" | "skip"

/**
 * An attempt in flight.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transfer {
  readonly key: string
  readonly size: number | undefined
  /** Bytes handed to the destination. */
  readonly sent: number
  readonly attempt: number
  /** When the attempt started, in milliseconds since the epoch. */
  readonly startedAt: number
}

/**
 * A running batch.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Progress, Uploader, UploadFile } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import { Console, Effect, Layer, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const uploader = yield* Uploader.Uploader
 *   const run = yield* uploader.start([UploadFile.fromText("a.txt", "first")])
 *   yield* Stream.runForEach(run.progress, (progress) => Console.log(Progress.filesFinished(progress)))
 *   const report = yield* run.report
 *   assert.strictEqual(report.files.failed, 0)
 * })
 *
 * const UploaderLayer = Layer.provide(Uploader.layer(), Simulated.layer())
 *
 * Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(UploaderLayer)))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface UploadRun<E = never> {
  /** Every result from the moment the stream starts to the end of the run. A slow reader slows the run. */
  readonly results: Stream.Stream<UploadResult>
  /** Every event from the moment the stream starts to the end of the run. A slow reader slows the run. */
  readonly events: Stream.Stream<UploadEvent>
  /** The progress of the run, sampled at intervals; ends with the final value. */
  readonly progress: Stream.Stream<Progress.Progress>
  /** The progress of the run now. */
  readonly currentProgress: Effect.Effect<Progress.Progress>
  /** Bytes per second handed to the destination, over the last 5 seconds and overall. */
  readonly throughput: Effect.Effect<Throughput>
  /** The attempts in flight now. */
  readonly inFlight: Effect.Effect<ReadonlyArray<Transfer>>
  /** The uploader's live limits. */
  readonly limits: Limits.Limits
  /** Stops starting files; files in flight continue, including their retries. */
  readonly pause: Effect.Effect<void>
  /** Starts files again after `pause`. */
  readonly resume: Effect.Effect<void>
  /** Takes no more files; files already started run to their end. */
  readonly drain: Effect.Effect<void>
  /**
   * Drains, but does not wait for large files that another run with the same journal can resume: it interrupts them,
   * keeps what is stored of them, and returns their keys. If nothing is kept, it is the same as `drain`.
   */
  readonly drainToJournal: Effect.Effect<ReadonlyArray<string>>
  /**
   * Interrupts everything and returns when nothing is left running. `report` then tells how far the run came. Aborting
   * multipart uploads takes as long as the destination needs to answer, and up to 90 seconds if it does not answer; for
   * callbacks that do not return it waits at most two minutes. When called from `onEvent` or `onResult`, for which the
   * run waits, it does not wait for the run.
   */
  readonly interrupt: Effect.Effect<void>
  /** Waits for the end. Fails only if the list itself failed, after all files before the failure have their results. */
  readonly report: Effect.Effect<UploadReport, E>
}
