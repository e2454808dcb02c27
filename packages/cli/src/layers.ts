/**
 * Destinations by what people type: a path, or an address.
 *
 * | typed | destination |
 * |---|---|
 * | `backup`, `/mnt/backup`, `file:///mnt/backup` | a local directory |
 * | `https://host/path`, `https://host/{key}?overwrite=1` | an HTTP server that takes files by PUT |
 * | `sim:?latency=20ms&failures=5%`, `sim:flaky` | the simulated network, which stores nothing |
 *
 * Credentials are never part of an address: they come from the environment, see {@link HttpCredentials}.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import type { Destination } from "@sluice/core/Destination"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as CliError from "./CliError.js"
import * as options from "./options.js"

/** Where files go. */
export type Target =
  | { readonly _tag: "Local"; readonly root: string }
  | { readonly _tag: "Http"; readonly url: string }
  | { readonly _tag: "Simulated"; readonly network: Simulated.Options }

/** What the environment says about who is asking. */
export type HttpCredentials =
  | { readonly _tag: "Bearer"; readonly token: Redacted.Redacted }
  | { readonly _tag: "Basic"; readonly user: string; readonly password: Redacted.Redacted }

/** Reads a destination, or says what is wrong with it. No message holds what may be a secret. */
export const parseTarget = (text: string): Either.Either<Target, string> => {
  // One letter before the colon is a drive.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1]?.toLowerCase()
  switch (scheme) {
    case undefined:
      return text === ""
        ? Either.left("The destination is empty. It is a directory or an address.")
        : Either.right({ _tag: "Local", root: text })
    case "file":
      return Either.try({
        try: () => ({ _tag: "Local", root: fileURLToPath(text) }),
        catch: () => `${JSON.stringify(text)} is not the address of a local directory, such as file:///mnt/backup.`
      })
    case "http":
    case "https":
      return parseHttp(text)
    case "sim":
      return Either.map(parseNetwork(text.slice("sim:".length)), (network) => ({ _tag: "Simulated", network }))
    default:
      return Either.left(
        notYet.has(scheme)
          ? `Destinations of the kind "${scheme}:" are not there yet. There are directories, http(s):// and sim:.`
          : `"${scheme}:" is no kind of destination. There are directories, http(s):// and sim:; ` +
            `a directory whose name begins like that is written ./${scheme}:…`
      )
  }
}

/** What stands for the query of an address where it is written down. */
export const hiddenQuery = "?…"

/** A target as it can be written down: without what may be a secret. */
export const nameOf = (target: Target): string => {
  switch (target._tag) {
    case "Local":
      return path.resolve(target.root)
    case "Http":
      return target.url.replace(/\?.*$/s, hiddenQuery)
    case "Simulated":
      return "sim:"
  }
}

/** The credentials in the environment: `SLUICE_HTTP_TOKEN`, or `SLUICE_HTTP_USER` and `SLUICE_HTTP_PASSWORD`. */
export const httpCredentials: Effect.Effect<Option.Option<HttpCredentials>, CliError.CliError> = Effect.gen(
  function*() {
    const token = yield* Config.option(Config.redacted("SLUICE_HTTP_TOKEN"))
    const user = yield* Config.option(Config.string("SLUICE_HTTP_USER"))
    const password = yield* Config.option(Config.redacted("SLUICE_HTTP_PASSWORD"))
    if (Option.isSome(token)) {
      if (Option.isSome(user)) {
        return yield* CliError.usage("SLUICE_HTTP_TOKEN and SLUICE_HTTP_USER are both set. Only one can be used.")
      }
      return Option.some<HttpCredentials>({ _tag: "Bearer", token: token.value })
    }
    if (Option.isNone(user) && Option.isNone(password)) return Option.none()
    if (Option.isNone(user) || Option.isNone(password)) {
      return yield* CliError.usage("SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD go together: set both.")
    }
    return Option.some<HttpCredentials>({ _tag: "Basic", user: user.value, password: password.value })
  }
).pipe(Effect.catchTag("ConfigError", (error: ConfigError.ConfigError) => CliError.usage(String(error))))

/** A target as a destination. Fails with `DestinationUnusable` where that can be seen before the first upload. */
export const layer = (target: Target, settings: {
  readonly fsync: boolean
  /** How many connections there may be. */
  readonly connections: number
  /** Whether an HTTP server takes large files in parts. */
  readonly contentRange: boolean
}): Layer.Layer<Destination, CliError.CliError, FileSystem.FileSystem | Path.Path> => {
  switch (target._tag) {
    case "Local":
      return Layer.mapError(
        LocalDirectory.layer({ root: target.root, fsync: settings.fsync }),
        (error) => CliError.destinationUnusable(`The destination cannot be used. ${error.message}`)
      )
    case "Simulated":
      return Simulated.layer(target.network)
    case "Http":
      return Layer.unwrapEffect(Effect.gen(function*() {
        const credentials = yield* httpCredentials
        // Its modules take a third of the start-up time: they are loaded only here.
        const { layer: httpLayer } = yield* Effect.promise(() => import("./httpLayer.js"))
        return httpLayer({ ...settings, url: target.url, credentials })
      }))
  }
}

