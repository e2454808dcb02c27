/**
 * A directory on the local disk, or on whatever the `FileSystem` in the context reaches.
 *
 * An object is written under a temporary name next to its own and renamed when it is whole, so nothing partial is ever
 * visible under a key, and readers of the old object can keep reading it. The name is `.sluice-<owner>-<n>.part`, where
 * the owner is a new random name each time, or `.sluice-<token>.parts` for an object in parts, which arrive in any
 * order and are written to their places in one file. Parent directories are created as needed, and the modification
 * time is kept. Keys cannot lead out of the directory: those that try are refused, and so are directories inside that
 * are links to somewhere else. Links under an object's own name are replaced, and never read or written through.
 *
 * At most `maxOpenFiles` files are open for writing at once, however many uploads are in flight, plus the directories
 * that they are in. A file keeps its permission bits, if it has any, and never has more than those, not even while it
 * is written.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Destination } from "../Destination.js"
import type { Head, Listed, PutRequest, Stored } from "../Destination.js"
import { drawUploadName } from "../internal/calls/uploadName.js"
import * as InFlight from "../internal/limits/inFlight.js"
import * as Decode from "../internal/values/decode.js"
import { Rejected } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import { codeOf, errorOf, opening, ownErrors } from "./internal/local/errors.js"
import { LocalFiles, ownerOnly } from "./internal/local/files.js"
import type { Found, Target } from "./internal/local/files.js"
import { howToReach } from "./internal/local/openDirectories.js"
import type { Place } from "./internal/local/openDirectories.js"
import { multipart } from "./internal/local/parts.js"
import * as TemporaryNames from "./internal/local/temporaryNames.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The directory; created if it does not exist. */
  readonly root: string
  /**
   * Whether each file and its directory are forced to the disk before the upload counts as stored: slower, but safe
   * from a power cut. Defaults to `false`.
   */
  readonly fsync?: boolean | undefined
  /** The most files open for writing at once, not counting the directories that they are in. Defaults to 128. */
  readonly maxOpenFiles?: number | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { fsync: false, maxOpenFiles: 128 } as const

