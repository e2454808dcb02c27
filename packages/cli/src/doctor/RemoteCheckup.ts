/**
 * The checks of `sluice doctor` for a destination on the network. This module is loaded only for these.
 */
import type { Destination } from "@sluice/core/Destination"
import { Transport } from "@sluice/core/Transport"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Settings } from "../args/DestinationOptions.js"
import type * as CliError from "../CliError.js"
import * as Advice from "../targets/Advice.js"
import * as AwsProfile from "../targets/AwsProfile.js"
import * as RemoteLocations from "../targets/RemoteLocations.js"
import * as S3Layer from "../targets/S3Layer.js"
import * as TargetLayer from "../targets/TargetLayer.js"
import type { Output } from "../terminal/Output.js"
import type { Tell } from "./Finding.js"
import * as ServerCheck from "./ServerCheck.js"

/** Checks the server, then the credentials, and then everything that applies to every destination. */
export const run = (
  target: TargetLayer.Remote,
  typed: Settings,
  { examine, tell }: { readonly tell: Tell; readonly examine: Effect.Effect<void, never, Destination> }
): Effect.Effect<void, CliError.CliError, Output> =>
  Effect.gen(function*() {
    const settings = target._tag === "S3" ? yield* AwsProfile.completeSettings(typed, process.env) : typed
    const { region } = settings
    if (!(yield* ServerCheck.run(target, yield* Transport, { region, tell }))) return
    if (target._tag === "S3") {
      const source = S3Layer.sourceOf(settings, process.env)
      const found = yield* Effect.either(source.credentials)
      if (Either.isLeft(found)) {
        const advice = Advice.forError(found.left, { kind: "S3", check: "credentials" })
        return yield* tell("credentials", "problem", found.left.message, advice)
      }
      yield* tell("credentials", "ok", `${found.right.accessKeyId}, from ${source.name}`)
    }
    yield* Effect.provide(
      examine,
      TargetLayer.layerRemote(target, { ...settings, addresses: RemoteLocations.inMemory() })
    )
  }).pipe(Effect.provide(TargetLayer.layerTransport(target, { ...typed, connections: 4 })))
