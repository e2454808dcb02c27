/**
 * `sluice verify <source>... <destination>`: compares uploaded files with their sources.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import { Destination } from "@sluice/core/Destination"
import * as MachineNode from "@sluice/core/MachineNode"
import * as Strategy from "@sluice/core/Strategy"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as DestinationOptions from "../args/DestinationOptions.js"
import * as UploadOptions from "../args/UploadOptions.js"
import * as UploadRequest from "../args/UploadRequest.js"
import * as CliError from "../CliError.js"
import * as Filter from "../sources/Filter.js"
import * as FilterText from "../sources/FilterText.js"
import * as ListedSources from "../sources/ListedSources.js"
import * as OwnFiles from "../sources/OwnFiles.js"
import * as Sources from "../sources/Sources.js"
import * as Advice from "../targets/Advice.js"
import * as AwsProfile from "../targets/AwsProfile.js"
import * as ExactAddress from "../targets/ExactAddress.js"
import * as RemoteLocations from "../targets/RemoteLocations.js"
import * as TargetLayer from "../targets/TargetLayer.js"
import * as Targets from "../targets/Targets.js"
import * as Display from "../terminal/Display.js"
import * as Json from "../terminal/Json.js"
import { Output, writeLines } from "../terminal/Output.js"
import * as Report from "../terminal/Report.js"
import * as Signals from "../terminal/Signals.js"
import * as ExtraKeys from "../verify/ExtraKeys.js"
import * as Verdict from "../verify/Verdict.js"
import * as Verification from "../verify/Verification.js"

const paths = Args.text({ name: "source" }).pipe(
  Args.withDescription("The uploaded files and directories; then the destination."),
  Args.repeated
)

export const verify = Command.make(
  "verify",
  { paths, ...UploadOptions.verify, ...DestinationOptions.verify },
  ({ paths, ...flags }) =>
    Effect.gen(function*() {
      const machine = yield* MachineNode.machine
      const asked = yield* Either.mapLeft(requestOf(paths, flags), CliError.usage)
      const { filesFrom, filter, settings: reach } = asked
      const target = yield* AwsProfile.completeTarget(asked.target, reach, process.env)
      yield* ExactAddress.check(target, asked)
      const own = yield* OwnFiles.make
      const settings = { filter, followSymlinks: flags.followSymlinks, leaveOut: own.has }
      const sources = filesFrom === undefined
        ? yield* Sources.fromPaths(asked.sources, settings)
        : yield* ListedSources.fromFile(filesFrom, asked.sources[0], settings)
      const isExtra = flags.ignoreExtra || filesFrom !== undefined
        ? undefined
        : yield* ExtraKeys.among(asked.sources, { ...settings, filter: filter.uncounted })
      const chosen = Option.getOrElse(flags.concurrency, () => "auto" as const)
      const concurrency = chosen === "auto" ? Strategy.optimalWorkerCount(machine) : chosen
      const known = reach.locations === undefined ? undefined : yield* RemoteLocations.read(reach.locations)
      const filtered = () => Report.filtered(filter, FilterText.around(asked.sources))
      yield* compare(sources, { ...flags, target, isExtra, concurrency, listed: reach.locations, filtered }).pipe(
        Effect.provide(TargetLayer.layerReadOnly(target, { ...reach, connections: concurrency, addresses: { known } }))
      )
    }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Compares files and directories with their copies at a destination.")
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Flags = Command.Command.ParseConfig<typeof UploadOptions.verify & typeof DestinationOptions.verify>

const requestOf = (paths: ReadonlyArray<string>, flags: Flags) =>
  Either.gen(function*() {
    const { destination, filesFrom, sources } = yield* UploadRequest.split(paths, flags)
    if (sources.includes("-")) {
      return yield* Either.left("Standard input (-) cannot be compared. Save its data in a file, and compare that.")
    }
    const target = yield* Targets.parse(destination, {
      endpoint: Option.getOrUndefined(flags.endpoint),
      environment: process.env
    })
    if (target._tag === "Simulated") {
      return yield* Either.left("sim: stores nothing, so there is nothing to compare with.")
    }
    const settings = yield* DestinationOptions.settingsOf(target, flags)
    if (target._tag === "Tus" && settings.locations === undefined) return yield* Either.left(addressesWanted)
    return { sources, filesFrom, target, settings, filter: yield* Filter.makeCounting(flags) }
  })

const addressesWanted =
  "A tus server gives each upload its own address, and cannot list them. Upload with --locations FILE, which records the " +
  "addresses, and compare with the same --locations FILE."

/** Compares, shows the progress, and reports the result. */
const compare = (
  sources: Sources.Sources,
  flags: Pick<Flags, "json" | "quiet" | "ignoreExtra"> & Pick<Verification.Options, "isExtra" | "concurrency"> & {
    readonly target: Targets.Target
    /** The list of objects, if the destination cannot list them. */
    readonly listed: string | undefined
    readonly filtered: () => ReturnType<typeof Report.filtered>
  }
) =>
  Effect.gen(function*() {
    const { stderr, stdout } = yield* Output
    const destination = yield* Destination
    if (!Verification.isPossible(destination)) {
      return yield* CliError.destinationUnusable(
        `Files at ${destination.name} cannot be compared: this kind of destination can neither look objects up nor read ` +
          "them."
      )
    }
    const findings = new Verdict.Findings()
    const comparison = yield* Verification.make({
      items: sources.items,
      destination,
      concurrency: flags.concurrency,
      isExtra: flags.isExtra,
      onFinding: (finding) => {
        findings.add(finding)
        return flags.json ? writeLines(stdout, [Json.line(finding)]) : Effect.void
      }
    })
    const display = Display.make({ stderr, stdout }, flags, { failed: "not the same" })
    const received = yield* Signals.listen
    yield* Effect.scoped(Effect.zipRight(
      display.show(comparison),
      Effect.raceFirst(comparison.run, received.take)
    ))
    const report = yield* comparison.report
    const failure = findings.failureOf(report)
    if (!flags.quiet || failure !== undefined) {
      const { ignoreExtra: extrasIgnored, listed } = flags
      const filtered = report.ended === "Completed" ? flags.filtered() : {}
      const error = failure?.reason === "DestinationUnusable" ? comparison.destinationError() : undefined
      yield* writeLines(stderr, [
        ...findings.summary(report, { ...filtered, style: stderr.style, extrasIgnored, listed }),
        ...(error === undefined || !TargetLayer.isRemote(flags.target) ? [] : [
          ...[Advice.forError(error, { check: "look", kind: flags.target._tag }) ?? []].flat(),
          "Run sluice doctor to find out what is wrong with a destination."
        ])
      ])
    }
    if (flags.json) yield* writeLines(stdout, [Json.line(report)])
    if (failure !== undefined) return yield* failure
  }).pipe(Effect.scoped)
