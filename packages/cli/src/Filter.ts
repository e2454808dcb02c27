/**
 * Which files of a directory are taken: globs, as `--include` and `--exclude` give them.
 *
 * A pattern without `/` is matched against base names at any depth, one with `/` against the whole key; a leading `/`
 * ties a single name to the root, a trailing `/` means directories only. Files that begin with a dot are matched like
 * any other. A pattern that matches a directory holds for all that is in it. A file is taken when no `--exclude` and,
 * where there are any, some `--include` holds for it.
 */
import * as Either from "effect/Either"
import picomatch from "picomatch"

export interface Filter {
  /** Whether a file is taken, or a directory looked into, whose own directories have been looked into. */
  readonly wants: (key: string, kind: "file" | "directory") => boolean
  /** Whether a file is taken, wherever it comes from. */
  readonly wantsFile: (key: string) => boolean
}

/** Takes everything. */
export const everything: Filter = { wants: () => true, wantsFile: () => true }

/** A filter of globs, or what is wrong with one of them. */
export const make = (options: {
  readonly include: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
}): Either.Either<Filter, string> =>
  Either.gen(function*() {
    if (options.include.length === 0 && options.exclude.length === 0) return everything
    const includes = yield* Either.all(options.include.map((glob) => compile("--include", glob)))
    const excludes = yield* Either.all(options.exclude.map((glob) => compile("--exclude", glob)))
    const isIncluded = (key: string) => includes.length === 0 || matchesOnTheWay(includes, key)
    return {
      wants: (key, kind) => !matches(excludes, key, kind) && (kind === "directory" || isIncluded(key)),
      wantsFile: (key) => !matchesOnTheWay(excludes, key) && isIncluded(key)
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Pattern {
  readonly matcher: picomatch.Matcher
  readonly onBaseName: boolean
  readonly directoriesOnly: boolean
}

const compile = (flag: string, glob: string): Either.Either<Pattern, string> => {
  const body = glob.replace(/\/+$/, "").replace(/^\.?\/+/, "")
  return body === ""
    ? Either.left(`${flag}: ${JSON.stringify(glob)} matches nothing. It takes a glob, such as "*.jpg" or "raw/**".`)
    : Either.map(
      Either.try({
        try: () => picomatch(body, { dot: true, nonegate: true }),
        catch: (cause) => `${flag}: ${JSON.stringify(glob)} is not a glob: ${cause}`
      }),
      (matcher) => ({
        matcher,
        onBaseName: !glob.replace(/\/+$/, "").includes("/"),
        directoriesOnly: glob.endsWith("/")
      })
    )
}

const matches = (patterns: ReadonlyArray<Pattern>, key: string, kind: "file" | "directory"): boolean => {
  const baseName = key.slice(key.lastIndexOf("/") + 1)
  return patterns.some(({ directoriesOnly, matcher, onBaseName }) =>
    (kind === "directory" || !directoriesOnly) && matcher(onBaseName ? baseName : key)
  )
}

/** Whether a pattern matches a file or one of the directories that it is in. */
const matchesOnTheWay = (patterns: ReadonlyArray<Pattern>, key: string): boolean => {
  if (matches(patterns, key, "file")) return true
  for (let at = key.indexOf("/"); at >= 0; at = key.indexOf("/", at + 1)) {
    if (matches(patterns, key.slice(0, at), "directory")) return true
  }
  return false
}
