/**
 * The flags of uploads, decoded as they are read. The message about a wrong value names the flag, the value and what
 * the flag takes.
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

/** Bytes with their unit: a user who writes `10` usually means MiB. Only 0 needs no unit. */
export const decodeBytes: Decode<number> = (text) =>
  /[a-z]\s*$/i.test(text) || /^\s*0+\s*$/.test(text) ? ByteSize.parse(text) : Option.none()

/** Milliseconds: `100ms`, `2s`, `1.5m`; `0` needs no unit. */
export const decodeDuration: Decode<number> = (text) => {
  const [, digits, unit] = /^(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|min|h)$/i.exec(text.trim()) ?? []
  if (digits === undefined || unit === undefined) return /^0+$/.test(text.trim()) ? Option.some(0) : Option.none()
  return Option.some(Number(digits) * (unit.toLowerCase() === "ms" ? 1 : 1000 * (secondsOf[unit.toLowerCase()] ?? 1)))
}

/** A whole number that is at least `least`. */
export const decodeCount = (least: number): Decode<number> => (text) =>
  /^\d+$/.test(text) && Number(text) >= least && Number.isSafeInteger(Number(text))
    ? Option.some(Number(text))
    : Option.none()

/** A whole number from 1, or `auto`. */
export const decodeConcurrency: Decode<number | "auto"> = (text) =>
  text === "auto" ? Option.some("auto") : decodeCount(1)(text)

/** The message about the wrong value of a flag. */
export const wrongValue = (flag: string, text: string, takes: string): string =>
  `${flag}: ${JSON.stringify(text)} is not a valid value. It takes ${takes}.`

/** An optional flag, read by a decoder. */
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

/** A strategy as the flag names it; `progressive` is another name for `adaptive`. */
export type StrategyName = (typeof strategies)[number]

/** The strategy that a flag names. */
export const decodeStrategy: Decode<StrategyName> = (text) =>
  Option.fromNullable(strategies.find((name) => name === (text === "progressive" ? "adaptive" : text)))

const strategy = decoded("strategy", strategies.join("|"), decodeStrategy, "one of adaptive, pool, rate and unlimited")
  .pipe(
    Options.withDescription(
      "How many uploads run at once. adaptive: as many as increase the throughput, measured and adjusted during the " +
        "run. pool: as many as --concurrency allows. rate: any number, started no faster than --rate. unlimited: " +
        "all at once. --rate and --bandwidth " +
        "can be combined with any of these. Defaults to adaptive, or to pool if --concurrency is given."
    )
  )

const concurrency = decoded("concurrency", "N|auto", decodeConcurrency, "a whole number from 1, or auto").pipe(
  Options.withDescription(
    "The maximum number of uploads in flight; auto means four for each CPU. With --strategy adaptive, this is its " +
      "upper limit, which defaults to 64."
  )
)

const rate = decoded("rate", "50/s", decodeRate, "starts per second, minute or hour, such as 50/s, 3000/m or 0.5/s")
  .pipe(
    Options.withDescription("The maximum number of uploads started per second, including retries.")
  )

const bandwidth = decoded(
  "bandwidth",
  "10MiB/s",
  decodeBandwidth,
  "bytes per second with a unit, such as 10MiB/s, 500kB/s or 2M"
).pipe(Options.withDescription("The maximum number of bytes per second, for all uploads together."))

const retries = decoded("retries", "N", decodeCount(0), "a whole number from 0").pipe(
  Options.withDescription(
    `The number of retries for a file; if they all fail, it gets as many again at the end of the run. 0 disables ` +
      `retries. Defaults to ${RetryPolicy.defaults.attempts - 1}.`
  )
)

const retryDelay = decoded("retry-delay", "100ms", decodeDuration, "a time with a unit, such as 100ms or 2s").pipe(
  Options.withDescription("The longest wait before the first retry; it doubles with each retry. Defaults to 100ms.")
)

const outage = decoded("outage", "5m", decodeDuration, "a time with a unit, such as 30s, 5m or 2h; 0 for none").pipe(
  Options.withDescription(
    "How long to wait for a destination that has become unreachable: it is probed periodically, and nothing else " +
      "is sent. " +
      "A destination that was never reached fails fast. Defaults to 5m; 0 disables waiting."
  )
)

