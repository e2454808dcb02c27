/**
 * Compares files with the objects under their keys at a destination.
 *
 * For each file the sizes are compared first. If the destination reports a checksum of the object, the file is read and
 * its checksum computed; otherwise both are read and compared block by block. If the destination turns out not to let
 * its objects be read, only the sizes are compared, and the summary says so. Memory holds a few blocks for each of up
 * to `concurrency` files, and up to {@link aheadOfComparing} files of the list; nothing is kept of finished files.
 * Objects that only the destination has are found by checking each of its keys, one after the other, against the
 * sources: no list of keys is held in memory.
 *
 * A temporary failure of the destination is retried, unless the destination fails all the time. A destination that is
 * silent for 30 seconds has failed.
 */
import * as Checksum from "@sluice/core/Checksum"
import type { Destination, Head, Listed } from "@sluice/core/Destination"
import type { Progress } from "@sluice/core/Progress"
import * as RetryPolicy from "@sluice/core/RetryPolicy"
import * as Throughput from "@sluice/core/Throughput"
import * as AtOnce from "@sluice/core/unstable/AtOnce"
import * as RetryBudget from "@sluice/core/unstable/RetryBudget"
import * as UploadError from "@sluice/core/UploadError"
import type { UploadFile } from "@sluice/core/UploadFile"
import * as UploadList from "@sluice/core/UploadList"
import type { Transfer } from "@sluice/core/UploadRun"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Items } from "../sources/Remainder.js"
import type { Shown } from "../terminal/Display.js"
import { version } from "./Compared.js"
import type { By, Finding, Report, Unreadable } from "./Compared.js"
import * as SameBytes from "./SameBytes.js"

/** How many files of the list are read ahead. */
export const aheadOfComparing = 8_192

export interface Options {
  readonly items: Items
  readonly destination: Destination["Type"]
  /** The maximum number of files compared at once. */
  readonly concurrency: number
  /** Whether no source has the object; `undefined` if extra objects are not looked for. */
  readonly isExtra: ((key: string) => Effect.Effect<boolean>) | undefined
  readonly onFinding: (finding: Finding) => Effect.Effect<void>
}

/** A comparison that can be run and watched. */
export interface Comparison extends Shown {
  readonly run: Effect.Effect<void>
  /** What has been found so far. */
  readonly report: Effect.Effect<Report>
  /** The first failure of the destination. */
  readonly destinationError: () => UploadError.UploadError | undefined
}

/** Whether files can be compared with this kind of destination at all. */
export const isPossible = (destination: Destination["Type"]): boolean => destination.head !== undefined

/** Prepares a comparison. */
export const make = (options: Options): Effect.Effect<Comparison> =>
  Effect.map(Effect.clock, (clock) => new Run(options, clock))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const answerMillis = 30_000

const retry = RetryPolicy.make()

/** Files up to this size are read in one piece, in bytes. */
const smallSize = 64 * 1024

interface Under {
  readonly key: string
  readonly size: number | undefined
  readonly startedAt: number
  sent: number
}

class Run implements Comparison {
  private readonly options: Options
  private readonly clock: Clock.Clock
  private readonly startedAt: number
  private readonly monitor: Throughput.Monitor
  private readonly under = new Set<Under>()
  private readonly budget = RetryBudget.make(retry)
  private readonly counts = { same: 0, missing: 0, different: 0, extra: 0, unreadable: 0, skipped: 0 }
  private ended: Report["ended"] = "Interrupted"
  private isListing = true
  private isUnlisted = false
  private firstDestinationError: UploadError.UploadError | undefined = undefined
  private found = 0
  private sameBySize = 0
  private bytesFound = 0
  private bytesCompared = 0
  private bytesDone = 0

  constructor(options: Options, clock: Clock.Clock) {
    this.options = options
    this.clock = clock
    this.startedAt = clock.unsafeCurrentTimeMillis()
    this.monitor = Throughput.makeMonitor(this.startedAt)
  }

  get run(): Effect.Effect<void> {
    const { concurrency, items } = this.options
    const list: Stream.Stream<UploadList.Item> = Stream.StreamTypeId in items ? items : Stream.fromIterable(items)
    return list.pipe(
      Stream.tap((item) =>
        Effect.sync(() => {
          this.found += 1
          if (UploadList.isFile(item)) this.bytesFound += item.size ?? 0
        })
      ),
      Stream.concat(Stream.execute(Effect.sync(() => this.isListing = false))),
      Stream.buffer({ capacity: aheadOfComparing }),
      Stream.mapEffect((item) => this.look(item), { concurrency, unordered: true }),
      Stream.runDrain,
      Effect.zipRight(this.lookForExtras),
      Effect.zipRight(Effect.sync(() => this.ended = "Completed")),
      Effect.asVoid
    )
  }

