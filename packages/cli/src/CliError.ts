/**
 * The errors that a command ends with, and their exit codes.
 *
 * | reason | exit code | when |
 * |---|---|---|
 * | `SomeFailed` | 1 | some files failed, or differ |
 * | `Usage` | 2 | a flag or an argument is wrong |
 * | `SourceNotFound` | 3 | a source does not exist |
 * | `DestinationUnusable` | 4 | the destination refused uploads or could not be reached before anything was stored |
 * | `JournalUnusable` | 5 | another `sluice` is using the journal, or the journal cannot be used |
 * | `NothingTransferred` | 9 | no file was uploaded, and a flag makes that an error |
 * | `Interrupted` | 130 | stopped by Ctrl-C or SIGTERM |
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
  /** The message for the user; absent if the report has said it already. */
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

/**
 * Why something on the disk could not be read, as the end of a sentence that begins with its name: `does not exist`.
 */
export const whyUnreadable = (cause: unknown): string => {
  const code = codeOf(cause)
  switch (code) {
    case "ENOENT":
      return "does not exist"
    case "EACCES":
    case "EPERM":
      return "cannot be read: permission denied"
    case "ENOTDIR":
      return "is below something that is not a directory"
    case "EISDIR":
      return "is a directory"
    default:
      return `cannot be read (${code ?? cause})`
  }
}

/** Why something on the disk could not be written, as the end of a sentence: `cannot be written: permission denied`. */
export const whyNotWritten = (cause: unknown): string => {
  const code = codeOf(cause)
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "is in a directory that does not exist"
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "cannot be written: permission denied"
    case "EISDIR":
      return "is a directory"
    case "ENOSPC":
    case "EDQUOT":
      return "cannot be written: no space is left"
    default:
      return `cannot be written (${code ?? cause})`
  }
}

/** The code of a system error, such as `ENOENT`. */
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