/** A size as a user would type it, in the largest unit that divides it. */
export const sizeText = (bytes: number): string => {
  const units = [["GiB", 1024 ** 3], ["GB", 1e9], ["MiB", 1024 ** 2], ["MB", 1e6], ["KiB", 1024], ["kB", 1e3]] as const
  const [unit, factor] = units.find(([, factor]) => bytes > 0 && bytes % factor === 0) ?? ["B", 1] as const
  return `${bytes / factor}${unit}`
}

/** Bytes, at least one: `8MiB`, `500k`. */
export const decodeSize: Decode<number> = (text) => Option.filter(decodeBytes(text), (bytes) => bytes >= 1)

const oneOf = <A extends string>(names: ReadonlyArray<A>): Decode<A> => (text) =>
  Option.fromNullable(names.find((name) => name === text))

/** Below this size, the overhead of a part would exceed the cost of sending it. */
const leastPartSize = 64 * 1024

const partSize = decoded(
  "part-size",
  "8MiB",
  (text) => Option.filter(decodeSize(text), (bytes) => bytes >= leastPartSize),
  "a size of at least 64KiB, with a unit, such as 8MiB or 64M"
).pipe(
  Options.withDescription(
    "Files larger than this are uploaded in parts of this size, if the destination supports parts. Parts are " +
      "larger if a " +
      "file would have too many of them. Defaults to 8MiB."
  )
)

const partConcurrency = decoded("part-concurrency", "N", decodeCount(1), "a whole number from 1").pipe(
  Options.withDescription(
    "The maximum number of parts of one file in flight. Files and parts together never exceed what the strategy " +
      "allows, " +
      "which is also the default."
  )
)

const memory = decoded("memory", "256MiB", decodeSize, "a size with a unit, such as 256MiB or 1GiB").pipe(
  Options.withDescription("The maximum number of bytes that all uploads together hold in memory. Defaults to 256MiB.")
)

const checksums = [...Checksum.algorithms, "none"] as const

const checksum = decoded("checksum", "ALG|none", oneOf(checksums), `one of ${checksums.join(", ")}`).pipe(
  Options.withDescription(
    `The checksum for verifying what is sent: ${
      checksums.join(", ")
    }. Defaults to the one that the destination prefers, if it supports any.`
  )
)

const onInterrupt = decoded("on-interrupt", "abort|keep", oneOf(["abort", "keep"] as const), "abort or keep").pipe(
  Options.withDescription(
    "What to do with partially uploaded files when the upload is stopped: keep the stored data, so that the same " +
      "command can " +
      "continue, or abort and remove it. Defaults to keep with a journal, and to abort without one."
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
    "What to do with a file that changes during its upload: fail, upload the changed file, or skip it. A mix of " +
      "old and " +
      "new contents is never stored. Defaults to fail."
  )
)

const journal = Options.text("journal").pipe(
  Options.withPseudoName("DIR"),
  Options.withDescription(
    "Keeps the journal in this directory, so that the same command can continue after a crash. Defaults to a " +
      "subdirectory of the user's state directory, one for each source and destination."
  ),
  Options.optional
)

const noJournal = Options.boolean("no-journal").pipe(
  Options.withDescription("Keeps no journal: after a crash everything starts over.")
)

const contentRange = Options.boolean("content-range").pipe(
  Options.withDescription(
    "Sends large files in parts, to HTTP servers that accept PUT with Content-Range and respond with 308 until " +
      "the last part."
  )
)

const include = Options.text("include").pipe(
  Options.withPseudoName("GLOB"),
  Options.withDescription(
    "Takes only files that match, such as \"*.jpg\" at any depth or \"raw/**\" from the top. Globs support * ? ** " +
      "[a-z] {one,two} and \\, which makes the next character match itself, as in \\[; all other characters match " +
      "themselves. A [ or { that is not closed is an error. Case matters. May be repeated."
  ),
  Options.repeated
)

