/**
 * The summary at the end of a run: what was uploaded, what failed and why, what is left; and the exit code.
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

/** The maximum number of failures that the summary names. */
export const failuresShown = 20

/** Findings from the results, beyond the report. */
export interface Findings {
  /** The number of failures that concern the destination, not the file. */
  readonly destinationFailures: number
  /** The first of these failures. */
  readonly destinationError: UploadError | undefined
  /** The number of skipped files by reason; rare reasons are combined. */
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

/** The error that the command ends with, if any. */
export const failureOf = (
  report: UploadReport,
  findings: Findings,
  rest: { readonly notStarted: number; readonly listed: boolean }
): CliError | undefined => {
  const { failed, interrupted, uploaded } = report.files
  // A run that was asked to stop after it had begun every file, and finished them all, has done its work.
  const isAll = report.ended === "Drained" && interrupted + rest.notStarted === 0 && rest.listed
  if (report.ended !== "Completed" && !isAll) return new CliError({ reason: "Interrupted" })
  if (failed + interrupted === 0) return undefined
  // What an earlier run has stored also shows that files can be stored there. So do the parts that have filled a disk.
  const partsStored = isFull(report) ? report.kept?.bytes ?? 0 : 0
  const nothingStored = uploaded === 0 && report.bytes.resumed + partsStored === 0
  return new CliError({
    reason: nothingStored && findings.destinationFailures === failed ? "DestinationUnusable" : "SomeFailed"
  })
}

/** The context of the summary, beyond the report. */
export interface Context {
  readonly style: Style
  /** The number of files that were not started. */
  readonly notStarted: number
  /** Whether that number is complete, because the list was read to its end. */
  readonly listed: boolean
  /** The file that lists unfinished files, if one is written. */
  readonly manifest: string | undefined
  /** Whether the sources are files, which another run can read again. Defaults to `true`. */
  readonly isList?: boolean | undefined
  /** The number of large files that were begun and have no part stored. */
  readonly begun: number
  /** The command that removes what is stored of them. */
  readonly abortCommand?: string | undefined
  /** What the filter has left out, if nothing is left. */
  readonly leftOut?: ReadonlyArray<string> | undefined
  /** Patterns of the filter that matched nothing. */
  readonly unmatched?: ReadonlyArray<string> | undefined
}

/** What a summary says about a filter. */
export const filtered = (filter: Filter.Counting, around: FilterText.Around) => {
  const left = filter.leftOut()
  return { leftOut: FilterText.leftOut(left), unmatched: FilterText.unmatched(left, around) }
}

/** The lines of the summary. */
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
    lines.push(`An earlier run had stored ${Format.bytes(report.bytes.resumed)} of it, which was not sent again.`)
  }
  if (interrupted > 0) {
    lines.push(`Interrupted ${Format.counted(interrupted, "file")} in flight, and stored none of them.`)
  }
  const { kept = { files: 0, bytes: 0 } } = report
  if (kept.files > 0) {
    lines.push(
      report.ended === "Completed" && failed === 0
        ? `The stored part of ${Format.counted(kept.files, "large file")} from an earlier run, ${
          Format.bytes(kept.bytes)
        }, was kept: this run did not get to ${kept.files === 1 ? "it" : "them"}.`
        : Kept.stored(kept.files, kept.bytes)
    )
  }
  if (begun > 0) lines.push(Kept.nothing(begun))
  if (isFull(report)) lines.push(...spaceLines(kept.files + begun, options.abortCommand))
  else if (kept.files + begun > 0) {
    lines.push("  sluice uploads ls lists what was begun, sluice uploads abort removes it.")
  }
  if (report.abortsFailed > 0) lines.push(...leftBehindLines(report, style))
  if (notStarted > 0) lines.push(`Not started: ${Format.counted(notStarted, "file")}.`)
  if (!listed) lines.push("The list was not read to its end: more files may not have been started.")
  // Standard input cannot be read again.
  if ((failed + interrupted + notStarted > 0 || !listed) && options.isList !== false) {
    lines.push(
      manifest === undefined
        ? "--failed FILE lists unfinished files for another run with --files-from FILE."
        : `${listed ? "Unfinished files are" : "Some of the unfinished files are"} listed in ${
          printable(manifest)
        }: upload them with --files-from ${printable(manifest)}.`
    )
  }
  return lines
}

/** `photos/a.jpg: The connection broke. (5 attempts)` */
export const failureLine = (key: string, message: string, attempts: number): string =>
  `${printable(key)}: ${printable(message)}${attempts > 1 ? ` (${attempts} attempts)` : ""}`

/** The first lines, and the number of the others out of `count`. */
export const firstOf = (lines: ReadonlyArray<string>, count: number = lines.length): ReadonlyArray<string> => {
  const shown = lines.slice(0, failuresShown)
  return count > shown.length ? [...shown, `  and ${Format.count(count - shown.length)} more.`] : shown
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The first failures with their causes; a shared cause is printed once. */
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

/** Whether a named failure means that the destination is full. */
const isFull = ({ failures }: UploadReport): boolean => failures.some(({ error }) => error.reason === "NoSpace")

/** What to do if the destination is full. Files that were begun take space too, even if no part is complete. */
const spaceLines = (begun: number, abortCommand = "sluice uploads abort"): ReadonlyArray<string> => {
  const them = begun === 1 ? "it" : "them"
  return begun === 0
    ? ["Free some space at the destination, or have its quota raised, and run the same command again."]
    : [
      `What is stored of ${them} takes space at the destination. Free some space and run the same command again, or remove ` +
      `what is stored: ${abortCommand}`
    ]
}

/** Lists what could not be removed from the destination, where it may cost money. */
const leftBehindLines = ({ abortsFailed, leftBehind }: UploadReport, style: Style): ReadonlyArray<string> => [
  style.red(`Could not remove what is stored of ${Format.counted(abortsFailed, "unfinished file")}:`),
  ...firstOf(leftBehind.map(({ error, key }) => `  ${failureLine(key, error.message, 0)}`), abortsFailed)
]

/** Whether a failure concerns the destination as a whole, not one file or its key. */
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
