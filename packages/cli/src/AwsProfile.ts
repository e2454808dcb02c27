/**
 * What the profile of AWS says besides credentials, in `~/.aws/config` and `~/.aws/credentials`: the region, and the
 * endpoint, of S3 alone or of everything. Flags come before the environment, and the environment before the profile,
 * as with the AWS command line. The files are read by AWS's own library, which is loaded only where there is something
 * left to know, and where there are such files.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import type * as CliError from "./CliError.js"
import { usage } from "./CliError.js"
import type { Settings } from "./destinationOptions.js"
import * as Targets from "./Targets.js"
import * as UserHome from "./UserHome.js"

type Environment = Readonly<Record<string, string | undefined>>

/** A target with the endpoint that the profile names, where nothing else names one. */
export const completeTarget = <T extends Targets.Target>(
  target: T,
  settings: Pick<Settings, "profile">,
  environment: Environment
): Effect.Effect<T, CliError.CliError> =>
  Effect.gen(function*() {
    if (target._tag !== "S3" || target.endpoint !== undefined || Targets.ignoresEndpoints(environment)) return target
    const { profile, services } = yield* read(settings.profile, environment)
    const found = services["s3.endpoint_url"] ?? profile["endpoint_url"]
    if (found === undefined || profile["ignore_configured_endpoint_urls"] === "true") return target
    const endpoint = yield* Effect.mapError(Targets.checkEndpoint(found, "The profile's endpoint_url"), usage)
    return { ...target, endpoint }
  })

/** Settings with the region that the environment names, or else the profile. */
export const completeSettings = <S extends Pick<Settings, "profile" | "region">>(
  settings: S,
  environment: Environment
): Effect.Effect<S> => {
  const region = settings.region ?? (environment["AWS_REGION"] || environment["AWS_DEFAULT_REGION"] || undefined)
  return region !== undefined
    ? Effect.succeed({ ...settings, region })
    : Effect.map(read(settings.profile, environment), ({ profile }) => ({ ...settings, region: profile["region"] }))
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Section = Readonly<Record<string, string | undefined>>

interface Found {
  readonly profile: Section
  /** What the profile's `services` section says. */
  readonly services: Section
}

const nothing: Found = { profile: {}, services: {} }

/** What cannot be read says nothing: credentials are asked for all the same, and say why there are none. */
const read = (named: string | undefined, environment: Environment): Effect.Effect<Found> => {
  const home = UserHome.find(environment)
  // Without a home, what would be in it is not there.
  const fileOf = (name: string, otherwise: string) => {
    const file = environment[name] || `~/.aws/${otherwise}`
    return file.startsWith("~/") ? Option.getOrElse(home, () => "/dev/null") + file.slice(1) : file
  }
  const configFilepath = fileOf("AWS_CONFIG_FILE", "config")
  const filepath = fileOf("AWS_SHARED_CREDENTIALS_FILE", "credentials")
  return Effect.tryPromise(async (): Promise<Found> => {
    if (![configFilepath, filepath].some((file) => fs.existsSync(file))) return nothing
    const { parseKnownFiles } = await import("@smithy/core/config")
    const sections = await parseKnownFiles({ configFilepath, filepath })
    const profile = sections[named ?? (environment["AWS_PROFILE"] || "default")] ?? {}
    return { profile, services: sections[`services.${profile["services"]}`] ?? {} }
  }).pipe(Effect.orElseSucceed(() => nothing))
}
