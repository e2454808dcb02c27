/**
 * Reads the list that `--files-from` names: a file of plain lines, or a manifest written by `--failed`.
 *
 * Plain lines are paths relative to a root, and also the keys. A path that leads out of the root fails without
 * affecting the others, and so does a directory. Paths may be separated by NUL instead, as `find -print0` writes them.
 * Links, special files and names that are not UTF-8 are treated as in a walk through the root. The files of a manifest
 * were meant to be uploaded before, so links among them are followed. A path that occurs twice is uploaded twice. Lists
 * of any length are read while the upload runs.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as FilesNode from "@sluice/core/FilesNode"
import { Rejected, SourceUnreadable } from "@sluice/core/UploadError"
import type { UploadError } from "@sluice/core/UploadError"
import * as UploadList from "@sluice/core/UploadList"
import { skipped } from "@sluice/core/UploadResult"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as path from "node:path"
import { resolve } from "node:path"
import * as CliError from "../CliError.js"
import * as IntoItself from "./IntoItself.js"
import * as ListText from "./ListText.js"
import * as Manifest from "./Manifest.js"
import * as Sources from "./Sources.js"

export interface Options extends Sources.Options {
  /** The local directory that the files are uploaded to, if any: no file is uploaded onto itself. */
  readonly destination?: string | undefined
}

/**
 * The files that a list names; `-` is standard input. `root` is the source directory, if one was given. Fails with
 * `SourceNotFound` if the list cannot be read.
 */
