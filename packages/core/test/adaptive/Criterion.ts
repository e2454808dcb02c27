import type { Effect } from "effect"

/** What one seed has measured, by name. */
export type Measured = Readonly<Record<string, number>>

/** A promise about a measure over all seeds: a mean or a percentile of it, and a bound. */
export interface Promise {
  readonly measure: string
  /** The mean, or the percentile from 0 to 1. */
  readonly of: "mean" | number
  readonly is: "atMost" | "atLeast"
  readonly bound: number
}

export interface Criterion {
  readonly id: string
  readonly title: string
  /** One run, or as many as it takes. */
  readonly measure: (seed: number) => Effect.Effect<Measured>
  readonly promises: ReadonlyArray<Promise>
  /** How many seeds the gate has time for. */
  readonly seeds: number
}

export interface Verdict {
  readonly promise: Promise
  readonly value: number
  readonly isKept: boolean
}

export const percentile = (values: ReadonlyArray<number>, p: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(p * sorted.length) - 1))]!
}

export const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** How evenly these share: 1 is evenly. */
export const jain = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) ** 2 / (values.length * values.reduce((sum, x) => sum + x * x, 0))

/** Judges a criterion by what all seeds have measured. */
export const judge = ({ promises }: Criterion, measured: ReadonlyArray<Measured>): ReadonlyArray<Verdict> =>
  promises.map((promise) => {
    const values = measured.map((of) => of[promise.measure]!)
    const value = promise.of === "mean" ? mean(values) : percentile(values, promise.of)
    return { promise, value, isKept: promise.is === "atMost" ? value <= promise.bound : value >= promise.bound }
  })

export const render = ({ isKept, promise: { bound, is, measure, of }, value }: Verdict): string =>
  `${isKept ? "kept" : "NOT KEPT"}: ${measure}, ${
    of === "mean" ? "mean" : of === 0 ? "least" : of === 1 ? "most" : `p${Math.round(of * 1000) / 10}`
  }: ${Math.round(value * 1000) / 1000} (${is === "atMost" ? "at most" : "at least"} ${bound})`

export const atMost = (measure: string, of: Promise["of"], bound: number): Promise => ({
  measure,
  of,
  is: "atMost",
  bound
})

export const atLeast = (measure: string, of: Promise["of"], bound: number): Promise => ({
  measure,
  of,
  is: "atLeast",
  bound
})
