/**
 * The summary at the end of a comparison: what is missing, different or extra, and the exit code.
 */
import { CliError } from "../CliError.js"
import * as Format from "../terminal/Format.js"
import { failureLine, failuresShown, firstOf } from "../terminal/Report.js"
import type { Style } from "../terminal/Style.js"
import { printable } from "../terminal/TerminalText.js"
import type { Finding, Report } from "./Compared.js"

export interface SummaryOptions {
  readonly style: Style
  readonly extrasIgnored: boolean
  /** The file that lists the objects, if the destination cannot list them itself. */
  readonly listed?: string | undefined
  /** What the filter has left out, if nothing is left. */
  readonly leftOut?: ReadonlyArray<string> | undefined
  /** Patterns of the filter that matched nothing. */
  readonly unmatched?: ReadonlyArray<string> | undefined
}

type Kind = "Missing" | "Different" | "Extra"

type Unlisted = Extract<Finding, { readonly _tag: "Unlisted" }>

/** The first findings of each kind and the number of the others, in bounded memory. */
export class Findings {
  private readonly lines = new Map<Kind, Array<string>>()
  private readonly unreadable: Array<{ readonly key: string; readonly message: string }> = []
  /** Why files could not be compared, if the reason is the same for all of them. */
  private cause: string | undefined = undefined
  private hasOneCause = true
  private unlisted: Unlisted["error"] | undefined = undefined
  /** The number of files that could not be compared for a reason that does not concern the file. */
  private destinationFailures = 0
  private readonly skipped = new Map<string, number>()

  add(finding: Finding): void {
    if (finding._tag === "Same") return
    if (finding._tag === "Skipped") {
      const reason = this.skipped.has(finding.reason) || this.skipped.size < 5 ? finding.reason : "Other reasons."
      this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1)
      return
    }
    if (finding._tag === "Unlisted") {
      this.unlisted = finding.error
      return
    }
    if (finding._tag === "Unreadable") {
      const { error: { message }, key, side } = finding
      if (side === "Destination") this.destinationFailures += 1
      this.hasOneCause &&= this.cause === undefined || this.cause === message
      this.cause ??= message
      if (this.unreadable.length < failuresShown) this.unreadable.push({ key, message })
      return
    }
    const lines = this.lines.get(finding._tag)
    if (lines === undefined) this.lines.set(finding._tag, [lineOf(finding)])
    else if (lines.length < failuresShown) lines.push(lineOf(finding))
  }

  /** The error that the command ends with, if any. */
  failureOf({ ended, files }: Report): CliError | undefined {
    if (ended === "Interrupted") return new CliError({ reason: "Interrupted" })
    const { different, extra, missing, unreadable } = files
    if (different + extra + missing + unreadable === 0 && this.unlisted === undefined) return undefined
    const nothingSeen = files.same + different + extra + missing === 0
    return new CliError({
      reason: nothingSeen && this.destinationFailures === unreadable ? "DestinationUnusable" : "SomeFailed"
    })
  }

  /** Why nothing at the destination could be compared, if there is one reason. */
  private unusable(report: Report): string | undefined {
    if (this.failureOf(report)?.reason !== "DestinationUnusable" || !this.hasOneCause) return undefined
    return this.cause ?? this.unlisted?.message
  }

  /** The files that could not be compared, with their causes; a shared cause is printed once. */
  private unreadableLines(count: number, style: Style): ReadonlyArray<string> {
    const { cause, unreadable } = this
    const isShared = this.hasOneCause && cause !== undefined && count > 1
    const lines = unreadable.map(({ key, message }) => `  ${isShared ? printable(key) : failureLine(key, message, 0)}`)
    return [
      style.red(`Could not compare ${Format.counted(count, "file")}:${isShared ? ` ${printable(cause)}` : ""}`),
      ...firstOf(lines.toSorted(), count)
    ]
  }

  private skippedLines(count: number): ReadonlyArray<string> {
    return count === 0 ? [] : [
      `Skipped ${Format.counted(count, "file")}:`,
      ...Array.from(this.skipped, ([reason, count]) => `  ${Format.count(count)}: ${printable(reason)}`)
    ]
  }

  /** The lines of the summary. */
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
    // Only complete files count as verified.
    const verdict = ended === "Completed" && this.failureOf(report) === undefined
      ? style.bold(`Verified: ${same}`)
      : style.red(`Compared: ${same}`)
    const unusable = this.unusable(report)
    if (unusable !== undefined) {
      return [
        style.red(
          `Could not compare ${files.unreadable === 0 ? "anything" : Format.counted(files.unreadable, "file")}: ${
            printable(unusable)
          }`
        ),
        ...unmatched.map(style.yellow),
        ...this.skippedLines(files.skipped)
      ]
    }
    return [
      files.total === 0
        ? leftOut.length > 0
          ? style.yellow("Nothing to compare: the filter leaves nothing.")
          : "Nothing to compare: no files were found."
        : files.same + files.missing + files.different + files.unreadable === 0
        ? ended === "Interrupted" ? "Nothing was compared." : "Nothing to compare: all files were skipped."
        : `${verdict}, ${Format.bytes(bytes.compared)} compared in ${Format.duration(report.durationMillis)}, ${
          Format.throughput(report.throughputBytesPerSecond)
        }.`,
      ...(files.total > 0 ? [] : leftOut),
      ...unmatched.map(style.yellow),
      ...(sameBySize > 0
        ? [
          style.yellow(
            `Only the size of ${
              Format.counted(sameBySize, "file")
            } was compared: the server does not let its objects be read.`
          )
        ]
        : []),
      ...this.skippedLines(files.skipped),
      ...list("Missing", files.missing, `Missing at the destination${listed === undefined ? "" : ", or in the list"},`),
      ...list("Different", files.different, "Different at the destination,"),
      ...list("Extra", files.extra, "Only at the destination,"),
      ...(files.unreadable > 0 ? this.unreadableLines(files.unreadable, style) : []),
      ...(ended === "Interrupted" ? ["Interrupted: files that are not listed here were not compared."] : []),
      ...(this.unlisted === undefined ? [] : [
        style.red(
          `Not all extra files are known, because the destination did not list its objects: ${
            printable(this.unlisted.message)
          }`
        )
      ]),
      ...(extras === "NotListed" ? ["This destination cannot list its objects: extra files were not looked for."] : []),
      ...(extras === "NotLookedFor" && !options.extrasIgnored
        ? ["Extra files were not looked for, because no directory was named."]
        : [])
    ]
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const lineOf = (finding: Extract<Finding, { readonly _tag: Kind }>): string => {
  switch (finding._tag) {
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
