/**
 * `sluice uploads ls` and `sluice uploads abort`: list and abort uploads that were interrupted and kept.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import { Destination } from "@sluice/core/Destination"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as DestinationOptions from "../args/DestinationOptions.js"
import * as UploadOptions from "../args/UploadOptions.js"
import * as CliError from "../CliError.js"
import * as Aborting from "../journals/Aborting.js"
import * as Journals from "../journals/Journals.js"
import * as KeptUploads from "../journals/KeptUploads.js"
import * as AwsProfile from "../targets/AwsProfile.js"
import * as TargetLayer from "../targets/TargetLayer.js"
import * as Targets from "../targets/Targets.js"
import * as Format from "../terminal/Format.js"
import { Output, writeLines } from "../terminal/Output.js"
import { failureLine, firstOf } from "../terminal/Report.js"
import * as ShellWord from "../terminal/ShellWord.js"
import { printable } from "../terminal/TerminalText.js"

export const ls = Command.make("ls", UploadOptions.uploadsLs, ({ journal, json }) =>
  Effect.gen(function*() {
    const { stderr, stdout } = yield* Output
    const found = yield* find(journal)
    const uploads = KeptUploads.of(found)
    if (json) return yield* writeLines(stdout, uploads.map(KeptUploads.json))
    yield* uploads.length === 0 ? writeLines(stderr, [none]) : printTable(uploads)
  })).pipe(Command.withDescription("Lists uploads that were interrupted and kept."))

export const abort = Command.make(
  "abort",
  {
    named: Args.repeated(Args.text({ name: "destination" })),
    ...UploadOptions.uploadsAbort,
    ...DestinationOptions.reach
  },
  ({ all, journal, named, ...reach }) =>
    Effect.gen(function*() {
      const { stderr } = yield* Output
      const [address, ...keys] = named
      if (all && address !== undefined) {
        return yield* CliError.usage("--all and a destination contradict each other: name what to abort, or use --all.")
      }
      const journals = yield* find(journal)
      if (address === undefined && !all) return yield* preview(KeptUploads.of(journals))
      const target = address === undefined
        ? undefined
        : yield* parse(address, reach)
      const chosen = choose(journals, target, keys)
      const missing = keys.filter((key) => !chosen.some(({ sessions }) => sessions.some((it) => it.key === key)))
      if (chosen.length === 0 && address !== undefined && keys.length === 0) {
        return yield* failed(`There are no unfinished uploads to ${Targets.nameOf(yield* given(target))}.`)
      }
      const endings = yield* Effect.forEach(chosen, (found) =>
        Effect.map(
          Effect.either(abortIn(found, { typed: target, keys: keys.length === 0 ? undefined : new Set(keys), reach })),
          (outcome) => ({ found, outcome })
        ))
      if (endings.length === 0 && missing.length === 0) yield* writeLines(stderr, [none])
      yield* tell(endings)
      yield* writeLines(
        stderr,
        missing.map((key) =>
          stderr.style.red(
            `There is no unfinished upload of ${printable(key)} to ${
              target === undefined ? "" : printable(Targets.nameOf(target))
            }.`
          )
        )
      )
      if (endings.some(({ outcome }) => Either.isLeft(outcome) && outcome.left.reason === "JournalUnusable")) {
        return yield* new CliError.CliError({ reason: "JournalUnusable" })
      }
      const well = endings.every(({ outcome }) =>
        Either.isRight(outcome) && outcome.right.unswept.length === 0 &&
        outcome.right.outcomes.every(({ error }) => error === undefined)
      )
      if (!well || missing.length > 0) return yield* new CliError.CliError({ reason: "SomeFailed" })
    })
).pipe(Command.withDescription("Aborts uploads that were interrupted and kept, and removes what is stored of them."))

export const uploads = Command.make("uploads").pipe(
  Command.withDescription("Uploads that were interrupted and kept."),
  Command.withSubcommands([ls, abort])
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const none = "There are no unfinished uploads."

/** The journals that can be read. Problems with others are reported, and fatal for a journal that was asked for. */
const find = Effect.fnUntraced(function*(journal: Option.Option<string>) {
  const { stderr } = yield* Output
  const { journals, problems } = yield* KeptUploads.find(Option.getOrUndefined(journal))
  const [problem] = problems
  if (Option.isSome(journal) && problem !== undefined) return yield* Journals.unusable(problem)
  yield* writeLines(stderr, problems.map((error) => stderr.style.yellow(`sluice: ${printable(error.message)}`)))
  return journals
})

const failed = (detail: string) => new CliError.CliError({ reason: "SomeFailed", detail })

const printTable = Effect.fnUntraced(function*(uploads: ReadonlyArray<KeptUploads.KeptUpload>) {
  const { stdout } = yield* Output
  const now = yield* Clock.currentTimeMillis
  const columns = stdout.isTerminal ? stdout.size().columns : Infinity
  yield* writeLines(stdout, KeptUploads.table(uploads, { columns, style: stdout.style, now }))
})

