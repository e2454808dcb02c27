/**
 * `sluice simulate`: four strategies side by side. They run on the real engine against the simulated network, under
 * virtual time: so it takes milliseconds, and the times it tells are exact and the same for the same seed.
 */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as ByteSize from "@sluice/core/ByteSize"
import * as ByteSource from "@sluice/core/ByteSource"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Strategy from "@sluice/core/Strategy"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import * as Uploader from "@sluice/core/Uploader"
import * as UploadFile from "@sluice/core/UploadFile"
import type { UploadReport } from "@sluice/core/UploadReport"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as CliError from "../CliError.js"
import * as Format from "../Format.js"
import { decodeCount, decodeDuration, decodeRate, wrongValue } from "../options.js"
import type { Decode } from "../options.js"
import * as Output from "../Output.js"
import type { Style } from "../Style.js"
import * as Timeline from "../Timeline.js"
import * as TimelineSvg from "../TimelineSvg.js"

/** What is uploaded, over what network, and how. */
export interface Scenario {
  readonly files: number
  /** Bytes of the smallest file. */
  readonly minSize: number
  /** Bytes of the largest file. */
  readonly maxSize: number
  /** Milliseconds that each byte takes. */
  readonly latency: number
  /** The part of attempts that fail, from 0 to 1. */
  readonly failures: number
  /** Of the worker pool. */
  readonly workers: number
  /** Starts a second of the fixed rate. */
  readonly rate: number
  /** Starts a second that the adaptive rate begins with. */
  readonly baseRate: number
  readonly seed: string
}

/** The scenario's defaults. */
export const defaults: Scenario = {
  files: 100,
  minSize: 100,
  maxSize: 1_100,
  latency: 1,
  failures: 0.05,
  workers: 10,
  rate: 50,
  baseRate: 10,
  seed: "1"
}

/** What one strategy came to. */
export interface Outcome {
  readonly name: string
  readonly detail: string
  readonly report: UploadReport
  readonly attempts: ReadonlyArray<Timeline.Attempt>
}

/** Uploads the scenario's files with each strategy in turn. */
export const run = (scenario: Scenario): Effect.Effect<ReadonlyArray<Outcome>> =>
  Effect.gen(function*() {
    const random = Random.make(scenario.seed)
    const sizes = yield* Effect.replicateEffect(
      random.nextIntBetween(scenario.minSize, scenario.maxSize + 1),
      scenario.files
    )
    const files = sizes.map((size, i) => UploadFile.make(`file ${i + 1}`, ByteSource.generate(size)))
    return yield* Effect.forEach(patterns(scenario), ({ detail, name, strategy }) => {
      const recorder = Timeline.makeRecorder()
      const network = Simulated.layer({
        latencyPerByte: scenario.latency,
        failureRate: scenario.failures,
        seed: scenario.seed
      })
      return Effect.flatMap(Uploader.Uploader, (uploader) => uploader.uploadAll(files, recorder)).pipe(
        Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provide(network))),
        VirtualClock.run,
        Effect.withRandom(Random.make(scenario.seed)),
        Effect.map(({ value }) => ({ name, detail, report: value, attempts: recorder.attempts }))
      )
    })
  })

/** The outcomes as lines of text, a row for each, that fit a number of columns where they can. */
export const table = (
  outcomes: ReadonlyArray<Outcome>,
  options: { readonly columns: number; readonly style: Style }
): ReadonlyArray<string> => {
  const { columns, style } = options
  const rows = outcomes.map((outcome) => ({ ...outcome, cells: cellsOf(outcome.report) }))
  const headings = ["makespan", "files/s", "MB/s", "peak in flight", "retries", "failures"]
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map(({ cells }) => cells[i]!.length)))
  const line = (cells: ReadonlyArray<string>) => cells.map((cell, i) => `  ${cell.padStart(widths[i]!)}`).join("")
  const nameWidth = Math.max("strategy".length, ...rows.map(({ name }) => name.length))
  const detailWidth = Math.max(...rows.map(({ detail }) => detail.length))
  const cellsWidth = widths.reduce((sum, width) => sum + width + 2, 0)
  const failed = ({ report }: Outcome) => report.files.failed > 0
  if (nameWidth + cellsWidth > columns) {
    return rows.flatMap((row) => [
      `${style.bold(row.name)}: ${row.detail}`,
      ...headings.map((heading, i) => `  ${heading} ${row.cells[i]}`)
    ])
  }
  const withDetail = nameWidth + 2 + detailWidth + cellsWidth <= columns
  return [
    style.dim(`${"strategy".padEnd(nameWidth)}${withDetail ? " ".repeat(detailWidth + 2) : ""}${line(headings)}`),
    ...rows.map((row) => {
      const cells = line(row.cells)
      return `${style.bold(row.name.padEnd(nameWidth))}${withDetail ? `  ${row.detail.padEnd(detailWidth)}` : ""}${
        failed(row) ? style.red(cells) : cells
      }`
    })
  ]
}

