/**
 * Finds keys that two sources share: the destination could hold only one of the files.
 *
 * The search runs before anything is sent, and does not hold the keys of whole trees in memory. The keys of single
 * files are known at once, and each is looked up in each directory. Two directories can share keys only below
 * directories that both have, so only those are read, one at a time. A single source is not read at all.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "../CliError.js"
import type { Filter } from "./Filter.js"

/** A directory, or a file with its key. */
export interface Source {
  readonly path: string
  readonly key?: string | undefined
}

export interface Options {
  readonly filter: Filter
  readonly followSymlinks: boolean
}

/** Fails with a usage error that names the first key found twice. */
export const check = Effect.fnUntraced(
  function*(sources: ReadonlyArray<Source>, all: Options): Effect.fn.Return<void, CliError.CliError> {
    const filter = all.filter.uncounted ?? all.filter
    const options = { ...all, filter }
    const directories = sources.flatMap((source) => source.key === undefined ? [source.path] : [])
    const files = new Map<string, string>()
    for (const { key, path } of sources) {
      if (key === undefined) continue
      const other = files.get(key)
      if (other !== undefined) return yield* shared(key, other, path)
      files.set(key, path)
    }
    for (const directory of directories) {
      yield* Effect.forEach(files, ([key, file]) => {
        const entry = path.join(directory, key)
        return Effect.flatMap(
          kindOf(entry, options),
          (kind) => kind === "file" ? shared(key, file, entry) : Effect.void
        )
      }, { concurrency: 16, discard: true })
    }
    if (directories.length > 1) yield* compare("", directories, options)
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Kind = "file" | "directory"

/** Looks for keys below `prefix` that more than one of the directories has. */
const compare = Effect.fnUntraced(
  function*(prefix: string, roots: ReadonlyArray<string>, options: Options): Effect.fn.Return<void, CliError.CliError> {
    const found: Record<Kind, Map<string, Array<string>>> = { file: new Map(), directory: new Map() }
    for (const root of roots) {
      for (const { kind, name } of yield* read(path.join(root, prefix), options)) {
        const holders = found[kind].get(name)
        if (holders === undefined) found[kind].set(name, [root])
        else holders.push(root)
      }
    }
    for (const [name, [one, other]] of found.file) {
      const key = prefix + name
      if (one !== undefined && other !== undefined && options.filter.wants(key, "file")) {
        return yield* shared(key, path.join(one, key), path.join(other, key))
      }
    }
    for (const [name, holders] of found.directory) {
      const key = prefix + name
      if (holders.length > 1 && options.filter.wants(key, "directory")) {
        yield* compare(`${key}/`, holders, options)
      }
    }
  }
)

/** The contents of a directory. One that cannot be read shares nothing. */
const read = (
  directory: string,
  options: Options
): Effect.Effect<ReadonlyArray<{ readonly name: string; readonly kind: Kind }>> =>
  Effect.tryPromise(() => fs.readdir(directory, { withFileTypes: true })).pipe(
    Effect.flatMap(Effect.forEach((entry) =>
      Effect.map(
        entry.isSymbolicLink() ? kindOf(path.join(directory, entry.name), options) : Effect.succeed(kindIn(entry)),
        (kind) => kind === undefined ? [] : [{ name: entry.name, kind }]
      )
    )),
    Effect.map((entries) => entries.flat()),
    Effect.orElseSucceed(() => [])
  )

const kindOf = (entry: string, options: Options): Effect.Effect<Kind | undefined> =>
  Effect.tryPromise(() => options.followSymlinks ? fs.stat(entry) : fs.lstat(entry)).pipe(
    Effect.map(kindIn),
    Effect.orElseSucceed(() => undefined)
  )

const kindIn = (entry: { readonly isFile: () => boolean; readonly isDirectory: () => boolean }): Kind | undefined =>
  entry.isFile() ? "file" : entry.isDirectory() ? "directory" : undefined

const shared = (key: string, one: string, other: string): Effect.Effect<never, CliError.CliError> =>
  CliError.usage(
    `${one} and ${other} both have the key ${JSON.stringify(key)}, and the destination can hold only one of them. ` +
      "Upload them to different destinations."
  )
