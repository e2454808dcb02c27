/**
 * A run: an engine for a list of files, with a recorder, and controls that outlive neither.
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
import type * as UploadList from "../../UploadList.js"
import type { UploadReport } from "../../UploadReport.js"
import type { UploadResult } from "../../UploadResult.js"
import * as UploadRun from "../../UploadRun.js"
import { endedWithin, patienceMillis } from "../calls/ended.js"
import type { Env } from "../upload/env.js"
import type { Upload } from "../upload/upload.js"
import * as Decode from "../values/decode.js"
import type { Callback } from "./callbacks.js"
import { Engine } from "./engine.js"
import * as FileList from "./fileList.js"
import { ofDestination } from "./measure.js"
import { Recorder } from "./recorder.js"
import type * as Single from "./single.js"

/** Starts a run over a list of files. */
export const make = <Files extends UploadList.Any, E = never, R = never>(
  env: Env,
  files: Files,
  options: UploadRun.Options<E, R> = {}
): Effect.Effect<
  UploadRun.UploadRun<UploadList.ErrorOf<Files> | E>,
  never,
  UploadList.ContextOf<Files> | R | Scope.Scope
> => Effect.map(begin(env, listOf(files), options, () => Effect.void), ([run]) => run)

/** Runs over a list of files as a stream of their results. Whoever leaves it interrupts the run. */
export const stream = <Files extends UploadList.Any, E = never, R = never>(
  env: Env,
  files: Files,
  options: UploadRun.Options<E, R> = {}
): Stream.Stream<UploadResult, UploadList.ErrorOf<Files> | E, UploadList.ContextOf<Files> | R> =>
  Stream.unwrapScoped(
    Effect.map(
      begin(env, listOf(files), options, (recorder) => recorder.results.subscribed),
      ([run, results]) => Stream.concat(results, Stream.execute(run.report))
    )
  )

