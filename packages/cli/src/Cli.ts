/**
 * The command line: its commands, and the exit code for each way of ending.
 */
import type * as CliApp from "@effect/cli/CliApp"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as Argv from "./args/Argv.js"
import * as Help from "./args/Help.js"
import * as CliError from "./CliError.js"
import { doctor } from "./commands/doctor.js"
import { simulate } from "./commands/simulate.js"
import { upload } from "./commands/upload.js"
import { abort, ls, uploads } from "./commands/uploads.js"
import { verify } from "./commands/verify.js"
import * as OpenFiles from "./OpenFiles.js"
import { Output, writeLines } from "./terminal/Output.js"
import { printable } from "./terminal/TerminalText.js"
import * as Warnings from "./terminal/Warnings.js"
import * as Topics from "./Topics.js"

/** Runs the command in the arguments and returns the exit code. By then it has reported any problem. */
export const run = Effect.fnUntraced(
  function*(args: ReadonlyArray<string>): Effect.fn.Return<number, never, CliApp.CliApp.Environment | Output> {
    const { stderr, stdout } = yield* Output
    const exitCode = yield* Effect.exit(Warnings.toldOn(stderr)(obey(args))).pipe(
      Effect.flatMap((exit) => Exit.isSuccess(exit) ? Effect.succeed(0) : tell(exit.cause, args))
    )
    yield* stdout.flush
    const unwritten = Option.map(
      stdout.failure(),
      (cause) => `sluice: Standard output ${printable(CliError.whyNotWritten(cause))}: the output is incomplete.`
    )
    yield* writeLines(stderr, Option.toArray(unwritten))
    yield* stderr.flush
    const isWritten = Option.isNone(unwritten) && Option.isNone(stderr.failure())
    return exitCode === 0 && !isWritten ? new CliError.CliError({ reason: "SomeFailed" }).exitCode : exitCode
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const sluice = Command.make("sluice").pipe(Command.withSubcommands([upload, verify, uploads, doctor, simulate]))

const flags = new Map([
  ["upload", Argv.flagsOf(Command.getUsage(upload))],
  ["verify", Argv.flagsOf(Command.getUsage(verify))],
  ["uploads ls", Argv.flagsOf(Command.getUsage(ls))],
  ["uploads abort", Argv.flagsOf(Command.getUsage(abort))],
  ["doctor", Argv.flagsOf(Command.getUsage(doctor))],
  ["simulate", Argv.flagsOf(Command.getUsage(simulate))]
])

const { version } = Schema.decodeSync(Schema.parseJson(Schema.Struct({ version: Schema.String })))(
  fs.readFileSync(new URL("../package.json", import.meta.url), "utf8")
)

/** Runs the command or prints help. */
const obey = (args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { stdout } = yield* Output
    const request = yield* Either.mapLeft(Argv.normalize(args, flags), CliError.usage)
    if (request._tag === "Help") {
      const lines = Help.render(Topics.of(request.command), {
        columns: stdout.isTerminal ? stdout.size().columns : 100,
        style: stdout.style
      })
      return yield* writeLines(stdout, lines)
    }
    const console = yield* Console.consoleWith(Effect.succeed)
    yield* Effect.withConsole(Command.run(sluice, { name: "sluice", version })(["node", "sluice", ...request.args]), {
      ...console,
      log: (text: unknown) => stdout.write(`${String(text).trimEnd()}\n`),
      // Problems that @effect/cli finds also arrive as errors, and are reported as such.
      error: () => Effect.void
    })
  }).pipe(Effect.provide(CliConfig.layer({ isCaseSensitive: true, showBuiltIns: false })))

/** Reports what went wrong, and returns the exit code for it. */
const tell = <E>(cause: Cause.Cause<E>, args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { stderr } = yield* Output
    const error = Option.getOrUndefined(Cause.failureOption(cause))
    if (ValidationError.isValidationError(error)) {
      yield* writeLines(stderr, [`sluice: ${printable(Help.plain(error.error))}`, hintFor(args)])
      return CliError.usage("").exitCode
    }
    if (error instanceof CliError.CliError) {
      const { detail, exitCode } = error
      const lines = detail === undefined
        ? []
        : [`sluice: ${printable(detail)}`, ...(exitCode === 2 ? [hintFor(args)] : [])]
      yield* writeLines(stderr, lines)
      return exitCode
    }
    if (Cause.failures(cause).length === 0 && Option.exists(Cause.dieOption(cause), isNowhere)) {
      yield* writeLines(stderr, [`sluice: ${nowhere.message}`])
      return nowhere.exitCode
    }
    const tooFew = Chunk.findFirst(
      Chunk.appendAll(Chunk.map(Cause.failures(cause), (failure): unknown => failure), Cause.defects(cause)),
      (problem) => OpenFiles.problemOf(problem) !== undefined
    )
    if (Option.isSome(tooFew)) {
      yield* writeLines(stderr, [`sluice: ${OpenFiles.problemOf(tooFew.value)}`])
      return OpenFiles.exitCode
    }
    const trace = Cause.pretty(cause).split("\n").map(printable)
    yield* writeLines(stderr, [`sluice: unexpected error, which is a bug in sluice: ${trace.join("\n")}`])
    return 1
  })

/** Whether a relative path could not be resolved because the current directory no longer exists. */
const isNowhere = (defect: unknown): boolean => Predicate.hasProperty(defect, "syscall") && defect.syscall === "uv_cwd"

const nowhere = CliError.usage("The current directory no longer exists. Change to another one, or give absolute paths.")

/** Where to find help about what was typed. */
const hintFor = (args: ReadonlyArray<string>): string => {
  const command = Argv.commandOf(args, flags)
  return `Try sluice ${command === undefined ? "" : `${command} `}--help.`
}