/** The outcomes as a picture. */
export const picture = (scenario: Scenario, outcomes: ReadonlyArray<Outcome>): TimelineSvg.Picture => ({
  title: `${Format.counted(scenario.files, "file")}, ${outcomes.length} strategies`,
  subtitle: `${describe(scenario)} Time is virtual.`,
  panels: outcomes.map(({ attempts, detail, name, report }) => ({
    title: name,
    subtitle: detail,
    summary: [
      seconds(report.durationMillis),
      `peak ${Format.count(report.peakInFlight)} in flight`,
      ...(report.files.failed > 0 ? [`${Format.count(report.files.failed)} failed`] : [])
    ].join(" · "),
    makespanMillis: report.durationMillis,
    attempts
  }))
})

/** A flag that is decoded as it is read. */
const flag = <A>(
  name: string,
  placeholder: string,
  decode: Decode<A>,
  takes: string,
  byDefault: A
): Options.Options<A> =>
  Options.text(name).pipe(
    Options.withPseudoName(placeholder),
    Options.mapEffect((text) =>
      Either.fromOption(
        decode(text),
        () => ValidationError.invalidValue(HelpDoc.p(wrongValue(`--${name}`, text, takes)))
      )
    ),
    Options.optional,
    Options.map(Option.getOrElse(() => byDefault))
  )

const decodePercentage: Decode<number> = (text) => {
  const percent = Number(/^(\d+(?:\.\d+)?|\.\d+)\s*%$/.exec(text.trim())?.[1])
  return percent <= 100 ? Option.some(percent / 100) : Option.none()
}

