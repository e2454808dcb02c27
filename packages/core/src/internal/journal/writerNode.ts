/**
 * The writing end of a journal file. Records are written at once while few are noted, and in batches of 64 records or
 * 20 ms while many are; a caller that waits for a record makes its batch go at once.
 *
 * One fiber writes. It keeps what it could not write, in order, and continues at the same offset when there is space
 * again, so that a torn batch is overwritten and nothing is lost but time.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { JournalError } from "../../Journal.js"
import * as Disk from "./diskNode.js"
import type { Lock } from "./lockNode.js"
import * as Record from "./recordNode.js"
import type { Replay } from "./replayNode.js"

export interface Options {
  readonly directory: string
  readonly fsync: boolean
  readonly removeWhenEmpty: boolean
  readonly header: Record.Header
  readonly lock: Lock
}

interface Waiter {
  readonly sequence: number
  readonly resume: (done: Effect.Effect<void, JournalError>) => void
}

export class Writer {
  private readonly options: Options
  private readonly replay: Replay
  private file: Disk.Opened
  /** The offset after the last written record. */
  private end: number
  private finishedFrom: number
  private finishedRecords: number
  /** The extra bytes of records of finished files that include a location. */
  private finishedMore: number
  private ownersRecorded: number

  /** The noted text that is not written yet, the number of records ever noted, and the number of those written. */
  private pending = ""
  private noted = 0
  private written = 0
  /** The position in `pending` of the last end of a run. */
  private pendingEnd: number | undefined = undefined

  private waiters: Array<Waiter> = []
  private wake: (() => void) | undefined = undefined
  /** The number of records that must wait before the writer is woken. */
  private wakeAt = 1
  /** Whether a caller waited for the last batch: such a caller should not wait for the next one. */
  private hurried = false
  private runHasEnded = false
  private compactAgainAt = 0
  private failed = false
  private closed = false

  constructor(options: Options, replay: Replay, file: Disk.Opened) {
    this.options = options
    this.replay = replay
    this.file = file
    this.end = file.size
    this.finishedFrom = replay.finishedFrom
    this.finishedRecords = replay.finishedRecords
    this.finishedMore = 0
    for (const location of replay.locations.values()) this.finishedMore += Record.locationLength(location)
    this.ownersRecorded = 0
    for (const owner of replay.state.owners) this.ownersRecorded += Record.owned(owner).length
  }

  /** Notes a record and returns its size in bytes. */
  note(record: string): number {
    if (this.closed) return record.length
    this.pending += record
    this.noted++
    if (this.wake !== undefined && this.noted - this.written >= this.wakeAt) this.wake()
    return record.length
  }

  noteFinished(record: string): void {
    // On a full disk these are dropped first: they only save time.
    if (this.failed && this.pending.length > mostUnwritten) return
    this.finishedRecords++
    this.finishedMore += record.length - Record.finishedLength
    this.note(record)
  }

  noteOwned(owner: string): void {
    this.ownersRecorded += this.note(Record.owned(owner))
  }

  noteDisowned(owner: string): void {
    this.note(Record.disowned(owner))
    this.ownersRecorded -= Record.owned(owner).length
  }

  noteRunEnded(): void {
    if (this.finishedRecords === 0 && this.garbage <= 0) return
    this.finishedRecords = 0
    this.finishedMore = 0
    this.pendingEnd = this.pending.length + Record.runEnded.length
    this.runHasEnded = true
    this.note(Record.runEnded)
  }

  /** Waits until everything noted so far is written. */
  readonly settled: Effect.Effect<void, JournalError> = Effect.async((resume) => {
    if (this.closed) return resume(Effect.fail(closedError(this.options.directory)))
    if (this.written >= this.noted) return resume(Effect.void)
    this.waiters.push({ sequence: this.noted, resume })
    this.wake?.()
  })

  /** Writes until the scope ends, and then writes what is left. */
  readonly run: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() => {
    const rest = Effect.suspend(() => this.awaken(1))
    const pause = Effect.suspend(() =>
      this.hurried && !this.failed
        ? Effect.void
        : this.awaken(this.failed ? Infinity : mostRecords, this.failed ? retryDelay : batchDelay)
    )
    return Effect.zipRight(
      Effect.addFinalizer(() => this.finish),
      Effect.forkScoped(
        Effect.interruptible(Effect.forever(rest.pipe(Effect.zipRight(this.step), Effect.zipRight(pause))))
      )
    )
  })

  /** Rewrites the file without obsolete records if that is worth it. */
  tidy(options?: { readonly always: boolean }): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { finished } = this.replay
      const repeated = (this.finishedRecords - finished.size) * Record.finishedLength
      if (options?.always !== true && !this.isWorthTidying(repeated)) return Effect.void
      this.finishedRecords = finished.size
      return Effect.ignore(this.compact((digest) => finished.has(digest)))
    })
  }

  private isWorthTidying(more = 0): boolean {
    return this.garbage + more > Math.max(4096, this.live / 4)
  }

  /** Whether nothing in it is needed any more. */
  private get isEmpty(): boolean {
    const { entries, owners } = this.replay.state
    return entries.size + owners.size + this.finishedRecords === 0
  }

  /** The size of the records that are still needed, in bytes. */
  private get live(): number {
    return Record.header(this.options.header).length + this.replay.state.recorded + this.ownersRecorded +
      this.finishedRecords * Record.finishedLength + this.finishedMore
  }

  private get garbage(): number {
    return this.end + this.pending.length - this.live
  }

  /** Waits until this many records are pending, a caller waits for them, or the time is up. */
  private awaken(records: number, atMost?: Duration.DurationInput): Effect.Effect<void> {
    const awoken = Effect.async<void>((resume) => {
      const wake = () => {
        this.wake = undefined
        resume(Effect.void)
      }
      if (this.waiters.length > 0 || this.noted - this.written >= records) return wake()
      this.wakeAt = records
      this.wake = wake
      return Effect.sync(() => {
        this.wake = undefined
      })
    })
    if (atMost === undefined) return awoken
    // A race would fork both sides and join their fiber refs, for each batch.
    return Effect.flatMap(
      Effect.forkDaemon(
        Effect.interruptible(Effect.zipRight(Effect.sleep(atMost), Effect.sync(() => this.wake?.())))
      ),
      (timer) => Effect.ensuring(awoken, Effect.sync(() => timer.unsafeInterruptAsFork(FiberId.none)))
    )
  }

  private readonly step: Effect.Effect<void> = Effect.flatMap(Effect.suspend(() => this.options.lock.lost), (lost) => {
    if (lost !== undefined) {
      this.reject(this.noted, lost)
      return Effect.void
    }
    const grown = this.end > largestTidy && this.end > 4 * this.live && this.end >= this.compactAgainAt
    if (!grown && !this.runHasEnded) return this.append
    return Effect.catchAll(this.compact(), () => {
      this.compactAgainAt = this.end * 2
      return this.append
    })
  }).pipe(
    // No caller may be left waiting for a writer that has ended.
    Effect.catchAllDefect((defect) =>
      Effect.sync(() =>
        this.reject(this.noted, Disk.unusable(`The journal in ${this.options.directory} cannot be written.`, defect))
      )
    ),
    Effect.uninterruptible
  )

  private readonly append: Effect.Effect<void> = Effect.suspend(() => {
    const { noted, pending } = this
    const { descriptor } = this.file
    this.hurried = this.waiters.length > 0
    if (pending === "") return Effect.void
    const write = Disk.writeAt(descriptor, pending, this.end)
    return Effect.match(this.options.fsync ? Effect.zipRight(write, Disk.sync(descriptor)) : write, {
      onFailure: (error) => this.reject(noted, Disk.failedTo(this.options.directory, "be written")(error)),
      onSuccess: () => {
        if (this.pendingEnd !== undefined && this.pendingEnd <= pending.length) {
          this.finishedFrom = this.end + this.pendingEnd
        }
        this.end += pending.length
        this.accept(noted, pending.length)
      }
    })
  })

  /** Replaces the file with a new one that holds exactly the current state. */
  private compact(wanted?: (digest: string) => boolean): Effect.Effect<void, NodeJS.ErrnoException> {
    return Effect.suspend(() => {
      const { end, file, finishedFrom, noted, pending, pendingEnd } = this
      this.runHasEnded = false
      const replacement: Disk.Replacement = {
        fsync: this.options.fsync,
        text: Record.header(this.options.header) + textOf(this.replay.state),
        copy: pendingEnd === undefined && this.finishedRecords > 0
          ? { descriptor: file.descriptor, start: finishedFrom, end, wanted }
          : undefined,
        last: Disk.finishedIn(pending.slice(pendingEnd ?? 0))
      }
      return Effect.flatMap(Disk.replace(this.options.directory, replacement), (replaced) => {
        this.file = replaced
        this.end = replaced.size
        this.finishedFrom = 0
        this.compactAgainAt = 0
        this.accept(noted, pending.length)
        return Disk.close(file.descriptor)
      })
    })
  }

  private accept(sequence: number, bytes: number): void {
    this.pending = this.pending.slice(bytes)
    this.pendingEnd = this.pendingEnd === undefined || this.pendingEnd <= bytes ? undefined : this.pendingEnd - bytes
    this.written = sequence
    this.failed = false
    this.answer(sequence, Effect.void)
  }

  private reject(sequence: number, error: JournalError): void {
    this.failed = true
    this.answer(sequence, Effect.fail(error))
  }

  private answer(sequence: number, done: Effect.Effect<void, JournalError>): void {
    const { waiters } = this
    this.waiters = waiters.filter((waiter) => waiter.sequence > sequence)
    for (const waiter of waiters) if (waiter.sequence <= sequence) waiter.resume(done)
  }

  private readonly finish: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true
    const { directory, fsync, lock, removeWhenEmpty } = this.options
    const write = Effect.suspend(() =>
      this.isWorthTidying() ? Effect.catchAll(this.compact(), () => this.append) : this.append
    )
    // The lock is held until after this.
    const remove = Effect.map(Disk.remove(directory, fsync), () => this.accept(this.noted, this.pending.length))
    const last = Effect.flatMap(lock.lost, (lost) => {
      if (lost !== undefined) return Effect.void
      return removeWhenEmpty && this.isEmpty ? Effect.catchAll(remove, () => write) : write
    })
    const report = Effect.suspend(() =>
      this.pending === "" ? Effect.void : Effect.logWarning(
        `The journal in ${directory} was closed without its last ${this.noted - this.written} records.`
      )
    )
    const close = Effect.suspend(() => {
      this.answer(Infinity, Effect.fail(closedError(directory)))
      return Disk.close(this.file.descriptor)
    })
    return Effect.zipRight(last, Effect.zipRight(report, close))
  })
}

const mostRecords = 64

const batchDelay = "20 millis"

const retryDelay = "1 second"

/** Below this size, in bytes, a file is not rewritten while it grows. */
const largestTidy = 1024 * 1024

/** The number of bytes that may wait for disk space before finished files are no longer noted. */
const mostUnwritten = 4 * 1024 * 1024

const closedError = (directory: string): JournalError => Disk.unusable(`The journal in ${directory} is closed.`)

const textOf = ({ entries, owners }: Replay["state"]): string => {
  let text = ""
  for (const owner of owners) text += Record.owned(owner)
  for (const { intent, number, parts, uploadId } of entries.values()) {
    text += Record.begin(number, intent)
    if (uploadId !== undefined) text += Record.created(number, uploadId)
    for (const part of parts.values()) text += Record.part(number, part)
  }
  return text
}
