/**
 * Figures as tables for people.
 */
import * as os from "node:os"
import type { Contest, Figures, Outcome } from "./Contest.js"

export interface Machine {
  readonly node: string
  readonly platform: string
  readonly cpus: number
  readonly cpu: string
  readonly memoryBytes: number
  /** The load average over the last minute. */
  readonly load: number
}

export const machine = (): Machine => ({
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
  cpus: os.availableParallelism(),
  cpu: os.cpus()[0]?.model.trim() ?? "unknown",
  memoryBytes: os.totalmem(),
  load: os.loadavg()[0]!
})

/** A description of the machine and its load. */
export const header = ({ cpu, cpus, load, memoryBytes, node, platform }: Machine, date: Date): string =>
  `Node ${node}, ${cpus} CPUs (${cpu}), ${(memoryBytes / 1e9).toFixed(0)} GB, ${platform}, load ${load.toFixed(1)}, ${
    date.toISOString().slice(0, 10)
  }

Medians over rounds. Each measurement is a process of its own: modules loaded, nothing warmed up. Machines are noisy:
ratios within a table count more than times, and CPU time is steadier than wall time. 1 MB is 1,000,000 bytes.`

/** One table for each list of a contest, then its promises. */
export const render = (contest: Contest, outcome: Outcome): string => {
  const lists = contest.lists.map(({ files }) => outcome.figures.filter((figures) => figures.files === files))
  return [
    `\n== ${contest.name}: ${contest.title}`,
    ...(outcome.skipped === undefined ? [] : [`SKIP  ${outcome.skipped}`]),
    ...lists.filter((figures) => figures.length > 0).map(list),
    outcome.promises
      .map(({ kept, measured, promise }) => `${kept ? "PASS" : "FAIL"}  ${promise}: ${measured}`)
      .join("\n")
  ].join("\n\n")
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const list = (figures: ReadonlyArray<Figures>): string => {
  const first = figures[0]!
  const rounds = first.rounds.length === 1 ? "1 round" : `${first.rounds.length} rounds`
  const title = `${first.files.toLocaleString("en")} files, ${rounds}`
  const ratio = (of: (one: Figures) => number) => (one: Figures) => `${(of(one) / of(first)).toFixed(2)} ×`
  const columns: ReadonlyArray<readonly [title: string, cell: (one: Figures) => string]> = [
    [title, ({ contestant }) => contestant],
    ["seconds", (one) => (one.wallMicros * one.files / 1e6).toFixed(2)],
    ["µs wall", (one) => one.wallMicros.toFixed(2)],
    ["µs CPU", (one) => one.cpuMicros.toFixed(2)],
    ["peak MB", (one) => (one.peakBytes / 1e6).toFixed(0)],
    ["wall", ratio((one) => one.wallMicros)],
    ["CPU", ratio((one) => one.cpuMicros)],
    ["peak", ratio((one) => one.peakBytes)]
  ]
  return aligned([columns.map(([name]) => name), ...figures.map((one) => columns.map(([, cell]) => cell(one)))])
}

/** Aligns the first column to the left, and the others to the right. */
const aligned = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows
    .map((row) => row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("   "))
    .join("\n")
}