/** Decodes the options that a single upload has, too. */
export const decode = (
  { journal }: Env,
  options: Pick<
    UploadRun.Options<unknown, unknown>,
    "onEvent" | "onInterrupt" | "onSourceChange" | "stallTimeout"
  >
): Single.Options => {
  const onInterrupt = options.onInterrupt ?? (journal === undefined ? "abort" : "keep")
  const onSourceChange = options.onSourceChange ?? UploadRun.defaults.onSourceChange
  Decode.oneOf("onInterrupt", onInterrupt, ["abort", "keep"])
  Decode.oneOf("onSourceChange", onSourceChange, ["fail", "retry", "skip"])
  return {
    onInterrupt,
    onSourceChange,
    onEvent: callback("onEvent", options.onEvent),
    stallMillis: Decode.millis("stallTimeout", options.stallTimeout ?? UploadRun.defaults.stallTimeout)
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** E and R are those of `Files`, which the compiler cannot see. */
const listOf = <Files extends UploadList.Any>(files: Files) =>
  files as UploadList.UploadList<UploadList.ErrorOf<Files>, UploadList.ContextOf<Files>>

/** A callback. Its services are in the fibers that call it: they inherit them from whoever starts the run. */
const callback = <A>(
  name: string,
  call: ((value: A) => Effect.Effect<void, unknown, unknown>) | undefined
): Callback<A> | undefined => Decode.callback(name, call as Callback<A> | undefined)

/** Starts a run. `subscribe` comes before anything can happen in it. */
const begin = <E, R, E2, R2, A>(
  env: Env,
  files: UploadList.UploadList<E, R>,
  options: UploadRun.Options<E2, R2>,
  subscribe: (recorder: Recorder) => Effect.Effect<A, never, Scope.Scope>
): Effect.Effect<readonly [UploadRun.UploadRun<E | E2>, A], never, R | R2 | Scope.Scope> =>
  // Whatever has been started is in the scope, wherever an interruption strikes.
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const lookahead = Decode.count("lookahead", options.lookahead ?? UploadRun.defaults.lookahead)
      const failuresKept = Decode.count("failuresKept", options.failuresKept ?? UploadRun.defaults.failuresKept, 0)
      const progressMillis = Decode.millis(
        "progressInterval",
        options.progressInterval ?? UploadRun.defaults.progressInterval
      )
      const onResult = callback("onResult", options.onResult)
      const { onEvent, onInterrupt, onSourceChange, stallMillis } = decode(env, options)
      const self = {}
      const runtime = yield* Effect.locally(workerRuntime, currentRun, self)
      const clock = yield* Effect.clock
      const labels = yield* FiberRef.get(FiberRef.currentMetricLabels)
      const recorder = new Recorder({
        clock,
        labels,
        gaugeLabels: ofDestination(labels, env.destination),
        onEvent,
        onResult
      })
      const engine = new Engine({
        run: { env, clock, onInterrupt, onSourceChange, answerMillis: stallMillis, tracing: env.tracing },
        recorder,
        services: runtime.context,
        fork: (effect) => Runtime.runFork(runtime, effect, { immediate: false }),
        paused: options.paused ?? UploadRun.defaults.paused,
        stallMillis,
        failuresKept
      })
      const list = yield* FileList.make(files, lookahead, {
        found: (items) => {
          recorder.record({ _tag: "Found", items })
        },
        listed: () => restore(engine.tell({ _tag: "Listed" }) ?? Effect.void)
      })
      const subscribed = yield* subscribe(recorder)
      const report = yield* Deferred.make<UploadReport, E | E2>()
      // It fails with what the list fails with, or a callback.
      const run = engine.runToEnd(list) as Effect.Effect<UploadReport, E | E2>
      const main = yield* Effect.forkDaemon(
        Effect.interruptible(Effect.locally(Effect.intoDeferred(run, report), currentRun, self))
      )
      const ended = endedWithin(main, patienceMillis)
      // `onEvent` is also told of the interruption, and may not return either.
      const interrupted = Effect.flatMap(
        Effect.forkDaemon(Effect.interruptible(engine.interrupt)),
        (telling) => endedWithin(telling, patienceMillis)
      )
      env.runs.add(engine)
      if (env.outage?.current !== undefined) engine.outageChanged(env.outage.current)
      yield* Effect.addFinalizer(() =>
        Effect.all([interrupted, ended, Effect.sync(() => env.runs.delete(engine))], { discard: true })
      )
      const running: UploadRun.UploadRun<E | E2> = {
        results: recorder.results.stream,
        events: recorder.events.stream,
        progress: sampled(
          () => recorder.counts.snapshot(),
          Duration.millis(progressMillis),
          Effect.exit(Deferred.await(report))
        ),
        currentProgress: Effect.sync(() => recorder.counts.snapshot()),
        throughput: recorder.throughput,
        inFlight: Effect.sync(() => engine.transfers.map(transferOf)),
        limits: env.limits,
        pause: engine.change("Paused"),
        // All other runnable fibers run first, so readers that were forked before `resume` miss nothing.
        resume: Effect.zipRight(Effect.sleep(Duration.zero), engine.change("Running")),
        drain: engine.change("Draining"),
        drainToJournal: engine.drainToJournal,
        interrupt: Effect.zipRight(
          engine.interrupt,
          Effect.flatMap(FiberRef.get(currentRun), (run) => run === self ? Effect.void : ended)
        ),
        report: Deferred.await(report)
      }
      return [running, subscribed] as const
    })
  )

/** The run that a fiber belongs to, if any. Such a fiber cannot wait for the end of its run. */
const currentRun = FiberRef.unsafeMake<object | undefined>(undefined)

/**
 * The runtime that all workers of a run fork from. It does not separate tasks by fiber, so they share one task queue:
 * the default scheduler keeps a queue for each fiber, which costs more than everything else a worker needs.
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

const transferOf = (upload: Upload): UploadRun.Transfer => ({
  key: upload.file.key,
  size: upload.size,
  sent: upload.handedOut + upload.resumedBytes,
  attempt: upload.attempt,
  startedAt: upload.attemptStartedAt
})

/** The values of `look`, taken at each `interval` and at the end. */
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
