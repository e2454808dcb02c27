/**
 * Renders forecasts as text, with the table, the assumptions and the recommendation; and as JSON.
 */
import * as ByteSize from "@sluice/core/ByteSize"
import * as Schema from "effect/Schema"
import * as UploadOptions from "../args/UploadOptions.js"
import * as Format from "../terminal/Format.js"
import * as Json from "../terminal/Json.js"
import type { Style } from "../terminal/Style.js"
import { printable } from "../terminal/TerminalText.js"
import * as Forecast from "./Forecast.js"
import type { Workload } from "./Workload.js"

/** Forecasts, and what they are for. */
export interface Told {
  readonly workload: Workload
  readonly settings: Forecast.Settings
  readonly forecasts: ReadonlyArray<Forecast.Forecast>
  /** The source as the user typed it; `undefined` for files of random sizes. */
  readonly source: string | undefined
}

/** The complete text for a user. */
export const lines = (
  told: Told,
  options: { readonly columns: number; readonly style: Style }
): ReadonlyArray<string> => {
  const recommended = advice(told)
  return [
    `${describe(told.workload)}, over a simulated network.`,
    ...assumptions(told),
    "",
    ...table(told.forecasts, options),
    ...(recommended.length > 0 ? ["", ...recommended] : [])
  ]
}

/** The workload: `1,234 files, 5.6 GB`. */
export const describe = ({ bytes, leftOut, sizes }: Workload): string =>
  `${Format.counted(sizes.length, "file")}, ${Format.bytes(bytes)}${
    leftOut > 0 ? `; ${Format.count(leftOut)} more cannot be uploaded or are of unknown size` : ""
  }`

/** A strategy's forecast, as a line of `--json`. */
export const Prediction = Schema.TaggedStruct("Prediction", {
  version: Schema.Literal(1),
  strategy: Schema.String,
  detail: Schema.String,
  /** The flags to add to `sluice upload`. */
  flags: Schema.Array(Schema.String),
  durationMillis: Schema.Number,
  throughputBytesPerSecond: Schema.Number,
  peakInFlight: Schema.Number,
  retries: Schema.Number,
  failed: Schema.Number,
  /** The number of simulated files. */
  simulated: Schema.Number
})

/** The last line of `--json`. */
export const Recommendation = Schema.TaggedStruct("Recommendation", {
  version: Schema.Literal(1),
  files: Schema.Number,
  bytes: Schema.Number,
  /** The number of listed items that cannot be uploaded or are of unknown size. */
  leftOut: Schema.Number,
  network: Schema.Struct({
    link: Schema.Array(Schema.Struct({ at: Schema.Number, bytesPerSecond: Schema.Number })),
    bytesPerSecond: Schema.Number,
    roundTripMillis: Schema.Number,
    requestMillis: Schema.Number,
    errors: Schema.Number,
    throttleAbove: Schema.optional(Schema.Number),
    retryAfterMillis: Schema.optional(Schema.Number)
  }),
  partSize: Schema.Number,
  seed: Schema.String,
  /** The name and the flags of the recommended strategy; absent if only one was tried. */
  strategy: Schema.optional(Schema.String),
  flags: Schema.optional(Schema.Array(Schema.String))
})

/** The network in words. */
export const networkOf = (network: Forecast.Network): string => {
  const [first, ...later] = network.link
  return [
    `${Format.throughput(first?.bytesPerSecond ?? 0)} in all${
      later.map(({ at, bytesPerSecond }) => `, ${Format.throughput(bytesPerSecond)} from ${Format.duration(at)} on`)
        .join("")
    }`,
    `${Format.throughput(network.bytesPerSecond)} per connection`,
    `${Format.duration(network.roundTripMillis)} round trip`,
    ...(network.requestMillis > 0 ? [`${Format.duration(network.requestMillis)} per request`] : []),
    `${network.errors === 0 ? "no" : `${Number((network.errors * 100).toPrecision(3))}% of`} requests fail`,
    ...(network.throttleAbove === undefined
      ? []
      : [
        `more than ${network.throttleAbove} at once are refused${
          network.retryAfterMillis === undefined ? "" : ` for ${Format.duration(network.retryAfterMillis)}`
        }`
      ])
  ].join(", ")
}

