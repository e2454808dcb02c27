/**
 * Draws timelines as SVG: a panel for each strategy on one time axis, a bar for each attempt, and a line for the number
 * in flight.
 *
 * The colours follow the viewer's preference for light or dark. The size is bounded: lanes thinner than a line are left
 * out evenly, and bars too short to tell apart are drawn as one.
 */
import * as Svg from "./Svg.js"
import { escape, margin, round, text, width } from "./Svg.js"
import * as Timeline from "./Timeline.js"

export interface Panel {
  readonly title: string
  /** Details that the title does not mention. */
  readonly subtitle: string
  /** The results, such as makespan and peak. */
  readonly summary: string
  /** Since the start of the run, in milliseconds. */
  readonly makespanMillis: number
  readonly attempts: ReadonlyArray<Timeline.Attempt>
}

export interface Picture {
  readonly title: string
  readonly subtitle: string
  readonly panels: ReadonlyArray<Panel>
}

/** Draws the picture. */
export const render = ({ panels, subtitle, title }: Picture): string => {
  const end = Math.max(1, ...panels.map((panel) => panel.makespanMillis))
  const x = Svg.scale(end)
  let top = headerHeight
  const drawn = panels.map((panel) => {
    const place = layOut(panel, top)
    top = place.bottom + panelGap
    return drawPanel(panel, place, x)
  })
  const plotBottom = top - panelGap
  const height = plotBottom + footerHeight
  return Svg.render({
    title,
    subtitle,
    description: panels.map((panel) => `${panel.title}: ${panel.summary}`),
    height,
    style,
    drawn: [legend(panels), ...Svg.axis(end, x, headerHeight - 22, plotBottom), ...drawn.flat()]
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const headerHeight = 88
const footerHeight = 44
const panelGap = 26
const headingHeight = 22
const tallest = 150
const thickestLane = 8
const thinnestLane = 0.75

/** The layout of a panel: its heading, its lanes from `base` upwards, each `lane` high; one in `every` is drawn. */
interface Place {
  readonly top: number
  readonly base: number
  readonly bottom: number
  readonly lanes: ReadonlyArray<ReadonlyArray<Timeline.Attempt>>
  readonly every: number
  readonly lane: number
}

const layOut = ({ attempts }: Panel, top: number): Place => {
  const lanes = Timeline.lanes(attempts)
  const every = Math.max(1, Math.ceil(lanes.length / (tallest / thinnestLane)))
  const count = Math.ceil(lanes.length / every)
  const lane = Math.min(thickestLane, tallest / Math.max(1, count))
  const base = round(top + headingHeight + Math.max(lane * count, 24), 1)
  return { top, base, bottom: base, lanes, every, lane }
}

const drawPanel = (panel: Panel, place: Place, x: (millis: number) => number): ReadonlyArray<string> => {
  const { base, every, lane, lanes, top } = place
  const paths = new Map<Kind, string>()
  for (let i = 0; i < lanes.length; i += every) {
    const y = base - (i / every + 0.5) * lane
    for (const [kind, path] of bars(lanes[i]!, x, y)) paths.set(kind, (paths.get(kind) ?? "") + path)
  }
  const left = every > 1 ? ` · one lane in ${every} is drawn` : ""
  const finish = round(x(panel.makespanMillis), 1)
  return [
    `<text class="body" x="${margin}" y="${top + 10}"><tspan class="h2">${escape(panel.title)}</tspan>` +
    `<tspan class="muted" dx="8">${escape(panel.subtitle + left)}</tspan></text>`,
    text(width - margin, top + 10, "body end", panel.summary),
    ...[...paths].map(([kind, path]) => `<path class="${kind}" stroke-width="${thickness(lane)}" d="${path}"/>`),
    inFlight(panel.attempts, x, (count) => base - (count / every) * lane),
    `<path class="base" d="M${margin} ${base}H${width - margin}"/>`,
    `<path class="finish" d="M${finish} ${round(top + headingHeight - 4, 1)}V${base}"/>`
  ]
}

const kinds = ["stored", "again", "failed", "cut"] as const

type Kind = (typeof kinds)[number]

const legendTexts: Record<Kind, string> = {
  stored: "stored",
  again: "stored by a retry",
  failed: "failed attempt",
  cut: "interrupted"
}

const kindOf = ({ attempt, outcome }: Timeline.Attempt): Kind =>
  outcome === "Failed" ? "failed" : outcome === "Interrupted" ? "cut" : attempt > 1 ? "again" : "stored"

/** The bars of one lane, a path for each kind. Bars that leave no visible gap between them become one. */
const bars = (lane: ReadonlyArray<Timeline.Attempt>, x: (millis: number) => number, y: number): Map<Kind, string> => {
  const joined: Array<{ readonly kind: Kind; readonly from: number; to: number }> = []
  for (const attempt of lane) {
    const kind = kindOf(attempt)
    const from = x(attempt.startedAt)
    const length = x(attempt.endedAt) - from
    // Bars in a lane often follow each other immediately: a gap separates them.
    const to = from + length - Math.min(1, length / 4)
    const last = joined.at(-1)
    if (last?.kind === kind && from - last.to < narrowestGap) last.to = to
    else joined.push({ kind, from, to })
  }
  const paths = new Map<Kind, string>()
  for (const { from, kind, to } of joined) {
    const length = round(Math.max(to - from, shortestBar), 1)
    paths.set(kind, `${paths.get(kind) ?? ""}M${round(from, 1)} ${round(y, 2)}h${length}`)
  }
  return paths
}

const shortestBar = 0.6

const narrowestGap = 0.4

const thickness = (lane: number): number => round(lane >= 3 ? lane - 1.2 : lane >= 1.5 ? lane * 0.75 : lane, 2)

/** The line for the number in flight: the highest level at each pixel, to compare with a limit. */
const inFlight = (
  attempts: ReadonlyArray<Timeline.Attempt>,
  x: (millis: number) => number,
  y: (count: number) => number
): string => {
  const columns = new Map<number, number>()
  for (const { at, count } of Timeline.levels(attempts)) {
    const column = Math.round(x(at))
    columns.set(column, Math.max(count, columns.get(column) ?? 0))
  }
  const steps = Array.from(columns, ([column, count]) => `H${column}V${round(y(count), 1)}`).join("")
  const path = `M${margin} ${round(y(0), 1)}${steps}V${round(y(0), 1)}`
  return `<path class="halo" d="${path}"/><path class="level" d="${path}"/>`
}

const legend = (panels: ReadonlyArray<Panel>): string => {
  const shown = kinds.filter((kind) =>
    kind === "stored" || panels.some(({ attempts }) => attempts.some((attempt) => kindOf(attempt) === kind))
  )
  const entries: Array<readonly [className: string, label: string]> = [
    ...shown.map((kind) => [kind, legendTexts[kind]] as const),
    ["level", "number in flight"]
  ]
  let right = width - margin
  return entries
    .toReversed()
    .map(([className, label]) => {
      const labelWidth = label.length * 6.4
      right -= labelWidth
      const at = right
      right -= 42
      return `<path class="${className}" stroke-width="${className === "level" ? 1.5 : 6}" d="M${
        round(at - 22, 1)
      } 30h16"/>` +
        text(round(at, 1), 34, "tick", label)
    })
    .join("")
}

const style: Svg.Style = {
  light: ".stored{stroke:#6cb2f5}.again{stroke:#e0a030}.failed{stroke:#d1242f}.cut{stroke:#9aa4ae}" +
    ".level{stroke:#1f2328;stroke-width:1.4;stroke-linejoin:round}.halo{stroke:#fff;stroke-width:3.4;stroke-opacity:.7}" +
    ".finish{stroke:#59636e;stroke-dasharray:2 2}",
  dark: ".stored{stroke:#2f6fbf}.again{stroke:#d29922}.failed{stroke:#f85149}.cut{stroke:#656c76}" +
    ".level{stroke:#f0f6fc}.halo{stroke:#0d1117}.finish{stroke:#9198a1}"
}
