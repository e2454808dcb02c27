/**
 * `sluice upload <source>... <destination>`: uploads files and directories in parallel, with progress and a final
 * report.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import { Destination } from "@sluice/core/Destination"
import * as Journal from "@sluice/core/Journal"
import * as MachineNode from "@sluice/core/MachineNode"
import * as Strategy from "@sluice/core/Strategy"
import * as Uploader from "@sluice/core/Uploader"
import type { UploadEvent } from "@sluice/core/UploadEvent"
import type { UploadReport } from "@sluice/core/UploadReport"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as EffectNumber from "effect/Number"
import * as Option from "effect/Option"
import * as path from "node:path"
import * as DestinationOptions from "../args/DestinationOptions.js"
import * as UploadOptions from "../args/UploadOptions.js"
import * as UploadRequest from "../args/UploadRequest.js"
import * as CliError from "../CliError.js"
import * as Journals from "../journals/Journals.js"
import * as FilterText from "../sources/FilterText.js"
import * as IntoItself from "../sources/IntoItself.js"
import * as ListedSources from "../sources/ListedSources.js"
import * as OwnFiles from "../sources/OwnFiles.js"
import * as Sources from "../sources/Sources.js"
import * as StandardInput from "../sources/StandardInput.js"
import * as Advice from "../targets/Advice.js"
import * as AwsProfile from "../targets/AwsProfile.js"
import * as DestinationLook from "../targets/DestinationLook.js"
import * as ExactAddress from "../targets/ExactAddress.js"
import * as RemoteLocations from "../targets/RemoteLocations.js"
import * as TargetLayer from "../targets/TargetLayer.js"
import * as Targets from "../targets/Targets.js"
import * as Display from "../terminal/Display.js"
import * as Json from "../terminal/Json.js"
import * as Kept from "../terminal/Kept.js"
import { Output, writeLines } from "../terminal/Output.js"
import * as OutputFile from "../terminal/OutputFile.js"
import * as OutputPaths from "../terminal/OutputPaths.js"
import * as ProgressLines from "../terminal/ProgressLines.js"
import * as Report from "../terminal/Report.js"
import * as Signals from "../terminal/Signals.js"
import { printable } from "../terminal/TerminalText.js"
import * as DryRun from "../upload/DryRun.js"
import * as Undone from "../upload/Undone.js"

const paths = Args.text({ name: "source" }).pipe(
  Args.withDescription(
    "Files and directories to upload, or - for standard input; then the destination: a directory, s3://bucket/prefix, " +
      "tus+https://host/path, an http(s) address or sim:. Keys are paths relative to a directory, or base names of files."
  ),
  Args.repeated
)

export const upload = Command.make(
  "upload",
  { paths, ...UploadOptions.upload, ...DestinationOptions.upload },
  ({ paths, ...flags }) =>
    Effect.gen(function*() {
      const machine = yield* MachineNode.machine
      const typed = yield* Effect.mapError(
        UploadRequest.make(paths, flags, Strategy.optimalWorkerCount(machine), process.env),
        CliError.usage
      )
      const target = yield* AwsProfile.completeTarget(typed.target, typed.settings, process.env)
      const request: UploadRequest.UploadRequest = { ...typed, target }
      yield* TargetLayer.hint(target, typed.settings)
      yield* ExactAddress.check(target, typed)
      const own = yield* OwnFiles.make
      const standardInput = request.standardInput === undefined
        ? undefined
        : yield* StandardInput.make(request.standardInput)
      if (standardInput !== undefined && Option.isSome(flags.failed)) {
        return yield* CliError.usage(
          "--failed lists files for another run, but standard input cannot be read again. Remove --failed."
        )
      }
      const report = Option.getOrUndefined(flags.report)
      const failed = Option.getOrUndefined(flags.failed)
      if (!flags.dryRun) yield* checkOutputs(request, { report, failed, printsLines: flags.json })
      const sources = standardInput ?? (yield* find(request, flags.followSymlinks, own))
      if (request.target._tag === "Local" && request.filesFrom === undefined) {
        yield* IntoItself.check(request.sources, request.target.root, request.filter.uncounted)
      }
      yield* Effect.forEach([flags.report, flags.failed], (file) => Effect.forEach(Option.toArray(file), own.add))
      const filtered = () => Report.filtered(request.filter, FilterText.around(typed.sources))
      if (flags.dryRun) {
        const destination = DestinationLook.check(request.target, request.settings)
        return yield* DryRun.print(sources, { ...flags, filtered, destination })
      }
      yield* MachineNode.keepHeapSmall(request.uploader.memory ?? Uploader.defaults.memory)
      const journal = yield* openJournal(request, flags.fsync)
      yield* own.addJournals(request.journal || undefined)
      const { locations } = request.settings
      const addresses = locations === undefined ? undefined : yield* RemoteLocations.append(locations)
      if (addresses !== undefined) yield* own.addOpen(addresses.descriptor)
      const uploader = Uploader.layer(request.uploader).pipe(
        Layer.provideMerge(TargetLayer.layer(request.target, {
          ...request.settings,
          fsync: flags.fsync,
          connections: request.connections,
          addresses: { onStored: addresses?.add }
        }))
      )
      // Without a journal, nothing could find what is kept.
      const run = journal === undefined ? { ...request.run, onInterrupt: "abort" as const } : request.run
      const guard = standardInput === undefined || flags.allowEmpty
        ? Effect.void
        : Effect.flatMap(Destination, (destination) => StandardInput.check(standardInput, destination))
      yield* Effect.zipRight(
        guard,
        transfer(sources, {
          ...flags,
          report,
          failed,
          own,
          isList: standardInput === undefined,
          abortCommand: Kept.abortCommand(Targets.nameOf(request.target), request.journal || undefined),
          filtered,
          run,
          journal,
          remote: TargetLayer.isRemote(request.target) ? request.target._tag : undefined,
          addresses
        })
      )
        .pipe(
          Effect.provide(
            journal === undefined ? uploader : Layer.provide(uploader, Layer.succeed(Journal.Journal, journal))
          )
        )
    }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Uploads files and directories in parallel.")
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Fails if outputs cannot be written or are the same file. Removes the report of an earlier run. */
const checkOutputs = Effect.fnUntraced(
  function*(request: UploadRequest.UploadRequest, { failed, printsLines, report }: {
    readonly report: string | undefined
    readonly failed: string | undefined
    readonly printsLines: boolean
  }) {
    const outputs = [{ flag: "--report", file: report }, { flag: "--locations", file: request.settings.locations }]
    yield* OutputPaths.check([...outputs, { flag: "--failed", file: failed }], { printsLines })
    // --failed may replace the list, which has been read by then; other outputs may not.
    if (request.filesFrom !== undefined && request.filesFrom !== "-") {
      yield* OutputPaths.check([...outputs, { flag: "--files-from", file: request.filesFrom }], { printsLines })
    }
    if (report !== undefined) yield* OutputFile.check("--report", report)
    if (failed !== undefined) yield* OutputFile.check("--failed", failed)
    const sources = new Set(request.sources.map((source) => path.resolve(source)))
    if (report !== undefined && !sources.has(path.resolve(report))) yield* OutputFile.clear("--report", report)
  }
)

