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
import * as UploadRun from "../../UploadRun.js"
import { endedWithin, patienceMillis } from "../calls/ended.js"
import type { Env } from "../upload/env.js"
import type { Upload } from "../upload/upload.js"
import * as Decode from "../values/decode.js"
import { Engine } from "./engine.js"
import * as FileList from "./fileList.js"
import { ofDestination } from "./measure.js"
import { Recorder } from "./recorder.js"

/** Starts a run over a list of files. */
export const make = <Files extends UploadList.Any>(
  env: Env,
  files: Files,
  options: UploadRun.Options = {}
): Effect.Effect<UploadRun.UploadRun<UploadList.ErrorOf<Files>>, never, UploadList.ContextOf<Files> | Scope.Scope> =>
  // E and R are those of `Files`, which the compiler cannot see.
  start(env, files as UploadList.UploadList<UploadList.ErrorOf<Files>, UploadList.ContextOf<Files>>, options)

/** Decodes the options that a single upload has, too. */
export const decode = (
  { journal }: Env,
  options: Pick<UploadRun.Options, "onEvent" | "onInterrupt" | "onSourceChange" | "stallTimeout">
) => {
  const onInterrupt = options.onInterrupt ?? (journal === undefined ? "abort" : "keep")
  const onSourceChange = options.onSourceChange ?? UploadRun.defaults.onSourceChange
  Decode.oneOf("onInterrupt", onInterrupt, ["abort", "keep"])
  Decode.oneOf("onSourceChange", onSourceChange, ["fail", "retry", "skip"])
  return {
    onInterrupt,
    onSourceChange,
    onEvent: Decode.callback("onEvent", options.onEvent),
    stallMillis: Decode.millis("stallTimeout", options.stallTimeout ?? UploadRun.defaults.stallTimeout)
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const start = <E, R>(
  env: Env,
  files: UploadList.UploadList<E, R>,
  options: UploadRun.Options
): Effect.Effect<UploadRun.UploadRun<E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const lookahead = Decode.count("lookahead", options.lookahead ?? UploadRun.defaults.lookahead)
    const failuresKept = Decode.count("failuresKept", options.failuresKept ?? UploadRun.defaults.failuresKept, 0)
    const progressMillis = Decode.millis(
      "progressInterval",
      options.progressInterval ?? UploadRun.defaults.progressInterval
    )
    const onResult = Decode.callback("onResult", options.onResult)
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
      run: { env, clock, onInterrupt, onSourceChange, answerMillis: stallMillis },
      recorder,
      fork: (effect) => Runtime.runFork(runtime, effect, { immediate: false }),
      paused: options.paused ?? UploadRun.defaults.paused,
      stallMillis,
      failuresKept
    })
    const list = yield* FileList.make(files, lookahead, {
      found: (items) => {
        recorder.record({ _tag: "Found", items })
      },
      listed: () => recorder.record({ _tag: "Listed" }) ?? Effect.void
    })
    const report = yield* Deferred.make<UploadReport, E>()
    const main = yield* Effect.forkDaemon(
      Effect.interruptible(Effect.locally(Effect.intoDeferred(engine.runToEnd(list), report), currentRun, self))
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
    return {
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
  })

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
