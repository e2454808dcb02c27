/**
 * The request that the flags and arguments of `sluice upload` make, checked against each other.
 */
import type * as Command from "@effect/cli/Command"
import * as AdaptiveConcurrency from "@sluice/core/AdaptiveConcurrency"
import * as RetryPolicy from "@sluice/core/RetryPolicy"
import * as Strategy from "@sluice/core/Strategy"
import type * as Uploader from "@sluice/core/Uploader"
import type * as UploadRun from "@sluice/core/UploadRun"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as path from "node:path"
import * as Filter from "../sources/Filter.js"
import * as Targets from "../targets/Targets.js"
import * as DestinationOptions from "./DestinationOptions.js"
import type * as UploadOptions from "./UploadOptions.js"

/** The flags, each decoded separately. */
export type Flags = Command.Command.ParseConfig<typeof UploadOptions.upload & typeof DestinationOptions.upload>

export interface UploadRequest {
  /** Files and directories; empty if a list or standard input is uploaded. */
  readonly sources: ReadonlyArray<string>
  /** The key for standard input, if that is uploaded. */
  readonly standardInput: string | undefined
  readonly filesFrom: string | undefined
  readonly target: Targets.Target
  /** The flags about the destination. */
  readonly settings: DestinationOptions.Settings
  readonly filter: Filter.Counting
  readonly uploader: Uploader.Options & { readonly strategy: Strategy.Strategy }
  readonly run: Pick<UploadRun.Options, "onInterrupt" | "onSourceChange">
  /** The directory for the journal; `false` for none; `undefined` if no flag says it. */
  readonly journal: string | false | undefined
  /** The number of connections that an HTTP destination may have. */
  readonly connections: number
}

/** The most connections if there is no limit on uploads in flight. */
export const maxConnections = 256

/** Combines flags and arguments. `workers` is the value of `auto`. */
export const make = (
  paths: ReadonlyArray<string>,
  flags: Flags,
  workers: number,
  environment: Targets.Around["environment"] = {}
): Either.Either<UploadRequest, string> =>
  Either.gen(function*() {
    const { destination, filesFrom, sources } = yield* split(paths, flags)
    if (sources.includes("-") && sources.length > 1) {
      return yield* Either.left("Standard input (-) cannot be combined with other sources.")
    }
    const strategy = yield* strategyOf(flags, workers)
    const named = sources[0] === "-" ? yield* splitName(destination) : undefined
    if (named !== undefined && filesFrom !== undefined) {
      return yield* Either.left("Standard input (-) cannot be combined with --files-from.")
    }
    const target = yield* Targets.parse(named?.destination ?? destination, {
      endpoint: Option.getOrUndefined(flags.endpoint),
      environment
    })
    return {
      sources: named === undefined ? sources : [],
      standardInput: named?.key,
      filesFrom,
      target,
      settings: yield* DestinationOptions.settingsOf(target, flags),
      filter: yield* Filter.makeCounting(flags),
      uploader: {
        strategy,
        retry: retryOf(flags),
        partSize: Option.getOrUndefined(flags.partSize),
        multipartThreshold: Option.getOrUndefined(flags.partSize),
        partConcurrency: Option.getOrUndefined(flags.partConcurrency),
        memory: Option.getOrUndefined(flags.memory),
        checksum: Option.getOrUndefined(flags.checksum)
      },
      run: {
        onInterrupt: Option.getOrUndefined(flags.onInterrupt),
        onSourceChange: Option.getOrUndefined(flags.onSourceChange)
      },
      journal: yield* journalOf(flags),
      connections: mostInFlight(flags, strategy)
    }
  })

/** Splits the arguments into sources, a list of files, and the destination. */
export const split = (
  paths: ReadonlyArray<string>,
  flags: { readonly filesFrom: Option.Option<string> }
): Either.Either<
  { readonly sources: ReadonlyArray<string>; readonly filesFrom: string | undefined; readonly destination: string },
  string
