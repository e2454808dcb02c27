import { ByteSource, Journal, RetryPolicy, Strategy, UploadFile, UploadReport } from "@sluice/core"
import type { Checksum, UploadError, UploadEvent, UploadList, UploadResult, UploadRun } from "@sluice/core"
import * as RetryBudget from "@sluice/core/unstable/RetryBudget"
import { Effect, FiberRef, Option, Stream } from "effect"
import * as Run from "../../src/internal/engine/run.js"
import * as EngineLimits from "../../src/internal/limits/engineLimits.js"
import { answering } from "../../src/internal/upload/answeringJournal.js"
import type { Env } from "../../src/internal/upload/env.js"
import type { PartsRecording } from "./PartsRecording.js"
import * as Recording from "./Recording.js"

/** Bytes that are different for each seed. */
export const bytesOf = (size: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 5) + seed) % 251)

/** A file as one on a disk: with a fingerprint and a modification time. */
export const onDisk = (key: string, size: number, seed = 1): UploadFile.UploadFile => {
  const fingerprint = `${size}:${seed}`
  const source = { ...ByteSource.fromBytes(bytesOf(size, seed)), fingerprint: Effect.succeed(fingerprint) }
  return UploadFile.make(key, source, { fingerprint, modifiedAt: seed * 1_000_000 })
}

/** A file of bytes in memory, which has no fingerprint. */
export const inMemory = (key: string, size: number, seed = 1): UploadFile.UploadFile =>
  UploadFile.fromBytes(key, bytesOf(size, seed))

/** A stream that can be read once, in blocks of a size, each of which takes a while to come. */
export const streamed = (
  bytes: Uint8Array,
  options: {
    readonly block?: number | undefined
    readonly millis?: number | undefined
    readonly size?: number | undefined
    readonly failsAfter?: number | undefined
  } = {}
): ByteSource.ByteSource => {
  const { block = 7, failsAfter = Infinity, millis = 0, size } = options
  const blocks = Stream.unfoldEffect(0, (at) =>
    at >= failsAfter
      ? Effect.fail("The pipe broke.")
      : at >= bytes.length
      ? Effect.succeedNone
      : Effect.as(
        millis > 0 ? Effect.sleep(millis) : Effect.void,
        Option.some([bytes.subarray(at, at + block), at + block] as const)
      ))
  return ByteSource.fromStream(Stream.rechunk(blocks, 1), { size })
}

export const retry = RetryPolicy.make({ jitter: "none", secondRound: false })

export interface Setup {
  readonly workers?: number | undefined
  readonly strategy?: Strategy.Strategy | undefined
  readonly memory?: number | undefined
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  readonly threshold?: number | undefined
  readonly partSize?: number | undefined
  readonly partConcurrency?: number | undefined
  readonly checksum?: Checksum.Algorithm | undefined
  readonly journal?: Journal.Journal["Type"] | undefined
}

/** What `Uploader.make` makes, with all of its insides at hand. */
export const context = ({ destination }: PartsRecording, setup: Setup = {}): Env => {
  const runs: Env["runs"] = new Set()
  const journal = setup.journal === undefined ? undefined : answering(setup.journal)
  const policy = setup.retry ?? retry
  const limits = EngineLimits.make({
    values: setup.strategy ?? Strategy.workerPool({ workers: setup.workers ?? 4 }),
    memory: setup.memory ?? 1_000_000,
    changed: (settings, reason) => {
      for (const run of runs) run.limitsChanged(settings, reason)
    }
  })
  return {
    runs,
    destination,
    limits,
    retry: policy,
    budget: RetryBudget.make(policy),
    outage: undefined,
    tracing: "run",
    memory: limits.memory,
    parts: {
      threshold: setup.threshold ?? 10,
      partSize: setup.partSize ?? 10,
      partConcurrency: setup.partConcurrency ?? Infinity,
      checksum: setup.checksum
    },
    journal,
    prepare: Effect.void,
    conclude: (report) =>
      journal === undefined || runs.size > 1 || !UploadReport.isComplete(report)
        ? Effect.void
        : Effect.ignoreLogged(journal.runEnded),
    observe: undefined
  }
}

