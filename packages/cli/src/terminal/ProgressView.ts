/**
 * Renders a run in progress: pure functions from its state to lines of text.
 *
 * On a terminal there are a bar, a line of numbers, and a line for each of the largest uploads in flight. No line is
 * wider than the terminal: the last numbers are left out, and keys are cut at the beginning. Elsewhere there is one
 * plain line every few seconds.
 */
import * as Progress from "@sluice/core/Progress"
import type { Throughput } from "@sluice/core/Throughput"
import type { Transfer } from "@sluice/core/UploadRun"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Format from "./Format.js"
import type { Paint, Style } from "./Style.js"
import * as TerminalText from "./TerminalText.js"

/** How many uploads in flight get their own line. */
export const transfersShown = 5

/** The state of a run at one moment. */
export interface Moment {
  readonly progress: Progress.Progress
  readonly throughput: Throughput
  readonly transfers: ReadonlyArray<Transfer>
  /** Whether the run starts no more files. */
  readonly stopping: boolean
  /** The limit on uploads in flight and its reason, if the limit adapts. */
  readonly limit?: { readonly concurrency: number; readonly reason: string } | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
  /** The word for files that failed. Defaults to `failed`. */
  readonly failed?: string | undefined
}

export interface Screen {
  readonly columns: number
  readonly rows: number
  readonly style: Style
}

/** The lines of the live view. */
export const lines = (moment: Moment, screen: Screen): ReadonlyArray<string> => {
  // Some terminals wrap after text in the last column.
  const columns = screen.columns - 1
  const limit = screen.rows > 3 ? limitOf(moment) : []
  const transfers = largest(moment.transfers, Math.max(0, Math.min(transfersShown, screen.rows - 3 - limit.length)))
  return [
    bar(moment, columns, screen.style),
    fit(facts(moment, screen.style), columns),
    ...limit.map((text) => screen.style.dim(TerminalText.cutEnd(text, columns))),
    ...transfers.map((transfer) => transferLine(transfer, columns, screen.style))
  ]
}

/** The same as one line, for logs. */
export const plainLine = (moment: Moment): string => {
  const left = timeLeft(moment)
  return [
    ...Option.toArray(Option.map(Progress.fraction(moment.progress), Format.percent)),
    ...facts(moment, undefined).map(({ text }) => text),
    ...limitOf(moment),
    ...(left === undefined ? [] : [left])
  ].join(" · ")
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The largest transfers, largest first. There may be a hundred thousand, ten times a second: they are not sorted. */
const largest = (transfers: ReadonlyArray<Transfer>, most: number): ReadonlyArray<Transfer> => {
  const found: Array<Transfer> = []
  for (const transfer of transfers) {
    const at = found.findIndex((other) => sizeOf(other) < sizeOf(transfer))
    if (at >= 0) found.splice(at, 0, transfer)
    else if (found.length < most) found.push(transfer)
    if (found.length > most) found.pop()
  }
  return found
}

const sizeOf = (transfer: Transfer): number => transfer.size ?? transfer.sent

interface Fact {
  readonly text: string
  readonly paint?: Paint | undefined
}

const bar = (moment: Moment, columns: number, style: Style): string => {
  const fraction = Progress.fraction(moment.progress)
  const percent = Option.match(fraction, { onNone: () => "", onSome: Format.percent }).padStart(4)
  const after = timeLeft(moment) ?? ""
  const room = Math.min(maxBar, columns - percent.length - after.length - 3)
  if (room < minBar) {
    const text = after === "" ? percent : `${percent}  ${after}`
    return TerminalText.cutEnd(Option.isNone(fraction) ? after : text, columns)
  }
  const filled = Math.floor(Option.getOrElse(fraction, () => 0) * room)
  return `${style.bold(percent)} ${style.cyan("━".repeat(filled))}${style.dim("─".repeat(room - filled))}  ${after}`
    .trimEnd()
}

const maxBar = 60

const minBar = 8

const storedOrSent = ({ bytesInFlight, bytesResumed, bytesUploaded }: Progress.Progress): number =>
  bytesUploaded + bytesResumed + bytesInFlight

/** The remaining time, if it can be estimated. */
const timeLeft = ({ now, progress, stopping, throughput }: Moment): string | undefined => {
  if (progress.listing) return "still listing"
  if (stopping) return undefined
  if (now - progress.startedAt < 1_000) return undefined
  return Option.getOrUndefined(
    Option.map(Progress.eta(progress, throughput), (left) => `${Format.duration(Duration.toMillis(left))} left`)
  )
}

/** The adaptive limit and its reason. */
const limitOf = ({ limit, stopping }: Moment): ReadonlyArray<string> =>
  limit === undefined || stopping ? [] : [`limit ${Format.count(limit.concurrency)}, ${limit.reason}`]

const facts = (
  { failed = "failed", now, progress, stopping, throughput }: Moment,
  style: Style | undefined
): ReadonlyArray<Fact> => {
  const finished = Progress.filesFinished(progress)
  const sent = storedOrSent(progress)
  const { awaySince } = progress
  const found = progress.listing
    ? `${Format.count(progress.filesFound)}+ files`
    : Format.counted(progress.filesFound, "file")
  return [
    ...(awaySince === undefined
      ? []
      : [{ text: `destination away for ${Format.duration(now - awaySince)}`, paint: style?.yellow }]),
    { text: `${Format.count(finished)} of ${found}` },
    { text: `${Format.bytes(sent)} of ${Format.bytes(progress.bytesFound)}${progress.listing ? "+" : ""}` },
    { text: Format.throughput(throughput.current) },
    ...(progress.filesFailed > 0
      ? [{ text: `${Format.count(progress.filesFailed)} ${failed}`, paint: style?.red }]
      : []),
    {
      text: stopping ? `finishing ${Format.count(progress.inFlight)}` : `${Format.count(progress.inFlight)} in flight`
    },
    ...(progress.retries > 0
      ? [{
        text: progress.retries === 1 ? "1 retry" : `${Format.count(progress.retries)} retries`,
        paint: style?.yellow
      }]
      : []),
    ...(progress.filesSkipped > 0 ? [{ text: `${Format.count(progress.filesSkipped)} skipped` }] : [])
  ]
}

/** As many of the first facts as fit. */
const fit = (all: ReadonlyArray<Fact>, columns: number): string => {
  let line = ""
  let left = columns
  for (const { paint, text } of all) {
    const separator = line === "" ? "" : " · "
    left -= separator.length + TerminalText.width(text)
    if (left < 0) return line === "" ? TerminalText.cutEnd(text, columns) : line
    line += separator + (paint === undefined ? text : paint(text))
  }
  return line
}

const transferLine = (transfer: Transfer, columns: number, style: Style): string => {
  const numbers = transfer.size === undefined || transfer.size === 0
    ? Format.bytes(transfer.sent).padStart(18)
    : `${Format.percent(transfer.sent / transfer.size).padStart(6)}${`of ${Format.bytes(transfer.size)}`.padStart(12)}`
  const again = transfer.attempt > 1 ? ` (attempt ${transfer.attempt})` : ""
  const room = columns - numbers.length - 2 - again.length
  const key = TerminalText.printable(transfer.key)
  return room < Math.min(minKey, TerminalText.width(key))
    ? style.dim(TerminalText.cutStart(key, columns))
    : style.dim(`${numbers}  ${TerminalText.cutStart(key, room)}${again}`)
}

const minKey = 12
