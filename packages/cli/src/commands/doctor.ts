/**
 * `sluice doctor <destination>`: whether uploads to a destination will work, and what to do if they will not.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import { Destination } from "@sluice/core/Destination"
import * as Uploader from "@sluice/core/Uploader"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as DestinationOptions from "../args/DestinationOptions.js"
import * as UploadOptions from "../args/UploadOptions.js"
import * as CliError from "../CliError.js"
import * as Checkup from "../doctor/Checkup.js"
import type { Finding, Tell } from "../doctor/Finding.js"
import * as AwsProfile from "../targets/AwsProfile.js"
import * as DestinationLook from "../targets/DestinationLook.js"
import * as TargetLayer from "../targets/TargetLayer.js"
import * as Targets from "../targets/Targets.js"
import * as Json from "../terminal/Json.js"
import type { Sink } from "../terminal/Output.js"
import { Output, writeLines } from "../terminal/Output.js"
import { printable } from "../terminal/TerminalText.js"

export const doctor = Command.make(
  "doctor",
  {
    address: Args.text({ name: "destination" }).pipe(Args.withDescription("The destination to check.")),
    ...UploadOptions.doctor,
    ...DestinationOptions.doctor
  },
  ({ address, json, ...flags }) =>
    Effect.gen(function*() {
      const { stderr, stdout } = yield* Output
      const environment = process.env
      const typed = yield* Effect.mapError(
        Targets.parse(address, { endpoint: Option.getOrUndefined(flags.endpoint), environment }),
        CliError.usage
      )
      const settings = yield* Effect.mapError(DestinationOptions.settingsOf(typed, flags), CliError.usage)
      const target = yield* AwsProfile.completeTarget(typed, settings, environment)
      if (target._tag === "Simulated") {
        return yield* CliError.usage("sim: stores nothing, so there is nothing to check.")
      }
      if (Targets.isExact(target)) {
        return yield* CliError.usage(
          `${Targets.nameOf(target)} has a query, so it is the address of one object, which a checkup would replace. ` +
            "Put {key} where keys belong, as in https://host/path/{key}?…"
        )
      }
      yield* TargetLayer.hint(target, settings)
      const findings: Array<Finding> = []
      const tell: Tell = (check, outcome, detail, advice) => {
        const finding: Finding = { _tag: "Check", version: 1, check, outcome, detail, advice }
        findings.push(finding)
        return writeLines(stdout, json ? [Json.line(finding)] : lines(finding, stdout))
      }
      yield* look(target, settings, tell)
      const problems = findings.filter(({ outcome }) => outcome === "problem").length
      const notes = findings.filter(({ outcome }) => outcome === "note").length
      const works = problems === 0
      if (json) yield* writeLines(stdout, [Json.line({ _tag: "Checkup", version: 1, works, problems, notes })])
      const name = printable(Targets.nameOf(target))
      yield* writeLines(
        stderr,
        [
          works
            ? stderr.style.bold(`Uploads to ${name} will work.`)
            : stderr.style.red(`Uploads to ${name} will not work.`)
        ]
      )
      if (!works) return yield* new CliError.CliError({ reason: "DestinationUnusable" })
    })
).pipe(Command.withDescription("Finds out whether uploads to a destination will work, and what to do."))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const look = Effect.fnUntraced(
  function*(
    target: Exclude<Targets.Target, { readonly _tag: "Simulated" }>,
    settings: DestinationOptions.Settings,
    tell: Tell
  ) {
    if (target._tag === "Local") {
      const inside = Effect.provide(
        examine(target, tell),
        TargetLayer.layer(target, { ...settings, fsync: false, connections: 4 })
      )
      const usable = DestinationLook.check(target, settings)
      return yield* Effect.matchEffect(TargetLayer.checkDirectory(target.root), {
        onSuccess: () => Effect.zipRight(usable, inside),
        onFailure: () =>
          Effect.zipRight(
            usable,
            tell("directory", "note", `${target.root} does not exist yet: an upload will create it.`)
          )
      }).pipe(
        Effect.catchTag("CliError", ({ message }) => tell("directory", "problem", message, "Name another directory."))
      )
    }
    const RemoteCheckup = yield* Effect.promise(() => import("../doctor/RemoteCheckup.js"))
    yield* RemoteCheckup.run(target, settings, { tell, examine: examine(target, tell) })
  }
)

/** Writes to a destination, and runs the other checks on it. */
const examine = Effect.fnUntraced(function*(target: Targets.Target, tell: Tell) {
  const destination = yield* Destination
  const random = yield* Random.nextIntBetween(0, 2 ** 31)
  const name = `${random.toString(36)}.txt`
  const key = `sluice-doctor-${name}`
  // A local directory creates its own directories, and tus does not treat keys as paths. The directory may stay: its
  // name is always the same.
  const nested = target._tag === "Local" || target._tag === "Tus" ? undefined : `sluice-doctor/${name}`
  yield* Effect.flatMap(
    Uploader.Uploader,
    (uploader) => Checkup.run({ kind: target._tag, destination, uploader, key, nested }, tell)
  ).pipe(Effect.provide(Layer.provide(Uploader.layer(Checkup.options), Layer.succeed(Destination, destination))))
})

const checkWidth = "credentials".length

const lines = ({ advice, check, detail, outcome }: Finding, { style }: Sink): ReadonlyArray<string> => {
  const paint = outcome === "problem" ? style.red : outcome === "note" ? style.yellow : style.cyan
  return [
    `${paint(outcome.padEnd("problem".length))}  ${check.padEnd(checkWidth)}  ${printable(detail)}`,
    ...(advice === undefined ? [] : [`${" ".repeat("problem".length + 2 + checkWidth + 2)}${printable(advice)}`])
  ]
}
