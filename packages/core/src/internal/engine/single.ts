/**
 * One file as an effect, without a run: the pipeline that workers run, in a fiber of its own. The fiber is a daemon, so
 * that an upload also goes on to its end where its caller cannot be interrupted, and a stall interrupts nothing else.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as Scope from "effect/Scope"
import * as Upload from "../../Upload.js"
import type { UploadError } from "../../UploadError.js"
import type { UploadEvent } from "../../UploadEvent.js"
import type { UploadFile } from "../../UploadFile.js"
import * as UploadList from "../../UploadList.js"
import * as UploadMetrics from "../../UploadMetrics.js"
import type { Skipped, Uploaded, UploadResult } from "../../UploadResult.js"
import { bufferPool } from "../bytes/bufferPool.js"
import { endedWithin } from "../calls/ended.js"
import type { Restore } from "../calls/ended.js"
import * as Attempts from "./attempts.js"
import { eventOf } from "./eventOf.js"
import { inTurn } from "./inTurn.js"
import * as Lease from "./lease.js"
import * as ListItem from "./listItem.js"
import { measure } from "./measure.js"
import type { Labels } from "./measure.js"
import { effectOf } from "./recorder.js"
import type { Recording } from "./recorder.js"
import * as Results from "./results.js"
import { Stalls } from "./stalls.js"
import type { Step } from "./step.js"

export interface Options extends Pick<Upload.Run, "onInterrupt" | "onSourceChange"> {
  readonly stallMillis: number
  readonly onEvent: ((event: UploadEvent) => Effect.Effect<void>) | undefined
}

/** Uploads one file. Fails with what the file failed of. */
export type Single = (file: UploadFile, options: Options) => Effect.Effect<Uploaded | Skipped, UploadError>

/** How long an interrupted upload is waited for: an abort and its retries have a minute and a half. */
const patienceMillis = 120_000

/**
 * Makes the upload of single files for an uploader: `scope` is the uploader's, and `ended` is called with each result, or without one if there
 * is none.
 */
export const make = (
  context: Upload.Context,
  scope: Scope.Scope,
  ended: (result: UploadResult | undefined) => void
): Single => {
  const watches = new Watches()
  return (item, options) => {
    const file = ListItem.decode(item)
    if (!UploadList.isFile(file)) return file._tag === "Failed" ? Effect.fail(file.error) : Effect.die(file)
    const handle = { limitsChanged: () => {}, outageChanged: () => {} }
    const pipeline = Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime<UploadResult>((fiber) =>
        Effect.clockWith((clock) => {
          const stalls = watches.of(clock, options.stallMillis)
          const recorder = new SingleRecorder(clock, fiber.getFiberRef(FiberRef.currentMetricLabels), options.onEvent)
          const run = { ...options, clock, answerMillis: options.stallMillis, recorder, stalls }
          const upload = new Upload.Upload(context, run, file)
          const watched = stalls.watchIn(scope)
          const uploaded = Effect.flatMap(ready(context, upload, restore), () =>
            Effect.flatMap(Attempts.upload(context, upload, restore), (outcome) => settle(upload, outcome, restore)))
          return watched === undefined ? uploaded : Effect.zipRight(watched, uploaded)
        })
      )
    )
    const counted = Effect.suspend(() => {
      context.runs.add(handle)
      return Effect.zipRight(context.prepare, pipeline)
    })
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkDaemon(Effect.interruptible(counted)), (fiber) => {
        fiber.addObserver((exit) => {
          context.runs.delete(handle)
          if (context.runs.size === 0) bufferPool.rest()
          ended(exit._tag === "Success" ? exit.value : undefined)
        })
        return Effect.flatMap(exitOf(fiber, restore), answer)
      })
    )
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const answer = (exit: Exit.Exit<UploadResult>): Effect.Effect<Uploaded | Skipped, UploadError> => {
  if (exit._tag === "Failure") return Effect.failCause(exit.cause)
  const result = exit.value
  switch (result._tag) {
    case "Uploaded":
    case "Skipped":
      return Effect.succeed(result)
    case "Failed":
      return Effect.fail(result.error)
    case "Interrupted":
      return Effect.interrupt
  }
}

/** Waits for a fiber, and interrupts it if the wait is interrupted. */
const exitOf = <A>(fiber: Fiber.RuntimeFiber<A>, restore: Restore): Effect.Effect<Exit.Exit<A>> =>
  Effect.catchAllCause(
    restore(Effect.async<Exit.Exit<A>>((resume) => {
      fiber.addObserver((exit) => resume(Effect.succeed(exit)))
    })),
    (interruption) =>
      Effect.withFiberRuntime((caller) => {
        fiber.unsafeInterruptAsFork(caller.id())
        return Effect.zipRight(endedWithin(fiber, patienceMillis), Effect.failCause(interruption))
      })
  )

/** Takes the lease of an upload, at once if possible. */
const ready = (context: Upload.Context, upload: Upload.Upload, restore: Restore): Effect.Effect<void> =>
  Lease.unsafeTake(context, upload)
    ? Effect.void
    : Effect.onError(restore(Lease.take(context, upload)), () => Effect.sync(() => Lease.giveBack(context, upload)))

const settle = (upload: Upload.Upload, outcome: Upload.Outcome, restore: Restore): Effect.Effect<UploadResult> => {
  const { answerMillis = Infinity, recorder } = upload.run
  if (outcome._tag === "Skipped" && outcome.uploadedBefore && upload.size !== undefined) {
    recorder.record({ _tag: "FoundUploaded", bytes: upload.size })
  }
  const result = Results.of(upload, outcome)
  const letGo = Attempts.letGo(upload, answerMillis)
  const after = inTurn(recorder.record({ _tag: "Finished", result }), letGo === undefined ? undefined : restore(letGo))
  return after === undefined ? Effect.succeed(result) : Effect.as(after, result)
}

/** The stall watches of single uploads: one for each stall timeout, which lives while there is something to watch. */
class Watches {
  private readonly byClock = new WeakMap<Clock.Clock, Map<number, Stalls>>()

  of(clock: Clock.Clock, millis: number): Stalls {
    let watches = this.byClock.get(clock)
    if (watches === undefined) this.byClock.set(clock, watches = new Map())
    let stalls = watches.get(millis)
    if (stalls === undefined) watches.set(millis, stalls = new Stalls(clock, millis))
    return stalls
  }
}

/** Records the steps of one file: nobody counts them, and metrics are updated as in a run. */
class SingleRecorder implements Recording {
  private readonly clock: Clock.Clock
  private readonly labels: Labels
  private readonly onEvent: Options["onEvent"]

  constructor(clock: Clock.Clock, labels: Labels, onEvent: Options["onEvent"]) {
    this.clock = clock
    this.labels = labels
    this.onEvent = onEvent
  }

  record(step: Step): Effect.Effect<void> | undefined {
    measure(step, this.labels)
    const { onEvent } = this
    if (onEvent === undefined) return undefined
    const event = eventOf(step, this.clock.unsafeCurrentTimeMillis())
    return event === undefined ? undefined : effectOf("onEvent", onEvent(event))
  }

  recorded(step: Step): Effect.Effect<void> {
    return Effect.suspend(() => this.record(step) ?? Effect.void)
  }

  sent(bytes: number): void {
    UploadMetrics.sentBytes.unsafeUpdate(bytes, this.labels)
  }

  takenBack(): void {}
}
