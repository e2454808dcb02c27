/**
 * The common parts of pictures: background, time axis, text. Their colours follow the viewer's preference for light or
 * dark.
 */

/** The width of every picture, in pixels. */
export const width = 960

/** The margin on the left and on the right. */
export const margin = 28

/** Colours, as CSS. */
export interface Style {
  readonly light: string
  /** The colours that differ on a dark background. */
  readonly dark: string
}

/** A picture with a height and contents. */
export const render = ({ description, drawn, height, style, subtitle, title }: {
  readonly title: string
  readonly subtitle: string
  /** A description for screen readers. */
  readonly description: ReadonlyArray<string>
  readonly height: number
  /** Styles in addition to the common ones. */
  readonly style: Style
  readonly drawn: ReadonlyArray<string>
}): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    "role=\"img\" aria-labelledby=\"title desc\">",
    `<title id="title">${escape(title)}</title>`,
    `<desc id="desc">${escape([subtitle, ...description].join(". "))}</desc>`,
    `<style>${common.light}${style.light}@media(prefers-color-scheme:dark){${common.dark}${style.dark}}</style>`,
    `<rect class="paper" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>`,
    text(margin, 34, "h1", title),
    text(margin, 54, "muted", subtitle),
    ...drawn,
    "</svg>",
    ""
  ].join("\n")

/** The position of an instant, on an axis that ends at `endMillis`. */
export const scale = (endMillis: number) => (millis: number): number =>
  margin + (millis / endMillis) * (width - 2 * margin)

/** The time axis: a line from `top` to `bottom` for each instant, with its label below. */
export const axis = (
  end: number,
  x: (millis: number) => number,
  top: number,
  bottom: number
): ReadonlyArray<string> => {
  const instants = ticks(end)
  const grid = instants.map((at) => `M${round(x(at), 1)} ${top + 14}V${bottom + 6}`).join("")
  return [
    `<path class="grid" d="${grid}"/>`,
    ...instants.map((at) => text(round(x(at), 1), bottom + 22, at === 0 ? "tick" : "tick middle", tickLabel(at)))
  ]
}

/**
 * The instants to label on a time axis that ends at `endMillis`: at most `most` round values, from 0 on.
 */
export const ticks = (endMillis: number, most: number = 10): ReadonlyArray<number> => {
  const step = tickSteps(endMillis).find((step) => endMillis / step <= most) ?? endMillis
  return Array.from({ length: Math.floor(endMillis / step) + 1 }, (_, i) => i * step)
}

/** The label of an instant on the time axis: `250 ms`, `2.5 s`, `3 min`, `2 h`. */
export const tickLabel = (millis: number): string => {
  if (millis === 0) return "0"
  if (millis < 1_000) return `${round(millis, 3)} ms`
  if (millis < 120_000) return `${round(millis / 1_000, 1)} s`
  return millis < 7_200_000 ? `${round(millis / 60_000, 1)} min` : `${round(millis / 3_600_000, 1)} h`
}

/** A line of text. */
export const text = (x: number, y: number, className: string, content: string): string =>
  `<text class="${className}" x="${x}" y="${y}">${escape(content)}</text>`

/** Text for an element, without markup and characters that XML does not allow. */
export const escape = (content: string): string =>
  content
    // oxlint-disable-next-line no-control-regex
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/gu, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")

/** A number with at most this many decimal places. */
export const round = (value: number, digits: number): number => Number(value.toFixed(digits))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const common: Style = {
  light: "text{font:12px ui-sans-serif,system-ui,-apple-system,\"Segoe UI\",Helvetica,Arial,sans-serif;fill:#1f2328}" +
    ".h1{font-size:17px;font-weight:600}.h2{font-size:13px;font-weight:600}" +
    ".muted,.tick{fill:#59636e}.tick{font-size:11px}.middle{text-anchor:middle}.end{text-anchor:end}" +
    "path{fill:none}.paper{fill:#fff;stroke:#d1d9e0}.grid{stroke:#e4e8ec}.base{stroke:#b7bfc8}",
  dark: "text{fill:#e6edf3}.muted,.tick{fill:#9198a1}" +
    ".paper{fill:#0d1117;stroke:#3d444d}.grid{stroke:#21262d}.base{stroke:#3d444d}"
}

const tickSteps = (endMillis: number): ReadonlyArray<number> => {
  const second = 1_000
  const minute = 60 * second
  const hour = 60 * minute
  const [unit, steps] = endMillis <= minute
    ? [1, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]]
    : endMillis <= hour
    ? [second, [10, 20, 30, 60, 120, 300, 600]]
    : [minute, [10, 30, 60, 120, 240, 480, 1_440]]
  const days = Array.from({ length: 12 }, (_, i) => 2 ** i * 24 * hour)
  return [...steps.map((step) => step * unit), ...days]
}
