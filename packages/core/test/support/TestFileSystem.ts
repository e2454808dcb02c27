/**
 * The real file system, with some of its calls replaced: to fail, to wait, or to tell that they were made.
 */
import { FileSystem } from "@effect/platform"
import type { Path } from "@effect/platform"
import { NodeFileSystem, NodePath } from "@effect/platform-node"
import { SystemError } from "@effect/platform/Error"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"

/** The real file system with the calls that `change` gives in place of its own. */
export const layer = (
  change: (real: FileSystem.FileSystem) => Partial<FileSystem.FileSystem>
): Layer.Layer<FileSystem.FileSystem | Path.Path> =>
  Layer.merge(
    Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (real): FileSystem.FileSystem => ({ ...real, ...change(real) }))
    ).pipe(Layer.provide(NodeFileSystem.layer)),
    NodePath.layer
  )

/** A path through an open directory, with the names of directories instead. */
export const named = (file: string): string => {
  const [, open, rest] = /^(\/proc\/self\/fd\/\d+)(.*)$/.exec(file) ?? []
  return open === undefined ? file : `${fs.readlinkSync(open)}${rest}`
}

/** The same, which records flushes to the disk and renames, in order, by the names below `root`. */
export const layerTelling = (
  root: string,
  tell: (step: string) => void
): Layer.Layer<FileSystem.FileSystem | Path.Path> => {
  const shown = (file: string) => path.relative(root, named(file)).replace(/\.sluice-[\w-]+/, "temporary") || "root"
  return layer((real) => ({
    open: (file, options) =>
      Effect.map(
        real.open(file, options),
        (opened) => fileWith(opened, { sync: Effect.tap(opened.sync, () => tell(`sync ${shown(file)}`)) })
      ),
    rename: (from, to) => Effect.tap(real.rename(from, to), () => tell(`rename ${shown(from)} to ${shown(to)}`))
  }))
}

/** The same, where only what is done to open files differs. */
export const layerFile = (
  change: (file: FileSystem.File, path: string) => Partial<FileSystem.File>
): Layer.Layer<FileSystem.FileSystem | Path.Path> =>
  layer((real) => ({
    open: (path, options) => Effect.map(real.open(path, options), (file) => fileWith(file, change(file, path)))
  }))

/** An open file with some of its calls replaced. */
export const fileWith = (file: FileSystem.File, change: Partial<FileSystem.File>): FileSystem.File =>
  Object.create(file, Object.getOwnPropertyDescriptors(change)) as FileSystem.File

/** What the platform says where the system answers with an error of this code, such as `ENOSPC`. */
export const systemError = (code: string): SystemError =>
  new SystemError({
    reason: "Unknown",
    module: "FileSystem",
    method: "test",
    pathOrDescriptor: 0,
    description: code,
    cause: Object.assign(new Error(`${code}: made for the test`), { code })
  })