/** Everything as lines of JSON. */
export const json = ({ forecasts, settings, workload }: Told): ReadonlyArray<string> => {
  const best = forecasts.length < 2 ? undefined : Forecast.best(forecasts)
  const predictions: ReadonlyArray<typeof Prediction.Type> = forecasts.map((forecast) => ({
    _tag: "Prediction",
    version: 1,
    strategy: forecast.name,
    detail: forecast.detail,
    flags: forecast.flags,
    durationMillis: Math.round(forecast.millis),
    throughputBytesPerSecond: Math.round(forecast.bytesPerSecond),
    peakInFlight: forecast.peakInFlight,
    retries: forecast.retries,
    failed: forecast.failed,
    simulated: forecast.simulated
  }))
  const recommendation: typeof Recommendation.Type = {
    _tag: "Recommendation",
    version: 1,
    files: workload.sizes.length,
    bytes: workload.bytes,
    leftOut: workload.leftOut,
    network: settings.network,
    partSize: settings.partSize,
    seed: settings.seed,
    ...(best !== undefined && { strategy: best.name, flags: [...best.flags, ...partFlags(settings)] })
  }
  return [...predictions, recommendation].map(Json.line)
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The assumptions, as sentences. */
const assumptions = ({ forecasts, settings, workload }: Omit<Told, "source">): ReadonlyArray<string> => {
  const simulated = Math.max(0, ...forecasts.map(({ simulated }) => simulated))
  return [
    `Assumed: ${networkOf(settings.network)}, parts of ${ByteSize.format(settings.partSize)}, seed ${
      printable(settings.seed)
    }.`,
    "The disk keeps up, connections are open, and nothing else uses the link.",
    ...(simulated < workload.sizes.length
      ? [
        `${Format.count(simulated)} of the files were simulated, with representative sizes; the rest is extrapolated.`
      ]
      : [])
  ]
}

/** The forecasts as lines that fit a number of columns if possible. */
const table = (
  forecasts: ReadonlyArray<Forecast.Forecast>,
  { columns, style }: { readonly columns: number; readonly style: Style }
): ReadonlyArray<string> => {
  const headings = ["time", "throughput", "peak in flight", "retries", "failed"]
  const rows = forecasts.map((forecast) => ({
    forecast,
    label: forecast.detail === "" ? forecast.name : `${forecast.name}, ${forecast.detail}`,
    cells: [
      Format.duration(forecast.millis),
      Format.throughput(forecast.bytesPerSecond),
      Format.count(forecast.peakInFlight),
      Format.count(forecast.retries),
      Format.count(forecast.failed)
    ]
  }))
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map(({ cells }) => cells[i]!.length)))
  const labelWidth = Math.max("strategy".length, ...rows.map(({ label }) => label.length))
  const line = (cells: ReadonlyArray<string>) => cells.map((cell, i) => `  ${cell.padStart(widths[i]!)}`).join("")
  const paint = ({ failed }: Forecast.Forecast) => failed > 0 ? style.red : (text: string) => text
  if (labelWidth + line(headings).length > columns) {
    return rows.flatMap(({ cells, forecast, label }) => [
      style.bold(label),
      ...headings.map((heading, i) => paint(forecast)(`  ${heading} ${cells[i]}`))
    ])
  }
  return [
    style.dim(`${"strategy".padEnd(labelWidth)}${line(headings)}`),
    ...rows.map(({ cells, forecast, label }) =>
      `${style.bold(label.padEnd(labelWidth))}${paint(forecast)(line(cells))}`
    )
  ]
}

/** The recommendation and its command. Empty if there is nothing to choose from. */
const advice = ({ forecasts, settings, source }: Omit<Told, "workload">): ReadonlyArray<string> => {
  const best = Forecast.best(forecasts)
  if (best === undefined || forecasts.length < 2) return []
  const quickest = Math.min(...forecasts.filter(({ failed }) => failed <= best.failed).map(({ millis }) => millis))
  const behind = best.millis - quickest
  const name = `${best.name}, ${best.detail}`
  const speed = behind < Math.max(1, quickest / 100)
    ? "as fast as any"
    : `${behind < 2_000 ? Format.duration(behind) : `${Math.round((behind / quickest) * 100)}%`} behind the fastest`
  const why = best.name === Forecast.adaptive
    ? `${speed}, and it adapts if the network is not as assumed`
    : speed
  return [
    `Recommended: ${name}: ${why}.${
      best.failed > 0 ? ` Even so, ${Format.counted(best.failed, "file")} would fail: raise --retries.` : ""
    }`,
    `  ${commandOf(best, settings, source)}`
  ]
}

const partFlags = ({ partSize }: Forecast.Settings): ReadonlyArray<string> =>
  partSize === Forecast.defaultPartSize ? [] : ["--part-size", UploadOptions.sizeText(partSize)]

const commandOf = (
  { flags }: Forecast.Forecast,
  settings: Forecast.Settings,
  source: string | undefined
): string => ["sluice upload", source ?? "SOURCE", "DESTINATION", ...flags, ...partFlags(settings)].join(" ")
