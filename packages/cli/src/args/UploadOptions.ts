/**
 * The flags of uploads, decoded as they are read: a wrong value names its flag, itself, and what the flag takes.
 */
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as ByteSize from "@sluice/core/ByteSize"
import * as Checksum from "@sluice/core/Checksum"
import * as RetryPolicy from "@sluice/core/RetryPolicy"
import * as Either from "effect/Either"
import * as Option from "effect/Option"

/** A decoder of one flag's text. */
export type Decode<A> = (text: string) => Option.Option<A>

/** Starts per second: `50/s`, `3000/m`, `0.5/s`; a bare number is per second. */
export const decodeRate: Decode<number> = (text) => {
  const [, digits, unit = "s"] = /^(\d+(?:\.\d+)?|\.\d+)(?:\/(s|m|min|h))?$/i.exec(text.replaceAll(" ", "")) ?? []
  const rate = Number(digits) / (secondsOf[unit.toLowerCase()] ?? 1)
  return rate > 0 && Number.isFinite(rate) ? Option.some(rate) : Option.none()
}

/** Bytes per second: `10MiB/s`, `500k`. */
export const decodeBandwidth: Decode<number> = (text) =>
  Option.filter(decodeBytes(text.replace(/\s*\/\s*s$/i, "")), (bytesPerSecond) => bytesPerSecond > 0)

/** Bytes with their unit: who writes `10` means MiB, most of the time. Only 0 needs none. */
export const decodeBytes: Decode<number> = (text) =>
  /[a-z]\s*$/i.test(text) || /^\s*0+\s*$/.test(text) ? ByteSize.parse(text) : Option.none()

/** Milliseconds: `100ms`, `2s`, `1.5m`; `0` needs no unit. */
export const decodeDuration: Decode<number> = (text) => {
  const [, digits, unit] = /^(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|min|h)$/i.exec(text.trim()) ?? []
  if (digits === undefined || unit === undefined) return /^0+$/.test(text.trim()) ? Option.some(0) : Option.none()
  return Option.some(Number(digits) * (unit.toLowerCase() === "ms" ? 1 : 1000 * (secondsOf[unit.toLowerCase()] ?? 1)))
}

/** A whole number from `least`. */
export const decodeCount = (least: number): Decode<number> => (text) =>
  /^\d+$/.test(text) && Number(text) >= least && Number.isSafeInteger(Number(text))
    ? Option.some(Number(text))
    : Option.none()

/** A whole number from 1, or `auto`. */
export const decodeConcurrency: Decode<number | "auto"> = (text) =>
  text === "auto" ? Option.some("auto") : decodeCount(1)(text)

/** What is wrong with the value of a flag. */
export const wrongValue = (flag: string, text: string, takes: string): string =>
  `${flag}: ${JSON.stringify(text)} is not right. It takes ${takes}.`

/** A flag that may be left out, read by a decoder. */
export const decoded = <A>(name: string, placeholder: string, decode: Decode<A>, takes: string) =>
  Options.text(name).pipe(
    Options.withPseudoName(placeholder),
    Options.mapEffect((text) =>
      Either.fromOption(
        decode(text),
        () => ValidationError.invalidValue(HelpDoc.p(wrongValue(`--${name}`, text, takes)))
      )
    ),
    Options.optional
  )

const filePath = (name: string) => Options.text(name).pipe(Options.withPseudoName("FILE"), Options.optional)

const strategies = ["adaptive", "pool", "rate", "unlimited"] as const

/** A strategy as its flag names it; `progressive` is another name of `adaptive`. */
export type StrategyName = (typeof strategies)[number]

/** The strategy that a flag names. */
export const decodeStrategy: Decode<StrategyName> = (text) =>
  Option.fromNullable(strategies.find((name) => name === (text === "progressive" ? "adaptive" : text)))

const strategy = decoded("strategy", strategies.join("|"), decodeStrategy, "one of adaptive, pool, rate and unlimited")
  .pipe(
    Options.withDescription(
      "How many uploads at once. adaptive: as many as make it faster, found while they run, and found again when that " +
        "changes. pool: as many as --concurrency says. rate: as --rate says, however many that is. unlimited: all at " +
        "once. --rate and --bandwidth go with each. Defaults to adaptive, and to pool where --concurrency is given."
    )
  )

const concurrency = decoded("concurrency", "N|auto", decodeConcurrency, "a whole number from 1, or auto").pipe(
  Options.withDescription(
    "Uploads in flight, at most; auto is four for each CPU. With --strategy adaptive it is the most that may be found, " +
      "which is 64 without."
  )
)

const rate = decoded("rate", "50/s", decodeRate, "starts a second, minute or hour, such as 50/s, 3000/m or 0.5/s").pipe(
  Options.withDescription("Starts of uploads a second, at most, retries included.")
)

