import { Effect } from "effect"
import type { Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** A directory that is gone when the scope closes. */
export const make: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "sluice-cli-")))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** A temporary directory with files in it, by path and content. */
export const withFiles = (files: Record<string, string>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.tap(make, (directory) => Effect.sync(() => write(directory, files)))

/** Writes files into a directory, by path and content. */
export const write = (directory: string, files: Record<string, string>): void => {
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true })
    fs.writeFileSync(path.join(directory, name), content)
  }
}

/** The files in a directory, by path and content; other entries have their kind as content. */
export const read = (directory: string): Record<string, string> => {
  if (!fs.existsSync(directory)) return {}
  const names = fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()
  return Object.fromEntries(names.flatMap((name) => {
    const stat = fs.lstatSync(path.join(directory, name))
    if (stat.isDirectory()) return []
    return [[name, stat.isFile() ? fs.readFileSync(path.join(directory, name), "utf8") : "no file"]]
  }))
}
