/**
 * Worker processes that share the seeds.
 */
import type { Violation } from "@sluice/core/testing/History"
import * as Child from "../support/Child.js"

export interface Failing {
  readonly seed: number
  readonly strategy: string
  readonly violations: ReadonlyArray<Violation>
}

/** What a seed did when it ran twice. */
export interface Repeated {
  readonly seed: number
  readonly strategy: string
  /** A digest of all that happened. */
  readonly history: string
  /** The first line of the history that was another the second time. */
  readonly difference?: string | undefined
}

export interface Found {
  readonly failing: ReadonlyArray<Failing>
  readonly consumed: ReadonlyMap<string, number>
  readonly remaining: ReadonlyMap<string, number>
  readonly sums: Readonly<
    Record<"seeds" | "processes" | "kills" | "uploads" | "requests" | "faults" | "fewest", number>
  >
  readonly cpuSeconds: number
}

export interface Options {
  readonly first: number
  readonly count: number
  readonly parallel: number
  /** Whether to end with the first seed that fails. */
  readonly stopsAtFirst?: boolean | undefined
  readonly onFailing?: ((failing: Failing) => void) | undefined
  readonly onLine?: ((line: string) => void) | undefined
  /** Runs each seed twice, and reports the results. */
  readonly onRepeated?: ((repeated: Repeated) => void) | undefined
}

type Line = { readonly line: string } | Failing | Repeated | {
  readonly sums: Record<keyof Found["sums"], number>
  readonly consumed: Record<string, number>
  readonly remaining: Record<string, number>
  readonly cpuSeconds: number
}

export const run = async (worker: string, options: Options): Promise<Found> => {
  const { count, first, onFailing, onLine, onRepeated, parallel, stopsAtFirst = false } = options
  const failing: Array<Failing> = []
  const consumed = new Map<string, number>()
  const remaining = new Map<string, number>()
  const sums = { seeds: 0, processes: 0, kills: 0, uploads: 0, requests: 0, faults: 0, fewest: Infinity }
  let cpuSeconds = 0
  const enough = new AbortController()
  const hear = (said: Line) => {
    if ("line" in said) return onLine?.(said.line)
    if ("history" in said) return onRepeated?.(said)
    if ("seed" in said) {
      failing.push(said)
      onFailing?.(said)
      if (stopsAtFirst) enough.abort()
      return
    }
    for (const [name, times] of Object.entries(said.consumed)) consumed.set(name, (consumed.get(name) ?? 0) + times)
    for (const [name, times] of Object.entries(said.remaining)) remaining.set(name, (remaining.get(name) ?? 0) + times)
    for (const name of ["seeds", "processes", "kills", "uploads", "requests", "faults"] as const) {
      sums[name] += said.sums[name]
    }
    sums.fewest = Math.min(sums.fewest, said.sums.fewest ?? Infinity)
    cpuSeconds += said.cpuSeconds
  }
  await Promise.all(Array.from({ length: parallel }, (_, i) => {
    const task = {
      first: first + i,
      step: parallel,
      count: Math.floor(count / parallel) + (i < count % parallel ? 1 : 0),
      stopsAtFirst,
      tellsStory: onLine !== undefined,
      runsTwice: onRepeated !== undefined
    }
    return Child.run(worker, task, hear, enough.signal)
  }))
  return { failing, consumed, remaining, sums, cpuSeconds }
}
