/**
 * The files of a local directory that is a destination: where keys lead, and what may be opened, walked and renamed there.
 *
 * The platform's file system has no `O_NOFOLLOW`. What is under a name is looked at before it is opened, and after that
 * what was opened has to be what is under the name: a link that was planted is seen, and so is one that comes while the
 * file is opened, unless it is also gone again by the second look.
 */
import type { PlatformError } from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Body } from "../Destination.js"
import type * as InFlight from "../InFlight.js"
import * as ObjectKey from "../ObjectKey.js"
import { Conflict, Rejected, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"

/** Where an object goes: the file, and the directory that it is in. */
export interface Target {
  readonly path: string
  readonly directory: string
}

/** A file that a walk has come to. */
export interface Found {
  readonly key: string
  /** The last part of the key. */
  readonly name: string
  readonly path: string
  readonly info: FileSystem.File.Info
}

export class LocalFiles {
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
  /** The directory, by its real path. */
  readonly root: string
  readonly fsync: boolean
  /** The budget of files that are open for writing. */
  readonly openFiles: InFlight.InFlight
  private readonly inside: string
  /** Directories that were seen to be there and inside. */
  private readonly known = new Set<string>()

  constructor(
    fs: FileSystem.FileSystem,
    path: Path.Path,
    root: string,
    fsync: boolean,
    openFiles: InFlight.InFlight
  ) {
    this.fs = fs
    this.path = path
    this.root = root
    this.fsync = fsync
    this.openFiles = openFiles
    this.inside = root.endsWith(path.sep) ? root : root + path.sep
  }

  targetOf(key: string): Either.Either<Target, Rejected> {
    const problem = ObjectKey.problem(key) ??
      (this.path.sep === "\\" && /[\\:*?"<>|]/.test(key) ? "cannot be a file name here" : undefined)
    if (problem !== undefined) {
      return Either.left(
        new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(key)} ${problem}.` })
      )
    }
    const path = this.path.join(this.root, key)
    return Either.right({ path, directory: this.path.dirname(path) })
  }

  /** What was seen of the directories may not be so any more. */
  readonly forget: Effect.Effect<void> = Effect.sync(() => this.known.clear())

  private remember(directory: string): void {
    if (this.known.size >= maxKnown) this.known.clear()
    this.known.add(directory)
  }

  private isInside(real: string): boolean {
    return (real + this.path.sep).startsWith(this.inside)
  }

  /** Makes a directory where it is missing, and never behind a link that leads out. What was seen is remembered for a while. */
  ensureDirectory(directory: string): Effect.Effect<void, UploadError> {
    if (directory === this.root || this.known.has(directory)) return Effect.void
    return Effect.gen(this, function*() {
      const there = yield* Effect.mapError(this.fs.exists(directory), errorOf(directory))
      if (!there) yield* this.ensureDirectory(this.path.dirname(directory))
      const real = yield* Effect.mapError(
        there ? this.fs.realPath(directory) : this.makeDirectory(directory),
        errorOf(directory)
      )
      if (!this.isInside(real)) return yield* Effect.fail(leadsOut(directory))
      if (this.fsync) yield* Effect.mapError(this.sync(this.path.dirname(directory)), errorOf(directory))
      this.remember(directory)
    })
  }

  private makeDirectory(directory: string): Effect.Effect<string, PlatformError> {
    return Effect.catchIf(
      Effect.as(this.fs.makeDirectory(directory), directory),
      (error) => codeOf(error) === "EEXIST",
      () => this.fs.realPath(directory)
    )
  }

  /** Whether a directory is there. Fails where it leads out. */
  hasDirectory(directory: string): Effect.Effect<boolean, UploadError> {
    if (directory === this.root || this.known.has(directory)) return Effect.succeed(true)
    return Effect.mapError(orNone(this.fs.realPath(directory)), errorOf(directory, "read")).pipe(
      Effect.flatMap((real): Effect.Effect<boolean, UploadError> => {
        if (Option.isNone(real)) return Effect.succeed(false)
        if (!this.isInside(real.value)) return Effect.fail(leadsOut(directory))
        this.remember(directory)
        return Effect.succeed(true)
      })
    )
  }

  /** What is under a name, links not followed; nothing where it is a link or missing. */
  look(filePath: string): Effect.Effect<Option.Option<FileSystem.File.Info>, PlatformError> {
    return Effect.matchEffect(this.fs.readLink(filePath), {
      onSuccess: () => Effect.succeed(Option.none()),
      onFailure: (error) =>
        codeOf(error) === "EINVAL"
          ? orNone(this.fs.stat(filePath))
          : isMissing(error)
          ? Effect.succeed(Option.none())
          : Effect.fail(error)
    })
  }

  /** Opens a regular file, links not followed; nothing where there is none. */
  openFile(
    filePath: string,
    flag: "r" | "r+"
  ): Effect.Effect<Option.Option<FileSystem.File>, PlatformError, Scope.Scope> {
    return Effect.gen(this, function*() {
      const before = yield* this.look(filePath)
      if (!isFile(before)) return Option.none()
      const file = yield* orNone(this.fs.open(filePath, { flag }))
      if (Option.isNone(file)) return file
      const opened = yield* file.value.stat
      const after = yield* this.look(filePath)
      return isFile(after) && sameFile(opened, after.value) ? file : Option.none()
    }).pipe(Effect.uninterruptible)
  }

  /**
   * Writes a body to a file, from where the file stands. A write in progress is never cut: its descriptor could be
   * another file's by the time it reaches the disk.
   */
  writeBody<E>(
    place: string,
    body: Body,
    open: Effect.Effect<FileSystem.File, E, Scope.Scope>
  ): Effect.Effect<number, UploadError | E> {
    return Effect.scoped(
      Effect.gen(this, function*() {
        const inOnePiece = body.inOnePiece ? yield* body.bytes : undefined
        const file = yield* open
        let written = 0
        const writeBlock = (block: Uint8Array) =>
          Effect.uninterruptible(Effect.mapError(file.writeAll(block), errorOf(place))).pipe(
            Effect.map(() => {
              written += block.length
            })
          )
        if (inOnePiece === undefined) {
          yield* Stream.runForEach(body.stream({ blockSize: writeSize, lent: true }), writeBlock)
        } else if (inOnePiece.length > 0) yield* writeBlock(inOnePiece)
        body.release()
        if (this.fsync) yield* Effect.uninterruptible(Effect.mapError(file.sync, errorOf(place)))
        return written
      })
    )
  }

  /** Forces a file or a directory to the disk. */
  sync(filePath: string): Effect.Effect<void, PlatformError> {
    return Effect.scoped(Effect.flatMap(this.fs.open(filePath), (file) => file.sync))
  }

  /** Gives a file that is whole its name. */
  commit(temporary: string, target: string, modifiedAt: number | undefined): Effect.Effect<void, PlatformError> {
    return Effect.gen(this, function*() {
      if (modifiedAt !== undefined) yield* this.fs.utimes(temporary, timeOf(modifiedAt), timeOf(modifiedAt))
      yield* this.fs.rename(temporary, target)
      if (this.fsync) yield* this.sync(this.path.dirname(target))
    }).pipe(Effect.uninterruptible)
  }

  /** All regular files, directory by directory. Links are not followed, and what vanishes meanwhile is left out. */
  get walk(): Stream.Stream<Found, UploadError> {
    return Stream.suspend(() => {
      const directories = [""]
      let current = ""
      let names: ReadonlyArray<string> = []
      const next = Effect.suspend((): Effect.Effect<Chunk.Chunk<Found>, Option.Option<UploadError>> => {
        if (names.length > 0) {
          const batch = names.slice(0, walkBatch)
          names = names.slice(walkBatch)
          const below = current
          return Effect.mapError(this.lookAll(below, batch, directories), Option.some)
        }
        const directory = directories.pop()
        if (directory === undefined) return Effect.fail(Option.none())
        current = directory
        const directoryPath = this.path.join(this.root, directory)
        return orNone(this.fs.readDirectory(directoryPath)).pipe(
          Effect.mapError((error) => Option.some(errorOf(directoryPath, "read")(error))),
          Effect.map((found) => {
            names = Option.getOrElse(found, () => []).sort()
            return Chunk.empty()
          })
        )
      })
      return Stream.repeatEffectChunkOption(next)
    })
  }

  private lookAll(
    directory: string,
    names: ReadonlyArray<string>,
    directories: Array<string>
  ): Effect.Effect<Chunk.Chunk<Found>, UploadError> {
    return Effect.map(
      Effect.forEach(names, (name) => {
        const key = directory === "" ? name : `${directory}/${name}`
        const path = this.path.join(this.root, key)
        return Effect.mapBoth(this.look(path), {
          onFailure: errorOf(path, "read"),
          onSuccess: Option.map((info): Found => ({ key, name, path, info }))
        })
      }, { concurrency: 16 }),
      (looks) => {
        const found = looks.flatMap(Option.toArray)
        for (const { info, key } of found.toReversed()) if (info.type === "Directory") directories.push(key)
        return Chunk.unsafeFromArray(found.filter(({ info }) => info.type === "File"))
      }
    )
  }
}

/** Blocks that are written at once, in bytes. */
const writeSize = 1024 * 1024

/** How many directories are remembered. */
const maxKnown = 10_000

/** How many names of a directory are looked at before anybody hears of them. */
const walkBatch = 256

/**
 * A time as `utimes` takes it. Numbers are cut to microseconds there, so they get half of one more; numbers before 1970
 * are taken for the present, dates are not.
 */
const timeOf = (millis: number): number | Date => millis < 0 ? new Date(millis) : millis / 1000 + 5e-7

const isFile = (info: Option.Option<FileSystem.File.Info>): info is Option.Some<FileSystem.File.Info> =>
  Option.isSome(info) && info.value.type === "File"

const sameFile = (a: FileSystem.File.Info, b: FileSystem.File.Info): boolean =>
  a.dev === b.dev && Option.getOrUndefined(a.ino) === Option.getOrUndefined(b.ino)

/** The system's own code, such as `ENOSPC`. */
export const codeOf = (error: PlatformError): string | undefined => {
  const cause = error._tag === "SystemError" ? error.cause : undefined
  return Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : undefined
}

/** Whether there is nothing under the name. */
export const isMissing = (error: PlatformError): boolean => {
  const code = codeOf(error)
  return code === "ENOENT" || code === "ENOTDIR"
}

const orNone = <A, R>(effect: Effect.Effect<A, PlatformError, R>): Effect.Effect<Option.Option<A>, PlatformError, R> =>
  Effect.catchIf(Effect.asSome(effect), isMissing, () => Effect.succeed(Option.none<A>()))

const leadsOut = (directory: string) =>
  new Rejected({ reason: "InvalidKey", detail: `${directory} is a link that leads out of the destination.` })

/** What a failure of the file system means for an upload: the class by the system's code, the text for people. */
export const errorOf =
  (filePath: string, verb: "written" | "read" = "written") => (error: PlatformError): UploadError => {
    const code = codeOf(error)
    const said = code === undefined ? error.message : code
    switch (code) {
      case "ENOSPC":
      case "EDQUOT":
        return new Rejected({ reason: "NoSpace", detail: `No space is left for ${filePath} (${said}).`, cause: error })
      case "EACCES":
      case "EPERM":
      case "EROFS":
        return new Rejected({ reason: "Forbidden", detail: `${filePath} may not be ${verb} (${said}).`, cause: error })
      case "ENAMETOOLONG":
        return new Rejected({
          reason: "InvalidKey",
          detail: `The name ${filePath} is too long (${said}).`,
          cause: error
        })
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
        return new Transient({
          reason: "Unavailable",
          detail: `${filePath} cannot be ${verb} (${said}).`,
          cause: error
        })
    }
  }
