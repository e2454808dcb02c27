/**
 * The command line: which commands there are, what help says of them, and how each way of ending becomes an exit code.
 */
import type * as CliApp from "@effect/cli/CliApp"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as Argv from "./Argv.js"
import * as CliError from "./CliError.js"
import { simulate } from "./commands/simulate.js"
import { upload } from "./commands/upload.js"
import * as Help from "./Help.js"
import { Output, writeLines } from "./Output.js"

/** Runs what the arguments ask for, and gives the exit code. Whatever goes wrong has been told by then. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<number, never, CliApp.CliApp.Environment | Output> =>
  Effect.gen(function*() {
    const { stderr, stdout } = yield* Output
    const request = yield* Either.mapLeft(Argv.normalize(args, flags), CliError.usage)
    if (request._tag === "Help") {
      const topic = request.command === "upload"
        ? uploadHelp
        : request.command === "simulate"
        ? simulateHelp
        : sluiceHelp
      const lines = Help.render(topic, {
        columns: stdout.isTerminal ? stdout.size().columns : 100,
        style: stdout.style
      })
      return yield* writeLines(stdout, lines)
    }
    // What @effect/cli finds wrong with a value it prints itself, with empty lines around it.
    const console = yield* Console.consoleWith(Effect.succeed)
    yield* Effect.withConsole(Command.run(sluice, { name: "sluice", version })(["node", "sluice", ...request.args]), {
      ...console,
      log: (text: unknown) => stdout.write(`${String(text).trimEnd()}\n`),
      error: (text: unknown) => stderr.write(`sluice: ${String(text).trim()}\n`)
    })
  }).pipe(
    Effect.as(0),
    Effect.catchAll((error) =>
      Effect.gen(function*() {
        const { stderr } = yield* Output
        const exitCode = ValidationError.isValidationError(error) ? CliError.usage("").exitCode : error.exitCode
        const lines = ValidationError.isValidationError(error) || error.detail === undefined
          ? []
          : [`sluice: ${error.detail}`]
        yield* writeLines(stderr, exitCode === 2 ? [...lines, hint] : lines)
        return exitCode
      })
    ),
    Effect.catchAllCause((cause) =>
      Effect.gen(function*() {
        const { stderr } = yield* Output
        yield* stderr.write(`sluice: something went wrong that should not have: ${Cause.pretty(cause)}\n`)
        return 1
      })
    ),
    Effect.zipLeft(Effect.flatMap(Output, ({ stderr, stdout }) => Effect.zip(stdout.flush, stderr.flush))),
    Effect.provide(CliConfig.layer({ isCaseSensitive: true, showBuiltIns: false })),
    // What is logged goes to standard error: standard output is for results.
    Effect.provide(Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.stringLogger)))
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const sluice = Command.make("sluice").pipe(Command.withSubcommands([upload, simulate]))

const flags = new Map([
  ["upload", Argv.flagsOf(Command.getUsage(upload))],
  ["simulate", Argv.flagsOf(Command.getUsage(simulate))]
])

const { version } = Schema.decodeSync(Schema.parseJson(Schema.Struct({ version: Schema.String })))(
  fs.readFileSync(new URL("../package.json", import.meta.url), "utf8")
)

const hint = "Try sluice upload --help."

const exitCodes: ReadonlyArray<Help.Entry> = [
  ["0", "everything was uploaded"],
  ["1", "some files failed"],
  ["2", "a flag or an argument is wrong"],
  ["3", "a source is not there"],
  ["4", "the destination cannot be used: nothing was stored"],
  ["130", "stopped by Ctrl-C or SIGTERM"]
]

const sluiceHelp: Help.Topic = {
  synopsis: "sluice <command>",
  about: ["Uploads many files in parallel."],
  flags: HelpDoc.empty,
  more: [
    ["Commands", [
      ["upload", "uploads files and directories"],
      ["simulate", "compares strategies on a simulated network"]
    ]],
    ["Flags", [
      ["--help", "help; also after a command"],
      ["--version", "the version"],
      ["--completions bash|zsh|fish", "a script that completes commands and flags"]
    ]]
  ]
}

const uploadHelp: Help.Topic = {
  synopsis: "sluice upload <source>... <destination> [flags]",
  about: [
    "Uploads files and directories in parallel. Keys are the paths of files relative to their directory, and the base " +
    "names of files that are named one by one.",
    "Ctrl-C once finishes what is in flight, twice stops at once. The report is printed in every case."
  ],
  flags: Command.getHelp(upload, CliConfig.make({ showBuiltIns: false })),
  more: [
    ["Destinations", [
      ["backup, file:///mnt/backup", "a directory"],
      ["https://host/files", "a server that takes PUT; {key} in the address stands for the key"],
      ["sim:?latency=20ms&bandwidth=10MB/s&failures=5%&seed=1", "a simulated network; nothing is stored"]
    ]],
    ["Environment", [
      ["SLUICE_HTTP_TOKEN", "a bearer token for HTTP destinations"],
      ["SLUICE_HTTP_USER, SLUICE_HTTP_PASSWORD", "or a user and a password"]
    ]],
    ["Exit codes", exitCodes],
    ["Examples", [
      ["sluice upload photos /mnt/backup", "a directory to another one"],
      ["sluice upload a.jpg b.jpg https://host/files --rate 5/s", "two files to a server"],
      ["sluice upload site https://host/ --exclude .git --failed failed.ndjson", "and list what fails"],
      ["sluice upload --files-from failed.ndjson https://host/", "and upload just that"]
    ]]
  ]
}

const simulateHelp: Help.Topic = {
  synopsis: "sluice simulate [flags]",
  about: [
    "Compares four strategies on a simulated network, in virtual time: all at once, a worker pool, a fixed rate of " +
    "starts, and a rate that follows response times."
  ],
  flags: Command.getHelp(simulate, CliConfig.make({ showBuiltIns: false })),
  more: []
}
