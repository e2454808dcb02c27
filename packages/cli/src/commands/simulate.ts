/**
 * `sluice simulate [<source>...]`: predicts how long uploads would take under each strategy, over a given network;
 * without a source or a network, compares four strategies side by side.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as ByteSize from "@sluice/core/ByteSize"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as SimulateOptions from "../args/SimulateOptions.js"
import * as CliError from "../CliError.js"
import * as Candidates from "../simulate/Candidates.js"
import * as Forecast from "../simulate/Forecast.js"
import * as ForecastSvg from "../simulate/ForecastSvg.js"
import * as ForecastText from "../simulate/ForecastText.js"
import * as Simulation from "../simulate/Simulation.js"
import * as TimelineSvg from "../simulate/TimelineSvg.js"
import * as Workload from "../simulate/Workload.js"
import * as Filter from "../sources/Filter.js"
import * as FilterText from "../sources/FilterText.js"
import * as Sources from "../sources/Sources.js"
import * as Format from "../terminal/Format.js"
import * as Output from "../terminal/Output.js"
import * as OutputPaths from "../terminal/OutputPaths.js"
import * as Report from "../terminal/Report.js"
import * as ShellWord from "../terminal/ShellWord.js"
import { printable } from "../terminal/TerminalText.js"

const sources = Args.text({ name: "source" }).pipe(
  Args.withDescription("Files and directories that would be uploaded. Only their names and sizes are read."),
  Args.repeated
)

/** The command. */
export const simulate = Command.make(
  "simulate",
  { sources, ...SimulateOptions.simulate },
  (flags) =>
    flags.sources.length > 0 || SimulateOptions.given(flags, "network").length > 0 ? plan(flags) : compare(flags)
).pipe(
  Command.withDescription(
    "Predicts how long uploads would take under each strategy, over the network that you describe, and recommends a " +
      "strategy. With neither a source nor a network, it compares four strategies: all at once, a worker pool, a fixed " +
      "rate of starts, and a rate that follows response times."
  )
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Flags = Command.Command.ParseConfig<{ readonly sources: typeof sources } & typeof SimulateOptions.simulate>

/** A forecast for a tree, or for files of random sizes. */
const plan = Effect.fnUntraced(function*(flags: Flags) {
  const { stderr, stdout } = yield* Output.Output
  const stray = SimulateOptions.given(flags, "comparison")
  if (stray.length > 0) {
    return yield* CliError.usage(
      `${stray.join(" and ")} ${stray.length === 1 ? "does" : "do"} not apply with a source or a network: use --rtt, ` +
        "--per-connection and --errors."
    )
  }
  const only = yield* Effect.mapError(SimulateOptions.strategiesOf(flags.strategy), CliError.usage)
  const settings = settingsOf(flags)
  const workload = yield* workloadOf(flags)
  const candidates = yield* Effect.mapError(
    Candidates.make({
      network: settings.network,
      whole: Workload.all(workload, Forecast.termsOf(settings)),
      workers: Option.getOrUndefined(flags.workers),
      rate: Option.getOrUndefined(flags.rate),
      only
    }),
    CliError.usage
  )
  const forecasts = yield* Effect.forEach(candidates, (candidate, i) =>
    Effect.zipRight(
      stderr.isTerminal
        ? stderr.write(`\rSimulating ${i + 1} of ${candidates.length}: ${candidate.name}\u001b[K`)
        : Effect.void,
      Forecast.run(workload, candidate, settings)
    )).pipe(Effect.ensuring(stderr.isTerminal ? stderr.write("\r\u001b[K") : Effect.void))
  const told = { workload, settings, forecasts, source: sourceOf(flags) }
  if (flags.json) yield* Output.writeLines(stdout, ForecastText.json(told))
  else {
    const columns = stdout.isTerminal ? stdout.size().columns : Infinity
    yield* Output.writeLines(stdout, ForecastText.lines(told, { columns, style: stdout.style }))
  }
  yield* draw(flags, () =>
    ForecastSvg.render({
      title: `${ForecastText.describe(workload)}, uploaded in ${Format.counted(forecasts.length, "way")}`,
      subtitle: ForecastText.networkOf(settings.network),
      link: settings.network.link,
      forecasts
    }))
})

const settingsOf = (flags: Flags): Forecast.Settings => {
  const link = Option.getOrElse(flags.link, () => [{ at: 0, bytesPerSecond: 100e6 }])
  return {
    network: {
      link,
      bytesPerSecond: Option.getOrElse(flags.perConnection, () => (link[0]?.bytesPerSecond ?? 100e6) / 10),
      roundTripMillis: Option.getOrElse(flags.rtt, () => 50),
      requestMillis: Option.getOrElse(flags.requestLatency, () => 0),
      errors: Option.getOrElse(flags.errors, () => 0),
      throttleAbove: Option.getOrUndefined(flags.throttleAbove),
      retryAfterMillis: Option.getOrUndefined(flags.retryAfter)
    },
    partSize: Option.getOrElse(flags.partSize, () => Forecast.defaultPartSize),
    seed: seedOf(flags)
  }
}

const seedOf = (flags: Flags): string => Option.getOrElse(flags.seed, () => Simulation.defaults.seed)

/** The sizes of the files: those of a tree, or random ones. */
const workloadOf = (flags: Flags) =>
  Effect.gen(function*() {
    if (flags.sources.length === 0) {
      const { files, maxSize, minSize } = yield* randomFiles(flags)
      const random = Random.make(seedOf(flags))
      return Workload.make(yield* Effect.replicateEffect(random.nextIntBetween(minSize, maxSize + 1), files))
    }
    const stray = SimulateOptions.given(flags, "files")
    if (stray.length > 0) {
      return yield* CliError.usage(
        `${stray.join(" and ")} is for made-up files: remove the source, or ${
          stray.length === 1 ? "this flag" : "these flags"
        }.`
      )
    }
    const filter = yield* Effect.mapError(Filter.makeCounting(flags), CliError.usage)
    const { items } = yield* Sources.fromPaths(flags.sources, { filter, followSymlinks: flags.followSymlinks })
    const workload = yield* Workload.fromItems(items)
    if (workload.sizes.length > 0) return workload
    const { leftOut, unmatched } = Report.filtered(filter, FilterText.around(flags.sources))
    const { stderr } = yield* Output.Output
    yield* Output.writeLines(stderr, [...leftOut, ...unmatched])
    return yield* CliError.sourceNotFound("There are no files to upload.")
  })

const randomFiles = (flags: Flags) => {
  const files = Option.getOrElse(flags.files, () => Simulation.defaults.files)
  const minSize = Option.getOrElse(flags.minSize, () => Simulation.defaults.minSize)
  const maxSize = Option.getOrElse(flags.maxSize, () => Simulation.defaults.maxSize)
  return minSize <= maxSize
    ? Effect.succeed({ files, minSize, maxSize })
    : CliError.usage(`--min-size is ${ByteSize.format(minSize)}, more than --max-size, ${ByteSize.format(maxSize)}.`)
}

/** The sources, as the user would type them again. */
const sourceOf = ({ sources }: Flags): string | undefined =>
  sources.length === 0
    ? undefined
    : sources.map(ShellWord.of).join(" ")

/** Four strategies side by side, byte by byte. */
const compare = Effect.fnUntraced(function*(flags: Flags) {
  const { stdout } = yield* Output.Output
  const scenario: Simulation.Scenario = {
    ...(yield* randomFiles(flags)),
    latencyMillis: Option.getOrElse(flags.latency, () => Simulation.defaults.latencyMillis),
    failureRate: Option.getOrElse(flags.failures, () => Simulation.defaults.failureRate),
    workers: Option.getOrElse(flags.workers, () => Simulation.defaults.workers),
    uploadsPerSecond: Option.getOrElse(flags.rate, () => Simulation.defaults.uploadsPerSecond),
    baseUploadsPerSecond: Option.getOrElse(flags.baseRate, () => Simulation.defaults.baseUploadsPerSecond),
    seed: seedOf(flags)
  }
  const outcomes = yield* Simulation.run(scenario)
  if (flags.json) {
    yield* Output.writeLines(stdout, outcomes.map((outcome) => Simulation.json(scenario, outcome)))
  } else {
    const columns = stdout.isTerminal ? stdout.size().columns : Infinity
    yield* Output.writeLines(stdout, [
      `${Format.counted(scenario.files, "file")} over a simulated network. ${Simulation.describe(scenario)}`,
      "Time is virtual: exactly what the uploads would take, and the same for the same seed.",
      "",
      ...Simulation.table(outcomes, { columns, style: stdout.style })
    ])
  }
  yield* draw(flags, () => TimelineSvg.render(Simulation.picture(scenario, outcomes)))
})

/** Writes the picture, if one was asked for. */
const draw = ({ svg }: Flags, picture: () => string) =>
  Option.match(svg, {
    onNone: () => Effect.void,
    onSome: (file) =>
      Effect.gen(function*() {
        const { stderr } = yield* Output.Output
        yield* OutputPaths.check([{ flag: "--svg", file }], { printsLines: true })
        const fs = yield* FileSystem.FileSystem
        const path = yield* Path.Path
        yield* fs.makeDirectory(path.dirname(file), { recursive: true }).pipe(
          Effect.zipRight(fs.writeFileString(file, picture())),
          Effect.mapError((error) =>
            CliError.usage(`--svg: ${JSON.stringify(file)} cannot be written. ${error.message}`)
          )
        )
        yield* Output.writeLines(stderr, [`The picture is in ${printable(file)}.`])
      })
  })
