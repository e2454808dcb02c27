/**
 * Draws forecasts as SVG: for each strategy its throughput over time and the capacity of the link, and below that the
 * requests in flight and their limit. All share one time axis.
 */
import * as Format from "../terminal/Format.js"
import type { Capacity, Forecast, Moment } from "./Forecast.js"
import * as Svg from "./Svg.js"
import { escape, margin, round, text, width } from "./Svg.js"

export interface Picture {
  readonly title: string
  readonly subtitle: string
  readonly link: ReadonlyArray<Capacity>
  readonly forecasts: ReadonlyArray<Forecast>
}

/** Draws the picture. */
export const render = ({ forecasts, link, subtitle, title }: Picture): string => {
  const end = Math.max(1, ...forecasts.map(({ simulatedMillis }) => simulatedMillis))
  const x = Svg.scale(end)
  const fastest = Math.max(1, ...forecasts.flatMap(({ moments }) => paceOf(moments).map(({ value }) => value)))
  const most = Math.min(Math.max(...link.filter(({ at }) => at < end).map(capacityOf)), fastest * 1.25)
  const bottom = headerHeight + forecasts.length * (panelHeight + panelGap) - panelGap
  return Svg.render({
    title,
    subtitle,
    description: forecasts.map((forecast) => `${headingOf(forecast)}: ${summaryOf(forecast)}`),
    height: bottom + footerHeight,
    style,
    drawn: [
      legend,
      ...Svg.axis(end, x, headerHeight - 22, bottom),
      ...forecasts.flatMap((forecast, i) =>
        panel(forecast, { top: headerHeight + i * (panelHeight + panelGap), x, end, link, most })
      )
    ]
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const headerHeight = 96
const footerHeight = 44
const panelGap = 30
const headingHeight = 30
const paceHeight = 84
const betweenPlots = 20
const countHeight = 52
const panelHeight = headingHeight + paceHeight + betweenPlots + countHeight

interface Place {
  readonly top: number
  readonly x: (millis: number) => number
  readonly end: number
  readonly link: ReadonlyArray<Capacity>
  /** The bytes per second at the top of the plot. */
  readonly most: number
}

interface Point {
  readonly at: number
  readonly value: number
}

const panel = (forecast: Forecast, { end, link, most, top, x }: Place): ReadonlyArray<string> => {
  const { moments, simulatedMillis } = forecast
  const paceBase = top + headingHeight + paceHeight
  const countBase = paceBase + betweenPlots + countHeight
  const mostInFlight = Math.max(1, ...moments.flatMap(({ inFlight, limit = 0 }) => [inFlight, limit]))
  const paceY = (value: number) => paceBase - (Math.min(value, most * 1.02) / most) * paceHeight
  const countY = (value: number) => countBase - (value / mostInFlight) * countHeight
  const capacity = link.filter(({ at }) => at < end).map((step) => ({ at: step.at, value: capacityOf(step) }))
  const inFlight = moments.map(({ at, inFlight }) => ({ at, value: inFlight }))
  const limits = moments.flatMap(({ at, limit }) => limit === undefined ? [] : [{ at, value: limit }])
  const finish = round(x(simulatedMillis), 1)
  return [
    `<text class="body" x="${margin}" y="${top + 10}"><tspan class="h2">${escape(forecast.name)}</tspan>` +
    `<tspan class="muted" dx="8">${escape(forecast.detail)}</tspan></text>`,
    text(width - margin, top + 10, "body end", summaryOf(forecast)),
    area("pace", paceOf(moments), x, paceY, paceBase),
    ...(capacity.some(({ value }) => value <= most) ? [steps("capacity", capacity, x, paceY, width - margin)] : []),
    area("count", inFlight, x, countY, countBase),
    ...(limits.length > 0 ? [steps("limit", limits, x, countY, x(simulatedMillis))] : []),
    `<path class="base" d="M${margin} ${paceBase}H${width - margin}M${margin} ${countBase}H${width - margin}"/>`,
    `<path class="finish" d="M${finish} ${top + headingHeight}V${countBase}"/>`,
    text(margin, paceBase - paceHeight - 5, "tick", Format.throughput(most)),
    text(margin, countBase - countHeight - 5, "tick", `${Format.count(mostInFlight)} in flight`)
  ]
}

const capacityOf = ({ bytesPerSecond }: Capacity): number => bytesPerSecond

const headingOf = ({ detail, name }: Forecast): string => `${name}, ${detail}`

const summaryOf = ({ bytesPerSecond, failed, millis, peakInFlight }: Forecast): string =>
  [
    Format.duration(millis),
    Format.throughput(bytesPerSecond),
    `peak ${Format.count(peakInFlight)} in flight`,
    ...(failed > 0 ? [`${Format.count(failed)} failed`] : [])
  ].join(" · ")

/** The bytes per second between moments, averaged over enough of them for a readable line. */
const paceOf = (moments: ReadonlyArray<Moment>): ReadonlyArray<Point> => {
  const every = Math.max(1, Math.ceil(moments.length / 160))
  const points: Array<Point> = []
  for (let i = every; i < moments.length + every - 1; i += every) {
    const to = moments[Math.min(i, moments.length - 1)]!
    const from = moments[i - every]!
    // The bytes of a failed attempt are subtracted again.
    if (to.at > from.at) {
      points.push({ at: from.at, value: Math.max(0, (to.bytes - from.bytes) * 1_000) / (to.at - from.at) })
    }
  }
  const last = moments.at(-1)
  return last === undefined ? points : [...points, { at: last.at, value: 0 }]
}

/** A step line, which keeps each value until the next. */
const line = (points: ReadonlyArray<Point>, x: Place["x"], y: (value: number) => number): string => {
  const columns = new Map<number, number>()
  for (const { at, value } of points) columns.set(round(x(at), 1), round(y(value), 1))
  return Array.from(columns, ([column, row], i) => i === 0 ? `M${column} ${row}` : `H${column}V${row}`).join("")
}

const area = (
  className: string,
  points: ReadonlyArray<Point>,
  x: Place["x"],
  y: (value: number) => number,
  base: number
): string => {
  const first = points[0]
  const last = points.at(-1)
  return first === undefined || last === undefined
    ? ""
    : `<path class="${className}" d="${line(points, x, y)}V${base}H${round(x(first.at), 1)}Z"/>`
}

const steps = (
  className: string,
  points: ReadonlyArray<Point>,
  x: Place["x"],
  y: (value: number) => number,
  end: number
): string => `<path class="${className}" d="${line(points, x, y)}H${round(end, 1)}"/>`

const legend: string = ([
  ["pace", "throughput"],
  ["capacity", "what the link takes"],
  ["count", "in flight"],
  ["limit", "limit"]
] as const).map(([className, label], i) => {
  const at = margin + [0, 106, 252, 332][i]!
  const sign = className === "pace" || className === "count" ? `M${at} 70h16v8h-16z` : `M${at} 74h16`
  return `<path class="${className}" d="${sign}"/>` +
    text(at + 22, 78, "tick", label)
}).join("")

const style: Svg.Style = {
  light: ".pace{fill:#6cb2f5;stroke:none}.count{fill:#d5dae0;stroke:none}.capacity{stroke:#cf222e;stroke-width:1.3;" +
    "stroke-dasharray:5 3}.limit{stroke:#1f2328;stroke-width:1.4;stroke-linejoin:round}" +
    ".finish{stroke:#59636e;stroke-dasharray:2 2}",
  dark: ".pace{fill:#2f6fbf}.count{fill:#3d444d}.capacity{stroke:#f85149}.limit{stroke:#f0f6fc}.finish{stroke:#9198a1}"
}
