/**
 * Turns the arguments into one lazy list of files with their keys.
 *
 * The keys of a directory are relative to it; the key of a file is its base name. Problems that show at once are
 * reported before anything is sent: sources that do not exist, and keys that two sources share ({@link SharedKeys}). A
 * problem that shows during listing, such as a directory that cannot be read, is an item of the list and fails by
 * itself.
 */
import * as FilesNode from "@sluice/core/FilesNode"
import type { UploadError } from "@sluice/core/UploadError"
import type * as UploadFile from "@sluice/core/UploadFile"
import * as UploadList from "@sluice/core/UploadList"
import type { Failed, UploadResult } from "@sluice/core/UploadResult"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "../CliError.js"
import type { Filter } from "./Filter.js"
import type { Items } from "./Remainder.js"
import * as SharedKeys from "./SharedKeys.js"

/** A list of files and their locations. */
export interface Sources {
  readonly items: Items
  readonly locations: Locations
}

export interface Options {
  readonly filter: Filter
  readonly followSymlinks: boolean
  /** Which files and directories to leave out, by device and inode. */
  readonly leaveOut?: ((identity: FilesNode.Identity) => boolean) | undefined
}

/** The files and directories that paths name. */
export const fromPaths = Effect.fnUntraced(
  function*(paths: ReadonlyArray<string>, options: Options): Effect.fn.Return<Sources, CliError.CliError> {
    const found = yield* Effect.forEach(paths, look, { concurrency: 16 })
    const sources = found.filter((source) => isDirectory(source) || options.filter.wantsFile(source.file.key))
    yield* SharedKeys.check(
      sources.map((source) => ({ path: source.path, key: isDirectory(source) ? undefined : source.file.key })),
      options
    )
    const locations = new Locations()
    const lists = sources.map((source) =>
      isDirectory(source)
        ? walk(source.path, options, locations)
        : [locations.note(source.file, source.path)]
    )
    const items = lists.every(Array.isArray)
      ? lists.flat()
      : Stream.flatMap(Stream.fromIterable(lists), (list) => Array.isArray(list) ? Stream.fromIterable(list) : list)
    return { items, locations }
  }
)

/** Everything in a directory, each key with `prefix` before it. */
export const walk = (
  root: string,
  options: Options,
  locations: Locations,
  prefix: string = ""
): Stream.Stream<UploadList.Item> =>
  FilesNode.directory(root, {
    filter: (key, kind) => options.filter.wants(prefix + key, kind),
    followSymlinks: options.followSymlinks,
    leaveOut: options.leaveOut
  }).pipe(
    Stream.mapChunks(Chunk.map((item) => locations.note(withPrefix(prefix, item), path.resolve(root, keyOf(item))))),
    Stream.catchAll((error) =>
      Stream.sync(() => locations.note(failedItem(prefix === "" ? "./" : prefix, error), path.resolve(root)))
    )
  )

/** An item that fails before it is uploaded. */
export const failedItem = (key: string, error: UploadError): Failed => ({
  _tag: "Failed",
  file: { key, size: undefined },
  attempts: 0,
  error,
  duration: Duration.zero
})

/**
 * The locations of list items on the disk, so that failed items can be listed in a manifest. The location of an item is
 * forgotten together with its file.
 */
export class Locations {
  private readonly paths = new WeakMap<object, string>()

  note<A extends UploadList.Item>(item: A, absolutePath: string): A {
    this.paths.set(subjectOf(item), absolutePath)
    return item
  }

  /** The absolute path of an item, or of the file of a result. */
  of(file: UploadResult["file"]): string | undefined {
    return this.paths.get(file)
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Source = DirectorySource | FileSource

interface DirectorySource {
  readonly _tag: "Directory"
  readonly path: string
}

interface FileSource {
  readonly _tag: "File"
  readonly path: string
  readonly file: UploadFile.UploadFile
}

const isDirectory = (source: Source): source is DirectorySource => source._tag === "Directory"

const look = (source: string): Effect.Effect<Source, CliError.CliError> => {
  const absolute = path.resolve(source)
  return Effect.tryPromise({
    try: async () => {
      const stat = await fs.stat(absolute)
      await fs.access(absolute, stat.isDirectory() ? fs.constants.R_OK | fs.constants.X_OK : fs.constants.R_OK)
      return stat.isDirectory()
    },
    catch: (cause) => CliError.sourceNotFound(`The source ${source} ${CliError.whyUnreadable(cause)}.`)
  }).pipe(
    Effect.flatMap((isDirectory): Effect.Effect<Source, CliError.CliError> =>
      isDirectory ? Effect.succeed({ _tag: "Directory", path: absolute }) : Effect.mapBoth(FilesNode.file(absolute), {
        onSuccess: (file) => ({ _tag: "File", path: absolute, file }),
        onFailure: (error) => CliError.sourceNotFound(`The source cannot be uploaded: ${error.message}`)
      })
    )
  )
}

const subjectOf = (item: UploadList.Item) => UploadList.isFile(item) ? item : item.file

const keyOf = (item: UploadList.Item): string => subjectOf(item).key

const withPrefix = (prefix: string, item: UploadList.Item): UploadList.Item => {
  if (prefix === "") return item
  return UploadList.isFile(item)
    ? { ...item, key: prefix + item.key }
    : { ...item, file: { ...item.file, key: prefix + item.file.key } }
}
