/**
 * The engine of a run: its workers, and how it is paused, drained and interrupted.
 *
 * A worker enters the turnstile, pulls one file, takes a lease for it, leaves the turnstile and uploads. After its file
 * it enters the turnstile again. How a file is uploaded is in `attempts`.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { Settings } from "../../Limits.js"
import type { UploadFile } from "../../UploadFile.js"
import type * as UploadList from "../../UploadList.js"
import type { UploadReport } from "../../UploadReport.js"
import { bufferPool } from "../bytes/bufferPool.js"
import { interruptedMillis } from "../calls/ended.js"
import type { Restore } from "../calls/ended.js"
import * as Attempts from "../upload/attempts.js"
import type { Env } from "../upload/env.js"
import type { Change } from "../upload/outage.js"
import { Stalls } from "../upload/stalls.js"
import type { Step } from "../upload/step.js"
import { Upload } from "../upload/upload.js"
import type { Outcome, Run } from "../upload/upload.js"
import * as Callbacks from "./callbacks.js"
import * as FileList from "./fileList.js"
import { Gate } from "./gate.js"
import * as Item from "./item.js"
import { LargeFiles } from "./largeFiles.js"
import type { Recorder } from "./recorder.js"
import { SecondRound } from "./secondRound.js"
import { settle } from "./settle.js"
import { Turnstile } from "./turnstile.js"
import { Unawaited } from "./unawaited.js"
import { Worker } from "./worker.js"

export interface EngineOptions {
  readonly run: Omit<Run, "stalls" | "backoffs" | "recorder">
  readonly recorder: Recorder
  /** Forks a worker. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  /** The services of whoever started the run, for callbacks. */
  readonly services: Context.Context<never>
  readonly paused: boolean
  readonly stallMillis: number
  /** The most failed files that are kept for a second round. */
  readonly failuresKept: number
}

export class Engine {
  readonly run: Run
  readonly gate: Gate
  readonly env: Env
  private readonly recorder: Recorder
  private readonly options: EngineOptions
  private readonly turnstile = new Turnstile()
  private readonly workers = new Set<Worker>()
  private readonly unawaited: Unawaited
  private readonly secondRound: SecondRound
  private readonly largeFiles: LargeFiles
  private list: FileList.List<Item.Item> = FileList.empty
  private ended = false
  private idle = Deferred.unsafeMake<void>(FiberId.none)
  private failure: Exit.Exit<never, unknown> | undefined = undefined

  constructor(options: EngineOptions) {
    this.options = options
    this.run = {
      ...options.run,
      recorder: options.recorder,
      stalls: new Stalls(options.run.clock, options.stallMillis),
      backoffs: this
    }
    this.recorder = options.recorder
    this.env = options.run.env
    this.unawaited = new Unawaited(options.fork)
    this.largeFiles = new LargeFiles(options.run.env)
    this.gate = new Gate(options.run.env.limits.inFlight, options.paused ? "Paused" : "Running")
    this.secondRound = new SecondRound(options.failuresKept)
  }

  /** Fails with what the list or a callback has failed with. */
  runToEnd(list: FileList.FileList<UploadList.Item, unknown>): Effect.Effect<UploadReport, unknown> {
    return Effect.gen(this, function*() {
      yield* this.env.prepare
      const watch = yield* Effect.forkDaemon(Effect.interruptible(this.run.stalls.watch))
      yield* Effect.ensuring(this.runRounds(list), Fiber.interrupt(watch))
      yield* list.exit()
      const report = this.recorder.report(
        this.gate.state === "Interrupting" ? "Interrupted" : this.gate.stopping ? "Drained" : "Completed"
      )
      yield* this.env.conclude(report)
      return report
    }).pipe(Effect.ensuring(Effect.suspend(() => {
      this.ended = true
      this.env.runs.delete(this)
      if (this.env.runs.size === 0) bufferPool.rest()
      return this.recorder.close
    })))
  }

