/**
 * A directory of the local disk, or of whatever the `FileSystem` in the context reaches.
 *
 * An object is written under a temporary name beside its own, `.sluice-*.part`, and renamed when it is whole; so
 * nothing partial is ever visible under a key, and whoever reads the old object goes on reading it. Parent directories
 * are made as needed, and the modification time is kept. Keys cannot lead out of the directory: those that try are
 * refused, and so are directories inside that are links to somewhere else.
 *
 * At most `maxOpenFiles` files are open for writing at once, however many uploads are in flight.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { Destination } from "../Destination.js"
import type { PutRequest, Stored } from "../Destination.js"
import * as InFlight from "../InFlight.js"
import * as ObjectKey from "../ObjectKey.js"
import { Conflict, Rejected, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The directory; made where it is not there. */
  readonly root: string
  /**
   * Whether each file and its directory are forced to the disk before the upload counts as stored: slower, and safe
   * from a power cut. Defaults to `false`.
   */
  readonly fsync?: boolean | undefined
  /** How many files are open for writing at once, at most. Defaults to 128. */
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
 * A local directory as a destination. Fails with `Rejected` where the directory cannot be made or written to.
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
 * Makes a destination of a local directory.
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
    const openFiles = InFlight.make(options.maxOpenFiles ?? defaults.maxOpenFiles)
    // One by one: there are places, such as /proc, where a recursive call of Node never comes back.
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
    const inside = root.endsWith(path.sep) ? root : root + path.sep
    const known = new Set<string>()

    const sync = (filePath: string): Effect.Effect<void, PlatformError> =>
      Effect.scoped(Effect.flatMap(fs.open(filePath), (file) => file.sync))

    const make = (directory: string): Effect.Effect<string, PlatformError> =>
      Effect.catchIf(
        Effect.as(fs.makeDirectory(directory), directory),
        (error) => codeOf(error) === "EEXIST",
        () => fs.realPath(directory)
      )

    /** Makes a directory where it is missing, and never behind a link that leads out. What was seen is remembered for a while. */
    const ensureDirectory = (directory: string): Effect.Effect<void, UploadError> => {
      if (directory === root || known.has(directory)) return Effect.void
      return Effect.gen(function*() {
        const there = yield* Effect.mapError(fs.exists(directory), errorOf(directory))
        if (!there) yield* ensureDirectory(path.dirname(directory))
        const real = yield* Effect.mapError(there ? fs.realPath(directory) : make(directory), errorOf(directory))
        if (!(real + path.sep).startsWith(inside)) return yield* Effect.fail(leadsOut(directory))
        if (fsync) yield* Effect.mapError(sync(path.dirname(directory)), errorOf(directory))
        if (known.size >= maxKnown) known.clear()
        known.add(directory)
      })
    }

    /** Opens a new file under a temporary name; where somebody else has drawn the same name, another is drawn. */
    const openTemporary = (directory: string, created: (temporary: string) => void) =>
      Effect.gen(function*() {
        const temporary = path.join(directory, `.sluice-${yield* randomName}.part`)
        const file = yield* fs.open(temporary, { flag: "wx" })
        created(temporary)
        return file
      }).pipe(
        Effect.retry({ times: 10, while: (error) => codeOf(error) === "EEXIST" }),
        Effect.mapError(errorOf(directory)),
        Effect.uninterruptible
      )

    // A write in progress is never cut: its descriptor could be another file's by the time it reaches the disk.
    const write = (directory: string, { body }: PutRequest, created: (temporary: string) => void) =>
      Effect.scoped(
        Effect.gen(function*() {
          const inOnePiece = body.inOnePiece ? yield* body.bytes : undefined
          const file = yield* openTemporary(directory, created)
          const writeBlock = (block: Uint8Array) =>
            Effect.uninterruptible(Effect.mapError(file.writeAll(block), errorOf(directory)))
          if (inOnePiece === undefined) yield* Stream.runForEach(body.stream({ blockSize }), writeBlock)
          else if (inOnePiece.length > 0) yield* writeBlock(inOnePiece)
          if (fsync) yield* Effect.uninterruptible(Effect.mapError(file.sync, errorOf(directory)))
        })
      )

    const commit = (temporary: string, target: string, modifiedAt: number | undefined) =>
      Effect.gen(function*() {
        if (modifiedAt !== undefined) yield* fs.utimes(temporary, timeOf(modifiedAt), timeOf(modifiedAt))
        yield* fs.rename(temporary, target)
        if (fsync) yield* sync(path.dirname(target))
      }).pipe(Effect.mapError(errorOf(target)), Effect.uninterruptible)

    const put = (request: PutRequest): Effect.Effect<Stored, UploadError> => {
      const problem = ObjectKey.problem(request.key) ??
        (path.sep === "\\" && /[\\:*?"<>|]/.test(request.key) ? "cannot be a file name here" : undefined)
      if (problem !== undefined) return Effect.fail(invalidKey(request.key, problem))
      const target = path.join(root, request.key)
      const directory = path.dirname(target)
      return Effect.suspend(() => {
        let temporary = ""
        return ensureDirectory(directory).pipe(
          Effect.zipRight(write(directory, request, (created) => temporary = created)),
          Effect.zipRight(Effect.suspend(() => commit(temporary, target, request.modifiedAt))),
          Effect.as({}),
          Effect.onError(() => {
            // What was seen of the directories may not be so any more.
            known.clear()
            return temporary === "" ? Effect.void : Effect.ignore(fs.remove(temporary, { force: true }))
          }),
          openFiles.withPermits(1, (turn) => request.body.unwatched(turn))
        )
      })
    }

    return Destination.of({
      name: root,
      capabilities: { maxPutSize: Infinity, unknownSize: true },
      put
    })
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const blockSize = 1024 * 1024

/** How many directories are remembered as made. */
const maxKnown = 10_000

const randomName: Effect.Effect<string> = Effect.map(
  Effect.all([Random.nextIntBetween(0, 2 ** 32), Random.nextIntBetween(0, 2 ** 32)]),
  (words) => words.map((word) => word.toString(16).padStart(8, "0")).join("")
)

const invalidKey = (key: string, problem: string) =>
  new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(key)} ${problem}.` })

const leadsOut = (directory: string) =>
  new Rejected({ reason: "InvalidKey", detail: `${directory} is a link that leads out of the destination.` })

/**
 * A time as `utimes` takes it. Numbers are cut to microseconds there, so they get half of one more; numbers before 1970
 * are taken for the present, dates are not.
 */
const timeOf = (millis: number): number | Date => millis < 0 ? new Date(millis) : millis / 1000 + 5e-7

const codeOf = (error: PlatformError): string | undefined => {
  const cause = error._tag === "SystemError" ? error.cause : undefined
  return Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : undefined
}

/** What a failure of the file system means for an upload: the class by the system's code, the text for people. */
const errorOf = (filePath: string) => (error: PlatformError): UploadError => {
  const code = codeOf(error)
  const said = code === undefined ? error.message : code
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return new Rejected({ reason: "NoSpace", detail: `No space is left for ${filePath} (${said}).`, cause: error })
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new Rejected({ reason: "Forbidden", detail: `${filePath} may not be written (${said}).`, cause: error })
    case "ENAMETOOLONG":
      return new Rejected({ reason: "InvalidKey", detail: `The name ${filePath} is too long (${said}).`, cause: error })
    case "EFBIG":
      return new Rejected({ reason: "TooLarge", detail: `${filePath} is too large here (${said}).`, cause: error })
    case "EISDIR":
    case "ENOTDIR":
    case "EEXIST":
    case "ENOTEMPTY":
      return new Conflict({
        detail: `A file and a directory want the same name at ${filePath} (${said}).`,
        cause: error
      })
    default:
      return new Transient({ reason: "Unavailable", detail: `${filePath} cannot be written (${said}).`, cause: error })
  }
}

/** What the same means for the whole destination: whatever it is, no upload can work. */
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
