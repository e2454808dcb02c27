/**
 * A directory of its own for a test, removed with everything in it when the test's scope ends.
 */
import { Context, Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export const make = Effect.acquireRelease(
  Effect.sync(() => fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "sluice-test-")))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

export class TemporaryDirectory extends Context.Tag("@sluice/core/test/TemporaryDirectory")<
  TemporaryDirectory,
  string
>() {}

export const layer = Layer.scoped(TemporaryDirectory, make)

/** Everything below a directory that is not a directory itself, relative to it and sorted. */
export const filesBelow = (directory: string, below = ""): Array<string> =>
  fs.readdirSync(path.join(directory, below), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(below, entry.name)
    return entry.isDirectory() ? filesBelow(directory, name) : [name]
  }).sort()
