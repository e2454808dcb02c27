/**
 * The engine of a run: workers that take turns as leader, and what they report.
 *
 * The leader pulls one file, takes a permit and a start for it, hands the lead on and uploads. A worker that finishes
 * its file waits for the lead again. Nothing here knows how a file gets uploaded: that is `Upload`.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as InFlight from "../../InFlight.js"
import type { Settings } from "../../Limits.js"
import * as Upload from "../../Upload.js"
import type { UploadError } from "../../UploadError.js"
import type { RunChanged } from "../../UploadEvent.js"
import type { UploadFile } from "../../UploadFile.js"
import * as UploadList from "../../UploadList.js"
import type { UploadReport } from "../../UploadReport.js"
import { bufferPool } from "../bytes/bufferPool.js"
import { stalled } from "../bytes/watch.js"
import type { Moving } from "../bytes/watch.js"
import { within } from "../calls/within.js"
import type { Account } from "./account.js"
import * as Attempts from "./attempts.js"
import * as FileList from "./fileList.js"
import { inTurn } from "./inTurn.js"
import { LargeFiles } from "./largeFiles.js"
import * as ListItem from "./listItem.js"
import type { Change } from "./outage.js"
import { Worker } from "./worker.js"
import type { Crew } from "./worker.js"

export interface EngineOptions {
  readonly context: Upload.Context
  readonly clock: Clock.Clock
  readonly account: Account
  /** Forks a worker. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  readonly paused: boolean
  readonly stallMillis: number
  /** The most failed files that are kept for a second round. */
  readonly failuresKept: number
  readonly onInterrupt: "abort" | "keep"
  readonly onSourceChange: Upload.OnSourceChange
}

type State = (typeof RunChanged.Type)["state"]

type List = Pick<
  FileList.FileList<UploadList.Item | Upload.Upload, unknown>,
  "close" | "mayHaveMore" | "pull" | "unsafePull"
>

/** The most workers that may wait for the lead; any more end. */
const maxStandby = 64

/** The most results that may wait to be reported before no further files are taken: a slow reader slows the run. */
const maxTellings = 64

/** The number of uploads that may wait in a backoff before no further files are taken, if the limit is lower. */
const minBackoffs = 64

/** How long an interrupted run waits for the release of a source, in milliseconds. */
const letGoMillis = 1_000

const decoded = (item: UploadList.Item | Upload.Upload): UploadList.Item | Upload.Upload =>
  item instanceof Upload.Upload ? item : ListItem.decode(item)

const isUpload = (item: UploadList.Item | Upload.Upload): item is UploadFile | Upload.Upload =>
  item instanceof Upload.Upload || UploadList.isFile(item)

/** Whether another run can resume an upload. */
const canGoOn = ({ fingerprint, large, source, state }: Upload.Upload): boolean =>
  large && source.reopenable && fingerprint !== undefined && (state === "Attempt" || state === "Backoff")

const emptyList: List = {
  unsafePull: () => FileList.end,
  mayHaveMore: () => false,
  pull: Effect.succeed(FileList.end),
  close: Effect.void
}

export class Engine implements Crew {
  readonly clock: Clock.Clock
  readonly account: Account
  readonly context: Upload.Context
  readonly onInterrupt: "abort" | "keep"
  readonly onSourceChange: Upload.OnSourceChange
  readonly answerMillis: number
  private readonly options: EngineOptions
  private readonly lead = InFlight.make(1)
  private readonly gate = Effect.unsafeMakeLatch(true)
  private readonly workers = new Set<Worker>()
  private readonly deferred: Array<{ readonly upload: Upload.Upload; readonly error: UploadError }> = []
  private readonly largeFiles: LargeFiles
  private list: List = emptyList
  private state: State
  private ended = false
  private gateOpen = true
  private standby = 0
  private backoffs = 0
  private tellings = 0
  private idle = Deferred.unsafeMake<void>(FiberId.none)
  private defect: Exit.Exit<never> | undefined = undefined

  constructor(options: EngineOptions) {
    this.options = options
    this.clock = options.clock
    this.account = options.account
    this.context = options.context
    this.largeFiles = new LargeFiles(options.context)
    this.onInterrupt = options.onInterrupt
    this.onSourceChange = options.onSourceChange
    this.answerMillis = options.stallMillis
    this.state = options.paused ? "Paused" : "Running"
    this.moveGate()
  }

