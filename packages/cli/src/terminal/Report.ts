/**
 * The end of a run, told to people: what was uploaded, what failed and why, where the rest stands; and the exit code.
 */
import type { UploadError } from "@sluice/core/UploadError"
import type { UploadReport } from "@sluice/core/UploadReport"
import type { UploadResult } from "@sluice/core/UploadResult"
import { CliError } from "../CliError.js"
import type * as Filter from "../sources/Filter.js"
import * as FilterText from "../sources/FilterText.js"
import * as Advice from "../targets/Advice.js"
import * as Format from "./Format.js"
import * as Kept from "./Kept.js"
import type { Style } from "./Style.js"
import { printable } from "./TerminalText.js"

/** How many failures the summary names. */
export const failuresShown = 20

/** What the results tell beyond the report. */
export interface Findings {
  /** How many failures were the destination's own, and say nothing of the file. */
  readonly destinationFailures: number
  /** The first of these. */
  readonly destinationError: UploadError | undefined
  /** How many files were skipped, by why; those of rare reasons together. */
  readonly skipped: ReadonlyMap<string, number>
}

/** Gathers findings from results, in bounded memory. */
export class Tally implements Findings {
  readonly skipped = new Map<string, number>()
  destinationFailures = 0
  destinationError: UploadError | undefined = undefined

  add(result: UploadResult): void {
    if (result._tag === "Failed" && isDestinations(result.error)) {
      this.destinationFailures += 1
      this.destinationError ??= result.error
    }
    if (result._tag === "Skipped") {
      const reason = this.skipped.has(result.reason) || this.skipped.size < 5 ? result.reason : "Other reasons."
      this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1)
    }
  }
}

/** How the command ends, other than well. */
export const failureOf = (
  report: UploadReport,
  findings: Findings,
  rest: { readonly notStarted: number; readonly listed: boolean }
): CliError | undefined => {
  const { failed, interrupted, uploaded } = report.files
  // Who was asked to stop when all had been begun, and has finished it, has done what was wanted.
  const isAll = report.ended === "Drained" && interrupted + rest.notStarted === 0 && rest.listed
  if (report.ended !== "Completed" && !isAll) return new CliError({ reason: "Interrupted" })
  if (failed + interrupted === 0) return undefined
  // What an earlier run has stored shows as much as what this one has: that files can be stored there. So do the parts
  // that have filled a disk.
  const partsStored = isFull(report) ? report.kept?.bytes ?? 0 : 0
  const nothingStored = uploaded === 0 && report.bytes.resumed + partsStored === 0
  return new CliError({
    reason: nothingStored && findings.destinationFailures === failed ? "DestinationUnusable" : "SomeFailed"
  })
}

/** What the summary says beyond the report. */
export interface Context {
  readonly style: Style
  /** How many files were not started. */
  readonly notStarted: number
  /** Whether these are all: whether the list was read to its end. */
  readonly listed: boolean
  /** The file that lists what was left undone, where one is written. */
  readonly manifest: string | undefined
  /** Whether the sources are files, which can be listed for another run. Defaults to `true`. */
  readonly isList?: boolean | undefined
  /** How many large files were begun, and have no part stored. */
  readonly begun: number
  /** The command that removes what is there of them. */
  readonly abortCommand?: string | undefined
  /** What the filter has left out, where nothing is left. */
  readonly leftOut?: ReadonlyArray<string> | undefined
  /** Patterns of the filter that matched nothing. */
  readonly unmatched?: ReadonlyArray<string> | undefined
}

/** What a filter makes worth saying, for a summary. */
export const filtered = (filter: Filter.Counting, around: FilterText.Around) => {
  const left = filter.leftOut()
  return { leftOut: FilterText.leftOut(left), unmatched: FilterText.unmatched(left, around) }
}