export interface Options extends Setup {
  readonly run?: UploadRun.Options | undefined
  /** Runs alongside the run, from its start. */
  readonly meanwhile?:
    | ((run: UploadRun.UploadRun<unknown>, context: Env) => Effect.Effect<unknown>)
    | undefined
  /** Runs again and again between the steps of fibers, which then yield: an interruption can strike anywhere. */
  readonly steps?: (() => void) | undefined
}

export interface Outcome {
  readonly report: UploadReport.UploadReport
  readonly results: ReadonlyArray<UploadResult.UploadResult>
  readonly events: ReadonlyArray<UploadEvent.UploadEvent>
  readonly context: Env
  /** When the run ended. */
  readonly millis: number
}

/**
 * Uploads under virtual time, does something meanwhile, and checks what is to be so after every run: all permits and
 * all memory are back, nothing is in flight, and nothing happens any more in the two hours after it.
 */
export const upload = (
  recording: PartsRecording,
  files: UploadList.UploadList<never>,
  options: Options = {}
): Effect.Effect<Outcome> => {
  const results: Array<UploadResult.UploadResult> = []
  const events: Array<UploadEvent.UploadEvent> = []
  const shared = context(recording, options)
  const program = Effect.gen(function*() {
    const outcome = yield* Effect.scoped(Effect.gen(function*() {
      const run = yield* Run.make(shared, files, {
        onResult: (result) => Effect.sync(() => results.push(result)),
        onEvent: (event) => Effect.sync(() => events.push(event)),
        ...options.run
      })
      if (options.meanwhile !== undefined) yield* Effect.forkScoped(options.meanwhile(run, shared))
      const report = yield* run.report
      const progress = yield* run.currentProgress
      return { report, progress, millis: (yield* Effect.clock).unsafeCurrentTimeMillis() }
    }))
    const check = (what: string, is: unknown, expected: unknown = 0) => {
      if (is !== expected) throw new Error(`${what}: ${String(is)}, not ${String(expected)}`)
    }
    check("permits", shared.limits.inFlight.taken)
    check("waiting for a permit", shared.limits.inFlight.waiting)
    check("memory", shared.memory.taken)
    check("waiting for memory", shared.memory.waiting)
    check("in flight by the destination", recording.inFlight())
    check("in flight by the gauge", outcome.progress.inFlight)
    check("bytes in flight by the gauge", outcome.progress.bytesInFlight)
    check("runs", shared.runs.size)
    const entries = recording.history.length
    yield* Effect.sleep("2 hours")
    check("history", recording.history.slice(entries).join(), "")
    return { report: outcome.report, results, events, context: shared, millis: outcome.millis }
  })
  // The watch for stalls never sleeps for ever, so that a deadlock has to be told by time.
  const deadline = Effect.zipRight(Effect.sleep("1 day"), Effect.dieMessage("The run does not come to its end."))
  const { steps } = options
  let asked = 0
  const stepping = steps === undefined ?
    program :
    Effect.flatMap(FiberRef.get(FiberRef.currentScheduler), (scheduler) =>
      Effect.withScheduler(program, {
        shouldYield: () => {
          asked += 1
          // A turn takes nearly ten steps itself.
          if (asked % 23 > 0) return false
          steps()
          return 0
        },
        scheduleTask: (task, priority, fiber) => scheduler.scheduleTask(task, priority, fiber)
      }))
  return Effect.map(Recording.virtual(Effect.raceFirst(Effect.disconnect(stepping), deadline)), ({ value }) => value)
}

/** Interrupts a run some time after its start. */
export const interruptedAfter = (millis: number) => (run: UploadRun.UploadRun<unknown>): Effect.Effect<void> =>
  Effect.zipRight(Effect.sleep(millis), run.interrupt)

/** Uploads a large file `a`, and is interrupted when some of its parts are stored. */
export const leftUnfinished = (recording: PartsRecording, options: Options = {}): Effect.Effect<Outcome> =>
  upload(recording, [onDisk("a", 55)], { ...options, meanwhile: interruptedAfter(25) })

export const memoryJournal: Effect.Effect<Journal.Immediate> = Journal.makeMemory

/** Errors and results in a few words. */
export const told = ({ results }: Pick<Outcome, "results">): ReadonlyArray<string> =>
  results.map((result) =>
    result._tag === "Failed" ? `Failed ${result.file.key}: ${named(result.error)}` : Recording.summary(result)
  )

const named = (error: UploadError.UploadError): string =>
  "reason" in error ? `${error._tag} ${error.reason}` : error._tag
