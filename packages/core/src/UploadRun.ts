/**
 * A batch on its way: its results, progress and events while it goes, its report at the end, and the ways to steer it.
 *
 * Files are pulled from a lazy list by fibers that take turns as leader: the leader pulls one file, waits in line for a
 * permit and a start, hands the lead to the next fiber and uploads its file. So at most one file waits ahead of the
 * limits, the list is pulled no faster than uploads start, and runs that share an uploader take turns.
 *
 * A run is scoped: closing its scope interrupts all that it started, and waits until nothing is left running.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Bandwidth from "./Bandwidth.js"
import { endedWithin } from "./internal/calls/ended.js"
import { Account } from "./internal/engine/account.js"
import { Engine } from "./internal/engine/engine.js"
import * as FileList from "./internal/engine/fileList.js"
import * as Decode from "./internal/values/decode.js"
import type * as Limits from "./Limits.js"
import type * as Progress from "./Progress.js"
import type * as Upload from "./Upload.js"
import type { UploadEvent } from "./UploadEvent.js"
import type * as UploadList from "./UploadList.js"
import type { UploadReport } from "./UploadReport.js"
import type { UploadResult } from "./UploadResult.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Runs for every event, in order for each file, and is waited for: a slow one slows the run. */
  readonly onEvent?: ((event: UploadEvent) => Effect.Effect<void>) | undefined
  /**
   * Runs for every result, and is waited for. What was counted is told to its end: it cannot be interrupted, and whoever
   * interrupts the run waits for it, for up to two minutes. What takes long is better read from `results`.
   */
  readonly onResult?: ((result: UploadResult) => Effect.Effect<void>) | undefined
  /** Whether the run waits for `resume` before its first file, so that readers can be there first. Defaults to `false`. */
  readonly paused?: boolean | undefined
  /** How many files a stream or async iterable is read ahead, so that totals are known early. Defaults to 10,000. */
  readonly lookahead?: number | undefined
  /** How often `progress` looks. Defaults to 100 milliseconds. */
  readonly progressInterval?: Duration.DurationInput | undefined
  /**
   * An attempt on which no bytes move for this long fails, and may be tried again; so does a request that carries none
   * and is not answered by then, but for the one that completes an upload in parts. Bytes move when the source gives them,
   * when they are handed over and, over `TransportNode`, when the connection takes them: on Linux until the other side has
   * acknowledged them, so that a slow server is waited for; elsewhere until they are with the system, which may hold
   * megabytes. So does what a server says, such as that it is still processing (102). Defaults to 30 seconds.
   */
  readonly stallTimeout?: Duration.DurationInput | undefined
  /** How many failed files are kept for a second round at the end of the run. Defaults to 10,000. */
  readonly failuresKept?: number | undefined
  /**
   * What becomes of a file that goes up in parts when it is interrupted, or fails and could go on later: its upload is
   * aborted, or kept for another run that has the same journal. Defaults to `keep` with a journal, and to `abort` without.
   */
  readonly onInterrupt?: "abort" | "keep" | undefined
  /**
   * What becomes of a file that changes while it is uploaded: it fails, begins again as it is then, or is skipped.
   * Defaults to `fail`.
   */
  readonly onSourceChange?: Upload.OnSourceChange | undefined
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
 * An attempt that is in flight at this moment.
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
 * A batch on its way.
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
 *   yield* Stream.runForEach(run.progress, (progress) => Console.log(Progress.fraction(progress)))
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
  /** Every result from the moment the stream runs, to the end of the run. A slow reader slows the run. */
  readonly results: Stream.Stream<UploadResult>
  /** Every event from the moment the stream runs, to the end of the run. A slow reader slows the run. */
  readonly events: Stream.Stream<UploadEvent>
  /** How far the run has come, looked at again and again; ends with the final value. */
  readonly progress: Stream.Stream<Progress.Progress>
  /** How far the run has come. */
  readonly currentProgress: Effect.Effect<Progress.Progress>
  /** Bytes per second handed to the destination, over the last seconds and overall. */
  readonly throughput: Effect.Effect<Bandwidth.Throughput>
  /** The attempts in flight at this moment. */
  readonly inFlight: Effect.Effect<ReadonlyArray<Transfer>>
  /** The uploader's knobs, live. */
  readonly limits: Limits.Limits
  /** Starts no more files; what is in flight goes on, retries included. */
  readonly pause: Effect.Effect<void>
  /** Starts files again. */
  readonly resume: Effect.Effect<void>
  /** Takes no more files; what has been started goes on to its end. */
  readonly drain: Effect.Effect<void>
  /**
   * Drains, but does not wait for large files that another run with the same journal can go on with: these are
   * interrupted, what is stored of them is kept, and their keys are given. Where nothing is kept, it is `drain`.
   */
  readonly drainToJournal: Effect.Effect<ReadonlyArray<string>>
  /**
   * Interrupts everything, and returns when nothing is left running. `report` then tells how far the run came. Where
   * uploads in parts are aborted, that takes as long as the destination needs to answer, and up to 90 seconds where it
   * does not; for callbacks that do not come back it waits two minutes at most. Called from `onEvent` or `onResult`,
   * which the run waits for, it does not wait for the run in turn.
   */
  readonly interrupt: Effect.Effect<void>
  /** Waits for the end. Fails only where the list itself failed, when all files before that have their results. */
  readonly report: Effect.Effect<UploadReport, E>
}

