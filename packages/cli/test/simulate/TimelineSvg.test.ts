import { assert, describe, it } from "@effect/vitest"
import * as Svg from "../../src/simulate/Svg.js"
import type * as Timeline from "../../src/simulate/Timeline.js"
import * as TimelineSvg from "../../src/simulate/TimelineSvg.js"

const attempt = (
  startedAt: number,
  endedAt: number,
  details: Partial<Timeline.Attempt> = {}
): Timeline.Attempt => ({ key: "file", attempt: 1, startedAt, endedAt, outcome: "Stored", ...details })

const panel = (attempts: ReadonlyArray<Timeline.Attempt>): TimelineSvg.Panel => ({
  title: "pool",
  subtitle: "2 workers",
  summary: "1 s",
  makespanMillis: Math.max(0, ...attempts.map(({ endedAt }) => endedAt)),
  attempts
})

const render = (...panels: ReadonlyArray<TimelineSvg.Panel>) =>
  TimelineSvg.render({ title: "Uploads", subtitle: "in virtual time", panels })

/** The paths of a class, without its sample in the legend. */
const paths = (svg: string, className: string): ReadonlyArray<string> =>
  Array.from(svg.matchAll(new RegExp(`<path class="${className}"[^>]* d="([^"]*)"/>`, "g")), ([, path]) => path ?? "")
    .filter((path) => !path.endsWith(" 30h16"))

/** Whether every tag is closed in its turn, and text holds no markup. */
const isWellFormed = (svg: string): boolean => {
  const open: Array<string> = []
  const rest = svg.replace(/<(\/?)(\w+)((?:\s+[\w:-]+="[^"<&]*")*)\s*(\/?)>/g, (_, slash, name, __, empty) => {
    if (slash === "/") return open.pop() === name ? "" : "<"
    if (empty !== "/") open.push(name)
    return ""
  })
  return open.length === 0 && !/[<>]|&(?!amp;|lt;|gt;)/.test(rest)
}

describe("TimelineSvg", () => {
  it("draws a bar for each attempt, by its outcome, on a time axis of 904 pixels", () => {
    const svg = render(panel([
      attempt(0, 500),
      attempt(0, 250, { outcome: "Failed" }),
      attempt(750, 1000, { attempt: 2 })
    ]))
    // Lanes of 8 pixels from below: the longest of those that start together is in the lowest.
    assert.deepStrictEqual(paths(svg, "stored"), ["M28 130h451"])
    assert.deepStrictEqual(paths(svg, "failed"), ["M28 122h225"])
    assert.deepStrictEqual(paths(svg, "again"), ["M706 130h225"])
    assert.deepStrictEqual(paths(svg, "level"), ["M28 134H28V118H254V126H480V134H706V126H932V134V134"])
    assert.isTrue(isWellFormed(svg))
  })

  it("has a legend for what it shows", () => {
    const svg = render(panel([attempt(0, 10)]), panel([attempt(0, 10, { outcome: "Interrupted" })]))
    assert.include(svg, ">interrupted</text>")
    assert.notInclude(svg, ">failed attempt</text>")
    assert.include(svg, ">number in flight</text>")
  })

  it("escapes text", () => {
    const svg = TimelineSvg.render({
      title: "<script>alert(\"1\")</script> & \u0000 \ud800",
      subtitle: "]]>",
      panels: [{ ...panel([attempt(0, 10)]), title: "<&>" }]
    })
    assert.isTrue(isWellFormed(svg))
    assert.include(svg, "&lt;script&gt;alert(\"1\")&lt;/script&gt; &amp; \ufffd \ufffd")
    assert.include(svg, ">&lt;&amp;&gt;</tspan>")
  })

  it("draws a run in which nothing happened", () => {
    assert.isTrue(isWellFormed(render(panel([]))))
    assert.isTrue(isWellFormed(render()))
  })

  it("does not grow beyond what it can show, for 10,000 attempts at once and 100,000 in turn", () => {
    const atOnce = render(panel(Array.from({ length: 10_000 }, (_, i) => attempt(0, 1 + (i % 1000)))))
    assert.include(atOnce, "2 workers · one lane in 50 is drawn")
    assert.isBelow(atOnce.length, 30_000)
    assert.include(atOnce, "height=\"304\"")
    const inTurn = render(panel(Array.from({ length: 100_000 }, (_, i) => attempt(i, i + 1))))
    assert.isBelow(inTurn.length, 30_000)
  })

  it("follows the reader's colours", () => {
    assert.include(render(), "@media(prefers-color-scheme:dark)")
  })

  it("has round ticks", () => {
    assert.deepStrictEqual(Svg.ticks(1_100), [0, 200, 400, 600, 800, 1_000])
    assert.deepStrictEqual(Svg.ticks(8_347), [0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000])
    assert.deepStrictEqual(Svg.ticks(1), [0, 1])
    for (const end of [1, 9, 77, 1_000, 59_999, 60_001, 616_950, 3_600_001, 86_400_000, 1e9, 1e11]) {
      const instants = Svg.ticks(end)
      assert.isAtLeast(instants.length, 2, `${end}`)
      assert.isAtMost(instants.length, 11, `${end}`)
      assert.isAtMost(instants.at(-1)!, end)
    }
  })

  it("labels instants with their unit", () => {
    assert.deepStrictEqual(
      [0, 250, 1_000, 2_500, 90_000, 120_000, 7_200_000].map(Svg.tickLabel),
      ["0", "250 ms", "1 s", "2.5 s", "90 s", "2 min", "2 h"]
    )
  })
})