/**
 * A local directory as a destination. Fails with `Rejected` if the directory cannot be created or written to.
 *
 * @example
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { Uploader } from "@sluice/core"
 * import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
 * import { Layer } from "effect"
 *
 * const BackupUploader = Uploader.layer().pipe(
 *   Layer.provide(LocalDirectory.layer({ root: "/backup/photos", fsync: true })),
 *   Layer.provide(NodeContext.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Destination, UploadError, FileSystem.FileSystem | Path.Path> => Layer.effect(Destination, make(options))

/**
 * Makes a destination from a local directory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Destination["Type"], UploadError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const fsync = options.fsync ?? defaults.fsync
    const openFiles = InFlight.make(Decode.count("maxOpenFiles", options.maxOpenFiles ?? defaults.maxOpenFiles))
    // Level by level: in some places, such as /proc, a recursive call in Node never returns.
    const makeAll = (directory: string): Effect.Effect<void, PlatformError> =>
      Effect.flatMap(fs.exists(directory), (there) =>
        there ? Effect.void : Effect.catchIf(
          Effect.zipRight(makeAll(path.dirname(directory)), fs.makeDirectory(directory)),
          (error) => codeOf(error) === "EEXIST",
          () => Effect.void
        ))

    const root = yield* makeAll(options.root).pipe(
      Effect.zipRight(fs.access(options.root, { writable: true })),
      Effect.zipRight(fs.realPath(options.root)),
      Effect.mapError(unusable(options.root))
    )
    const { type } = yield* Effect.mapError(fs.stat(root), unusable(root))
    if (type !== "Directory") {
      return yield* Effect.fail(new Rejected({ reason: "NotFound", detail: `${root} is not a directory.` }))
    }
    const files = new LocalFiles(fs, path, root, fsync, openFiles, yield* howToReach(fs, root))
    const owner = yield* drawUploadName
    let drawn = 0

    /**
     * Opens a new file under a temporary name, trying the next one if the name is taken. Nobody else may read the file
     * until it has its final permissions.
     */
    const openTemporary = (place: Place, mode: number | undefined, created: (temporary: string) => void) =>
      Effect.suspend(() => {
        drawn += 1
        const temporary = TemporaryNames.ofPiece(owner, drawn)
        const open = fs.open(path.join(place.path, temporary), {
          flag: "wx",
          ...(mode !== undefined && { mode: ownerOnly })
        })
        return Effect.map(open, (file) => {
          created(temporary)
          return file
        })
      }).pipe(
        Effect.retry({ times: 10, while: (error) => codeOf(error) === "EEXIST" }),
        opening,
        Effect.uninterruptible
      )

    const putInto = ({ directory, name, path: targetPath }: Target, place: Place, request: PutRequest) =>
      Effect.suspend(() => {
        const { mode, modifiedAt } = request
        let temporary = ""
        const commit = (file: FileSystem.File | undefined) =>
          Effect.mapError(
            files.commit(place, temporary, name, { file, mode, modifiedAt }),
            ownErrors(errorOf(targetPath))
          )
        const open = Effect.mapError(
          openTemporary(place, mode, (created) => temporary = created),
          errorOf(directory)
        )
        // If files are reached by name, not all systems allow an open file to be renamed.
        const stored = files.by === "descriptor"
          ? files.writeBody(directory, request.body, open, { finish: commit })
          : Effect.zipRight(files.writeBody(directory, request.body, open), commit(undefined))
        return Effect.onError(Effect.zipRight(place.check, stored), () =>
          Effect.suspend(() => {
            files.places.forget(directory)
            return temporary === ""
              ? Effect.void
              : Effect.ignore(fs.remove(path.join(place.path, temporary), { force: true }))
          }))
      })

    const put = (request: PutRequest): Effect.Effect<Stored, UploadError> =>
      Either.match(files.targetOf(request.key), {
        onLeft: (error) => Effect.fail(error),
        onRight: (target) =>
          files.places.make(target.directory, (place) => putInto(target, place, request)).pipe(
            Effect.as({}),
            openFiles.withPermits(1, (turn) => request.body.unwatched(turn))
          )
      })

    /** Looks at the entry under a key, in its directory; `None` if there is none. */
    const within = <A, R>(
      { directory }: Target,
      use: (place: Place) => Effect.Effect<Option.Option<A>, UploadError, R>
    ) => files.places.find(directory, use, Effect.succeedNone)

    const head = (key: string): Effect.Effect<Option.Option<Head>, UploadError> =>
      Effect.flatMap(files.targetOf(key), (target) =>
        within(target, (place) =>
          Effect.mapBoth(files.look(path.join(place.path, target.name)), {
            onFailure: errorOf(target.path, "read"),
            onSuccess: (info) =>
              Option.map(Option.filter(info, ({ type }) => type === "File"), headOf)
          })))

    const read = (key: string): Stream.Stream<Uint8Array, UploadError> =>
      Stream.unwrapScoped(Effect.gen(function*() {
        const target = yield* files.targetOf(key)
        const failed = errorOf(target.path, "read")
        const file = yield* within(target, (place) =>
          Effect.mapError(files.openFile(path.join(place.path, target.name), "r"), failed))
        if (Option.isNone(file)) {
          return yield* Effect.fail(new Rejected({ reason: "NotFound", detail: `${target.path} is not a file.` }))
        }
        // Most files are small, so a block has room for the file's bytes and its end, and no more.
        const { size } = yield* Effect.mapError(file.value.stat, failed)
        const blockSize = Math.min(readSize, Number(size) + 1)
        return Stream.repeatEffectOption(
          Effect.mapError(Effect.uninterruptible(file.value.readAlloc(blockSize)), (error) =>
            Option.some(failed(error)))
            .pipe(Effect.flatMap(Option.match({
              onNone: () =>
                Effect.fail(Option.none<UploadError>()),
              onSome: Effect.succeed
            })))
        )
      }))

    const list: Stream.Stream<Listed, UploadError> = files.walk.pipe(
      Stream.filter(({ name }) => TemporaryNames.ownerOf(name) === undefined && !TemporaryNames.isOfParts(name)),
      Stream.map(({ info, key }) => ({ key, ...headOf(info) }))
    )

    const remove = (key: string): Effect.Effect<void, UploadError> =>
      Effect.flatMap(files.targetOf(key), (target) =>
        Effect.asVoid(within(target, (place) =>
          Effect.gen(function*() {
            const filePath = path.join(place.path, target.name)
            const info = yield* files.look(filePath)
            if (Option.exists(info, ({ type }) => type === "File")) yield* fs.remove(filePath, { force: true })
            return info
          }).pipe(Effect.mapError(errorOf(target.path))))))

    const removeFound = (found: Found) =>
      files.places.find(
        path.dirname(found.path),
        (place) => Effect.mapError(fs.remove(path.join(place.path, found.name), { force: true }), errorOf(found.path)),
        Effect.void
      )

    // Its own temporary files are in use, not left behind.
    const sweep = (earlier: string): Effect.Effect<number, UploadError> =>
      earlier === owner ? Effect.succeed(0) : files.walk.pipe(
        Stream.filter(({ name }) => TemporaryNames.ownerOf(name) === earlier),
        Stream.mapEffect(removeFound),
        Stream.runCount
      )

    return Destination.of({
      name: root,
      capabilities: { maxPutSize: Infinity, unknownSize: true },
      put,
      multipart: multipart(files),
      head,
      read,
      list,
      remove,
      leftovers: { owner, sweep }
    })
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const readSize = 256 * 1024

const headOf = (info: FileSystem.File.Info): Head => ({
  size: Number(info.size),
  modifiedAt: Option.getOrUndefined(Option.map(info.mtime, (time) => time.getTime()))
})

/** Turns a failure of the file system into one of the whole destination: no upload can work. */
const unusable = (root: string) => (error: PlatformError): UploadError => {
  const problem = errorOf(root)(error)
  return problem._tag === "Rejected"
    ? problem
    : new Rejected({
      reason: "NotFound",
      detail: `${root} cannot be used as a directory (${codeOf(error)}).`,
      cause: error
    })
}