export const fromFile = (
  file: string,
  root: string | undefined,
  options: Options
): Effect.Effect<Sources.Sources, CliError.CliError, Scope.Scope> =>
  Effect.gen(function*() {
    const { names, separator } = yield* ListText.names(bytesOf(file))
    const [first, rest] = yield* Stream.peel(names, Sink.head<string>())
    const header = separator === "NUL" ? Option.none() : Option.flatMap(first, Manifest.parseHeader)
    const locations = new Sources.Locations()
    if (Option.isNone(header)) {
      if (root !== undefined) yield* checkRoot(root)
      if (options.destination !== undefined) yield* IntoItself.checkListed(root ?? ".", options.destination)
      const lines = Stream.concat(Stream.fromIterable(Option.toArray(first)), rest)
      // `find -print0` lists directories too, and their contents separately.
      const directory = path.resolve(root ?? ".")
      const entry = yield* Effect.mapError(
        FilesNode.entries(directory, options),
        (error) => CliError.sourceNotFound(`The source cannot be uploaded: ${error.message}`)
      )
      const find = findPath({ root: directory, entry }, options, locations)
      return {
        items: findEach(file, lines, separator === "NUL" ? skippingDirectories(directory, options, find) : find),
        locations
      }
    }
    if (header.value.version !== Manifest.version) {
      return yield* CliError.usage(
        `--files-from: ${
          JSON.stringify(file)
        } is a manifest of version ${header.value.version}, but this sluice reads ` +
          `version ${Manifest.version}.`
      )
    }
    if (root !== undefined) {
      return yield* CliError.usage(
        `--files-from: ${
          JSON.stringify(file)
        } is a manifest, which contains the paths of its files: do not give a source with it.`
      )
    }
    return { items: findEach(file, rest, findEntry(file, options, locations)), locations }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const checkRoot = (root: string): Effect.Effect<void, CliError.CliError> =>
  Effect.tryPromise({
    try: () => fs.promises.stat(root),
    catch: (cause) => CliError.sourceNotFound(`The source ${root} ${CliError.whyUnreadable(cause)}.`)
  }).pipe(
    Effect.filterOrFail(
      (stat) => stat.isDirectory(),
      () => CliError.usage(`--files-from takes a source directory, but ${root} is a file.`)
    ),
    Effect.asVoid
  )

/** The item that a line names: a file, a directory with everything in it, or nothing. */
interface Found {
  readonly items: ReadonlyArray<UploadList.Item>
  readonly tree?: Stream.Stream<UploadList.Item> | undefined
}

type Find = (line: string) => Effect.Effect<Found>

const nothing: Found = { items: [] }

const bytesOf = (file: string): Stream.Stream<Uint8Array, CliError.CliError> => {
  const failed = (cause: unknown) =>
    CliError.sourceNotFound(`--files-from: ${JSON.stringify(file)} ${CliError.whyUnreadable(cause)}.`)
  return Stream.unwrap(Effect.map(
    Effect.try({ try: () => file === "-" ? process.stdin : fs.createReadStream(file), catch: failed }),
    (readable) => NodeStream.fromReadable<CliError.CliError, Uint8Array>(() => readable, failed)
  ))
}

const findEach = (
  file: string,
  lines: Stream.Stream<string, CliError.CliError>,
  find: Find
): Stream.Stream<UploadList.Item> =>
  lines.pipe(
    Stream.chunks,
    Stream.mapEffect(Effect.forEach(find, { concurrency: 16 })),
    Stream.flatMap((found) =>
      Stream.concat(
        Stream.fromIterable(found.flatMap(({ items }) => items)),
        Stream.concatAll(Chunk.fromIterable(found.flatMap(({ tree }) => tree ?? [])))
      )
    ),
    Stream.catchAll((error) => Stream.make(Sources.failedItem(file, unreadable(error.message))))
  )

/** A directory, and the path of a key in it. */
interface Root {
  readonly root: string
  readonly entry: (key: string) => Effect.Effect<Option.Option<UploadList.Item>>
}

const findPath = ({ entry, root }: Root, options: Options, locations: Sources.Locations): Find => (line) => {
  if (line === "") return Effect.succeed(nothing)
  const absolute = path.resolve(root, line)
  const relative = path.relative(root, absolute)
  const key = relative.split(path.sep).join("/")
  const isOutside = leadsOutOf(relative)
  if (isOutside || key === "") {
    const detail = isOutside ? `${line} is outside of ${root}.` : `${line} is the source directory itself.`
    return Effect.succeed({
      items: [locations.note(Sources.failedItem(line, new Rejected({ reason: "InvalidKey", detail })), absolute)]
    })
  }
  if (!options.filter.wantsFile(key)) return Effect.succeed(nothing)
  return Effect.flatMap(
    entry(key),
    Option.match({
      onNone: () => Effect.succeed(nothing),
      onSome: (item) => Effect.flatMap(hinted(item, root, line), (item) => toUpload(item, absolute, options, locations))
    })
  )
}

/** Explains how to write a name that does not exist because it repeats the source. */
const hinted = (item: UploadList.Item, root: string, line: string): Effect.Effect<UploadList.Item> => {
  if (UploadList.isFile(item) || item._tag !== "Failed" || !isNotFound(item.error)) return Effect.succeed(item)
  const { error } = item
  return Effect.match(
    Effect.tryPromise(async () => {
      const real = path.resolve(line)
      await fs.promises.lstat(real)
      return path.relative(root, real)
    }),
    {
      onFailure: () => item,
      onSuccess: (name) =>
        leadsOutOf(name) ? item : {
          ...item,
          error: new SourceUnreadable({
            ...error,
            detail: `${error.detail.replace(/\.$/, "")}: names in the list are relative to the source, but this one ` +
              `begins with it. ${name === "" ? "Leave it out." : `Write ${JSON.stringify(name)} instead.`}`
          })
        }
    }
  )
}

const isNotFound = (error: UploadError): error is SourceUnreadable =>
  error._tag === "SourceUnreadable" && error.reason === "NotFound"

const leadsOutOf = (relative: string): boolean =>
  relative === ".." || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative)

/** Skips directories, and says so. */
const skippingDirectories = (root: string, { followSymlinks }: Options, find: Find): Find => (line) =>
  Effect.flatMap(
    Effect.orElseSucceed(
      Effect.map(
        Effect.tryPromise(() => (followSymlinks ? fs.promises.stat : fs.promises.lstat)(path.resolve(root, line))),
        (stat) => stat.isDirectory()
      ),
      () => false
    ),
    (isDirectory) =>
      isDirectory && line !== ""
        ? Effect.succeed({ items: [skipped(line, "It is a directory: its contents are listed separately.")] })
        : find(line)
  )

const findEntry = (file: string, options: Options, locations: Sources.Locations): Find => (line) =>
  Option.match(Manifest.parseEntry(line), {
    onNone: () =>
      Effect.succeed(
        line === ""
          ? nothing
          : { items: [Sources.failedItem(file, unreadable(`Not an entry of a manifest: ${line.slice(0, 200)}`))] }
      ),
    onSome: ({ key, path }) => {
      if (key.endsWith("/")) {
        const prefix = key === "./" ? "" : key
        const tree = { items: [], tree: Sources.walk(path, options, locations, prefix) }
        return options.destination === undefined ? Effect.succeed(tree) : Effect.match(
          IntoItself.check([path], resolve(options.destination, prefix), options.filter),
          {
            onFailure: ({ message: detail }) => ({
              items: [locations.note(Sources.failedItem(key, new Rejected({ reason: "InvalidKey", detail })), path)]
            }),
            onSuccess: () => tree
          }
        )
      }
      return options.filter.wantsFile(key) ? findFile(path, key, options, locations) : Effect.succeed(nothing)
    }
  })

const findFile = (
  absolute: string,
  key: string,
  options: Options,
  locations: Sources.Locations
): Effect.Effect<Found> =>
  FilesNode.file(absolute, { key }).pipe(
    Effect.mapError((error) => Sources.failedItem(key, error)),
    Effect.merge,
    Effect.flatMap((item) => toUpload(item, absolute, options, locations))
  )

/** An item that fails if its file would be uploaded onto itself. */
const toUpload = (
  item: UploadList.Item,
  absolute: string,
  { destination }: Options,
  locations: Sources.Locations
): Effect.Effect<Found> =>
  (destination === undefined || !UploadList.isFile(item)
    ? Effect.succeed(item)
    : Effect.match(refuseItself(absolute, destination, item.key), {
      onFailure: (error): UploadList.Item => Sources.failedItem(item.key, error),
      onSuccess: () => item
    })).pipe(Effect.map((item) => ({ items: [locations.note(item, absolute)] })))

/** Fails if a file is its own destination. */
const refuseItself = (absolute: string, destination: string, key: string): Effect.Effect<void, Rejected> =>
  Effect.flatMap(IntoItself.isItself(absolute, destination, key), (isItself) =>
    isItself
      ? Effect.fail(
        new Rejected({ reason: "InvalidKey", detail: `${absolute} and its destination are the same file.` })
      )
      : Effect.void)

const unreadable = (detail: string): SourceUnreadable => new SourceUnreadable({ reason: "Failed", detail })
