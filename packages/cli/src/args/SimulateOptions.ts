/**
 * The flags of `sluice simulate`: what is uploaded, over what network, and which strategies are tried.
 */
import * as Options from "@effect/cli/Options"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { Capacity } from "../simulate/Forecast.js"
import * as UploadOptions from "./UploadOptions.js"

/** A part of the whole, from 0 to 1: `5%`, `0.05`. */
export const decodeShare: UploadOptions.Decode<number> = (text) => {
  const [, digits, sign] = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text) ?? []
  const share = Number(digits) / (sign === "%" ? 100 : 1)
  return share <= 1 ? Option.some(share) : Option.none()
}

/** A link whose capacity may change: `100MB/s`, or `100MB/s,25MB/s@30s` for less after half a minute. */
export const decodeLink: UploadOptions.Decode<ReadonlyArray<Capacity>> = (text) => {
  const steps = text.split(",").map((step, i) => {
    const [speed = "", at, ...rest] = step.trim().split("@")
    return rest.length > 0 || (at === undefined) !== (i === 0)
      ? Option.none()
      : Option.all({
        at: at === undefined ? Option.some(0) : UploadOptions.decodeDuration(at),
        bytesPerSecond: UploadOptions.decodeBandwidth(speed)
      })
  })
  return Option.filter(
    Option.all(steps),
    (link) => link.every(({ at }, i) => i === 0 || at > link[i - 1]!.at)
  )
}

const share = "a part of all requests, such as 1% or 0.01"

const time = "a time with a unit, such as 80ms"

const speed = "bytes a second with a unit, such as 100MB/s"

const flag = <A>(name: string, placeholder: string, decode: UploadOptions.Decode<A>, takes: string, about: string) =>
  UploadOptions.decoded(name, placeholder, decode, takes).pipe(Options.withDescription(about))

/** The network of a forecast. */
const network = {
  link: flag(
    "link",
    "100MB/s",
    decodeLink,
    `${speed}, or several with the time from which each holds, such as 100MB/s,25MB/s@30s`,
    "What all connections have together. It may change: 100MB/s,25MB/s@30s. Defaults to 100MB/s."
  ),
  perConnection: flag(
    "per-connection",
    "10MB/s",
    UploadOptions.decodeBandwidth,
    speed,
    "What one connection has at most. Defaults to a tenth of the link."
  ),
  rtt: flag("rtt", "80ms", UploadOptions.decodeDuration, time, "The round trip to the server. Defaults to 50ms."),
  requestLatency: flag(
    "request-latency",
    "20ms",
    UploadOptions.decodeDuration,
    time,
    "What the server takes for a request, besides its bytes. Defaults to 0."
  ),
  errors: flag("errors", "1%", decodeShare, share, "How many requests fail, and are tried again. Defaults to 0."),
  throttleAbove: flag(
    "throttle-above",
    "N",
    UploadOptions.decodeCount(1),
    "a whole number from 1",
    "The server refuses what is in flight above this. Defaults to no limit."
  ),
  retryAfter: flag(
    "retry-after",
    "1s",
    UploadOptions.decodeDuration,
    "a time with a unit, such as 1s",
    "What it tells those that it refuses to wait. Defaults to nothing."
  ),
  partSize: flag(
    "part-size",
    "8MiB",
    UploadOptions.decodeSize,
    "a size with a unit, such as 8MiB or 64M",
    "Files larger than this go up in parts of this size. Defaults to 8MiB."
  ),
  strategy: Options.text("strategy").pipe(
    Options.withPseudoName("adaptive|pool|rate|unlimited"),
    Options.withDescription("Tries only this one. May be given again. Defaults to all; rate where --rate is given."),
    Options.repeated
  ),
  include: UploadOptions.upload.include,
  exclude: UploadOptions.upload.exclude,
  followSymlinks: UploadOptions.upload.followSymlinks
}

/** What there is without a directory: files of random sizes. */
const files = {
  files: flag(
    "files",
    "N",
    UploadOptions.decodeCount(1),
    "a whole number from 1",
    "Without a source: how many files are uploaded. Defaults to 100."
  ),
  minSize: flag(
    "min-size",
    "SIZE",
    UploadOptions.decodeBytes,
    "a size with a unit, such as 100B or 4KiB",
    "The size of the smallest one. Defaults to 100B."
  ),
  maxSize: flag(
    "max-size",
    "SIZE",
    UploadOptions.decodeBytes,
    "a size with a unit, such as 1100B or 64KiB",
    "The size of the largest one. Defaults to 1100B."
  )
}

/** The comparison of four strategies byte by byte. */
const comparison = {
  latency: flag(
    "latency",
    "1ms",
    UploadOptions.decodeDuration,
    "a time with a unit, such as 1ms or 0.2ms",
    "Without a source and a network: what each byte takes. Defaults to 1ms."
  ),
  failures: flag(
    "failures",
    "5%",
    decodeShare,
    "a part of all attempts, such as 5% or 0.05",
    "Without a source and a network: how many attempts fail, and are tried again. Defaults to 5%."
  ),
  baseRate: flag(
    "base-rate",
    "10/s",
    UploadOptions.decodeRate,
    "starts a second, minute or hour, such as 10/s or 600/m",
    "Without a source and a network: starts of uploads that the adaptive rate begins with. Defaults to 10/s."
  )
}

/** All of them. */
export const simulate = {
  ...network,
  ...files,
  ...comparison,
  workers: flag(
    "workers",
    "N",
    UploadOptions.decodeCount(1),
    "a whole number from 1",
    "Tries a worker pool of this size too; it is 10 without a source and a network."
  ),
  rate: flag(
    "rate",
    "50/s",
    UploadOptions.decodeRate,
    "starts a second, minute or hour, such as 50/s or 3000/m",
    "Tries this rate of starts too; it is 50/s without a source and a network."
  ),
  seed: flag(
    "seed",
    "TEXT",
    Option.some<string>,
    "any text",
    "The same seed gives the same numbers. Defaults to 1."
  ),
  svg: Options.text("svg").pipe(
    Options.withPseudoName("FILE"),
    Options.withDescription("Draws how it goes over time, and writes the picture to this file."),
    Options.optional
  ),
  json: Options.boolean("json").pipe(
    Options.withDescription("Prints a line of JSON for each strategy, and for what is recommended.")
  )
}

/** The names that `--strategy` was given, or what is wrong with one. */
export const strategiesOf = (
  names: ReadonlyArray<string>
): Either.Either<ReadonlyArray<UploadOptions.StrategyName>, string> =>
  Either.all(names.map((name) =>
    Either.fromOption(
      UploadOptions.decodeStrategy(name),
      () => UploadOptions.wrongValue("--strategy", name, "one of adaptive, pool, rate and unlimited")
    )
  ))

/** The flags of only one kind that were given, by their names. */
export const given = (flags: Readonly<Record<string, unknown>>, kind: "network" | "files" | "comparison") =>
  Object.keys({ network, files, comparison }[kind])
    .filter((name) => {
      const value = flags[name]
      return Option.isOption(value) ? Option.isSome(value) : Array.isArray(value) ? value.length > 0 : value === true
    })
    .map((name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
