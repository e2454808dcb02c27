/**
 * The end of a comparison, told to people: what is missing, different or too much, and the exit code.
 */
import { CliError } from "./CliError.js"
import * as Format from "./Format.js"
import { failureLine, failuresShown, firstOf } from "./Report.js"
import type { Style } from "./Style.js"
import { printable } from "./TerminalText.js"
import type { Finding, Report } from "./Verification.js"

export interface SummaryOptions {
  readonly style: Style
  readonly extrasIgnored: boolean
  /** The file that lists what is there, where the destination does not tell by itself. */
  readonly listed?: string | undefined
  /** What the filter has left out, where nothing is left. */
  readonly leftOut?: ReadonlyArray<string> | undefined
  /** Patterns of the filter that matched nothing. */
  readonly unmatched?: ReadonlyArray<string> | undefined
}

type Kind = "Missing" | "Different" | "Extra" | "Unreadable"

/** The first findings of each kind, and how many others there were, in bounded memory. */
export class Findings {
  private readonly lines = new Map<Kind, Array<string>>()
  /** How many files could not be compared for a reason that says nothing of the file. */
  private destinationFailures = 0
  private readonly skipped = new Map<string, number>()

  add(finding: Finding): void {
    if (finding._tag === "Same") return
    if (finding._tag === "Skipped") {
      const reason = this.skipped.has(finding.reason) || this.skipped.size < 5 ? finding.reason : "Other reasons."
      this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1)
      return
    }
    if (finding._tag === "Unreadable" && finding.side === "Destination") this.destinationFailures += 1
    const lines = this.lines.get(finding._tag)
    if (lines === undefined) this.lines.set(finding._tag, [lineOf(finding)])
    else if (lines.length < failuresShown) lines.push(lineOf(finding))
  }

  /** How the command ends, other than well. */
  failureOf({ ended, files }: Report): CliError | undefined {
    if (ended === "Interrupted") return new CliError({ reason: "Interrupted" })
    const { different, extra, missing, unreadable } = files
    if (different + extra + missing + unreadable === 0) return undefined
    const nothingSeen = files.same + different + extra + missing === 0
    return new CliError({
      reason: nothingSeen && this.destinationFailures === unreadable ? "DestinationUnusable" : "SomeFailed"
    })
  }

  /** The summary, line by line. */
  summary(report: Report, options: SummaryOptions): ReadonlyArray<string> {
    const { leftOut = [], listed, style, unmatched = [] } = options
    const { bytes, ended, extras, files, sameBySize } = report
    const list = (kind: Kind, count: number, heading: string) =>
      count === 0 ? [] : [
        style.red(`${heading} ${Format.counted(count, "file")}:`),
        ...firstOf((this.lines.get(kind) ?? []).toSorted(), count)
      ]
    const same = files.same === files.total
      ? `${Format.counted(files.total, "file")} the same`
      : `${Format.count(files.same)} of ${Format.counted(files.total, "file")} the same`
    // What is not all there was compared, and not verified.
    const verdict = ended === "Completed" && this.failureOf(report) === undefined
      ? style.bold(`Verified: ${same}`)
      : style.red(`Compared: ${same}`)
    return [
      files.total === 0
        ? leftOut.length > 0
          ? style.yellow("Nothing to compare: the filter leaves nothing.")
          : "Nothing to compare: no files were found."
        : files.same + files.missing + files.different + files.unreadable === 0
        ? "Nothing to compare: all that was found was skipped."
        : `${verdict}, ${Format.bytes(bytes.compared)} compared in ${Format.duration(report.durationMillis)}, ${
          Format.throughput(report.throughputBytesPerSecond)
        }.`,
      ...(files.total > 0 ? [] : leftOut),
      ...unmatched.map(style.yellow),
      ...(sameBySize > 0
        ? [
          style.yellow(
            `Of ${
              Format.counted(sameBySize, "file")
            } only the size was compared: the server does not serve what it has.`
          )
        ]
        : []),
      ...(files.skipped > 0 ? [`Skipped ${Format.counted(files.skipped, "file")}:`] : []),
      ...Array.from(this.skipped, ([reason, count]) => `  ${Format.count(count)}: ${printable(reason)}`),
      ...list("Missing", files.missing, `Missing at the destination${listed === undefined ? "" : ", or in the list"},`),
      ...list("Different", files.different, "Different at the destination,"),
      ...list("Extra", files.extra, "Only at the destination,"),
      ...list("Unreadable", files.unreadable, "Could not compare"),
      ...(ended === "Interrupted" ? ["Interrupted: what is not told of was not compared."] : []),
      ...(extras === "NotListed" ? ["This destination cannot list what it has: extra files were not looked for."] : []),
      ...(extras === "NotLookedFor" && !options.extrasIgnored
        ? ["Extra files were not looked for, since no directory was named whose files they could be missing from."]
        : [])
    ]
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const lineOf = (finding: Exclude<Finding, { readonly _tag: "Same" | "Skipped" }>): string => {
  switch (finding._tag) {
    case "Unreadable":
      return `  ${failureLine(finding.key, finding.error.message, 0)}`
    case "Different":
      return `  ${printable(finding.key)}: ${
        finding.reason === "Content"
          ? "the content differs"
          : `${sizeOf(finding.size)} here, ${sizeOf(finding.storedSize)} there`
      }`
    case "Missing":
    case "Extra":
      return `  ${printable(finding.key)}`
  }
}

const sizeOf = (size: number | undefined): string =>
  size === undefined
    ? "an unknown size"
    : size < 1_000
    ? `${size} B`
    : `${Format.bytes(size)} (${Format.count(size)} B)`