const find = (request: UploadRequest.UploadRequest, followSymlinks: boolean, own: OwnFiles.OwnFiles) => {
  const settings = { filter: request.filter, followSymlinks, leaveOut: own.has }
  return request.filesFrom === undefined
    ? Sources.fromPaths(request.sources, settings)
    : ListedSources.fromFile(request.filesFrom, request.sources[0], {
      ...settings,
      destination: request.target._tag === "Local" ? request.target.root : undefined
    })
}

/** The journal of an upload, unless none was asked for or it would be of no use. */
const openJournal = (
  { filesFrom, journal, sources, standardInput, target }: UploadRequest.UploadRequest,
  fsync: boolean
) => {
  if (journal === false || (journal === undefined && target._tag === "Simulated")) return Effect.succeed(undefined)
  const named = [...sources, ...(filesFrom === undefined ? [] : [filesFrom])].map((source) => path.resolve(source))
  const subject = {
    sources: standardInput === undefined ? named : [`- ${standardInput}`],
    destination: Targets.nameOf(target)
  }
  return Effect.map(Journals.open(subject, { directory: journal, fsync }), Option.getOrUndefined)
}

/** What the command does in addition to uploading. */
interface Flags {
  /** The file for addresses from a tus server. */
  readonly addresses: RemoteLocations.Writer | undefined
  /** The kind of the destination, if it is on the network. */
  readonly remote: Targets.Kind | undefined
  readonly run: UploadRequest.UploadRequest["run"]
  readonly journal: Journal.Immediate | undefined
  readonly json: boolean
  readonly quiet: boolean
  readonly report: string | undefined
  readonly failed: string | undefined
  readonly own: OwnFiles.OwnFiles
  /** Whether the sources are files, which another run can read again. */
  readonly isList: boolean
  readonly errorOnNoTransfer: boolean
  /** The command that removes partly stored files. */
  readonly abortCommand: string
  readonly filtered: () => ReturnType<typeof Report.filtered>
}