/** The summary, line by line. */
export const summary = (report: UploadReport, findings: Findings, options: Context): ReadonlyArray<string> => {
  const { begun, leftOut = [], listed, manifest, notStarted, style, unmatched = [] } = options
  const { failed, interrupted, skipped, total, uploaded } = report.files
  const facts = [
    `${Format.bytes(report.bytes.uploaded)} in ${Format.duration(report.durationMillis)}`,
    Format.throughput(report.throughputBytesPerSecond),
    report.retries === 1 ? "1 retry" : `${Format.count(report.retries)} retries`
  ].join(", ")
  const files = uploaded === total
    ? Format.counted(total, "file")
    : `${Format.count(uploaded)} of ${Format.counted(total, "file")}`
  const lines = [
    total > 0
      ? `${style.bold(`Uploaded ${files}`)}, ${facts}.`
      : leftOut.length === 0
      ? "Nothing to upload: no files were found."
      : style.yellow("Nothing to upload: the filter leaves nothing."),
    ...(total > 0 ? [] : leftOut),
    ...unmatched.map(style.yellow)
  ]
  if (skipped > 0) {
    lines.push(`Skipped ${Format.counted(skipped, "file")}:`)
    for (const [reason, count] of findings.skipped) lines.push(`  ${Format.count(count)}: ${printable(reason)}`)
  }
  if (failed > 0) lines.push(...failureLines(report, style))
  if (report.bytes.resumed > 0) {
    lines.push(`An earlier run had stored ${Format.bytes(report.bytes.resumed)} of it: that was not sent again.`)
  }
  if (interrupted > 0) {
    lines.push(`Interrupted ${Format.counted(interrupted, "file")} on the way, and stored none of them.`)
  }
  const { kept = { files: 0, bytes: 0 } } = report
  if (kept.files > 0) {
    lines.push(
      report.ended === "Completed" && failed === 0
        ? `Kept from an earlier run is what is stored of ${Format.counted(kept.files, "large file")}, ${
          Format.bytes(kept.bytes)
        }, that this run did not come to.`
        : Kept.stored(kept.files, kept.bytes)
    )
  }
  if (begun > 0) lines.push(Kept.nothing(begun))
  if (isFull(report)) lines.push(...spaceLines(kept.files + begun, options.abortCommand))
  else if (kept.files + begun > 0) {
    lines.push("  sluice uploads ls shows what was begun, sluice uploads abort removes it.")
  }
  if (report.abortsFailed > 0) lines.push(...leftBehindLines(report, style))
  if (notStarted > 0) lines.push(`Not started: ${Format.counted(notStarted, "file")}.`)
  if (!listed) lines.push("The list was not read to its end: there may be more that was not started.")
  // Standard input cannot be read again.
  if ((failed + interrupted + notStarted > 0 || !listed) && options.isList !== false) {
    lines.push(
      manifest === undefined
        ? "With --failed FILE, what is left undone is listed for another run with --files-from FILE."
        : `${listed ? "What is left undone is" : "Some of what is left undone is"} listed in ${
          printable(manifest)
        }: upload it with --files-from ${printable(manifest)}.`
    )
  }
  return lines
}

/** `photos/a.jpg: The connection broke. (5 attempts)` */
export const failureLine = (key: string, message: string, attempts: number): string =>
  `${printable(key)}: ${printable(message)}${attempts > 1 ? ` (${attempts} attempts)` : ""}`

/** The first of some lines, and how many more of `count` there are. */
export const firstOf = (lines: ReadonlyArray<string>, count: number = lines.length): ReadonlyArray<string> => {
  const shown = lines.slice(0, failuresShown)
  return count > shown.length ? [...shown, `  and ${Format.count(count - shown.length)} more.`] : shown
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The first failures with their causes; a cause that they all share is told once. */
const failureLines = ({ failures, files }: UploadReport, style: Style): ReadonlyArray<string> => {
  const causes = new Set(failures.map(({ error }) => error.message))
  const [cause = ""] = causes
  const isShared = causes.size === 1 && failures.length > 1
  const lines = failures.map(({ attempts, error, key }) =>
    `  ${isShared ? printable(key) : failureLine(key, error.message, attempts)}`
  )
  return [
    style.red(`Failed ${Format.counted(files.failed, "file")}${isShared ? `: ${printable(cause)}` : ":"}`),
    ...firstOf(lines, files.failed)
  ]
}

/** Whether a failure that is named is for want of space at the destination. */
const isFull = ({ failures }: UploadReport): boolean => failures.some(({ error }) => error.reason === "NoSpace")

/** What to do where the destination is full. What was begun is there too, whether or not a part of it is whole. */
const spaceLines = (begun: number, abortCommand = "sluice uploads abort"): ReadonlyArray<string> => {
  const them = begun === 1 ? "it" : "them"
  return begun === 0
    ? ["Make room at the destination, or have its quota raised, and run the same command again."]
    : [
      `What is there of ${them} takes space at the destination. Make room and run the same command again, or remove ` +
      `what is there: ${abortCommand}`
    ]
}

/** What could not be removed from the destination: it may cost money there. */
const leftBehindLines = ({ abortsFailed, leftBehind }: UploadReport, style: Style): ReadonlyArray<string> => [
  style.red(`Could not remove what is stored of ${Format.counted(abortsFailed, "unfinished file")}:`),
  ...firstOf(leftBehind.map(({ error, key }) => `  ${failureLine(key, error.message, 0)}`), abortsFailed)
]

/** Whether a failure tells of the destination as a whole, and not of one file or its key. */
const isDestinations = (error: UploadError): boolean => {
  switch (error._tag) {
    case "Transient":
    case "Throttled":
    case "AuthExpired":
      return true
    case "Rejected":
      return error.reason !== "InvalidKey" && error.reason !== "TooLarge" && !Advice.isOfOneKey(error)
    case "Conflict":
      return Advice.speaksTus(error.message)
    case "IntegrityMismatch":
    case "SessionGone":
    case "SourceChanged":
    case "SourceUnreadable":
      return false
  }
}
