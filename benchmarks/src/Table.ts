/**
 * Figures as tables for people.
 */
import * as os from "node:os"
import * as process from "node:process"
import type { Contest, Figures, Outcome } from "./Contest.js"

/** The machine, and how far to trust it. */
export const header = (date: Date): string => {
  const cpus = os.cpus()
  return [
    `Node ${process.version}, ${cpus.length} × ${cpus[0]?.model.trim() ?? "unknown CPU"}, ${
      (os.totalmem() / 1e9).toFixed(0)
    } GB, ${process.platform} ${process.arch}, ${date.toISOString().slice(0, 10)}`,
    "Medians over rounds, each measurement in its own process, modules loaded and nothing warmed up. Machines are noisy:",
    "ratios within one table count more than times, and CPU time is steadier than wall time. MB are 1,000,000 bytes.",
    ...(os.loadavg()[0]! > cpus.length / 2
      ? [`Something else is running here (load ${os.loadavg()[0]!.toFixed(1)}): wall times are too long.`]
      : [])
  ].join("\n")
}

/** One table for each list of a contest, then its promises. */
export const render = (contest: Contest, outcome: Outcome): string => {
  const lists = contest.lists.map(({ files }) => outcome.figures.filter((figures) => figures.files === files))
  return [
    `\n== ${contest.name}: ${contest.title}`,
    ...lists.filter((figures) => figures.length > 0).map(list),
    [...outcome.promises].map(({ kept, measured, promise }) => `${kept ? "PASS" : "FAIL"}  ${promise}: ${measured}`)
      .join("\n")
  ].join("\n\n")
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const list = (figures: ReadonlyArray<Figures>): string => {
  const first = figures[0]!
  const rounds = first.rounds.length
  const title = `${first.files.toLocaleString("en")} files, ${rounds} ${rounds === 1 ? "round" : "rounds"}`
  const ratio = (of: (one: Figures) => number) => (one: Figures) => `${(of(one) / of(first)).toFixed(2)} ×`
  const columns: ReadonlyArray<readonly [title: string, cell: (one: Figures) => string]> = [
    [title, (one) => one.contestant],
    ["µs wall", (one) => one.wallMicros.toFixed(2)],
    ["µs CPU", (one) => one.cpuMicros.toFixed(2)],
    ["peak MB", (one) => (one.peakBytes / 1e6).toFixed(0)],
    ["wall", ratio((one) => one.wallMicros)],
    ["CPU", ratio((one) => one.cpuMicros)],
    ["peak", ratio((one) => one.peakBytes)]
  ]
  return aligned([columns.map(([name]) => name), ...figures.map((one) => columns.map(([, cell]) => cell(one)))])
}

/** The first column to the left, the others to the right. */
const aligned = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows
    .map((row) => row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("   "))
    .join("\n")
}
