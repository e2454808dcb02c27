/**
 * S3 buckets. This module is loaded only when one is used.
 */
import type { Destination } from "@sluice/core/Destination"
import * as S3 from "@sluice/core/destinations/S3"
import type { Transport } from "@sluice/core/Transport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Settings } from "../args/DestinationOptions.js"
import * as CliError from "../CliError.js"
import * as AwsCredentials from "./AwsCredentials.js"
import * as AwsProfile from "./AwsProfile.js"
import type { S3Target } from "./Targets.js"

type Environment = Readonly<Record<string, string | undefined>>

/** A bucket as a destination. Gets credentials once at the start, and fails if there are none. */
export const layer = (
  target: S3Target,
  typed: Settings,
  environment: Environment
): Layer.Layer<Destination, CliError.CliError, Transport> =>
  Layer.unwrapEffect(
    Effect.gen(function*() {
      const settings = yield* AwsProfile.completeSettings(typed, environment)
      const { credentials } = sourceOf(settings, environment)
      let first: S3.Credentials | undefined = yield* Effect.mapError(
        credentials,
        ({ message }) => CliError.destinationUnusable(message)
      )
      return S3.layer({
        bucket: target.bucket,
        prefix: target.prefix,
        endpoint: target.endpoint,
        region: settings.region,
        pathStyle: settings.pathStyle,
        provider: settings.provider,
        storageClass: settings.storageClass,
        acl: settings.acl,
        cacheControl: settings.cacheControl,
        headers: settings.headers,
        ifAbsent: settings.ifAbsent,
        credentials: Effect.suspend(() => {
          const found = first
          first = undefined
          return found === undefined ? credentials : Effect.succeed(found)
        })
      })
    })
  )

/** The source of the credentials, from complete settings. */
export const sourceOf = (settings: Settings, environment: Environment): AwsCredentials.Source =>
  AwsCredentials.make({ profile: settings.profile, region: settings.region, environment })