/** Without a choice nothing is removed: this lists what could be aborted. */
const preview = Effect.fnUntraced(function*(uploads: ReadonlyArray<KeptUploads.KeptUpload>) {
  const { stderr } = yield* Output
  const [first] = uploads
  if (first === undefined) return yield* writeLines(stderr, [none])
  yield* printTable(uploads)
  const destination = ShellWord.of(first.destination)
  yield* writeLines(stderr, [
    "Nothing was aborted. Aborting an upload removes what is stored of it, and its file starts over. To abort",
    `  one:                   sluice uploads abort ${destination} ${ShellWord.of(first.key)}`,
    `  all to a destination:  sluice uploads abort ${destination}`,
    "  all of these:          sluice uploads abort --all"
  ])
  return yield* new CliError.CliError({ reason: "Usage" })
})

const given = (target: Targets.Target | undefined) =>
  target === undefined ? CliError.usage("The destination is missing.") : Effect.succeed(target)

/** The journals with something to abort, of one destination or of all. */
const choose = (
  journals: ReadonlyArray<KeptUploads.Found>,
  target: Targets.Target | undefined,
  keys: ReadonlyArray<string>
): ReadonlyArray<KeptUploads.Found> =>
  journals.filter(({ destination, owners, sessions }) =>
    (target === undefined || destination === Targets.nameOf(target)) &&
    (keys.length === 0
      ? sessions.length + owners.length > 0
      : sessions.some(({ key }) => keys.includes(key)))
  )

/** An address as the user typed it. */
const parse = (address: string, { endpoint, profile }: DestinationOptions.Reach) =>
  Effect.flatMap(
    Effect.mapError(
      Targets.parse(address, { endpoint: Option.getOrUndefined(endpoint), environment: process.env }),
      CliError.usage
    ),
    (target) => AwsProfile.completeTarget(target, { profile: Option.getOrUndefined(profile) }, process.env)
  )

interface Asked {
  /** The destination, if it was named. */
  readonly typed: Targets.Target | undefined
  readonly keys: ReadonlySet<string> | undefined
  readonly reach: DestinationOptions.Reach
}

const abortIn = Effect.fnUntraced(function*(found: KeptUploads.Found, { keys, reach: flags, typed }: Asked) {
  if (typed === undefined && found.destination.endsWith(Targets.hiddenQuery)) {
    return yield* failed(
      "The query of its address was not recorded. Give the full address: " +
        `sluice uploads abort '${printable(found.destination)}'.`
    )
  }
  // The journal has the complete address, whatever the environment says now.
  const target = typed ?? (yield* Effect.mapError(Targets.parse(found.destination), CliError.usage))
  const forSeveral = typed === undefined
  const settings = yield* Effect.mapError(
    DestinationOptions.settingsOf(target, flags, { forSeveral }),
    CliError.usage
  )
  return yield* Aborting.run(found, keys, reach(target, settings, found.directory)).pipe(
    Effect.catchTag("JournalError", (error) => Journals.unusable(error, "wait"))
  )
})

/** The destination. A missing directory is not created: its disk, with the uploads, may just not be mounted. */
const reach = Effect.fnUntraced(
  function*(target: Targets.Target, settings: DestinationOptions.Settings, journal: string) {
    if (target._tag === "Local") {
      yield* Effect.mapError(
        TargetLayer.checkDirectory(target.root),
        ({ message }) =>
          CliError.destinationUnusable(`${message} If it is gone for good, remove its journal, ${journal}.`)
      )
    }
    const context = yield* Layer.build(
      TargetLayer.layer(target, { ...settings, fsync: false, connections: 8, contentRange: true })
    )
    return Context.get(context, Destination)
  }
)

interface Ending {
  readonly found: KeptUploads.Found
  readonly outcome: Either.Either<Aborting.Aborted, CliError.CliError>
}

const tell = Effect.fnUntraced(function*(endings: ReadonlyArray<Ending>) {
  const { stderr } = yield* Output
  const { style } = stderr
  const outcomes = endings.flatMap(({ outcome }) => Either.isRight(outcome) ? outcome.right.outcomes : [])
  const swept = endings.reduce((sum, { outcome }) => sum + (Either.isRight(outcome) ? outcome.right.swept : 0), 0)
  const done = outcomes.filter(({ error }) => error === undefined)
  const undone = outcomes.filter(({ error }) => error !== undefined)
  const bytes = done.reduce((sum, outcome) => sum + outcome.bytes, 0)
  const lines = [
    ...(done.length > 0
      ? [
        `${style.bold(`Aborted ${Format.counted(done.length, "upload")}`)}, with ${Format.bytes(bytes)} stored of ` +
        `${done.length === 1 ? "it" : "them"}:`
      ]
      : []),
    ...firstOf(done.map(({ key }) => `  ${printable(key)}`)),
    ...(swept > 0 ? [`Removed ${Format.counted(swept, "leftover")} of a killed upload.`] : []),
    ...(undone.length > 0 ? [style.red(`Could not abort ${Format.counted(undone.length, "upload")}:`)] : []),
    ...firstOf(undone.map(({ error, key }) => `  ${failureLine(key, error?.message ?? "", 0)}`)),
    ...endings.flatMap(({ found, outcome }) =>
      Either.isLeft(outcome)
        ? [style.red(`Nothing was aborted at ${printable(found.destination)}: ${printable(outcome.left.message)}`)]
        : outcome.right.unswept.map(({ message }) =>
          style.red(
            `Leftovers of a killed upload may remain at ${printable(found.destination)}: ${printable(message)}`
          )
        )
    )
  ]
  yield* writeLines(stderr, lines)
})