/**
 * A target to look at only: nothing is made or written, and a directory need not be writable. Fails with
 * `DestinationUnusable` where a directory is not there.
 */
export const layerReadOnly = (target: Target, settings: {
  readonly connections: number
}): Layer.Layer<Destination, CliError.CliError, FileSystem.FileSystem | Path.Path> => {
  const destination = layer(target, { ...settings, fsync: false, contentRange: false })
  if (target._tag !== "Local") return destination
  const readOnly = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      access: (path: string) => fs.access(path, { readable: true }),
      makeDirectory: (path: string) => fs.readDirectory(path).pipe(Effect.asVoid)
    }))
  )
  return Layer.unwrapEffect(Effect.as(checkDirectory(target.root), Layer.provide(destination, readOnly)))
}

/** Fails where a local destination is not there. */
export const checkDirectory = (root: string): Effect.Effect<void, CliError.CliError> =>
  Effect.tryPromise({
    try: () => fs.promises.stat(root),
    catch: (cause) => CliError.destinationUnusable(`The destination ${root} ${CliError.whyUnreadable(cause)}.`)
  }).pipe(
    Effect.filterOrFail(
      (stat) => stat.isDirectory(),
      () => CliError.destinationUnusable(`The destination ${root} is not a directory.`)
    ),
    Effect.asVoid
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const notYet = new Set(["s3", "s3a", "r2", "gs", "gcs", "az", "azure", "azblob", "b2", "tus", "sftp", "ftp", "webdav"])

const parseHttp = (text: string): Either.Either<Target, string> => {
  const parsed = Option.liftThrowable((url: string) => new URL(url))(text)
  if (Option.isNone(parsed)) return Either.left("The destination is not a valid http(s) address.")
  if (parsed.value.username !== "" || parsed.value.password !== "") {
    return Either.left(
      `The address of ${parsed.value.host} holds a user or a password, which others on this machine can read. ` +
        "Leave it out, and set SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD, or SLUICE_HTTP_TOKEN, in the environment."
    )
  }
  return Either.right({ _tag: "Http", url: text.replace(/#.*$/s, "") })
}

const parseNetwork = (text: string): Either.Either<Simulated.Options, string> => {
  const [preset = "", query = ""] = text.split(/\?(.*)/s)
  const found = Object.entries(Simulated.presets).find(([name]) => name === preset)
  if (preset !== "" && found === undefined) {
    return Either.left(
      `${JSON.stringify(`sim:${preset}`)} is no simulated network. There are ${
        Object.keys(Simulated.presets).map((name) => `sim:${name}`).join(", ")
      } and sim:?… with ${Object.keys(parameters).join(", ")}.`
    )
  }
  return Array.from(new URLSearchParams(query.replaceAll("+", "%2B"))).reduce<Either.Either<Simulated.Options, string>>(
    (network, [name, value]) =>
      Either.flatMap(
        network,
        (settings) => Either.map(parseParameter(name, value), (more) => ({ ...settings, ...more }))
      ),
    Either.right({ ...found?.[1] })
  )
}

interface Parameter {
  readonly decode: (text: string) => Option.Option<Simulated.Options>
  readonly takes: string
}

const parameter = <A>(
  decode: options.Decode<A>,
  takes: string,
  set: (value: A) => Simulated.Options
): Parameter => ({ decode: (text) => Option.map(decode(text), set), takes })

const decodeFraction: options.Decode<number> = (text) => {
  const [, digits, sign] = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text) ?? []
  const fraction = Number(digits) / (sign === "%" ? 100 : 1)
  return fraction >= 0 && fraction <= 1 ? Option.some(fraction) : Option.none()
}

const time = "a time such as 20ms"

const speed = "bytes a second, such as 1MB/s"

const parameters: Readonly<Record<string, Parameter>> = {
  latency: parameter(options.decodeDuration, time, (millis) => ({ requestLatency: millis })),
  "latency-per-byte": parameter(options.decodeDuration, time, (millis) => ({ latencyPerByte: millis })),
  bandwidth: parameter(options.decodeBandwidth, speed, (rate) => ({ sharedBytesPerSecond: rate })),
  "connection-bandwidth": parameter(options.decodeBandwidth, speed, (rate) => ({ bytesPerSecond: rate })),
  failures: parameter(decodeFraction, "a part of all attempts, such as 0.05 or 5%", (part) => ({ failureRate: part })),
  "max-in-flight": parameter(options.decodeCount(1), "a whole number from 1", (most) => ({ maxInFlight: most })),
  "retry-after": parameter(options.decodeDuration, time, (millis) => ({ retryAfter: millis })),
  seed: { decode: (text) => Option.some({ seed: text }), takes: "any text" }
}

const parseParameter = (name: string, value: string): Either.Either<Simulated.Options, string> => {
  const known = Object.hasOwn(parameters, name) ? parameters[name] : undefined
  return known === undefined
    ? Either.left(`sim: has no ${JSON.stringify(name)}. It has ${Object.keys(parameters).join(", ")}.`)
    : Either.fromOption(known.decode(value), () => options.wrongValue(`sim: ${name}`, value, known.takes))
}