const bandwidth = decoded(
  "bandwidth",
  "10MiB/s",
  decodeBandwidth,
  "bytes a second with a unit, such as 10MiB/s, 500kB/s or 2M"
).pipe(Options.withDescription("Bytes a second, at most, all uploads together."))

const retries = decoded("retries", "N", decodeCount(0), "a whole number from 0").pipe(
  Options.withDescription(
    `How often a failed file is tried again, and as often once more at the end; 0 for never. Defaults to ${
      RetryPolicy.defaults.attempts - 1
    }.`
  )
)

const retryDelay = decoded("retry-delay", "100ms", decodeDuration, "a time with a unit, such as 100ms or 2s").pipe(
  Options.withDescription("The longest wait before the first retry; it doubles with each. Defaults to 100ms.")
)

const outage = decoded("outage", "5m", decodeDuration, "a time with a unit, such as 30s, 5m or 2h; 0 for none").pipe(
  Options.withDescription(
    "How long a destination is waited for that was there and is away: it is looked at now and then, and nothing else is " +
      "sent. One that was never reached is not waited for. Defaults to 5m; 0 waits for none."
  )
)

/** Bytes as they can be typed, in the largest unit that they are a multiple of. */
export const sizeText = (bytes: number): string => {
  const units = [["GiB", 1024 ** 3], ["GB", 1e9], ["MiB", 1024 ** 2], ["MB", 1e6], ["KiB", 1024], ["kB", 1e3]] as const
  const [unit, factor] = units.find(([, factor]) => bytes > 0 && bytes % factor === 0) ?? ["B", 1] as const
  return `${bytes / factor}${unit}`
}

/** Bytes, at least one: `8MiB`, `500k`. */
export const decodeSize: Decode<number> = (text) => Option.filter(decodeBytes(text), (bytes) => bytes >= 1)

const oneOf = <A extends string>(names: ReadonlyArray<A>): Decode<A> => (text) =>
  Option.fromNullable(names.find((name) => name === text))

/** Below this, what there is to do for each part would be more than to send it. */
const leastPartSize = 64 * 1024

const partSize = decoded(
  "part-size",
  "8MiB",
  (text) => Option.filter(decodeSize(text), (bytes) => bytes >= leastPartSize),
  "a size of at least 64KiB, with a unit, such as 8MiB or 64M"
).pipe(
  Options.withDescription(
    "Files larger than this go up in parts of this size, where the destination takes parts. Parts grow where a file " +
      "would have too many. Defaults to 8MiB."
  )
)

const partConcurrency = decoded("part-concurrency", "N", decodeCount(1), "a whole number from 1").pipe(
  Options.withDescription(
    "Parts of one file in flight, at most. Files and parts together are never more than the strategy allows, which is " +
      "the default here too."
  )
)

const memory = decoded("memory", "256MiB", decodeSize, "a size with a unit, such as 256MiB or 1GiB").pipe(
  Options.withDescription("Bytes that uploads hold in memory, all together, at most. Defaults to 256MiB.")
)

const checksums = [...Checksum.algorithms, "none"] as const

const checksum = decoded("checksum", "ALG|none", oneOf(checksums), `one of ${checksums.join(", ")}`).pipe(
  Options.withDescription(
    `What is sent is checked by this: ${
      checksums.join(", ")
    }. Defaults to what the destination likes best, if it knows any.`
  )
)

const onInterrupt = decoded("on-interrupt", "abort|keep", oneOf(["abort", "keep"] as const), "abort or keep").pipe(
  Options.withDescription(
    "What becomes of files that were sent in part when the upload is stopped: keep what is stored, for the same command " +
      "to go on with, or abort and remove it. Defaults to keep with a journal, and to abort without."
  )
)

const sourceChanges = ["fail", "retry", "skip"] as const

const onSourceChange = decoded(
  "on-source-change",
  sourceChanges.join("|"),
  oneOf(sourceChanges),
  "one of fail, retry and skip"
).pipe(
  Options.withDescription(
    "What becomes of a file that changes while it is uploaded: it fails, is uploaded again as it is then, or is " +
      "skipped. It is never stored half old and half new. Defaults to fail."
  )
)

const journal = Options.text("journal").pipe(
  Options.withPseudoName("DIR"),
  Options.withDescription(
    "Where the journal is kept, by which the same command goes on after a crash. Defaults to a directory of the user's, " +
      "one for each source and destination."
  ),
  Options.optional
)

const noJournal = Options.boolean("no-journal").pipe(
  Options.withDescription("Keeps no journal: after a crash everything begins again.")
)

const contentRange = Options.boolean("content-range").pipe(
  Options.withDescription(
    "Sends large files in parts to HTTP servers that take PUT with Content-Range and answer 308 while more is to come."
  )
)

const include = Options.text("include").pipe(
  Options.withPseudoName("GLOB"),
  Options.withDescription(
    "Takes only what matches, such as \"*.jpg\" at any depth or \"raw/**\" from the top. Globs have * ? ** [a-z] " +
      "{one,two} and \\, which makes the next character stand for itself, as in \\[; all else does so anyway. A [ or { " +
      "that is not closed is refused. Case counts. May be given again."
  ),
  Options.repeated
)

