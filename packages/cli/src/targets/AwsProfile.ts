/**
 * The settings of an AWS profile besides credentials, from `~/.aws/config` and `~/.aws/credentials`: the region, and
 * the endpoint for S3 or for all services. As with the AWS command line, flags take precedence over the environment,
 * and the environment over the profile. AWS's own library reads the files; it is loaded only if a setting is still
 * missing and such files exist.
 */
import * as Effect from "effect/Effect"
import type { Settings } from "../args/DestinationOptions.js"
import type * as CliError from "../CliError.js"
import { usage } from "../CliError.js"
import * as AwsFiles from "./AwsFiles.js"
import * as Targets from "./Targets.js"

type Environment = AwsFiles.Environment

/** Adds the profile's endpoint to a target, if nothing else names one. */
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

/** Adds the region from the environment, or else from the profile, to settings. */
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
  /** The profile's `services` section. */
  readonly services: Section
}

const nothing: Found = { profile: {}, services: {} }

/** Ignores what cannot be parsed: getting credentials will report the reason. */
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
