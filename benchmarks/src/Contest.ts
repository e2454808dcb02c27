/**
 * Contests: several contestants do the same work, each measurement in a process of its own, one after another, round
 * by round, so that a slow spell of the machine falls on all of them. What counts is the median.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Measurement from "./Measurement.js"

export interface Contestant {
  readonly name: string
  /** Uploads `count` files, and dies unless all of them arrived. */
  readonly upload: (count: number) => Effect.Effect<void>
  /** The largest list this contestant is asked to do. Defaults to all. */
  readonly atMost?: number | undefined
  /** The lists that this contestant is asked to do, by their number of files. Defaults to all. */
  readonly lists?: ReadonlyArray<number> | undefined
  /** Whether it can take part here at all. Defaults to `true`. */
  readonly isThere?: boolean | undefined
  /** Runs before what is measured, as to load modules. */
  readonly prepare?: Effect.Effect<void> | undefined
  /** Measures by itself what `upload` cannot, a process that is not this one. */
  readonly measure?: ((count: number) => Effect.Effect<Measurement.Measurement>) | undefined
}

export interface Contest {
  readonly name: string
  /** What is measured, in one line. */
  readonly title: string
  /** Lists of how many files, and how many rounds of each. */
  readonly lists: ReadonlyArray<{ readonly files: number; readonly rounds: number }>
  /** The first one is what the others are compared with. */
  readonly contestants: ReadonlyArray<Contestant>
  /** Sets up what all measurements need, until the scope ends; gives a reason where that cannot be. */
  readonly setUp?: Effect.Effect<string | undefined, never, Scope.Scope> | undefined
  /** What is promised of the figures. */
  readonly promises: (of: (contestant: string, files: number) => Figures) => ReadonlyArray<Promised>
}

/** A promise and whether the figures keep it. */
export interface Promised {
  readonly promise: string
  readonly measured: string
  readonly kept: boolean
}

/** What was measured of one contestant with one list: medians over the rounds, and each round. */
export interface Figures extends Measurement.Measurement {
  readonly contestant: string
  readonly files: number
  readonly rounds: ReadonlyArray<Measurement.Measurement>
}

export interface Outcome {
  readonly contest: string
  readonly figures: ReadonlyArray<Figures>
  readonly promises: ReadonlyArray<Promised>
  /** Why nothing was measured. */
  readonly skipped?: string | undefined
}

/** Runs a contest; `quick` makes it one round. */
export const run = (
  contest: Contest,
  options: { readonly quick: boolean; readonly onStart: (what: string) => void }
): Effect.Effect<Outcome, Measurement.Failed> =>
  Effect.gen(function*() {
    const figures: Array<Figures> = []
    const skipped = contest.setUp === undefined ? undefined : yield* contest.setUp
    if (skipped !== undefined) return { contest: contest.name, figures, promises: [], skipped }
    for (const { files, rounds } of contest.lists) {
      const contestants = contest.contestants.filter(({ atMost = Infinity, isThere = true, lists }) =>
        isThere && files <= atMost && lists?.includes(files) !== false
      )
      const measured = contestants.map((): Array<Measurement.Measurement> => [])
      const wanted = options.quick ? 1 : rounds
      for (let round = 1; round <= wanted; round++) {
        for (const [i, { name }] of contestants.entries()) {
          options.onStart(`${contest.name}, ${files.toLocaleString("en")} files, round ${round} of ${wanted}: ${name}`)
          measured[i]!.push(yield* Measurement.inChild(contest.name, name, files))
        }
      }
      figures.push(
        ...contestants.map(({ name }, i) => ({
          contestant: name,
          files,
          ...Measurement.median(measured[i]!),
          rounds: measured[i]!
        }))
      )
    }
    const find = (contestant: string, files: number) =>
      figures.find((one) => one.contestant === contestant && one.files === files)!
    return { contest: contest.name, figures, promises: contest.promises(find) }
  }).pipe(Effect.scoped)

/** A promise that a figure is at most so much. */
export const atMost = (promise: string, measured: number, limit: number, unit: "MB" | "µs" | "×"): Promised => ({
  promise,
  measured: `${unit === "MB" ? Math.round(measured) : measured.toFixed(2)} ${unit}`,
  kept: measured <= limit
})
