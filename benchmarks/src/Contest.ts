/**
 * Contests: several contestants do the same work, each measured in its own process, one after another, round by round,
 * so that a slow spell of the machine affects all of them. The median counts.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as path from "node:path"
import * as Measurement from "./Measurement.js"

export interface Contestant {
  readonly name: string
  /** Uploads `count` files, and dies unless all of them arrive. */
  readonly upload: (count: number) => Effect.Effect<void>
  /** The largest list for this contestant. Defaults to all. */
  readonly atMost?: number | undefined
  /** The lists for this contestant, by their number of files. Defaults to all. */
  readonly lists?: ReadonlyArray<number> | undefined
  /** Whether it can take part here at all. Defaults to `true`. */
  readonly isThere?: boolean | undefined
  /** Runs before the measurement, for example to load modules. */
  readonly prepare?: Effect.Effect<void> | undefined
  /** Measures what `upload` cannot: another process. */
  readonly measure?: ((count: number) => Effect.Effect<Measurement.Measurement>) | undefined
}

export interface Contest {
  readonly name: string
  /** A one-line description of the measurement. */
  readonly title: string
  /** The numbers of files in the lists, and the number of rounds for each. */
  readonly lists: ReadonlyArray<{ readonly files: number; readonly rounds: number }>
  /** The contestants; the others are compared with the first one. */
  readonly contestants: ReadonlyArray<Contestant>
  /** Sets up what all measurements need, until the scope closes; returns a reason if that is impossible. */
  readonly setUp?: Effect.Effect<string | undefined, never, Scope.Scope> | undefined
  /** The promises about the figures. */
  readonly promises: (of: (contestant: string, files: number) => Figures) => ReadonlyArray<Promised>
}

/** A promise, and whether the figures keep it. */
export interface Promised {
  readonly promise: string
  readonly measured: string
  readonly kept: boolean
}

/** The measurements of one contestant with one list: medians over the rounds, and each round. */
export interface Figures extends Measurement.Measurement {
  readonly contestant: string
  readonly files: number
  readonly rounds: ReadonlyArray<Measurement.Measurement>
}

export interface Outcome {
  readonly contest: string
  readonly figures: ReadonlyArray<Figures>
  readonly promises: ReadonlyArray<Promised>
  /** The profiles that were written last. */
  readonly profiles: ReadonlyArray<{ readonly of: string; readonly file: string }>
  /** Why nothing was measured. */
  readonly skipped?: string | undefined
}

export interface RunOptions {
  /** Runs only one round. */
  readonly quick: boolean
  readonly onStart: (what: string) => void
  /** The contestants to run, by name, and the list by its number of files; then no promises are checked. */
  readonly only?: ReadonlyArray<string> | undefined
  readonly files?: number | undefined
  readonly rounds?: number | undefined
  /** The directory for profiles. */
  readonly profiles?: string | undefined
}

/** Runs a contest. */
export const run = (contest: Contest, options: RunOptions): Effect.Effect<Outcome, Measurement.Failed> =>
  Effect.gen(function*() {
    const figures: Array<Figures> = []
    const profiles = new Map<string, string>()
    const skipped = contest.setUp === undefined ? undefined : yield* contest.setUp
    if (skipped !== undefined) return { contest: contest.name, figures, promises: [], profiles: [], skipped }
    const wantedLists = contest.lists.filter(({ files }) => options.files === undefined || files === options.files)
    for (const { files, rounds } of wantedLists) {
      const contestants = contest.contestants.filter(({ atMost = Infinity, isThere = true, lists, name }) =>
        isThere && files <= atMost && lists?.includes(files) !== false && options.only?.includes(name) !== false
      )
      const measured = contestants.map((): Array<Measurement.Measurement> => [])
      const wanted = options.rounds ?? (options.quick ? 1 : rounds)
      for (let round = 1; round <= wanted; round++) {
        for (const [i, { name }] of contestants.entries()) {
          options.onStart(`${contest.name}, ${files.toLocaleString("en")} files, round ${round} of ${wanted}: ${name}`)
          const file = options.profiles === undefined
            ? undefined
            : path.join(options.profiles, `${[contest.name, files, name].join(" ").replace(/\W+/g, "-")}.cpuprofile`)
          if (file !== undefined) profiles.set(`${name}, ${files.toLocaleString("en")} files`, file)
          measured[i]!.push(yield* Measurement.inChild(contest.name, name, files, file))
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
    const isWhole = options.only === undefined && options.files === undefined
    return {
      contest: contest.name,
      figures,
      promises: isWhole ? contest.promises(find) : [],
      profiles: Array.from(profiles, ([of, file]) => ({ of, file }))
    }
  }).pipe(Effect.scoped)

/** A promise that a figure does not exceed a limit. */
export const atMost = (promise: string, measured: number, limit: number, unit: "MB" | "µs" | "×"): Promised => ({
  promise,
  measured: `${unit === "MB" ? Math.round(measured) : measured.toFixed(2)} ${unit}`,
  kept: measured <= limit
})