  // ---------------------------------------------------------------------------
  // the run
  // ---------------------------------------------------------------------------

  runToEnd<E>(list: FileList.FileList<UploadList.Item, E>): Effect.Effect<UploadReport, E> {
    return Effect.gen(this, function*() {
      yield* this.context.prepare
      const watch = yield* Effect.forkDaemon(Effect.interruptible(this.watchForStalls))
      yield* Effect.ensuring(this.runRounds(list), Fiber.interrupt(watch))
      yield* list.exit()
      const report = this.account.report(
        this.state === "Interrupting" ? "Interrupted" : this.state === "Draining" ? "Drained" : "Completed"
      )
      yield* this.context.conclude(report)
      return report
    }).pipe(Effect.ensuring(Effect.suspend(() => {
      this.ended = true
      this.context.runs.delete(this)
      if (this.context.runs.size === 0) bufferPool.rest()
      return this.account.close
    })))
  }

  private runRounds(list: FileList.FileList<UploadList.Item, unknown>): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      yield* this.runRound(list)
      yield* list.close
      if (!this.stopping && this.account.tally.filesUploaded > 0) yield* this.runRound(this.secondRound())
      for (const upload of this.largeFiles.takeAll()) this.putBack(upload)
      for (const { error, upload } of this.deferred) yield* this.account.failed(upload, error)
      if (this.defect !== undefined) yield* this.defect
    })
  }

  private runRound(list: List): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.list = list
      this.idle = Deferred.unsafeMake<void>(FiberId.none)
      this.fork()
      return Deferred.await(this.idle)
    })
  }

  /** The files that failed in the first round, each of which gets another round of attempts. */
  private secondRound(): List {
    const unsafePull = () => {
      const failed = this.deferred.shift()
      return failed === undefined ? FileList.end : Attempts.nextRound(failed.upload, failed.error)
    }
    return {
      unsafePull,
      mayHaveMore: () => this.deferred.length > 0,
      pull: Effect.sync(unsafePull),
      close: Effect.void
    }
  }

  change(state: "Running" | "Paused" | "Draining"): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (state === this.state || this.stopping || this.ended) return Effect.void
      this.state = state
      this.moveGate()
      // A leader may be waiting for a list that yields nothing.
      if (state === "Draining") this.options.fork(this.list.close)
      return this.account.changed(state)
    })
  }

  /**
   * Drains, and interrupts the large files that another run can resume; returns their keys. `onInterrupt` decides what
   * is kept, as for all interruptions.
   */
  readonly drainToJournal: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() => {
    const { journal } = this.context
    const keeps = !this.stopping && !this.ended && journal !== undefined && this.onInterrupt === "keep"
    const cut = keeps ? Array.from(this.workers).filter(({ upload }) => upload !== undefined && canGoOn(upload)) : []
    const keys = cut.flatMap(({ upload }) => upload === undefined ? [] : [upload.file.key])
    return Effect.as(
      Effect.zipLeft(
        this.change("Draining"),
        Effect.sync(() => {
          for (const worker of cut) {
            worker.leavesOff = true
            worker.fiber?.unsafeInterruptAsFork(FiberId.none)
          }
        })
      ),
      keys
    )
  })

  /** Interrupts all workers at once; the run then ends. */
  readonly interrupt: Effect.Effect<void> = Effect.suspend(() => {
    if (this.ended || this.state === "Interrupting") return Effect.void
    this.state = "Interrupting"
    this.account.hasty = true
    this.moveGate()
    for (const { fiber } of this.workers) fiber?.unsafeInterruptAsFork(FiberId.none)
    return this.account.changed("Interrupting")
  })

  /** The uploader's limits have changed and may have grown. */
  limitsChanged(settings: Settings, reason: string | undefined): void {
    this.moveGate()
    this.largeFiles.limitChanged()
    this.callLeader()
    const told = this.account.limitsChanged(settings, reason)
    if (told !== Effect.void) this.options.fork(told)
  }

  /** The destination is away, or is back. */
  outageChanged(change: Change): void {
    const told = this.account.outageChanged(change)
    if (told !== Effect.void) this.options.fork(told)
  }

  /** Takes an item for a worker, except a large file without room, which waits for its turn elsewhere. */
  private take(worker: Worker, item: UploadFile | Upload.Upload): boolean {
    const upload = worker.take(item)
    if (this.largeFiles.seat(upload) || !this.largeFiles.setAside(upload)) return true
    worker.upload = undefined
    return false
  }

  /** The attempts in flight now. */
  get transfers(): ReadonlyArray<Upload.Upload> {
    return Array.from(this.workers).flatMap(({ upload }) => upload?.state === "Attempt" ? [upload] : [])
  }

  private get now(): number {
    return this.clock.unsafeCurrentTimeMillis()
  }

  private get stopping(): boolean {
    return this.state === "Draining" || this.state === "Interrupting"
  }

  /**
   * The gate is shut while the run is paused, and while too many uploads wait in a backoff or for their result to be
   * reported.
   */
  private moveGate(): void {
    const open = this.stopping ||
      (this.state !== "Paused" && this.tellings < maxTellings &&
        this.backoffs < Math.max(minBackoffs, this.context.limits.inFlight.limit))
    if (open === this.gateOpen) return
    this.gateOpen = open
    if (open) this.gate.unsafeOpen()
    else this.gate.unsafeClose()
  }

  // ---------------------------------------------------------------------------
  // workers
  // ---------------------------------------------------------------------------

  /** Starts a worker that waits for the lead, or that first continues an upload. */
  private fork(upload?: Upload.Upload, goOn?: Effect.Effect<void>): void {
    const worker = new Worker(this)
    if (upload === undefined) worker.standingBy = true
    else worker.take(upload)
    if (worker.standingBy) this.standby += 1
    this.workers.add(worker)
    // All workers fork from one runtime: a chain of forks would carry the fiber refs of every generation along.
    worker.fiber = this.options.fork(goOn ?? Effect.suspend(() => this.step(worker)))
    worker.fiber.addObserver((exit) => this.workerEnded(worker, exit))
  }

  /** Ensures that a worker waits for the lead when there may be room for more. */
  private callLeader(): void {
    if (this.workers.size === 0 || this.stopping) return
    if (this.largeFiles.canResume || (this.standby === 0 && this.list.mayHaveMore())) this.fork()
  }

  /**
   * A worker's next step: get the lead, get a file ready, or upload it. Each step continues to the next itself, and
   * `settled` continues after an upload. There is no loop around them, and no generator in the common case, because an
   * upload in flight holds everything on its stack: under `unlimited`, a hundred thousand times.
   */
  step(worker: Worker): Effect.Effect<void> {
    if (worker.ready && worker.upload !== undefined) return this.begin(worker, worker.upload)
    worker.upload = undefined
    if (this.stopping) return Effect.void
    const resumed = this.largeFiles.unsafeResume()
    if (resumed !== undefined) {
      this.take(worker, resumed)
      this.standsNoMore(worker)
      return this.next(worker)
    }
    if (!worker.leading) {
      if (!this.lead.unsafeTake(1)) return this.standBy(worker)
      this.leads(worker)
    }
    worker.ready = this.unsafeNext(worker)
    return worker.ready && worker.upload !== undefined ? this.begin(worker, worker.upload) : this.next(worker)
  }

  private begin(worker: Worker, upload: Upload.Upload): Effect.Effect<void> {
    worker.ready = false
    if (this.hasRoom) this.callLeader()
    this.handOver(worker)
    return Attempts.run(this.context, upload)
  }

  private leads(worker: Worker): void {
    worker.leading = true
    this.standsNoMore(worker)
  }

  private standsNoMore(worker: Worker): void {
    if (worker.standingBy) this.standby -= 1
    worker.standingBy = false
  }

  private standBy(worker: Worker): Effect.Effect<void> {
    if (!worker.standingBy) {
      if (this.standby >= maxStandby) return Effect.void
      worker.standingBy = true
      this.standby += 1
    }
    return Effect.flatMap(this.lead.take(1, () => this.leads(worker)), () => this.step(worker))
  }

  /**
   * Whether a worker should wait for the lead: if a permit is left, or if parts of large files or other runs take turns
   * with the files of this one.
   */
  private get hasRoom(): boolean {
    const { inFlight } = this.context.limits
    return inFlight.taken < inFlight.limit || this.largeFiles.onTheirWay > 0 || this.context.runs.size > 1
  }

  /**
   * Gets the next file, its permit and its start, if all of them are available at once. Anything obtained is kept for
   * `next`.
   */
  private unsafeNext(worker: Worker): boolean {
    if (!this.gateOpen) return false
    const pulled = this.list.unsafePull()
    if (pulled === FileList.pending || pulled === FileList.end) return false
    const item = decoded(pulled)
    if (!isUpload(item)) {
      worker.decided = item
      return false
    }
    return this.take(worker, item) && worker.upload !== undefined && this.largeFiles.seat(worker.upload) &&
      Attempts.unsafeReady(this.context, worker.upload)
  }

  /** Waits for what `unsafeNext` could not get at once. The worker ends when no file is left or wanted. */
  private next(worker: Worker): Effect.Effect<void> {
    const { decided, upload } = worker
    if (decided === undefined && upload !== undefined) return this.getReady(worker, upload)
    worker.decided = undefined
    return Effect.gen(this, function*() {
      if (decided !== undefined) yield* this.account.finished(decided)
      while (worker.upload === undefined) {
        if (!this.gateOpen) yield* this.gate.await
        const ready = this.stopping ? FileList.end : this.largeFiles.unsafeResume() ?? this.list.unsafePull()
        const pulled = ready === FileList.pending ? yield* this.list.pull : ready
        if (pulled === FileList.end) return Effect.void
        const item = decoded(pulled)
        if (isUpload(item)) this.take(worker, item)
        else yield* this.account.finished(item)
      }
      return this.getReady(worker, worker.upload)
    }).pipe(Effect.flatten)
  }

  /** Waits for what a file needs and uploads it. */
  private getReady(worker: Worker, upload: Upload.Upload): Effect.Effect<void> {
    const again = () => this.getReady(worker, upload)
    if (!this.largeFiles.seat(upload)) return Effect.flatMap(this.largeFiles.room, again)
    return Effect.flatMap(Attempts.ready(this.context, upload), () => {
      if (this.gateOpen && !this.stopping) return this.begin(worker, upload)
      Attempts.abandon(this.context, upload)
      return Effect.flatMap(this.gate.await, () => {
        if (!this.stopping) return again()
        this.putBack(upload)
        return Effect.void
      })
    })
  }

  /** Returns a file that was not begun: if it has failed before, that failure is its result. */
  private putBack(upload: Upload.Upload): void {
    this.largeFiles.unseat(upload)
    const letGo = this.letGoWithin(upload, letGoMillis)
    if (letGo !== Effect.void) this.options.fork(letGo)
    if (upload.lastError !== undefined) this.deferred.push({ upload, error: upload.lastError })
  }

  /** Bounds the release of a source that is no longer in use. */
  private letGoWithin(upload: Upload.Upload, millis: number): Effect.Effect<void> {
    const letGo = Attempts.letGo(upload)
    return letGo === Effect.void
      ? letGo
      : Effect.ignore(within(Effect.disconnect(letGo), millis, () => "late" as const))
  }

  private handOver(worker: Worker): void {
    if (!worker.leading) return
    worker.leading = false
    this.lead.unsafeRelease(1)
  }

  private workerEnded(worker: Worker, exit: Exit.Exit<void>): void {
    this.standsNoMore(worker)
    this.handOver(worker)
    if (Exit.isSuccess(exit)) return this.left(worker)
    this.options.fork(
      this.workerCut(worker, exit).pipe(
        Effect.catchAllCause((cause) => this.die(cause)),
        Effect.ensuring(Effect.sync(() => this.left(worker)))
      )
    )
  }

  /** A worker has ended; the last one ends the round. */
  private left(worker: Worker): void {
    this.workers.delete(worker)
    if (this.workers.size === 0) Deferred.unsafeDone(this.idle, Exit.void)
  }

  /** A defect ends the run. */
  private die(cause: Cause.Cause<never>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.defect ??= Exit.failCause(cause)
      return Effect.catchAllCause(this.interrupt, () => Effect.void)
    })
  }

  /** A worker was interrupted, by the end of the run or by the stall watch, or died of a defect. */
  private workerCut(worker: Worker, exit: Exit.Failure<void, never>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const upload = worker.upload?.state === "Settled" ? undefined : worker.upload
      if (upload !== undefined && upload.stored !== undefined) {
        this.largeFiles.unseat(upload)
        Attempts.acknowledge(this.context, upload, upload.stored)
        const told = this.account.uploaded(upload, upload.stored)
        return Cause.isInterruptedOnly(exit.cause) ? told : Effect.zipRight(told, this.die(exit.cause))
      }
      if (!Cause.isInterruptedOnly(exit.cause)) {
        if (upload !== undefined) Attempts.abandon(this.context, upload)
        return this.die(exit.cause)
      }
      if (this.state !== "Interrupting" && !worker.leavesOff) {
        if (upload === undefined) this.fork()
        else this.fork(upload, Attempts.failed(this.context, upload, stalled(upload, this.options.stallMillis)))
        return Effect.void
      }
      if (upload === undefined) return Effect.void
      this.largeFiles.unseat(upload)
      Attempts.abandon(this.context, upload)
      if (upload.attempt > upload.roundStart) {
        return inTurn(this.account.interrupted(upload), this.letGoWithin(upload, letGoMillis))
      }
      this.putBack(upload)
      return Effect.void
    })
  }

  /**
   * Interrupts stalled attempts. It sleeps until the first instant at which one can be overdue. The observable progress
   * of bytes in transit is checked twice: halfway through the stall timeout, and at its end.
   */
  private readonly watchForStalls: Effect.Effect<void> = Effect.suspend(() => {
    const { stallMillis } = this.options
    if (stallMillis === Infinity) return Effect.void
    let wait = stallMillis / 2
    const looks: Array<Effect.Effect<void>> = []
    const look = (transfer: Moving & { readonly moved: () => void }, isUnderWay: () => boolean, cut: () => void) => {
      if (transfer.waits > 0) return
      const { lastByteAt, track } = transfer
      const left = lastByteAt + stallMillis - this.now
      const tracked = track !== undefined && !track.isSeenSince(lastByteAt)
      if (left > 0) wait = Math.min(wait, tracked && left > stallMillis / 2 ? left - stallMillis / 2 : left)
      if (track === undefined) return left <= 0 ? cut() : undefined
      if (left > (tracked ? stallMillis / 2 : 0)) return
      looks.push(Effect.map(track.look(lastByteAt, stallMillis / 2), (moved) => {
        if (transfer.lastByteAt !== lastByteAt || transfer.waits > 0 || !isUnderWay()) return
        if (moved) transfer.moved()
        else if (left <= 0) cut()
      }))
    }
    for (const worker of this.workers) {
      const { upload } = worker
      if (upload?.state !== "Attempt") continue
      if (upload.large) {
        const { transfers } = upload
        for (const part of transfers) look(part, () => transfers.has(part), () => part.unsafeStall(stallMillis))
      } else {
        look(upload, () => worker.upload === upload && upload.state === "Attempt", () => worker.unsafeCut())
      }
    }
    // On a clock with fractions, the rest may be too small for the clock to advance.
    const sleep = this.clock.sleep(Duration.millis(Math.max(1, wait)))
    return Effect.zipRight(
      looks.length === 0
        ? sleep
        : Effect.zipRight(Effect.all(looks, { concurrency: "unbounded", discard: true }), sleep),
      this.watchForStalls
    )
  })

  // ---------------------------------------------------------------------------
  // what uploads tell
  // ---------------------------------------------------------------------------

  backoffStarted(): void {
    this.backoffs += 1
    this.moveGate()
    this.callLeader()
  }

  retrying(upload: Upload.Upload, delayMillis: number, error: UploadError): Effect.Effect<void> {
    const { attempt, roundStart } = upload
    // Attempts lost to an outage are not counted, so there may be more of them.
    const attempts = Math.max(attempt + 1, roundStart + this.context.retry.attempts)
    return this.account.retrying(upload, { attempt, attempts, delayMillis }, error)
  }

  tellingStarted(): void {
    this.tellings += 1
    if (this.tellings >= maxTellings) this.moveGate()
  }

  tellingEnded(): void {
    this.tellings -= 1
    if (!this.gateOpen) this.moveGate()
  }

  backoffEnded(): void {
    this.backoffs -= 1
    this.moveGate()
  }

  settle(upload: Upload.Upload, outcome: Upload.Outcome): Effect.Effect<void> {
    this.largeFiles.unseat(upload)
    if (outcome._tag === "Stored") return this.account.uploaded(upload, outcome.stored)
    const letGo = this.letGoWithin(upload, this.options.stallMillis)
    if (outcome._tag === "Skipped") {
      return inTurn(this.account.skipped(upload, outcome.reason, outcome.uploadedBefore), letGo)
    }
    if (!outcome.again || this.stopping || this.deferred.length >= this.options.failuresKept) {
      return inTurn(this.account.failed(upload, outcome.error), letGo)
    }
    this.deferred.push({ upload, error: outcome.error })
    return this.account.deferred(upload, outcome.error)
  }
}
