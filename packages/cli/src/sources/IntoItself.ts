/**
 * Detects sources that would be uploaded into themselves: a destination inside a source would be listed while it
 * grows, and a file that is its own destination would replace itself. Both are refused before anything is sent.
 *
 * Directories are compared by device and inode, so that a directory mounted in two places, or spelled in two ways on a
 * case-insensitive file system, is recognized.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "../CliError.js"
import type { Filter } from "./Filter.js"

/** Fails if a source contains, or is, the local directory `root`. */
export const check = Effect.fnUntraced(
  function*(sources: ReadonlyArray<string>, root: string, filter: Filter): Effect.fn.Return<void, CliError.CliError> {
    const way = yield* wayTo(root)
    yield* Effect.forEach(sources, (source) =>
      Effect.flatMap(
        examine(source),
        ({ identity, isDirectory, names }) => {
          if (!isDirectory) {
            // A directory that does not exist yet will be created, and is empty.
            const there = way[0]?.inside.length === 0 ? way[0].identity : undefined
            return names.some(({ directory, name }) => there === directory && name === path.basename(source))
              ? CliError.usage(`${source} and its destination are the same file.`)
              : Effect.void
          }
          const inside = way.find((place) => place.identity === identity)?.inside
          if (inside === undefined) return Effect.void
          if (inside.length === 0) return CliError.usage(`${source} and the destination are the same directory.`)
          return isLeftOut(inside, filter) ? Effect.void : CliError.usage(
            `The destination ${root} is inside the source ${source}, which would be uploaded into itself. ` +
              `Leave it out with --exclude "/${inside.join("/")}", or choose another destination.`
          )
        }
      ), { concurrency: 16, discard: true })
  }
)

/** Fails if listed files would be uploaded from a directory to the same directory. */
export const checkListed = Effect.fnUntraced(
  function*(source: string, root: string): Effect.fn.Return<void, CliError.CliError> {
    const [place] = yield* wayTo(root)
    const { identity } = yield* examine(source)
    if (place !== undefined && place.inside.length === 0 && place.identity === identity) {
      return yield* CliError.usage(`${source} and the destination are the same directory.`)
    }
  }
)

/** Whether a file or a directory is the one at its key in the local directory `root`. */
export const isItself = (file: string, root: string, key: string): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    const destination = path.resolve(root, key)
    const [here, there] = await Promise.all([file, destination].map((path) => identityOf(path, "itself")))
    if (here === undefined || here !== there) return false
    // With two hard links to one file, one can be replaced and the other stays.
    const stat = await fs.stat(file).catch(() => undefined)
    if (stat?.isDirectory() === true) return true
    const [ours, theirs] = await Promise.all([file, destination].map(async (file) => {
      const real = await fs.realpath(path.dirname(file)).catch(() => undefined)
      return real === undefined ? undefined : await identityOf(real, "itself")
    }))
    return ours !== undefined && ours === theirs && path.basename(file) === path.basename(destination)
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** A directory on the way to another, and the path between the two. */
interface Place {
  readonly identity: string
  readonly inside: ReadonlyArray<string>
}

const identityOf = async (file: string, what: "itself" | "link"): Promise<string | undefined> => {
  const stat = await (what === "link" ? fs.lstat : fs.stat)(file, { bigint: true }).catch(() => undefined)
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}

/** Whether a source is a directory, and its paths: its own, and that of the target if it is a link. */
const examine = (source: string) =>
  Effect.promise(async () => {
    const absolute = path.resolve(source)
    const real = await fs.realpath(absolute).catch(() => absolute)
    const names = await Promise.all([absolute, real].map(async (file) => ({
      directory: await identityOf(await fs.realpath(path.dirname(file)).catch(() => path.dirname(file)), "itself"),
      name: path.basename(file)
    })))
    const isDirectory = await fs.stat(real).then((stat) => stat.isDirectory(), () => false)
    return { identity: await identityOf(real, "itself"), isDirectory, names }
  })

/** A directory that exists or will be created, and its existing parent directories. */
const wayTo = (directory: string): Effect.Effect<ReadonlyArray<Place>> =>
  Effect.promise(async () => {
    const way: Array<Place> = []
    let inside: ReadonlyArray<string> = []
    for (let at = path.resolve(directory);;) {
      const real = await fs.realpath(at).catch(() => undefined)
      if (real !== undefined) {
        const identity = await identityOf(real, "itself")
        if (identity !== undefined) way.push({ identity, inside })
        at = real
      }
      const parent = path.dirname(at)
      if (parent === at) return way
      inside = [path.basename(at), ...inside]
      at = parent
    }
  })

const isLeftOut = (segments: ReadonlyArray<string>, filter: Filter): boolean =>
  segments.some((_, index) => !filter.wants(segments.slice(0, index + 1).join("/"), "directory"))
