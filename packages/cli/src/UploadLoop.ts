/**
 * Uploads into themselves: a destination inside a source would be listed while it grows, and a file that is its own
 * destination would be replaced by itself. Both are refused before anything is sent.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "./CliError.js"
import type { Filter } from "./Filter.js"

/** Fails where a source holds, or is, what the local directory `root` is going to be. */
export const check = (
  sources: ReadonlyArray<string>,
  root: string,
  filter: Filter
): Effect.Effect<void, CliError.CliError> =>
  Effect.gen(function*() {
    const target = yield* realPath(root)
    yield* Effect.forEach(sources, (source) =>
      Effect.flatMap(
        Effect.promise(() => examine(source)),
        ({ isDirectory, real }) => {
          if (!isDirectory) {
            return real === path.join(target, path.basename(source))
              ? CliError.usage(`${source} and its destination are the same file.`)
              : Effect.void
          }
          const inside = path.relative(real, target)
          if (inside === "") return CliError.usage(`${source} and the destination are the same directory.`)
          if (inside === ".." || inside.startsWith(`..${path.sep}`) || path.isAbsolute(inside)) return Effect.void
          return isLeftOut(inside.split(path.sep), filter) ? Effect.void : CliError.usage(
            `The destination ${root} lies inside the source ${source}, which would upload it into itself. ` +
              `Leave it out with --exclude "/${inside.split(path.sep).join("/")}", or choose another.`
          )
        }
      ), { concurrency: 16, discard: true })
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const examine = async (source: string) => {
  const real = await fs.realpath(source)
  return { real, isDirectory: (await fs.stat(real)).isDirectory() }
}

/** Where a directory is, or will be once it is made. */
const realPath = (directory: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const absolute = path.resolve(directory)
    let existing = absolute
    for (;;) {
      const real = await fs.realpath(existing).catch(() => undefined)
      if (real !== undefined) return path.join(real, path.relative(existing, absolute))
      const parent = path.dirname(existing)
      if (parent === existing) return absolute
      existing = parent
    }
  })

const isLeftOut = (segments: ReadonlyArray<string>, filter: Filter): boolean =>
  segments.some((_, index) => !filter.wants(segments.slice(0, index + 1).join("/"), "directory"))