const exclude = Options.text("exclude").pipe(
  Options.withPseudoName("GLOB"),
  Options.withDescription(
    "Leaves out files that match, and does not look into directories that match. Overrides --include. May be repeated."
  ),
  Options.repeated
)

const filesFrom = filePath("files-from").pipe(
  Options.withDescription(
    "Uploads the files that this file lists, one path per line, relative to the source directory or, without a " +
      "source, " +
      "to the current one. Also accepts a list that --failed has written, which needs no source. Links and " +
      "special files in the " +
      "list are skipped, as they are in a directory. \"-\" reads standard input."
  )
)

const followSymlinks = Options.boolean("follow-symlinks").pipe(
  Options.withDescription(
    "Follows symbolic links that stay inside the source. Without it, links are skipped; a " +
      "source that is itself a link is followed either way."
  )
)

const dryRun = Options.boolean("dry-run").pipe(
  Options.withDescription(
    "Prints the key and size of each file that would be uploaded, one per line, and uploads nothing. Control " +
      "characters " +
      "in names are shown as symbols; --json has the exact names. Checks whether the destination can be used, as " +
      "far as " +
      "possible without changing anything there."
  )
)

const errorOnNoTransfer = Options.boolean("error-on-no-transfer").pipe(
  Options.withDescription(
    "Fails with exit code 9 if no file was uploaded, for example because the filters exclude everything."
  )
)

const allowEmpty = Options.boolean("allow-empty").pipe(
  Options.withDescription(
    "Lets empty standard input replace an existing object. Without it, such an upload fails, because the program " +
      "that writes to the pipe may have failed."
  )
)

const json = Options.boolean("json").pipe(
  Options.withDescription("Prints events as lines of JSON on standard output; the last line is the report.")
)

const quiet = Options.boolean("quiet").pipe(Options.withDescription("Prints only failures: nothing if all is well."))

const report = filePath("report").pipe(Options.withDescription("Writes the report as JSON to this file."))

const failed = filePath("failed").pipe(
  Options.withDescription(
    "Writes the list of unfinished files, for --files-from: those that failed, were interrupted or were not started."
  )
)

const fsync = Options.boolean("fsync").pipe(
  Options.withDescription("In local destinations, flushes each file to the disk before it counts as uploaded.")
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
  Options.withDescription("Looks only at the journal in this directory, the DIR of an earlier upload --journal."),
  Options.optional
)

/** The flags of `sluice uploads ls`. */
export const uploadsLs = {
  journal: keptJournal,
  json: Options.boolean("json").pipe(Options.withDescription("Prints one line of JSON per upload."))
}

/** The flags of `sluice uploads abort`. */
export const uploadsAbort = {
  journal: keptJournal,
  all: Options.boolean("all").pipe(Options.withDescription("Aborts all listed uploads, at every destination."))
}

/** The flags of `sluice verify`. */
export const verify = {
  concurrency: decoded("concurrency", "N|auto", decodeConcurrency, "a whole number from 1, or auto").pipe(
    Options.withDescription("The maximum number of files compared at once. Defaults to auto: four for each CPU.")
  ),
  include,
  exclude,
  filesFrom: filePath("files-from").pipe(
    Options.withDescription(
      "Compares the files that this file lists, in the formats that upload accepts. Does not look for files " +
        "that only the destination has."
    )
  ),
  followSymlinks: Options.boolean("follow-symlinks").pipe(
    Options.withDescription("Follows symbolic links that stay inside the source. Without it, links are skipped.")
  ),
  ignoreExtra: Options.boolean("ignore-extra").pipe(
    Options.withDescription("Does not look for files that only the destination has.")
  ),
  json: Options.boolean("json").pipe(
    Options.withDescription("Prints one line of JSON per file; the last line is the report.")
  ),
  quiet: Options.boolean("quiet").pipe(Options.withDescription("Prints only differences: nothing if all is well."))
}

/** The flags of `sluice doctor`. */
export const doctor = {
  json: Options.boolean("json").pipe(
    Options.withDescription("Prints one line of JSON per finding; the last line says whether uploads will work.")
  )
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const secondsOf: Record<string, number> = { s: 1, m: 60, min: 60, h: 3_600 }
