/**
 * One file as an effect, without a run: the pipeline that workers run, in a fiber of its own. The fiber is a daemon, so
 * that an upload also goes on to its end where its caller cannot be interrupted, and a stall interrupts nothing else.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { identity } from "effect/Function"
import type { UploadEvent } from "../../UploadEvent.js"
import type { UploadFile } from "../../UploadFile.js"
import * as UploadList from "../../UploadList.js"
import * as UploadMetrics from "../../UploadMetrics.js"
import type { Skipped, Uploaded, UploadResult } from "../../UploadResult.js"
import { bufferPool } from "../bytes/bufferPool.js"
import { ended, endedWithin, interruptedMillis, patienceMillis } from "../calls/ended.js"
import type { Restore } from "../calls/ended.js"
import * as Attempts from "../upload/attempts.js"
import type { Env, Listener } from "../upload/env.js"
import { Stalls } from "../upload/stalls.js"
import type { Recording, Step } from "../upload/step.js"
import { Upload } from "../upload/upload.js"
import type { Run } from "../upload/upload.js"
import * as Callbacks from "./callbacks.js"
import type { Callback } from "./callbacks.js"
import { eventOf } from "./eventOf.js"
import { inTurn } from "./inTurn.js"
import * as ListItem from "./listItem.js"
import { logOf } from "./log.js"
import { measure } from "./measure.js"
import type { Labels } from "./measure.js"
import { settle } from "./settle.js"

export interface Options extends Pick<Run, "onInterrupt" | "onSourceChange"> {
  readonly stallMillis: number
  readonly onEvent: Callback<UploadEvent> | undefined
}

/** Uploads one file. Fails with the error that the file failed with. */
export type Single = (file: UploadFile, options: Options) => Effect.Effect<Uploaded | Skipped, unknown>

/**
 * Makes the upload of single files for an uploader. `onEnd` is called with each result, and without one if an upload
 * died. `close` is for the end of the uploader's scope.
 */
export const make = (
  env: Env,
  onEnd: (result: UploadResult | undefined) => void
): { readonly upload: Single; readonly close: () => void } => {
  const watches = new Watches()
  const upload: Single = (item, options) => {
    const file = ListItem.decode(item)
    if (!UploadList.isFile(file)) return file._tag === "Failed" ? Effect.fail(file.error) : Effect.die(file)
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime((caller) =>
        Effect.clockWith((clock) => {
          const { onEvent, onInterrupt, onSourceChange, stallMillis } = options
          const recorder = new SingleRecorder(clock, caller.getFiberRef(FiberRef.currentMetricLabels), onEvent)
          const run: Run = {
            env,
            clock,
            onInterrupt,
            onSourceChange,
            answerMillis: stallMillis,
            recorder,
            // An upload that is no file of a run has a span of its own.
            tracing: env.tracing === "attempt" ? "attempt" : "file",
            stalls: watches.of(clock, stallMillis)
          }
          env.runs.add(recorder)
          // The fiber inherits that it cannot be interrupted but where it is made interruptible.
          return Effect.flatMap(Effect.forkDaemon(uploaded(new Upload(run, file))), (fiber) => {
            fiber.addObserver((exit) => {
              env.runs.delete(recorder)
              if (env.runs.size === 0) bufferPool.rest()
              onEnd(exit._tag === "Success" ? exit.value : undefined)
            })
            return ended(fiber, restore, interrupt, answer)
          })
        })
      )
    )
  }
  return { upload, close: () => watches.close() }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const answer = (exit: Exit.Exit<UploadResult>): Effect.Effect<Uploaded | Skipped, unknown> => {
  if (exit._tag === "Failure") return Effect.failCause(Callbacks.causeOf(exit.cause))
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

/** Interrupts a fiber and waits for its end, with a bound: it runs foreign code. */
const interrupt = <A>(fiber: Fiber.RuntimeFiber<A>): Effect.Effect<void> =>
  Effect.withFiberRuntime((caller) => {
    fiber.unsafeInterruptAsFork(caller.id())
    return endedWithin(fiber, patienceMillis)
  })

/** Uploads a file, in a fiber that can be interrupted only where it is made interruptible. */
const uploaded = (upload: Upload): Effect.Effect<UploadResult> => {
  const restore: Restore = Effect.interruptible
  const { env, answerMillis } = upload.run
  return Effect.flatMap(
    ready(env, upload, restore),
    () =>
      Effect.flatMap(Attempts.upload(env, upload, restore), (outcome) => {
        const { after, result } = settle(upload, outcome, answerMillis, restore)
        return after === undefined ? Effect.succeed(result) : Effect.as(after, result)
      })
  )
}

/** Prepares the destination and takes the lease, at once if possible. Without them, the source is not read. */
const ready = (env: Env, upload: Upload, restore: Restore): Effect.Effect<void> => {
  const lease = Effect.suspend(() =>
    Attempts.unsafeTake(env, upload) ? Effect.void : restore(Attempts.take(env, upload))
  )
  return Effect.onError(Effect.zipRight(restore(env.prepare), lease), () =>
    Effect.suspend(() => {
      upload.lease.release()
      return Attempts.letGo(upload, interruptedMillis) ?? Effect.void
    }))
}

/** The stall watches of single uploads: one for each stall timeout, which lives while there is something to watch. */
class Watches {
  private readonly byClock = new Map<Clock.Clock, Map<number, Stalls>>()

  of(clock: Clock.Clock, millis: number): Stalls {
    let watches = this.byClock.get(clock)
    if (watches === undefined) this.byClock.set(clock, watches = new Map())
    let stalls = watches.get(millis)
    if (stalls === undefined) watches.set(millis, stalls = new Stalls(clock, millis, true))
    return stalls
  }

  /** The uploader is closed: what is still in flight is watched to its end. */
  close(): void {
    for (const watches of this.byClock.values()) {
      for (const stalls of watches.values()) stalls.close()
    }
  }
}

/** Records the steps of one file: nobody counts them, and metrics are updated as in a run. */
class SingleRecorder implements Recording, Listener {
  private readonly clock: Clock.Clock
  private readonly labels: Labels
  private readonly onEvent: Options["onEvent"]

  constructor(clock: Clock.Clock, labels: Labels, onEvent: Options["onEvent"]) {
    this.clock = clock
    this.labels = labels
    this.onEvent = onEvent
  }

  record(step: Step, restore: Restore = identity): Effect.Effect<void> | undefined {
    measure(step, this.labels)
    const { onEvent } = this
    const logged = logOf(step)
    const event = onEvent === undefined ? undefined : eventOf(step, this.clock.unsafeCurrentTimeMillis())
    return event === undefined || onEvent === undefined ? logged : inTurn(
      logged,
      Callbacks.tell("onEvent", () => onEvent(event), restore)
    )
  }

  recorded(step: Step): Effect.Effect<void> {
    return Effect.suspend(() => this.record(step) ?? Effect.void)
  }

  sent(bytes: number): void {
    UploadMetrics.sentBytes.unsafeUpdate(bytes, this.labels)
  }

  takenBack(): void {}

  limitsChanged(): void {}

  outageChanged(): void {}
}