> => {
  const filesFrom = Option.getOrUndefined(flags.filesFrom)
  const destination = paths.at(-1)
  const sources = paths.slice(0, -1)
  if (destination === undefined) return Either.left("The source and the destination are missing.")
  if (filesFrom === undefined && sources.length === 0) {
    return Either.left(`The destination is missing: there is only ${JSON.stringify(destination)}.`)
  }
  if (filesFrom !== undefined && sources.length > 1) {
    return Either.left("--files-from takes one source, which is a directory, or none.")
  }
  if (sources.includes("")) return Either.left("A source is empty. Name a file or a directory.")
  return Either.right({ sources, filesFrom, destination })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const strategyOf = (flags: Flags, workers: number): Either.Either<Strategy.Strategy, string> => {
  const name = strategyName(flags)
  if (name === "unlimited" && Option.isSome(flags.concurrency)) {
    return Either.left("--strategy unlimited and --concurrency contradict each other. Use --strategy pool.")
  }
  if (name === "rate" && Option.isNone(flags.rate)) {
    return Either.left("--strategy rate needs a rate: add --rate, such as --rate 50/s.")
  }
  const concurrency = Option.orElse(flags.concurrency, () => Option.liftPredicate(name, (it) => it === "pool"))
  return Either.right(Strategy.stack(
    ...(name === "adaptive"
      ? [Strategy.adaptive({ max: ceiling(flags) })]
      : [
        Strategy.unlimited,
        ...Option.toArray(concurrency).map((count) =>
          Strategy.workerPool({ workers: typeof count === "number" ? count : workers })
        )
      ]),
    ...Option.toArray(flags.rate).map((uploadsPerSecond) => Strategy.rateLimited({ uploadsPerSecond })),
    ...Option.toArray(flags.bandwidth).map((bytesPerSecond) => Strategy.bandwidth({ bytesPerSecond }))
  ))
}

/** A concurrency without a strategy means exactly that concurrency. */
const strategyName = ({ concurrency, strategy }: Flags): UploadOptions.StrategyName =>
  Option.getOrElse(strategy, () => Option.isSome(concurrency) ? "pool" : "adaptive")

/** The ceiling of the adaptive strategy. */
const ceiling = ({ concurrency }: Flags): number =>
  Option.getOrElse(Option.filter(concurrency, Predicate.isNumber), () => AdaptiveConcurrency.defaults.max)

const mostInFlight = (flags: Flags, { concurrency }: Strategy.Strategy): number =>
  strategyName(flags) === "adaptive"
    ? ceiling(flags)
    : Number.isFinite(concurrency)
    ? concurrency
    : maxConnections

/** Splits the destination of standard input: its last part is the key. */
const splitName = (
  destination: string
): Either.Either<{ readonly destination: string; readonly key: string }, string> => {
  if (destination.startsWith("sim:")) return Either.right({ destination, key: "stdin" })
  const isAddress = /^(?!s3:)[a-z][a-z0-9+.-]+:\/\//i.test(destination)
  const [, before = "", name = "", query = ""] =
    (isAddress ? addressName : /^s3:\/\//i.test(destination) ? bucketName : localName).exec(destination) ?? []
  if (name === "" || name === "." || name === ".." || destination.includes("{key}")) {
    return Either.left("Standard input has no name: end the destination with one, such as backup/dump.sql.")
  }
  const key = isAddress ? Option.getOrElse(decodeName(name), () => name) : name
  if (Targets.isExact({ _tag: "Http", url: destination })) return Either.right({ destination, key })
  return Either.right({ destination: `${before === "" ? "." : before}${query}`, key })
}

const addressName = /^([^?#]*:\/\/[^/?#]*\/(?:[^?#]*\/)?)([^/?#]*)(.*)$/s

// Keys in S3 are written as they are, up to the ? that precedes settings.
const bucketName = /^(s3:\/\/[^/?]*\/(?:[^?]*\/)?)([^/?]*)(.*)$/is

const localName = path.sep === "\\" ? /^((?:.*[/\\])?)([^/\\]*)$/s : /^((?:.*\/)?)([^/]*)$/s

// In an address the key is encoded again.
const decodeName = Option.liftThrowable(decodeURIComponent)

const journalOf = (flags: Flags): Either.Either<UploadRequest["journal"], string> => {
  if (Option.contains(flags.journal, "-")) {
    return Either.left("--journal takes a directory, and \"-\" is not one. Write ./- for a directory of that name.")
  }
  if (!flags.noJournal) return Either.right(Option.getOrUndefined(flags.journal))
  if (Option.isSome(flags.journal)) return Either.left("--journal and --no-journal contradict each other.")
  return Option.contains(flags.onInterrupt, "keep")
    ? Either.left("--on-interrupt keep needs a journal to find what was kept: remove --no-journal.")
    : Either.right(false)
}

const retryOf = (flags: Flags): RetryPolicy.RetryPolicy => {
  const retries = Option.getOrElse(flags.retries, () => RetryPolicy.defaults.attempts - 1)
  return retries === 0 ? RetryPolicy.none : RetryPolicy.make({
    attempts: retries + 1,
    base: Option.getOrUndefined(flags.retryDelay),
    outage: Option.getOrUndefined(flags.outage)
  })
}