  private look(item: UploadList.Item): Effect.Effect<void> {
    if (UploadList.isFile(item)) return this.compare(item)
    const { key } = item.file
    return this.tell(
      item._tag === "Skipped"
        ? { _tag: "Skipped", version, key, reason: item.reason }
        : { _tag: "Unreadable", version, key, side: "Source", error: UploadError.summarize(item.error) }
    )
  }

  private tell(finding: Finding): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (finding._tag === "Unlisted") this.isUnlisted = true
      else this.counts[counters[finding._tag]] += 1
      if (finding._tag === "Same" && finding.by === "Size") this.sameBySize += 1
      return this.options.onFinding(finding)
    })
  }

  private compare(file: UploadFile): Effect.Effect<void> {
    return Effect.suspend(() => {
      const under: Under = { key: file.key, size: file.size, startedAt: this.clock.unsafeCurrentTimeMillis(), sent: 0 }
      this.under.add(under)
      return this.judge(file, under).pipe(
        Effect.tap(() => Effect.sync(() => this.budget.refund(0))),
        Effect.retry({
          schedule: retry.schedule,
          times: retry.attempts - 1,
          // Permanent failures are not retried, nor are requests to a destination that keeps failing.
          while: (error) => UploadError.isRetryable(error) && this.budget.spend()
        }),
        Effect.catchAll((error) => {
          if (!UploadError.isSourceError(error)) this.firstDestinationError ??= error
          return Effect.succeed(unreadable(file.key, error))
        }),
        Effect.flatMap((finding) => this.tell(finding)),
        Effect.ensuring(Effect.sync(() => {
          this.under.delete(under)
          this.bytesDone += file.size ?? under.sent
        }))
      )
    })
  }

  private judge(file: UploadFile, under: Under): Effect.Effect<Finding, UploadError.UploadError> {
    const { key, size, source } = file
    const { head } = this.options.destination
    return Effect.gen(this, function*() {
      under.sent = 0
      const there = head === undefined ? Option.none() : yield* answered(head(key))
      if (Option.isNone(there)) return { _tag: "Missing", version, key, size }
      const { size: storedSize } = there.value
      const reason = size !== undefined && size !== storedSize ? "Size" : "Content"
      const by = reason === "Size" ? undefined : yield* this.compareContent(file, there.value, under)
      if (by !== undefined) return { _tag: "Same", version, key, size: storedSize, by }
      if (source.fingerprint !== undefined && file.fingerprint !== undefined) {
        if ((yield* source.fingerprint) !== file.fingerprint) return yield* Effect.fail(changed)
      }
      return { _tag: "Different", version, key, reason, size, storedSize }
    })
  }

  /** How the contents were found to be the same; `undefined` if they differ. */
  private compareContent(
    file: UploadFile,
    { checksum, size }: Head,
    under: Under
  ): Effect.Effect<By | undefined, UploadError.UploadError> {
    const { read } = this.options.destination
    const note = (bytes: number) => {
      under.sent += bytes
      this.bytesCompared += bytes
      this.monitor.record(this.clock.unsafeCurrentTimeMillis(), bytes)
    }
    const ours = file.source.read({ offset: 0 })
    // A source may claim to be empty without being so.
    if (size === 0 && file.size === 0) {
      return Effect.map(
        SameBytes.compare(ours, Stream.empty, note),
        (same): By | undefined => same ? "Reading" : undefined
      )
    }
    if (checksum !== undefined && Checksum.digestOf(checksum) !== undefined) {
      return Effect.map(
        SameBytes.checksum(ours, checksum.algorithm, note),
        (value) => value === checksum.value ? "Checksum" : undefined
      )
    }
    if (read === undefined) return Effect.fail(notComparable)
    const there = read(file.key)
    const compared = file.size !== undefined && file.size <= smallSize && size <= smallSize
      ? Effect.flatMap(this.bytesOf(file), (bytes) => answered(SameBytes.compareWith(bytes, there, note)))
      : SameBytes.compare(ours, Stream.timeoutFail(there, () => noAnswer, answerMillis), note)
    return compared.pipe(
      Effect.map((same): By | undefined => same ? "Reading" : undefined),
      Effect.catchIf(
        (error) => file.size !== undefined && error._tag === "Rejected" && error.reason === "Unsupported",
        () => Effect.succeed("Size" as const)
      )
    )
  }

  /** All bytes of a small file, and one more if it has grown. */
  private bytesOf({ source }: UploadFile): Effect.Effect<Uint8Array, UploadError.UploadError> {
    const range = { offset: 0 }
    return Effect.suspend(() => AtOnce.ofSource(source, range, this.clock) ?? source.bytes(range))
  }

  private get lookForExtras(): Effect.Effect<void> {
    const { destination: { list }, isExtra } = this.options
    if (list === undefined || isExtra === undefined) return Effect.void
    let begun = false
    return Stream.timeoutFail(list, () => noAnswer, answerMillis).pipe(
      Stream.tap(() => Effect.sync(() => begun = true)),
      Stream.mapEffect(
        (listed) => Effect.map(isExtra(listed.key), (extra): ReadonlyArray<Listed> => extra ? [listed] : []),
        { concurrency: 16 }
      ),
      Stream.flattenIterables,
      Stream.runForEach(({ key, size }) => this.tell({ _tag: "Extra", version, key, size })),
      Effect.retry({
        schedule: retry.schedule,
        times: retry.attempts - 1,
        // Retrying a list that broke off would report its first objects again.
        while: (error) => !begun && UploadError.isRetryable(error) && this.budget.spend()
      }),
      Effect.catchAll((error) => {
        this.firstDestinationError ??= error
        return this.tell({ _tag: "Unlisted", version, error: UploadError.summarize(error) })
      })
    )
  }

  get report(): Effect.Effect<Report> {
    return Effect.sync(() => {
      const { destination, isExtra } = this.options
      const durationMillis = this.clock.unsafeCurrentTimeMillis() - this.startedAt
      return {
        _tag: "Verification",
        version,
        ended: this.ended,
        files: { total: this.found, ...this.counts },
        sameBySize: this.sameBySize,
        bytes: { total: this.bytesFound, compared: this.bytesCompared },
        extras: isExtra === undefined
          ? "NotLookedFor"
          : destination.list === undefined
          ? "NotListed"
          : this.isUnlisted
          ? "Failed"
          : "LookedFor",
        durationMillis,
        throughputBytesPerSecond: durationMillis > 0 ? (this.bytesCompared * 1000) / durationMillis : 0
      }
    })
  }

  readonly destinationError = (): UploadError.UploadError | undefined => this.firstDestinationError

  get currentProgress(): Effect.Effect<Progress> {
    return Effect.sync(() => {
      let bytesInFlight = 0
      for (const { sent } of this.under) bytesInFlight += sent
      const { different, missing, same, skipped, unreadable } = this.counts
      return {
        startedAt: this.startedAt,
        listing: this.isListing,
        filesFound: this.found,
        filesUploaded: same,
        filesSkipped: skipped,
        filesFailed: missing + different + unreadable,
        filesInterrupted: 0,
        filesOfUnknownSize: 0,
        inFlight: this.under.size,
        peakInFlight: this.options.concurrency,
        bytesFound: this.bytesFound,
        bytesUploaded: this.bytesDone,
        bytesInFlight,
        bytesResumed: 0,
        attempts: 0,
        retries: 0
      }
    })
  }

  get throughput() {
    return this.monitor.throughput
  }

  get inFlight(): Effect.Effect<ReadonlyArray<Transfer>> {
    return Effect.sync(() => Array.from(this.under, (under) => ({ ...under, attempt: 1 })))
  }
}

const counters = {
  Same: "same",
  Missing: "missing",
  Different: "different",
  Extra: "extra",
  Unreadable: "unreadable",
  Skipped: "skipped"
} as const

const answered = <A>(ask: Effect.Effect<A, UploadError.UploadError>) =>
  Effect.timeoutFail(ask, { duration: answerMillis, onTimeout: () => noAnswer })

const noAnswer = new UploadError.Transient({
  reason: "Stalled",
  detail: "The destination did not answer within 30 seconds."
})

const notComparable = new UploadError.Rejected({
  reason: "Unsupported",
  detail: "The destination reports no checksum, and its objects cannot be read."
})

const changed = new UploadError.SourceChanged({ reason: "Modified", detail: "It changed while it was compared." })

const unreadable = (key: string, error: UploadError.UploadError): Unreadable => ({
  _tag: "Unreadable",
  version,
  key,
  side: UploadError.isSourceError(error) ? "Source" : "Destination",
  error: UploadError.summarize(error)
})