  private runRounds(list: FileList.FileList<UploadList.Item, unknown>): Effect.Effect<void, unknown> {
    return Effect.gen(this, function*() {
      yield* this.runRound(list)
      yield* list.close
      if (!this.gate.stopping && this.recorder.counts.filesUploaded > 0) yield* this.runRound(this.secondRound)
      for (const upload of this.largeFiles.takeAll()) this.putBack(upload)
      yield* this.unawaited.run(
        (restore) => this.secondRound.report(this.recorder, restore),
        (cause) => this.die(cause)
      )
      yield* this.unawaited.ended
      if (this.failure !== undefined) yield* this.failure
    })
  }

  private runRound(list: FileList.List<Item.Item>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.list = list
      this.idle = Deferred.unsafeMake<void>(FiberId.none)
      this.fork()
      return Deferred.await(this.idle)
    })
  }

  change(state: "Running" | "Paused" | "Draining"): Effect.Effect<void> {
    return Effect.suspend(() => this.changed(state))
  }

  /** Changes at once, and returns the report of it. */
  private changed(state: "Running" | "Paused" | "Draining"): Effect.Effect<void> {
    if (state === this.gate.state || this.gate.stopping || this.ended) return Effect.void
    this.gate.state = state
    // A worker may be waiting for a list that yields nothing.
    if (state === "Draining") this.options.fork(this.list.close)
    return this.toldByCaller({ _tag: "RunChanged", state })
  }

  /**
   * Drains, and interrupts the large files that another run can resume; returns their keys. `onInterrupt` decides what
   * is kept, as for all interruptions.
   */
  readonly drainToJournal: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() => {
    const { journal } = this.env
    const keeps = !this.gate.stopping && !this.ended && journal !== undefined && this.run.onInterrupt === "keep"
    const cut = keeps
      ? Array.from(this.workers).filter(({ upload }) => upload !== undefined && Attempts.canResume(upload))
      : []
    const keys = cut.flatMap(({ upload }) => upload === undefined ? [] : [upload.file.key])
    const told = this.changed("Draining")
    for (const { fiber } of cut) fiber.unsafeInterruptAsFork(FiberId.none)
    return Effect.as(told, keys)
  })

  /** Interrupts all workers at once; the run then ends. */
  readonly interrupt: Effect.Effect<void> = Effect.suspend(() => {
    this.recorder.hasty = true
    if (this.ended) return Effect.asVoid(this.recorder.close)
    if (this.gate.state === "Interrupting") return Effect.void
    this.gate.state = "Interrupting"
    this.unawaited.interrupt()
    for (const { fiber } of this.workers) fiber.unsafeInterruptAsFork(FiberId.none)
    return this.toldByCaller({ _tag: "RunChanged", state: "Interrupting" })
  })

  /** Records a step in the fiber of whoever steers the run, with the services of whoever started it. */
  private toldByCaller(step: Step): Effect.Effect<void> {
    return Effect.catchAllCause(
      Effect.provide(this.recorder.recorded(step), this.options.services),
      (cause) => Cause.isInterruptedOnly(cause) ? Effect.failCause(cause) : this.die(cause)
    )
  }

  /** The uploader's limits have changed and may have grown. */
  limitsChanged(settings: Settings, reason: string | undefined): void {
    this.gate.move()
    this.largeFiles.limitChanged()
    this.callWorker()
    this.tell({ _tag: "LimitsChanged", settings, reason })
  }

  /** The destination is away, or is back. */
  outageChanged(change: Change): void {
    this.tell({ _tag: "OutageChanged", change })
  }

  /** Records a step in a fiber of the run. Returns the wait for its listeners, which anybody can leave. */
  tell(step: Step): Effect.Effect<void> | undefined {
    const told = this.recorder.record(step)
    return told === undefined ? undefined : this.unawaited.run((restore) => restore(told), (cause) => this.die(cause))
  }

  /** Takes an item for a worker, unless it is a large file that has to wait for room. */
  private take(worker: Worker, item: UploadFile | Upload): boolean {
    const upload = item instanceof Upload ? item : new Upload(this.run, item)
    worker.upload = upload
    if (this.largeFiles.seat(upload) || !this.largeFiles.setAside(upload)) return true
    worker.upload = undefined
    return false
  }

  get transfers(): ReadonlyArray<Upload> {
    return Array.from(this.workers).flatMap(({ upload }) => upload?.state === "Attempt" ? [upload] : [])
  }

  private fork(): void {
    // All workers fork from one runtime: a chain of forks would carry the fiber refs of every generation along.
    const fiber = this.options.fork(
      Effect.uninterruptibleMask((restore) => Effect.suspend(() => this.step(worker, restore)))
    )
    const worker = new Worker(fiber)
    this.turnstile.startWaiting(worker)
    this.workers.add(worker)
    fiber.addObserver((exit) => this.workerEnded(worker, exit))
  }

  /** Ensures that a worker waits at the turnstile when there may be room for more. */
  private callWorker(): void {
    if (this.workers.size === 0 || this.gate.stopping) return
    if (this.largeFiles.canResume || (this.turnstile.waiting === 0 && this.list.mayHaveMore())) this.fork()
  }

  /**
   * A worker's next step: enter the turnstile, get a file ready, upload it and report its result. Each step continues to
   * the next itself, with no generator in the common case, because an upload in flight holds everything on its stack:
   * under `unlimited`, a hundred thousand times. A worker can be interrupted only while it waits.
   */
  private step(worker: Worker, restore: Restore): Effect.Effect<void> {
    worker.upload = undefined
    if (this.gate.stopping) return Effect.void
    const resumed = this.largeFiles.unsafeResume()
    if (resumed !== undefined) {
      this.take(worker, resumed)
      this.turnstile.stopWaiting(worker)
      return this.next(worker, restore)
    }
    if (!this.turnstile.unsafeEnter(worker)) {
      const turn = this.turnstile.enter(worker)
      return turn === undefined ? Effect.void : Effect.flatMap(restore(turn), () => this.step(worker, restore))
    }
    return this.unsafeNext(worker) && worker.upload !== undefined
      ? this.upload(worker, worker.upload, restore)
      : this.next(worker, restore)
  }

  private upload(worker: Worker, upload: Upload, restore: Restore): Effect.Effect<void> {
    if (this.hasRoom) this.callWorker()
    this.turnstile.leave(worker)
    return Effect.flatMap(
      Attempts.upload(this.env, upload, restore),
      (outcome) => this.proceed(worker, upload, outcome, restore)
    )
  }

  /** Reports the result of an upload, and continues with the next file unless the worker was interrupted. */
  private proceed(
    worker: Worker,
    upload: Upload,
    outcome: Outcome,
    restore: Restore
  ): Effect.Effect<void> {
    const told = this.settle(upload, outcome, restore)
    if (outcome._tag === "Interrupted") {
      // Nobody of this run interrupts a worker that is to go on.
      if (!this.gate.stopping) this.fork()
      return told ?? Effect.void
    }
    // With files that fail before they begin, each next step would go deeper into the call stack.
    if (told === undefined) return Effect.suspend(() => this.step(worker, restore))
    this.gate.reportStarted()
    return Effect.flatMap(told, () => {
      this.gate.reportEnded()
      return this.step(worker, restore)
    })
  }

  /** Whether a worker should wait at the turnstile: a permit is left, or large files or other runs take turns with it. */
  private get hasRoom(): boolean {
    const { inFlight } = this.env.limits
    return inFlight.taken < inFlight.limit || this.largeFiles.onTheirWay > 0 || this.env.runs.size > 1
  }

  /**
   * Gets the next file, its permit and its start, if all of them are available at once. Anything obtained is kept for
   * `next`.
   */
  private unsafeNext(worker: Worker): boolean {
    if (!this.gate.isOpen) return false
    const pulled = this.list.unsafePull()
    if (pulled === FileList.pending || pulled === FileList.end) return false
    const item = Item.decode(pulled)
    if (!Item.isUpload(item)) {
      worker.decided = item
      return false
    }
    return this.take(worker, item) && worker.upload !== undefined && this.largeFiles.seat(worker.upload) &&
      Attempts.unsafeTake(this.env, worker.upload)
  }

  /** Waits for what `unsafeNext` could not get at once. The worker ends when no file is left or wanted. */
  private next(worker: Worker, restore: Restore): Effect.Effect<void> {
    const { decided, upload } = worker
    if (decided === undefined && upload !== undefined) return this.getReady(worker, upload, restore)
    worker.decided = undefined
    return Effect.gen(this, function*() {
      if (decided !== undefined) {
        yield* this.recorder.record({ _tag: "Finished", result: decided }, restore) ?? Effect.void
      }
      while (worker.upload === undefined) {
        if (!this.gate.isOpen) yield* restore(this.gate.await)
        const ready = this.gate.stopping ? FileList.end : this.largeFiles.unsafeResume() ?? this.list.unsafePull()
        const pulled = ready === FileList.pending ? yield* restore(this.list.pull) : ready
        if (pulled === FileList.end) return Effect.void
        const item = Item.decode(pulled)
        if (Item.isUpload(item)) this.take(worker, item)
        else yield* this.recorder.record({ _tag: "Finished", result: item }, restore) ?? Effect.void
      }
      return this.getReady(worker, worker.upload, restore)
    }).pipe(Effect.flatten)
  }

  /** Waits for what a file needs and uploads it. */
  private getReady(worker: Worker, upload: Upload, restore: Restore): Effect.Effect<void> {
    const again = () => this.getReady(worker, upload, restore)
    const waiting = (wait: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.onError(restore(wait), () => Effect.sync(() => this.putBack(upload)))
    if (!this.largeFiles.seat(upload)) return Effect.flatMap(waiting(this.largeFiles.room), again)
    return Effect.flatMap(waiting(Attempts.take(this.env, upload)), () => {
      if (this.gate.isOpen && !this.gate.stopping) return this.upload(worker, upload, restore)
      upload.lease.release()
      return Effect.flatMap(waiting(this.gate.await), () => {
        if (!this.gate.stopping) return again()
        this.putBack(upload)
        return Effect.void
      })
    })
  }

  /** Returns a file that was not begun: if it has failed before, that failure is its result. */
  private putBack(upload: Upload): void {
    upload.lease.release()
    this.largeFiles.unseat(upload)
    const letGo = Attempts.letGo(upload, interruptedMillis)
    if (letGo !== undefined) this.options.fork(letGo)
    if (upload.lastError !== undefined) this.secondRound.putBack({ upload, error: upload.lastError })
  }

  private workerEnded(worker: Worker, exit: Exit.Exit<void>): void {
    this.turnstile.stopWaiting(worker)
    this.turnstile.leave(worker)
    if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) return this.left(worker)
    this.options.fork(Effect.ensuring(this.die(exit.cause), Effect.sync(() => this.left(worker))))
  }

  /** A worker has ended; the last one ends the round. */
  private left(worker: Worker): void {
    this.workers.delete(worker)
    if (this.workers.size === 0) Deferred.unsafeDone(this.idle, Exit.void)
  }

  /** A defect ends the run, and so does a callback that fails. */
  private die(cause: Cause.Cause<never>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.failure ??= Exit.failCause(Callbacks.causeOf(cause))
      return Effect.catchAllCause(this.interrupt, () => Effect.void)
    })
  }

  backoffStarted(): void {
    this.gate.backoffStarted()
    this.callWorker()
  }

  backoffEnded(): void {
    this.gate.backoffEnded()
  }

  private settle(
    upload: Upload,
    outcome: Outcome,
    restore: Restore
  ): Effect.Effect<void> | undefined {
    this.largeFiles.unseat(upload)
    if (outcome._tag === "Interrupted" && upload.attempt === upload.roundStart) {
      this.putBack(upload)
      return undefined
    }
    if (
      outcome._tag === "Failed" && outcome.again && !this.gate.stopping &&
      this.secondRound.offer({ upload, error: outcome.error })
    ) {
      const told = this.recorder.record({ _tag: "Deferred", upload, error: outcome.error })
      return told === undefined ? undefined : restore(told)
    }
    return settle(upload, outcome, this.options.stallMillis, restore).after
  }
}
