/**
 * Keys that two sources share: the destination could hold only one of the files.
 *
 * They are looked for before anything is sent, and without holding the keys of whole trees. Keys of files are known at
 * once. Two directories can share keys only below directories that both have, so only those are read, one at a time;
 * a single source is not read at all.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "./CliError.js"
import type { Filter } from "./Filter.js"

/** A directory, or a file with its key. */
export interface Source {
  readonly path: string
  readonly key?: string | undefined
}

/** Fails with a usage error that names the first key found twice. */
export const check = (
  sources: ReadonlyArray<Source>,
  options: { readonly filter: Filter; readonly followSymlinks: boolean }
): Effect.Effect<void, CliError.CliError> => {
  const directories = sources.filter(({ key }) => key === undefined).map((source) => source.path)
  const files = sources.flatMap((source) => source.key === undefined ? [] : [{ path: source.path, key: source.key }])
  const seen = new Map<string, string>()
  for (const file of files) {
    const other = seen.get(file.key)
    if (other !== undefined) return shared(file.key, other, file.path)
    seen.set(file.key, file.path)
  }
  const readTop = Effect.forEach(directories, (directory) => read(directory, options.followSymlinks))

  const compare = (prefix: string, roots: ReadonlyArray<string>): Effect.Effect<void, CliError.CliError> =>
    Effect.gen(function*() {
      const entries = new Map<string, { files: Array<string>; directories: Array<string> }>()
      for (const root of roots) {
        for (const { isDirectory, name } of yield* read(path.join(root, prefix), options.followSymlinks)) {
          const entry = entries.get(name) ?? { files: [], directories: [] }
          ;(isDirectory ? entry.directories : entry.files).push(root)
          entries.set(name, entry)
        }
      }
      for (const [name, entry] of entries) {
        const key = `${prefix}${name}`
        const [one, other] = entry.files
        if (one !== undefined && other !== undefined && options.filter.wants(key, "file")) {
          return yield* shared(key, path.join(one, key), path.join(other, key))
        }
      }
      for (const [name, entry] of entries) {
        const key = `${prefix}${name}`
        if (entry.directories.length > 1 && options.filter.wants(key, "directory")) {
          yield* compare(`${key}/`, entry.directories)
        }
      }
    })

  return Effect.gen(function*() {
    if (directories.length > 0 && files.length > 0) {
      for (const [at, entries] of (yield* readTop).entries()) {
        for (const { isDirectory, name } of entries) {
          const file = isDirectory ? undefined : seen.get(name)
          if (file !== undefined) return yield* shared(name, path.join(directories[at] ?? "", name), file)
        }
      }
    }
    if (directories.length > 1) yield* compare("", directories)
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Entry {
  readonly name: string
  readonly isDirectory: boolean
}

/** The files and directories in a directory. One that cannot be read shares nothing. */
const read = (directory: string, followSymlinks: boolean): Effect.Effect<ReadonlyArray<Entry>> =>
  Effect.tryPromise(() => fs.readdir(directory, { withFileTypes: true })).pipe(
    Effect.flatMap(Effect.forEach((entry) =>
      entry.isSymbolicLink() && followSymlinks
        ? Effect.tryPromise(async () => {
          const stat = await fs.stat(path.join(directory, entry.name))
          return [{ name: entry.name, isDirectory: stat.isDirectory() }]
        }).pipe(Effect.orElseSucceed(() => []))
        : Effect.succeed(
          entry.isFile() || entry.isDirectory() ? [{ name: entry.name, isDirectory: entry.isDirectory() }] : []
        )
    )),
    Effect.map((entries) => entries.flat()),
    Effect.orElseSucceed(() => [])
  )

const shared = (key: string, one: string, other: string): Effect.Effect<never, CliError.CliError> =>
  CliError.usage(
    `${one} and ${other} both have the key ${JSON.stringify(key)}, and the destination can hold only one of them. ` +
      "Upload them to different destinations."
  )
