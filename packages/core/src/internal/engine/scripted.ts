/**
 * An uploader without an engine, for tests of applications: a script says what becomes of each file.
 *
 * Lists are read and reported as always, one file after the other. Nothing is read from sources, sent or retried, and
 * no time passes unless the script takes some.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Limits from "../../Limits.js"
import { summarize } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import type { UploadEvent } from "../../UploadEvent.js"
import type { UploadFile } from "../../UploadFile.js"
import * as UploadList from "../../UploadList.js"
import { failuresListed } from "../../UploadReport.js"
import type { Failure, UploadReport } from "../../UploadReport.js"
import type { Skipped, Uploaded, UploadResult } from "../../UploadResult.js"
import * as UploadRun from "../../UploadRun.js"
import { Counts } from "./counts.js"
import { eventOf } from "./eventOf.js"
import * as FileList from "./fileList.js"
import * as ListItem from "./listItem.js"
import { makeReport } from "./report.js"

/** What becomes of a file; nothing stands for an upload in one attempt. */
export type Script = (file: UploadFile) => Effect.Effect<Uploaded | Skipped | void, UploadError>

/** Makes the uploader, which keeps the files that it is given. */
export const make = (script: Script = () => Effect.void) => {
  const files: Array<UploadFile> = []
  const limits = Limits.make({ concurrency: Infinity, uploadsPerSecond: Infinity, bytesPerSecond: Infinity })
  const noting: Script = (file) =>
    Effect.suspend(() => {
      files.push(file)
      return script(file)
    })
  const started = <Files extends UploadList.Any, E = never, R = never>(
    list: Files,
    options?: UploadRun.Options<E, R>
  ) =>
    // E and R are those of `Files`, which the compiler cannot see.
    start(
      noting,
      limits,
      list as UploadList.UploadList<UploadList.ErrorOf<Files>, UploadList.ContextOf<Files>>,
      options
    )
  return {
    files: Effect.sync((): ReadonlyArray<UploadFile> => files.slice()),
    uploader: {
      limits,
      start: started,
      stream: <Files extends UploadList.Any, E = never, R = never>(list: Files, options?: UploadRun.Options<E, R>) =>
        Stream.unwrapScoped(
          Effect.map(started(list, options), (run) => Stream.concat(run.results, Stream.execute(run.report)))
        ),
      uploadAll: <Files extends UploadList.Any, E = never, R = never>(list: Files, options?: UploadRun.Options<E, R>) =>
        Effect.scoped(Effect.flatMap(started(list, options), (run) => run.report)),
      upload: (file: UploadFile) => upload(noting, file)
    }
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Uploads one file. */
const upload = (script: Script, file: UploadFile): Effect.Effect<Uploaded | Skipped, UploadError> =>
  Effect.map(script(file), (result) => result ?? uploaded(file))

/** Starts a run. */
const start = <E, R, E2, R2>(
  script: Script,
  limits: Limits.Limits,
  files: UploadList.UploadList<E, R>,
  options: UploadRun.Options<E2, R2> = {}
): Effect.Effect<UploadRun.UploadRun<E | E2>, never, R | R2 | Scope.Scope> =>
  Effect.gen(function*() {
    const { lookahead, paused } = { ...UploadRun.defaults, ...options }
    const run = new Run(yield* Clock.currentTimeMillis)
    const results = yield* PubSub.unbounded<Option.Option<UploadResult>>({ replay: Infinity })
    const events = yield* PubSub.unbounded<Option.Option<UploadEvent>>({ replay: Infinity })
    const report = yield* Deferred.make<UploadReport, E | E2>()
    const gate = yield* Effect.makeLatch(paused !== true)
    const list = yield* FileList.make<UploadList.Item, E, R>(files, lookahead ?? UploadRun.defaults.lookahead, {
      found: (items) => run.found(items),
      listed: () => Effect.sync(() => run.listed())
    })
    const tell = (result: UploadResult) =>
      Effect.gen(function*() {
        run.count(result)
        const event = eventOf({ _tag: "Finished", result }, yield* Clock.currentTimeMillis)
        yield* PubSub.publish(results, Option.some(result))
        if (event !== undefined) {
          yield* PubSub.publish(events, Option.some(event))
          yield* options.onEvent?.(event) ?? Effect.void
        }
        yield* options.onResult?.(result) ?? Effect.void
      })
    const all: Effect.Effect<void, E2, R2> = Effect.gen(function*() {
      for (;;) {
        yield* gate.await
        const pulled = run.ended === "Drained" ? FileList.end : list.unsafePull()
        const item = pulled === FileList.pending ? yield* list.pull : pulled
        if (item === FileList.end) return
        const decoded = ListItem.decode(item)
        yield* tell(UploadList.isFile(decoded) ? yield* resultOf(script, decoded) : decoded)
      }
    })
    const main = yield* Effect.forkScoped(
      Effect.interruptible(all).pipe(
        Effect.onExit((exit) =>
          Effect.gen(function*() {
            yield* list.close
            const isInterrupted = Exit.isInterrupted(exit)
            const listed: Exit.Exit<void, E | E2> = Exit.isFailure(exit) && !isInterrupted ? exit : list.exit()
            yield* Deferred.done(
              report,
              Exit.as(
                run.ended === "Completed" && !isInterrupted ? listed : Exit.void,
                run.report(isInterrupted ? "Interrupted" : run.ended, yield* Clock.currentTimeMillis)
              )
            )
            yield* PubSub.publish(results, Option.none())
            yield* PubSub.publish(events, Option.none())
          })
        ),
        Effect.catchAllCause((cause) => Cause.isInterruptedOnly(cause) ? Effect.void : Effect.failCause(cause))
      )
    )
    const until = <A>(published: PubSub.PubSub<Option.Option<A>>) =>
      Stream.filterMapWhile(Stream.fromPubSub(published), (value) => value)
    const currentProgress = Effect.sync(() => run.progress.snapshot())
    return {
      limits,
      results: until(results),
      events: until(events),
      progress: Stream.fromEffect(Effect.zipRight(Effect.exit(Deferred.await(report)), currentProgress)),
      currentProgress,
      throughput: Effect.succeed({ current: 0, overall: 0 }),
      inFlight: Effect.succeed([]),
      pause: gate.close,
      resume: gate.open,
      drain: Effect.zipRight(Effect.sync(() => run.ended = "Drained"), gate.open),
      drainToJournal: Effect.as(Effect.zipRight(Effect.sync(() => run.ended = "Drained"), gate.open), []),
      interrupt: Effect.asVoid(main.interruptAsFork(main.id())).pipe(Effect.zipRight(Effect.asVoid(main.await))),
      report: Deferred.await(report)
    }
  })

const uploaded = (file: UploadFile): Uploaded => ({
  _tag: "Uploaded",
  file,
  attempts: 1,
  bytes: file.size ?? file.source.size ?? 0,
  resumedBytes: 0,
  duration: Duration.zero,
  etag: undefined,
  checksum: undefined
})

const resultOf = (script: Script, file: UploadFile): Effect.Effect<UploadResult> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (startedAt) =>
      Effect.catchAll(upload(script, file), (error) =>
        Effect.map(Clock.currentTimeMillis, (now): UploadResult => ({
          _tag: "Failed",
          file,
          attempts: 1,
          error,
          duration: Duration.millis(now - startedAt)
        })))
  )

/** The counts of a run. */
class Run {
  ended: UploadReport["ended"] = "Completed"
  readonly progress: Counts
  private readonly failures: Array<Failure> = []

  constructor(startedAt: number) {
    this.progress = new Counts(startedAt)
  }

  found(items: ReadonlyArray<UploadList.Item>): void {
    this.progress.apply({ _tag: "Found", items })
  }

  listed(): void {
    this.progress.apply({ _tag: "Listed" })
  }

  count(result: UploadResult): void {
    const { progress } = this
    progress.apply({ _tag: "Finished", result })
    switch (result._tag) {
      case "Uploaded":
        progress.bytesUploaded += result.bytes
        progress.attempts += result.attempts
        break
      case "Failed":
        progress.attempts += result.attempts
        if (this.failures.length < failuresListed) {
          const { attempts, error, file: { key } } = result
          this.failures.push({ key, attempts, error: summarize(error) })
        }
        break
      case "Skipped":
      case "Interrupted":
        break
    }
    progress.retries = Math.max(0, progress.attempts - progress.filesUploaded - progress.filesFailed)
    progress.peakInFlight = Math.max(progress.peakInFlight, progress.attempts > 0 ? 1 : 0)
  }

  report(ended: UploadReport["ended"], endedAt: number): UploadReport {
    return makeReport(this.progress, { ended, endedAt, failures: this.failures, abortsFailed: 0, leftBehind: [] })
  }
}