/**
 * Starts a run over a list of files. Programs call `Uploader.start`, which brings the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Files extends UploadList.Any>(
  context: Upload.Context,
  files: Files,
  options: Options = {}
): Effect.Effect<UploadRun<UploadList.ErrorOf<Files>>, never, UploadList.ContextOf<Files> | Scope.Scope> =>
  // What is said of E and R here is what `Files` says of them: the compiler cannot see it.
  start(context, files as UploadList.UploadList<UploadList.ErrorOf<Files>, UploadList.ContextOf<Files>>, options)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const start = <E, R>(
  context: Upload.Context,
  files: UploadList.UploadList<E, R>,
  options: Options
): Effect.Effect<UploadRun<E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const lookahead = Decode.count("lookahead", options.lookahead ?? defaults.lookahead)
    const failuresKept = Decode.count("failuresKept", options.failuresKept ?? defaults.failuresKept, 0)
    const stallMillis = Decode.millis("stallTimeout", options.stallTimeout ?? defaults.stallTimeout)
    const progressMillis = Decode.millis("progressInterval", options.progressInterval ?? defaults.progressInterval)
    const onEvent = Decode.callback("onEvent", options.onEvent)
    const onResult = Decode.callback("onResult", options.onResult)
    const onInterrupt = options.onInterrupt ?? (context.journal === undefined ? "abort" : "keep")
    Decode.oneOf("onInterrupt", onInterrupt, ["abort", "keep"])
    const onSourceChange = options.onSourceChange ?? defaults.onSourceChange
    Decode.oneOf("onSourceChange", onSourceChange, ["fail", "retry", "skip"])
    const self = {}
    const runtime = yield* Effect.locally(workerRuntime, currentRun, self)
    const clock = yield* Effect.clock
    const account = new Account({
      clock,
      labels: yield* FiberRef.get(FiberRef.currentMetricLabels),
      onEvent,
      onResult
    })
    const engine = new Engine({
      context,
      clock,
      account,
      fork: (effect) => Runtime.runFork(runtime, effect, { immediate: false }),
      paused: options.paused ?? defaults.paused,
      stallMillis,
      failuresKept,
      onInterrupt,
      onSourceChange
    })
    const list = yield* FileList.make(files, lookahead, account)
    const report = yield* Deferred.make<UploadReport, E>()
    const main = yield* Effect.forkDaemon(
      Effect.interruptible(Effect.locally(Effect.intoDeferred(engine.runToEnd(list), report), currentRun, self))
    )
    const ended = endedWithin(main, patienceMillis)
    // `onEvent` is told of the interruption, and may not come back either.
    const interrupted = Effect.flatMap(
      Effect.forkDaemon(Effect.interruptible(engine.interrupt)),
      (telling) => endedWithin(telling, patienceMillis)
    )
    context.runs.add(engine)
    if (context.outage?.current !== undefined) engine.outageChanged(context.outage.current)
    yield* Effect.addFinalizer(() =>
      Effect.all([interrupted, ended, Effect.sync(() => context.runs.delete(engine))], { discard: true })
    )
    return {
      results: account.results.stream,
      events: account.events.stream,
      progress: sampled(
        () => account.tally.snapshot(),
        Duration.millis(progressMillis),
        Effect.exit(Deferred.await(report))
      ),
      currentProgress: Effect.sync(() => account.tally.snapshot()),
      throughput: account.throughput,
      inFlight: Effect.sync(() => engine.transfers.map(transferOf)),
      limits: context.limits,
      pause: engine.change("Paused"),
      // Everything else that can run does so first: readers that were forked before `resume` miss nothing.
      resume: Effect.zipRight(Effect.sleep(Duration.zero), engine.change("Running")),
      drain: engine.change("Draining"),
      drainToJournal: engine.drainToJournal,
      interrupt: Effect.zipRight(
        engine.interrupt,
        Effect.flatMap(FiberRef.get(currentRun), (run) => run === self ? Effect.void : ended)
      ),
      report: Deferred.await(report)
    }
  })

/**
 * How long closing a run waits for what does not come back: callbacks, and drivers that cannot be interrupted. What can
 * be expected takes less: an abort and its retries have a minute and a half.
 */
const patienceMillis = 120_000

/** The run that a fiber works for, if any: such a fiber cannot wait for the end of its run. */
const currentRun = FiberRef.unsafeMake<object | undefined>(undefined)

/**
 * The runtime that all workers of a run fork from. It forgets which fiber a task is of, so that they share one queue of
 * tasks: the default scheduler keeps a queue for each fiber, which costs more than a worker needs of everything else.
 */
const workerRuntime: Effect.Effect<Runtime.Runtime<never>> = Effect.flatMap(
  FiberRef.get(FiberRef.currentScheduler),
  (scheduler) =>
    Effect.map(
      Effect.withScheduler(
        Effect.runtime<never>(),
        scheduler instanceof Scheduler.MixedScheduler
          ? {
            shouldYield: (fiber) => scheduler.shouldYield(fiber),
            scheduleTask: (task, priority) => scheduler.scheduleTask(task, priority)
          }
          : scheduler
      ),
      Runtime.enableRuntimeFlag(RuntimeFlags.Interruption)
    )
)

const transferOf = (upload: Upload.Upload): Transfer => ({
  key: upload.file.key,
  size: upload.size,
  sent: upload.handedOut + upload.resumedBytes,
  attempt: upload.attempt,
  startedAt: upload.attemptStartedAt
})

/** What `look` sees at the beats of `interval` and at the end. */
const sampled = <A>(
  look: () => A,
  interval: Duration.Duration,
  end: Effect.Effect<unknown>
): Stream.Stream<A> => {
  const beat = Effect.raceFirst(Effect.as(Effect.sleep(interval), false), Effect.as(end, true))
  return Stream.unfoldEffect(false, (ended) =>
    ended
      ? Effect.succeedNone
      : Effect.map(beat, (endsNow) => Option.some([look(), endsNow] as const)))
}