const exclude = Options.text("exclude").pipe(
  Options.withPseudoName("GLOB"),
  Options.withDescription(
    "Leaves out what matches, whatever is included, and does not look into directories that do. May be given again."
  ),
  Options.repeated
)

const filesFrom = filePath("files-from").pipe(
  Options.withDescription(
    "Uploads what this file lists, a path a line, relative to the source directory or, without a source, to this one; " +
      "or what --failed has written, which needs no source. Links and special files in it are skipped as they are in a " +
      "directory. \"-\" reads standard input."
  )
)

const followSymlinks = Options.boolean("follow-symlinks").pipe(
  Options.withDescription(
    "Uploads what symbolic links point to, inside the source. Without it they are skipped, in lists of --files-from too; " +
      "a source that is itself a link is followed either way."
  )
)

const dryRun = Options.boolean("dry-run").pipe(
  Options.withDescription(
    "Prints the key and size of what would be uploaded, a file a line, and uploads nothing. Control characters of names " +
      "are shown as signs; --json has the exact names. Looks whether the destination can be used, as far as that changes " +
      "nothing there."
  )
)

const errorOnNoTransfer = Options.boolean("error-on-no-transfer").pipe(
  Options.withDescription("Fails with 9 where no file was uploaded, such as when a filter leaves nothing.")
)

const allowEmpty = Options.boolean("allow-empty").pipe(
  Options.withDescription(
    "Stores what standard input holds even where that is nothing and would replace something. Without it that fails, " +
      "since the program before it may have."
  )
)

const json = Options.boolean("json").pipe(
  Options.withDescription("Prints events as lines of JSON on standard output; the last line is the report.")
)

const quiet = Options.boolean("quiet").pipe(Options.withDescription("Prints failures only: nothing when all is well."))

const report = filePath("report").pipe(Options.withDescription("Writes the report as JSON to this file."))

const failed = filePath("failed").pipe(
  Options.withDescription(
    "Lists in this file what is left undone: files that failed, were interrupted or not started, for --files-from."
  )
)

const fsync = Options.boolean("fsync").pipe(
  Options.withDescription("Forces each file to the disk before it counts as uploaded, in local destinations.")
)

/** The flags of `sluice upload`. */
export const upload = {
  strategy,
  concurrency,
  rate,
  bandwidth,
  retries,
  retryDelay,
  outage,
  include,
  exclude,
  filesFrom,
  followSymlinks,
  dryRun,
  errorOnNoTransfer,
  allowEmpty,
  json,
  quiet,
  report,
  failed,
  fsync,
  partSize,
  partConcurrency,
  memory,
  checksum,
  onInterrupt,
  onSourceChange,
  journal,
  noJournal,
  contentRange
}

const keptJournal = Options.text("journal").pipe(
  Options.withPseudoName("DIR"),
  Options.withDescription("Looks into this journal only, as it was given to an upload by --journal."),
  Options.optional
)

/** The flags of `sluice uploads ls`. */
export const uploadsLs = {
  journal: keptJournal,
  json: Options.boolean("json").pipe(Options.withDescription("Prints each upload on a line of JSON."))
}

/** The flags of `sluice uploads abort`. */
export const uploadsAbort = {
  journal: keptJournal,
  all: Options.boolean("all").pipe(Options.withDescription("Aborts all that are listed, at every destination."))
}

/** The flags of `sluice verify`. */
export const verify = {
  concurrency: decoded("concurrency", "N|auto", decodeConcurrency, "a whole number from 1, or auto").pipe(
    Options.withDescription("Files compared at once, at most. Defaults to auto: four for each CPU.")
  ),
  include,
  exclude,
  filesFrom: filePath("files-from").pipe(
    Options.withDescription(
      "Compares what this file lists, as for an upload. What only the destination has is not looked for."
    )
  ),
  followSymlinks: Options.boolean("follow-symlinks").pipe(
    Options.withDescription("Compares what symbolic links point to, inside the source. Without it they are skipped.")
  ),
  ignoreExtra: Options.boolean("ignore-extra").pipe(
    Options.withDescription("Does not look for files that only the destination has.")
  ),
  json: Options.boolean("json").pipe(
    Options.withDescription("Prints what became of each file as a line of JSON; the last line is the report.")
  ),
  quiet: Options.boolean("quiet").pipe(Options.withDescription("Prints differences only: nothing when all is well."))
}

/** The flags of `sluice doctor`. */
export const doctor = {
  json: Options.boolean("json").pipe(
    Options.withDescription("Prints each finding as a line of JSON; the last line says whether uploads will work.")
  )
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const secondsOf: Record<string, number> = { s: 1, m: 60, min: 60, h: 3_600 }
