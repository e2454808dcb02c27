/**
 * Decides whether a key of the destination is extra, because the sources of a comparison do not have it.
 *
 * Each key is looked up in the sources, so the keys of a tree are never held in memory.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Options } from "../sources/Sources.js"

/**
 * The test for extra keys; `undefined` if all sources are single files, since the other objects at the destination do
 * not matter then. Keys that the filter leaves out are not extra.
 */
export const among = (
  sources: ReadonlyArray<string>,
  options: Options
): Effect.Effect<((key: string) => Effect.Effect<boolean>) | undefined> =>
  Effect.promise(async () => {
    const directories: Array<string> = []
    const files = new Set<string>()
    for (const source of sources) {
      const real = await fs.realpath(source)
      if ((await fs.stat(real)).isDirectory()) directories.push(real)
      else files.add(path.basename(path.resolve(source)))
    }
    if (directories.length === 0) return undefined
    return (key) =>
      Effect.promise(async () => {
        if (!options.filter.wantsFile(key) || files.has(key)) return false
        for (const directory of directories) if (await has(directory, key, options.followSymlinks)) return false
        return true
      })
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Whether a walk through a directory, given by its real path, would find a file with that key. */
const has = async (directory: string, key: string, followSymlinks: boolean): Promise<boolean> => {
  const file = path.join(directory, key)
  const real = await fs.realpath(file).catch(() => undefined)
  if (real === undefined || !(followSymlinks ? real.startsWith(path.join(directory, path.sep)) : real === file)) {
    return false
  }
  return (await fs.stat(real)).isFile()
}