/** Uploads, shows the progress, and reports the result. */
const transfer = (sources: Sources.Sources, flags: Flags) =>
  Effect.gen(function*() {
    const { stderr, stdout } = yield* Output
    const uploader = yield* Uploader.Uploader
    const display = Display.make({ stderr, stdout }, flags)
    const findings = new Report.Tally()
    const undone = flags.failed === undefined ? undefined : yield* Undone.make(flags.failed, sources, flags.own)
    const printEvent = (event: UploadEvent) => writeLines(stdout, [Json.line(event)])
    const received = yield* Signals.listen
    const run = yield* uploader.start(undone?.items ?? sources.items, {
      ...flags.run,
      onEvent: flags.json
        ? (event) => Effect.zipRight(printEvent(event), display.note(event))
        : flags.quiet
        ? undefined
        : display.note,
      onResult: (result) => {
        findings.add(result)
        return undone?.note(result) ?? Effect.void
      }
    })
    const storedOf = (key: string) => {
      const session = flags.journal?.session(key)
      return session === undefined ? 0 : Journal.storedBytes(session)
    }
    const stop = Effect.zipRight(undone?.stop ?? Effect.void, run.interrupt)
    yield* Effect.forkScoped(
      Signals.steer(received, { run, isPiped: !flags.isList, stop, storedOf, say: display.say, leave })
    )
    const sampled = flags.json ? Effect.asVoid(Effect.forkScoped(ProgressLines.print(run, stdout))) : Effect.void
    const ended = yield* Effect.scoped(Effect.zipRight(Effect.zipRight(display.show(run), sampled), run.report))
    const { listing } = yield* run.currentProgress
    const seen = { notStarted: ended.files.notStarted, listed: !listing }
    const rest = yield* Effect.either(undone?.finish ?? Effect.succeed(seen))
    const sessions = flags.journal === undefined ? [] : yield* flags.journal.sessions
    const stored = sessions.map(Journal.storedBytes).filter((bytes) => bytes > 0)
    const begun = sessions.length - stored.length
    const kept = { files: stored.length, bytes: EffectNumber.sumAll(stored) }
    const report: UploadReport = flags.journal === undefined ? ended : { ...ended, kept }
    yield* conclude(report, findings, flags, { ...Either.getOrElse(rest, () => seen), begun }, Either.getLeft(rest))
  }).pipe(Effect.scoped)

/** Reports the result of a run wherever the flags say, and fails unless everything succeeded. */
const conclude = Effect.fnUntraced(
  function*(
    report: UploadReport,
    findings: Report.Findings,
    flags: Flags,
    rest: Undone.Rest & Pick<Report.Context, "begun">,
    unlisted: Option.Option<CliError.CliError>
  ) {
    const { stderr, stdout } = yield* Output
    const saved = yield* Effect.either(
      flags.report === undefined
        ? Effect.void
        : OutputFile.write("--report", flags.report, `${JSON.stringify(report, undefined, 2)}\n`)
    )
    const addresses = yield* Effect.either(flags.addresses?.check ?? Effect.void)
    const unwritten = [unlisted, Either.getLeft(saved), Either.getLeft(addresses)].flatMap(Option.toArray)
    const failure = Report.failureOf(report, findings, rest) ??
      (unwritten.length > 0
        ? new CliError.CliError({ reason: "SomeFailed" })
        : flags.errorOnNoTransfer && report.files.uploaded === 0
        ? new CliError.CliError({ reason: "NothingTransferred" })
        : undefined)
    if (!flags.quiet || failure !== undefined) {
      const { style } = stderr
      const manifest = Option.isNone(unlisted) ? flags.failed : undefined
      yield* writeLines(stderr, [
        ...Report.summary(report, findings, {
          ...rest,
          ...(report.ended === "Completed" && flags.filtered()),
          style,
          manifest,
          isList: flags.isList,
          abortCommand: flags.abortCommand
        }),
        ...unwritten.map((error) => style.red(printable(error.message))),
        ...(flags.remote !== undefined && failure?.reason === "DestinationUnusable"
          ? [...adviceFor(findings, flags.remote), "Run sluice doctor to find out what is wrong with a destination."]
          : [])
      ])
    }
    if (flags.json) yield* writeLines(stdout, [Json.line(report)])
    if (failure !== undefined) return yield* failure
  }
)

const adviceFor = ({ destinationError }: Report.Findings, kind: Targets.Kind): ReadonlyArray<string> =>
  destinationError === undefined ? [] : [Advice.forError(destinationError, { check: "write", kind }) ?? []].flat()

const leave = Effect.sync(() => process.exit(130))
