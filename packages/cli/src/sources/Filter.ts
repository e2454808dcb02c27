/**
 * Selects files of a directory by the globs of `--include` and `--exclude`, in the dialect of {@link Glob}.
 *
 * A pattern without `/` is matched against base names at any depth, one with `/` against the whole key; a leading `/`
 * anchors a single name to the root, a trailing `/` or `/**` means directories only. Names that begin with a dot are
 * matched like any other. A pattern that matches a directory applies to everything in it. A file is taken if no
 * `--exclude` applies to it and, if there are any, some `--include` does, regardless of their order.
 */
import * as Either from "effect/Either"
import * as Glob from "./Glob.js"

export interface Filter {
  /** Whether to take a file or enter a directory whose parent directories have been entered. */
  readonly wants: (key: string, kind: Kind) => boolean
  /** Whether to take a file from anywhere. */
  readonly wantsFile: (key: string) => boolean
  /** The same without counting, for checks that are not part of listing the files. */
  readonly uncounted?: Filter | undefined
}

export type Kind = "file" | "directory"

/** A pattern as the user gave it. */
export interface Given {
  readonly flag: "--include" | "--exclude"
  readonly glob: string
}

/** What a filter has left out, and why. A directory that is left out is not entered, so it counts once. */
export interface LeftOut {
  /** What `--exclude` left out, by the first pattern that applies. */
  readonly excluded: ReadonlyArray<Given & { readonly files: number; readonly directories: number }>
  /** The number of files that no `--include` matches. */
  readonly notIncluded: number
  /** The `--include` patterns. */
  readonly included: ReadonlyArray<Given>
  /** Patterns that have matched nothing so far. */
  readonly unmatched: ReadonlyArray<Given>
}

/** A filter that counts what it leaves out. */
export interface Counting extends Filter {
  readonly leftOut: () => LeftOut
  readonly uncounted: Filter
}

/** Takes everything. */
export const everything: Filter = { wants: () => true, wantsFile: () => true }

/** A filter from globs, or a message about a wrong one. */
export const make = (options: {
  readonly include: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
}): Either.Either<Filter, string> =>
  options.include.length === 0 && options.exclude.length === 0
    ? Either.right(everything)
    : Either.map(patternsOf(options), (patterns) => filterOf(patterns, () => {}))

/** The same filter, which also counts what it leaves out. */
export const makeCounting = (options: {
  readonly include: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
}): Either.Either<Counting, string> =>
  Either.map(patternsOf(options), (patterns) => {
    const counts = patterns.excludes.map(() => ({ file: 0, directory: 0 }))
    const unmatched = new Set([...patterns.includes, ...patterns.excludes])
    let notIncluded = 0
    const note = (key: string, kind: Kind, matches: Matches): void => {
      for (const pattern of unmatched) if (matches(pattern, key, kind)) unmatched.delete(pattern)
      const at = patterns.excludes.findIndex((pattern) => matches(pattern, key, kind))
      const count = counts[at]
      if (count !== undefined) count[kind] += 1
      else if (kind === "file" && !includes(patterns, key)) notIncluded += 1
    }
    return {
      ...filterOf(patterns, note),
      uncounted: filterOf(patterns, () => {}),
      leftOut: () => ({
        excluded: patterns.excludes.flatMap(({ flag, glob }, i) => {
          const { directory: directories = 0, file: files = 0 } = counts[i] ?? {}
          return files + directories > 0 ? [{ flag, glob, files, directories }] : []
        }),
        notIncluded,
        included: patterns.includes.map(({ flag, glob }) => ({ flag, glob })),
        unmatched: Array.from(unmatched, ({ flag, glob }) => ({ flag, glob }))
      })
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Pattern extends Given {
  readonly matcher: (text: string) => boolean
  readonly onBaseName: boolean
  readonly directoriesOnly: boolean
}

interface Patterns {
  readonly includes: ReadonlyArray<Pattern>
  readonly excludes: ReadonlyArray<Pattern>
}

type Matches = (pattern: Pattern, key: string, kind: Kind) => boolean

const patternsOf = (options: {
  readonly include: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
}): Either.Either<Patterns, string> =>
  Either.all({
    includes: Either.all(options.include.map((glob) => compile({ flag: "--include", glob }))),
    excludes: Either.all(options.exclude.map((glob) => compile({ flag: "--exclude", glob })))
  })

const filterOf = (
  patterns: Patterns,
  note: (key: string, kind: Kind, matches: Matches) => void
): Filter => ({
  wants: (key, kind) => {
    note(key, kind, matches)
    return !patterns.excludes.some((pattern) => matches(pattern, key, kind)) &&
      (kind === "directory" || includes(patterns, key))
  },
  wantsFile: (key) => {
    note(key, "file", matchesOnTheWay)
    return !patterns.excludes.some((pattern) => matchesOnTheWay(pattern, key)) && includes(patterns, key)
  }
})

const compile = (given: Given): Either.Either<Pattern, string> => {
  const quoted = `${given.flag}: ${JSON.stringify(given.glob)}`
  return Either.flatMap(
    Either.mapLeft(Glob.parse(given.glob), (problem) => `${quoted} ${problem}.`),
    (tokens) => {
      let end = tokens.length
      while (Glob.isSlash(tokens[end - 1]) || (tokens[end - 1]?._tag === "Deep" && Glob.isSlash(tokens[end - 2]))) {
        end -= 1
      }
      let begin = 0
      if (tokens[0]?._tag === "Character" && tokens[0].code === 0x2e && Glob.isSlash(tokens[1])) begin = 1
      while (begin < end && Glob.isSlash(tokens[begin])) begin += 1
      const body = tokens.slice(begin, end)
      if (body.length === 0) {
        return Either.left(`${quoted} matches nothing. It takes a glob, such as "*.jpg" or "raw/**".`)
      }
      const tail = tokens.slice(end)
      const tied = begin > 0 || Glob.hasSlash(body) || tail.some(({ _tag }) => _tag === "Deep")
      // A pattern that crosses directories cannot be matched by base name: it may begin below any of them.
      const isDeep = !tied && Glob.hasDeep(body)
      return Either.right({
        ...given,
        matcher: Glob.matcher(isDeep ? [{ _tag: "Directories" }, ...body] : body),
        onBaseName: !tied && !isDeep,
        directoriesOnly: tail.length > 0
      })
    }
  )
}

const matches: Matches = ({ directoriesOnly, matcher, onBaseName }, key, kind) =>
  (kind === "directory" || !directoriesOnly) && matcher(onBaseName ? key.slice(key.lastIndexOf("/") + 1) : key)

/** Whether a pattern matches a file or one of the directories that it is in. */
const matchesOnTheWay = (pattern: Pattern, key: string): boolean => {
  if (matches(pattern, key, "file")) return true
  for (let at = key.indexOf("/"); at >= 0; at = key.indexOf("/", at + 1)) {
    if (matches(pattern, key.slice(0, at), "directory")) return true
  }
  return false
}

const includes = (patterns: Patterns, key: string): boolean =>
  patterns.includes.length === 0 || patterns.includes.some((pattern) => matchesOnTheWay(pattern, key))