/** The command. */
export const simulate = Command.make(
  "simulate",
  {
    files: flag("files", "N", decodeCount(1), "a whole number from 1", defaults.files).pipe(
      Options.withDescription("How many files are uploaded. Defaults to 100.")
    ),
    minSize: flag("min-size", "100B", ByteSize.parse, "a size such as 100B or 4KiB", defaults.minSize).pipe(
      Options.withDescription("The size of the smallest file. Defaults to 100B.")
    ),
    maxSize: flag("max-size", "1100B", ByteSize.parse, "a size such as 1100B or 64KiB", defaults.maxSize).pipe(
      Options.withDescription("The size of the largest file. Defaults to 1100B.")
    ),
    latency: flag("latency", "1ms", decodeDuration, "a time with a unit, such as 1ms or 0.2ms", defaults.latency).pipe(
      Options.withDescription("What each byte takes. Defaults to 1ms.")
    ),
    failures: flag("failures", "5%", decodePercentage, "a percentage, such as 5%", defaults.failures).pipe(
      Options.withDescription("How many attempts fail, and are tried again. Defaults to 5%.")
    ),
    workers: flag("workers", "N", decodeCount(1), "a whole number from 1", defaults.workers).pipe(
      Options.withDescription("Uploads in flight of the worker pool. Defaults to 10.")
    ),
    rate: flag("rate", "50/s", decodeRate, "starts a second, such as 50/s", defaults.rate).pipe(
      Options.withDescription("Starts of uploads of the fixed rate. Defaults to 50/s.")
    ),
    baseRate: flag("base-rate", "10/s", decodeRate, "starts a second, such as 10/s", defaults.baseRate).pipe(
      Options.withDescription("Starts of uploads that the adaptive rate begins with. Defaults to 10/s.")
    ),
    seed: flag("seed", "TEXT", Option.some<string>, "any text", defaults.seed).pipe(
      Options.withDescription("The same seed gives the same numbers. Defaults to 1.")
    ),
    svg: Options.text("svg").pipe(
      Options.withPseudoName("FILE"),
      Options.withDescription("Draws who was in flight when, and writes the picture to this file."),
      Options.optional
    ),
    json: Options.boolean("json").pipe(
      Options.withDescription("Prints a line of JSON for each strategy, with its report.")
    )
  },
  ({ json, svg, ...scenario }) =>
    Effect.gen(function*() {
      const { stderr, stdout } = yield* Output.Output
      if (scenario.minSize > scenario.maxSize) {
        return yield* CliError.usage(
          `--min-size is ${ByteSize.format(scenario.minSize)}, more than --max-size, ${
            ByteSize.format(scenario.maxSize)
          }.`
        )
      }
      const outcomes = yield* run(scenario)
      if (json) {
        yield* Output.writeLines(stdout, outcomes.map((outcome) => JSON.stringify(jsonOf(scenario, outcome))))
      } else {
        const columns = stdout.isTerminal ? stdout.size().columns : Infinity
        yield* Output.writeLines(stdout, [
          `${Format.counted(scenario.files, "file")} over a simulated network. ${describe(scenario)}`,
          "Time is virtual: it is what the uploads would take, exactly, and the same for the same seed.",
          "",
          ...table(outcomes, { columns, style: stdout.style })
        ])
      }
      if (Option.isSome(svg)) {
        yield* write(svg.value, TimelineSvg.render(picture(scenario, outcomes)))
        yield* Output.writeLines(stderr, [`The picture is in ${svg.value}.`])
      }
    })
).pipe(
  Command.withDescription(
    "Compares four strategies on a simulated network, in virtual time: all at once, a worker pool, a fixed rate of " +
      "starts, and a rate that follows response times."
  )
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const patterns = ({ baseRate, rate, workers }: Scenario) => [
  { name: "unlimited", detail: "all at once", strategy: Strategy.unlimited },
  { name: "worker pool", detail: Format.counted(workers, "worker"), strategy: Strategy.workerPool({ workers }) },
  {
    name: "rate limited",
    detail: `${perSecond(rate)} starts a second`,
    strategy: Strategy.rateLimited({ uploadsPerSecond: rate })
  },
  {
    name: "adaptive rate",
    detail: `${perSecond(baseRate)} starts a second at first`,
    strategy: Strategy.adaptiveRate({ base: baseRate })
  }
]

const perSecond = (rate: number): string => rate.toLocaleString("en-US", { maximumSignificantDigits: 3 })

const seconds = (millis: number): string =>
  `${(millis / 1_000).toLocaleString("en-US", { minimumFractionDigits: 3, maximumFractionDigits: 3 })} s`

const describe = ({ failures, latency, maxSize, minSize, seed }: Scenario): string =>
  [
    minSize === maxSize
      ? `${Format.count(minSize)} bytes each`
      : `${Format.count(minSize)} to ${Format.count(maxSize)} bytes each`,
    `${latency} ms a byte`,
    `${Number((failures * 100).toPrecision(3))}% of attempts fail`,
    `seed ${seed}.`
  ].join(", ")

const cellsOf = ({ bytes, durationMillis, files, peakInFlight, retries }: UploadReport): ReadonlyArray<string> => {
  const rate = (amount: number) => durationMillis === 0 ? "-" : rounded((amount * 1_000) / durationMillis)
  return [
    seconds(durationMillis),
    rate(files.uploaded),
    rate(bytes.uploaded / 1e6),
    Format.count(peakInFlight),
    Format.count(retries),
    Format.count(files.failed)
  ]
}

/** `0.041`, `14.7`, `1,234` */
const rounded = (value: number): string => {
  const digits = value < 1 ? 3 : value < 100 ? 1 : 0
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

const jsonOf = (scenario: Scenario, { detail, name, report }: Outcome) => ({
  _tag: "Simulation",
  version: 1,
  strategy: name,
  detail,
  virtualTime: true,
  scenario,
  report
})

const write = (file: string, content: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    yield* fs.writeFileString(file, content)
  }).pipe(
    Effect.mapError((error) => CliError.usage(`--svg: ${JSON.stringify(file)} cannot be written. ${error.message}`))
  )
