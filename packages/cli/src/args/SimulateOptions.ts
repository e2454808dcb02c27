/**
 * The flags of `sluice simulate`: the files, the network, and the strategies to try.
 */
import * as Options from "@effect/cli/Options"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { Capacity } from "../simulate/Forecast.js"
import * as UploadOptions from "./UploadOptions.js"

/** A fraction from 0 to 1: `5%`, `0.05`. */
export const decodeShare: UploadOptions.Decode<number> = (text) => {
  const [, digits, sign] = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text) ?? []
  const share = Number(digits) / (sign === "%" ? 100 : 1)
  return share <= 1 ? Option.some(share) : Option.none()
}

/** A link whose capacity may change: `100MB/s`, or `100MB/s,25MB/s@30s` for less capacity after half a minute. */
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

const share = "a share of all requests, such as 1% or 0.01"

const time = "a time with a unit, such as 80ms"

const speed = "bytes per second with a unit, such as 100MB/s"

const flag = <A>(name: string, placeholder: string, decode: UploadOptions.Decode<A>, takes: string, about: string) =>
  UploadOptions.decoded(name, placeholder, decode, takes).pipe(Options.withDescription(about))

/** The network of a forecast. */
const network = {
  link: flag(
    "link",
    "100MB/s",
    decodeLink,
    `${speed}, or several with the time from which each holds, such as 100MB/s,25MB/s@30s`,
    "The capacity of all connections together. It may change: 100MB/s,25MB/s@30s falls to 25MB/s " +
      "after 30 seconds. Defaults to 100MB/s."
  ),
  perConnection: flag(
    "per-connection",
    "10MB/s",
    UploadOptions.decodeBandwidth,
    speed,
    "The maximum speed of one connection. Defaults to a tenth of the link."
  ),
  rtt: flag("rtt", "80ms", UploadOptions.decodeDuration, time, "The round-trip time to the server. Defaults to 50ms."),
  requestLatency: flag(
    "request-latency",
    "20ms",
    UploadOptions.decodeDuration,
    time,
    "The time that the server takes for a request, in addition to the time to transfer its bytes. Defaults to 0."
  ),
  errors: flag("errors", "1%", decodeShare, share, "The share of requests that fail and are retried. Defaults to 0."),
  throttleAbove: flag(
    "throttle-above",
    "N",
    UploadOptions.decodeCount(1),
    "a whole number from 1",
    "The number of requests in flight above which the server refuses more. Defaults to no limit."
  ),
  retryAfter: flag(
    "retry-after",
    "1s",
    UploadOptions.decodeDuration,
    "a time with a unit, such as 1s",
    "The wait that the server asks for when it refuses a request. Defaults to none."
  ),
  partSize: flag(
    "part-size",
    "8MiB",
    UploadOptions.decodeSize,
    "a size with a unit, such as 8MiB or 64M",
    "Files larger than this are uploaded in parts of this size. Defaults to 8MiB."
  ),
  strategy: Options.text("strategy").pipe(
    Options.withPseudoName("adaptive|pool|rate|unlimited"),
    Options.withDescription(
      "Tries only this strategy. May be repeated. Defaults to all, with rate only if --rate is given."
    ),
    Options.repeated
  ),
  include: UploadOptions.upload.include,
  exclude: UploadOptions.upload.exclude,
  followSymlinks: UploadOptions.upload.followSymlinks
}

/** The files if there is no directory: random sizes. */
const files = {
  files: flag(
    "files",
    "N",
    UploadOptions.decodeCount(1),
    "a whole number from 1",
    "Without a source: the number of files. Defaults to 100."
  ),
  minSize: flag(
    "min-size",
    "SIZE",
    UploadOptions.decodeBytes,
    "a size with a unit, such as 100B or 4KiB",
    "Without a source: the size of the smallest file. Defaults to 100B."
  ),
  maxSize: flag(
    "max-size",
    "SIZE",
    UploadOptions.decodeBytes,
    "a size with a unit, such as 1100B or 64KiB",
    "Without a source: the size of the largest file. Defaults to 1100B."
  )
}

/** The comparison of four strategies byte by byte. */
const comparison = {
  latency: flag(
    "latency",
    "1ms",
    UploadOptions.decodeDuration,
    "a time with a unit, such as 1ms or 0.2ms",
    "Without a source or a network: the time that each byte takes. Defaults to 1ms."
  ),
  failures: flag(
    "failures",
    "5%",
    decodeShare,
    "a share of all attempts, such as 5% or 0.05",
    "Without a source or a network: the share of attempts that fail and are retried. Defaults to 5%."
  ),
  baseRate: flag(
    "base-rate",
    "10/s",
    UploadOptions.decodeRate,
    "starts per second, minute or hour, such as 10/s or 600/m",
    "Without a source or a network: the initial rate of the adaptive-rate strategy. Defaults to 10/s."
  )
}

/** All flags of `sluice simulate`. */
export const simulate = {
  ...network,
  ...files,
  ...comparison,
  workers: flag(
    "workers",
    "N",
    UploadOptions.decodeCount(1),
    "a whole number from 1",
    "Also tries a worker pool of this size. Defaults to 10 without a source or a network."
  ),
  rate: flag(
    "rate",
    "50/s",
    UploadOptions.decodeRate,
    "starts per second, minute or hour, such as 50/s or 3000/m",
    "Also tries this rate of starts. Defaults to 50/s without a source or a network."
  ),
  seed: flag(
    "seed",
    "TEXT",
    Option.some<string>,
    "any text",
    "The seed of the random numbers: the same seed gives the same result. Defaults to 1."
  ),
  svg: Options.text("svg").pipe(
    Options.withPseudoName("FILE"),
    Options.withDescription("Draws the uploads over time, and writes the picture to this file."),
    Options.optional
  ),
  json: Options.boolean("json").pipe(
    Options.withDescription("Prints one line of JSON per strategy, and one for the recommendation.")
  )
}

/** The strategies that `--strategy` names, or a message about a wrong name. */
export const strategiesOf = (
  names: ReadonlyArray<string>
): Either.Either<ReadonlyArray<UploadOptions.StrategyName>, string> =>
  Either.all(names.map((name) =>
    Either.fromOption(
      UploadOptions.decodeStrategy(name),
      () => UploadOptions.wrongValue("--strategy", name, "one of adaptive, pool, rate and unlimited")
    )
  ))

/** The names of the given flags of one kind. */
export const given = (flags: Readonly<Record<string, unknown>>, kind: "network" | "files" | "comparison") =>
  Object.keys({ network, files, comparison }[kind])
    .filter((name) => {
      const value = flags[name]
      return Option.isOption(value) ? Option.isSome(value) : Array.isArray(value) ? value.length > 0 : value === true
    })
    .map((name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
