/**
 * What the profile of AWS says besides credentials, in `~/.aws/config` and `~/.aws/credentials`: the region, and the
 * endpoint, of S3 alone or of everything. Flags come before the environment, and the environment before the profile,
 * as with the AWS command line. The files are read by AWS's own library, which is loaded only where there is something
 * left to know, and where there are such files.
 */
import * as Effect from "effect/Effect"
import type { Settings } from "../args/DestinationOptions.js"
import type * as CliError from "../CliError.js"
import { usage } from "../CliError.js"
import * as AwsFiles from "./AwsFiles.js"
import * as Targets from "./Targets.js"

type Environment = AwsFiles.Environment

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
): Effect.Effect<S, CliError.CliError> => {
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

/** What cannot be understood says nothing: credentials are asked for all the same, and say why there are none. */
const read = (named: string | undefined, environment: Environment): Effect.Effect<Found, CliError.CliError> =>
  Effect.flatMap(AwsFiles.prepare(environment), (there) =>
    there
      ? Effect.orElseSucceed(
        Effect.tryPromise(async (): Promise<Found> => {
          const { parseKnownFiles } = await import("@smithy/core/config")
          const { config, credentials } = AwsFiles.pathsOf(environment)
          const sections = await parseKnownFiles({ configFilepath: config, filepath: credentials })
          const profile = sections[AwsFiles.alias(named ?? (environment["AWS_PROFILE"] || "default"))] ?? {}
          return { profile, services: sections[`services.${profile["services"]}`] ?? {} }
        }),
        () => nothing
      )
      : Effect.succeed(nothing))
