/**
 * What many scenarios came to, as tables for people.
 */
import { lateMillis } from "./KillScenario.js"
import type { Outcome } from "./KillScenario.js"

export const render = (outcomes: ReadonlyArray<Outcome>, seconds: number): string => {
  const kinds = [...new Set(outcomes.map(({ kind }) => kind))].sort()
  const kills = outcomes.flatMap(({ kills, kind }) => kills.map((kill) => ({ ...kill, kind })))
  const places = [...new Set(kills.map(({ point }) => point))].sort()
  const count = (point: string, kind?: string) =>
    String(kills.filter((kill) => kill.point === point && (kind === undefined || kill.kind === kind)).length)
  const lost = outcomes.flatMap(({ lost }) => lost)
  const problems = outcomes.flatMap(({ problems }) => problems)
  const about = (word: RegExp) => problems.filter((problem) => word.test(problem)).length
  const late = lost.filter(({ committed, torn }) => !committed && !torn)
  const kibibytes = (values: ReadonlyArray<number>) => {
    const sorted = values.toSorted((a, b) => a - b)
    const at = (part: number) => ((sorted[Math.floor(part * (sorted.length - 1))] ?? 0) / 1024).toFixed(0)
    return `${values.length} times, median ${at(0.5)} KiB, 90 % ${at(0.9)} KiB, max ${at(1)} KiB`
  }
  return [
    aligned([
      ["killed", ...kinds, "all"],
      ...places.map((point) => [point, ...kinds.map((kind) => count(point, kind)), count(point)]),
      [
        "all",
        ...kinds.map((kind) => String(kills.filter((kill) => kill.kind === kind).length)),
        String(kills.length)
      ]
    ]),
    "",
    `${kills.length} kills in ${outcomes.length} uploads by ${
      outcomes.reduce((sum, { processes }) => sum + processes, 0)
    } processes, in ${seconds.toFixed(0)} s`,
    `killed with something stored       ${kills.filter(({ resumable }) => resumable).length}`,
    `on their way at a kill             ${kibibytes(kills.map(({ inFlight }) => inFlight))}`,
    `of these sent again, per upload    ${kibibytes(outcomes.map(({ again }) => again))}`,
    `stored and sent again: late        ${kibibytes(late.map(({ bytes }) => bytes))}; oldest ${
      Math.max(0, ...late.map(({ ageMillis }) => ageMillis))
    } ms (at most ${lateMillis})`,
    `  whole, but nobody had heard      ${
      kibibytes(lost.filter(({ committed }) => committed).map(({ bytes }) => bytes))
    }`,
    `  a record was torn for the test   ${
      kibibytes(lost.filter(({ committed, torn }) => !committed && torn).map(({ bytes }) => bytes))
    }`,
    `orphans ${about(/orphan|session of/)}, missing ${about(/is missing/)}, unequal ${about(/not equal/)}, ` +
    `journals left ${about(/journal/)}, problems ${problems.length}`
  ].join("\n")
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The first column to the left, the others to the right. */
const aligned = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows
    .map((row) => row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("   "))
    .join("\n")
}
