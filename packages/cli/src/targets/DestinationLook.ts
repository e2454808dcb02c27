/**
 * Checks whether a destination can be used, as far as that is possible without changing anything there. A directory, or
 * the one that it would be created in, must be writable; a server must answer and accept the credentials, and a bucket
 * must exist. `sluice doctor` finds out whether files can be stored.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import { Destination } from "@sluice/core/Destination"
import { renderUrl, Transport } from "@sluice/core/Transport"
import { Transient } from "@sluice/core/UploadError"
import type { UploadError } from "@sluice/core/UploadError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Settings } from "../args/DestinationOptions.js"
import * as CliError from "../CliError.js"
import type { Output } from "../terminal/Output.js"
import * as Advice from "./Advice.js"
import * as TargetLayer from "./TargetLayer.js"
import type { Target } from "./Targets.js"

/** Fails with `DestinationUnusable` if uploads would. */
export const check = (
  target: Target,
  settings: Settings
): Effect.Effect<void, CliError.CliError, FileSystem.FileSystem | Path.Path | Output> => {
  switch (target._tag) {
    case "Simulated":
      return Effect.void
    case "Local":
      return checkDirectory(path.resolve(target.root))
    case "Tus":
      return told(target, Effect.flatMap(Transport, (transport) => ask(transport, target.url))).pipe(
        Effect.provide(TargetLayer.layerTransport(target, { ...settings, connections: 1 }))
      )
    case "Http":
    case "S3":
      return told(target, Effect.flatMap(Destination, look)).pipe(
        Effect.provide(TargetLayer.layerReadOnly(target, { ...settings, connections: 1 }))
      )
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const patienceMillis = 10_000

const silent = new Transient({
  reason: "Connection",
  detail: "The destination did not answer within 10 seconds (ETIMEDOUT)."
})

/** Checks that a directory exists or can be created. */
const checkDirectory = (directory: string): Effect.Effect<void, CliError.CliError> =>
  Effect.matchEffect(Effect.tryPromise({ try: () => fs.stat(directory), catch: (cause) => cause }), {
    onSuccess: (stat) =>
      stat.isDirectory()
        ? Effect.tryPromise({
          try: () => fs.access(directory, fs.constants.W_OK | fs.constants.X_OK),
          catch: (cause) =>
            CliError.destinationUnusable(`The destination ${directory} ${CliError.whyNotWritten(cause)}.`)
        })
        : CliError.destinationUnusable(`The destination cannot be used. ${directory} is not a directory.`),
    onFailure: (cause) => {
      const parent = path.dirname(directory)
      return CliError.codeOf(cause) === "ENOENT" && parent !== directory
        ? checkDirectory(parent)
        : CliError.destinationUnusable(`The destination ${directory} ${CliError.whyUnreadable(cause)}.`)
    }
  })

const ask = (transport: Transport["Type"], url: string) =>
  transport.send({ method: "OPTIONS", url: renderUrl(url), headers: { "tus-resumable": "1.0.0" } })

/** Lists objects, which tells more than looking one up: it reports a missing bucket. */
const look = ({ head, list }: Destination["Type"]): Effect.Effect<unknown, UploadError> =>
  list !== undefined ? Stream.runHead(list) : head !== undefined ? head("sluice-dry-run") : Effect.void

const told = <R>(target: TargetLayer.Remote, looked: Effect.Effect<unknown, UploadError, R>) =>
  looked.pipe(
    Effect.timeoutFail({ duration: patienceMillis, onTimeout: () => silent }),
    Effect.catchIf((error) => !isProblem(error), () => Effect.void),
    Effect.mapError((error) => {
      const advice = Advice.forError(error, { check: "credentials", kind: target._tag })
      return CliError.destinationUnusable(
        `The destination cannot be used. ${error.message}${advice === undefined ? "" : ` ${advice}`}`
      )
    }),
    Effect.asVoid
  )

/** Whether uploads would fail for the same reason: credentials that must not read may be allowed to write. */
const isProblem = (error: UploadError): boolean => {
  switch (error._tag) {
    case "Transient":
      return error.reason === "Connection"
    case "AuthExpired":
      return true
    case "Rejected":
      return error.reason === "Unauthorized" || error.reason === "NotFound" || error.reason === "Redirected" ||
        (error.reason === "Forbidden" && !error.message.includes("answered 403"))
    case "Throttled":
    case "IntegrityMismatch":
    case "SessionGone":
    case "Conflict":
    case "SourceChanged":
    case "SourceUnreadable":
      return false
  }
}
