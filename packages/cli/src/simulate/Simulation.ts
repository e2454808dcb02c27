/**
 * Runs four strategies on the real engine over the simulated network, in virtual time. So it is quick, and its times
 * are exact and the same for the same seed.
 */
import * as ByteSource from "@sluice/core/ByteSource"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Strategy from "@sluice/core/Strategy"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import * as Uploader from "@sluice/core/Uploader"
import * as UploadFile from "@sluice/core/UploadFile"
import type { UploadReport } from "@sluice/core/UploadReport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Format from "../terminal/Format.js"
import * as Json from "../terminal/Json.js"
import type { Style } from "../terminal/Style.js"
import { printable } from "../terminal/TerminalText.js"
import * as Timeline from "./Timeline.js"
import type { Picture } from "./TimelineSvg.js"

/** The files, the network and the strategies. */
export interface Scenario {
  readonly files: number
  /** The size of the smallest file, in bytes. */
  readonly minSize: number
  /** The size of the largest file, in bytes. */
  readonly maxSize: number
  /** The milliseconds that each byte takes. */
  readonly latencyMillis: number
  /** The share of attempts that fail, from 0 to 1. */
  readonly failureRate: number
  /** The size of the worker pool. */
  readonly workers: number
  /** The fixed rate, in starts per second. */
  readonly uploadsPerSecond: number
  /** The initial value of the adaptive rate, in starts per second. */
  readonly baseUploadsPerSecond: number
  readonly seed: string
}

/** The scenario's defaults. */
export const defaults: Scenario = {
  files: 100,
  minSize: 100,
  maxSize: 1_100,
  latencyMillis: 1,
  failureRate: 0.05,
  workers: 10,
  uploadsPerSecond: 50,
  baseUploadsPerSecond: 10,
  seed: "1"
}

/** The outcome for one strategy. */
export interface Outcome {
  readonly name: string
  readonly detail: string
  readonly report: UploadReport
  readonly attempts: ReadonlyArray<Timeline.Attempt>
}

/** Uploads the scenario's files with each strategy in turn. */
export const run = Effect.fnUntraced(function*(scenario: Scenario): Effect.fn.Return<ReadonlyArray<Outcome>> {
  const random = Random.make(scenario.seed)
  const sizes = yield* Effect.replicateEffect(
    random.nextIntBetween(scenario.minSize, scenario.maxSize + 1),
    scenario.files
  )
  // Each strategy gets the same files, and the same attempts fail, counted from the first.
  const files = sizes.map((size, i) => UploadFile.make(`file ${i + 1}`, ByteSource.generate(size)))
  return yield* Effect.forEach(patterns(scenario), ({ detail, name, strategy }) => {
    const recorder = Timeline.makeRecorder()
    const network = Simulated.layer({
      latencyPerByte: scenario.latencyMillis,
      failureRate: scenario.failureRate,
      seed: scenario.seed
    })
    return Effect.flatMap(Uploader.Uploader, (uploader) => uploader.uploadAll(files, { onEvent: recorder.onEvent }))
      .pipe(
        Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provide(network))),
        VirtualClock.run,
        Effect.withRandom(Random.make(scenario.seed)),
        Effect.map(({ value }) => ({ name, detail, report: value, attempts: recorder.attempts }))
      )
  })
})

/** The outcomes as lines of text, one row each, that fit a number of columns if possible. */
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
export const picture = (scenario: Scenario, outcomes: ReadonlyArray<Outcome>): Picture => ({
  title: `${outcomes.length} ways to upload ${Format.counted(scenario.files, "file")}`,
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

/** An outcome as a line of JSON. */
export const json = (scenario: Scenario, { detail, name, report }: Outcome): string =>
  Json.line({ _tag: "Simulation", version: 1, strategy: name, detail, virtualTime: true, scenario, report })

/** The scenario in words. */
export const describe = ({ failureRate, latencyMillis, maxSize, minSize, seed }: Scenario): string =>
  [
    minSize === maxSize
      ? `${Format.count(minSize)} bytes each`
      : `${Format.count(minSize)} to ${Format.count(maxSize)} bytes each`,
    `${latencyMillis} ms a byte`,
    `${Number((failureRate * 100).toPrecision(3))}% of attempts fail`,
    `seed ${printable(seed)}.`
  ].join(", ")

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const patterns = ({ baseUploadsPerSecond, uploadsPerSecond, workers }: Scenario) => [
  { name: "unlimited", detail: "all at once", strategy: Strategy.unlimited },
  { name: "worker pool", detail: Format.counted(workers, "worker"), strategy: Strategy.workerPool({ workers }) },
  {
    name: "rate limited",
    detail: `${perSecond(uploadsPerSecond)} starts a second`,
    strategy: Strategy.rateLimited({ uploadsPerSecond })
  },
  {
    name: "adaptive rate",
    detail: `${perSecond(baseUploadsPerSecond)} starts a second at first`,
    strategy: Strategy.adaptiveRate({ base: baseUploadsPerSecond })
  }
]

const perSecond = (rate: number): string => rate.toLocaleString("en-US", { maximumSignificantDigits: 3 })

const seconds = (millis: number): string =>
  `${(millis / 1_000).toLocaleString("en-US", { minimumFractionDigits: 3, maximumFractionDigits: 3 })} s`

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
