/**
 * The ways in which a command ends badly, and the exit code of each.
 *
 * | reason | exit code | when |
 * |---|---|---|
 * | `SomeFailed` | 1 | some files failed, or are not the same |
 * | `Usage` | 2 | a flag or an argument is wrong |
 * | `SourceNotFound` | 3 | what should be uploaded is not there |
 * | `DestinationUnusable` | 4 | the destination refused or was out of reach before anything was stored |
 * | `JournalUnusable` | 5 | another `sluice` is using the journal, or it cannot be used |
 * | `NothingTransferred` | 9 | no file was uploaded, where that is to be an error |
 * | `Interrupted` | 130 | by Ctrl-C or SIGTERM |
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

const Reason = Schema.Literal(
  "SomeFailed",
  "Usage",
  "SourceNotFound",
  "DestinationUnusable",
  "JournalUnusable",
  "NothingTransferred",
  "Interrupted"
)

export class CliError extends Schema.TaggedError<CliError>("@sluice/cli/CliError")("CliError", {
  reason: Reason,
  /** What to tell the user; absent where the report has said it already. */
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return this.detail ?? this.reason
  }

  get exitCode(): number {
    return exitCodes[this.reason]
  }
}

export const usage = (detail: string): CliError => new CliError({ reason: "Usage", detail })

export const sourceNotFound = (detail: string): CliError => new CliError({ reason: "SourceNotFound", detail })

export const destinationUnusable = (detail: string): CliError => new CliError({ reason: "DestinationUnusable", detail })

export const journalUnusable = (detail: string): CliError => new CliError({ reason: "JournalUnusable", detail })

/** Why something on the disk could not be had, for after its name: `is not there`. */
export const whyUnreadable = (cause: unknown): string => {
  const code = codeOf(cause)
  switch (code) {
    case "ENOENT":
      return "is not there"
    case "EACCES":
    case "EPERM":
      return "may not be read"
    case "ENOTDIR":
      return "lies below something that is not a directory"
    case "EISDIR":
      return "is a directory"
    default:
      return `cannot be read (${code ?? cause})`
  }
}

/** Why something on the disk could not be written, for after its name: `may not be written`. */
export const whyNotWritten = (cause: unknown): string => {
  const code = codeOf(cause)
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "lies in a directory that is not there"
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "may not be written"
    case "EISDIR":
      return "is a directory"
    case "ENOSPC":
    case "EDQUOT":
      return "cannot be written: no space is left"
    default:
      return `cannot be written (${code ?? cause})`
  }
}

/** The code of an error of the system, such as `ENOENT`. */
export const codeOf = (cause: unknown): unknown => Predicate.hasProperty(cause, "code") ? cause.code : undefined

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const exitCodes: Record<typeof Reason.Type, number> = {
  SomeFailed: 1,
  Usage: 2,
  SourceNotFound: 3,
  DestinationUnusable: 4,
  JournalUnusable: 5,
  NothingTransferred: 9,
  Interrupted: 130
}
