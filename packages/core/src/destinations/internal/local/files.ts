/**
 * The files of a local destination: which paths keys map to, and what may be opened, walked and renamed there.
 *
 * The platform's file system has no `O_NOFOLLOW`. The entry under a name is examined before it is opened, and
 * the opened file must then be the file that the name still refers to. This detects a planted link, and a link that
 * appears while the file is being opened, unless the link is gone again by the second check.
 */
import type { PlatformError } from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Body } from "../../../Destination.js"
import type * as InFlight from "../../../internal/limits/inFlight.js"
import * as ObjectKey from "../../../ObjectKey.js"
import { Rejected } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import { codeOf, errorOf, isMissing, opening } from "./errors.js"
import * as OpenDirectories from "./openDirectories.js"

/** Where an object goes: the file, the directory that it is in, and its name there. */
export interface Target {
  readonly path: string
  readonly directory: string
  readonly name: string
}

/** A file found by a walk. */
export interface Found {
  readonly key: string
  /** The last segment of the key. */
  readonly name: string
  readonly path: string
  readonly info: FileSystem.File.Info
}

/** What a file is given along with its name. */
export interface Commit {
  /** The file, if it is open. */
  readonly file: FileSystem.File | undefined
  readonly mode?: number | undefined
  readonly modifiedAt?: number | undefined
}

export class LocalFiles {
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
  /** The real path of the directory. */
  readonly root: string
  readonly fsync: boolean
  /** The budget of files open for writing. */
  readonly openFiles: InFlight.InFlight
  readonly by: OpenDirectories.By
  /** The directories below it. */
  readonly places: OpenDirectories.Places

  constructor(
    fs: FileSystem.FileSystem,
    path: Path.Path,
    root: string,
    fsync: boolean,
    openFiles: InFlight.InFlight,
    by: OpenDirectories.By
  ) {
    this.by = by
    this.fs = fs
    this.path = path
    this.root = root
    this.fsync = fsync
    this.openFiles = openFiles
    this.places = new OpenDirectories.Places({ fs, path, root, fsync, by })
  }

  targetOf(key: string): Either.Either<Target, Rejected> {
    const problem = this.path.sep === "\\" ? ObjectKey.problemOnWindows(key) : ObjectKey.problemAsPath(key)
    if (problem !== undefined) {
      return Either.left(
        new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(key)} ${problem}.` })
      )
    }
    const path = this.path.join(this.root, key)
    return Either.right({ path, directory: this.path.dirname(path), name: this.path.basename(path) })
  }

  /** The entry under a name, without following links; `None` if it is a link or missing. */
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

  /** Opens a regular file, without following links; `None` if there is none. */
  openFile(
    filePath: string,
    flag: "r" | "r+"
  ): Effect.Effect<Option.Option<FileSystem.File>, PlatformError, Scope.Scope> {
    return Effect.gen(this, function*() {
      const before = yield* this.look(filePath)
      if (!isFile(before)) return Option.none()
      const file = yield* opening(orNone(this.fs.open(filePath, { flag })))
      if (Option.isNone(file)) return file
      const opened = yield* file.value.stat
      const after = yield* this.look(filePath)
      return isFile(after) && sameFile(opened, after.value) ? file : Option.none()
    }).pipe(Effect.uninterruptible)
  }

  /**
   * Writes a body to a file from its current position, reports each block, and finishes the file while it is open. A
   * write in progress is never cut: its descriptor could belong to another file by the time it reaches the disk.
   */
  writeBody<E, F = never>(
    place: string,
    body: Body,
    open: Effect.Effect<FileSystem.File, E, Scope.Scope>,
    { finish, note }: {
      readonly finish?: (file: FileSystem.File) => Effect.Effect<void, F>
      readonly note?: (block: Uint8Array) => void
    } = {}
  ): Effect.Effect<number, UploadError | E | F> {
    return Effect.scoped(
      Effect.gen(this, function*() {
        const inOnePiece = body.inOnePiece ? yield* body.bytes : undefined
        const file = yield* open
        let written = 0
        const writeBlock = (block: Uint8Array) =>
          Effect.uninterruptible(Effect.mapError(file.writeAll(block), errorOf(place))).pipe(
            Effect.map(() => {
              written += block.length
              note?.(block)
            })
          )
        if (inOnePiece === undefined) {
          yield* Stream.runForEach(body.stream({ blockSize: writeSize, lent: true }), writeBlock)
        } else if (inOnePiece.length > 0) yield* writeBlock(inOnePiece)
        body.release()
        if (this.fsync) yield* Effect.uninterruptible(Effect.mapError(file.sync, errorOf(place)))
        if (finish !== undefined) yield* Effect.uninterruptible(finish(file))
        return written
      })
    )
  }

  /**
   * Gives a whole file its permissions, its time and its name. If possible, they are applied to the very file that is
   * open, and never to one that has replaced it.
   */
  commit(
    { check, path, sync }: OpenDirectories.Place,
    temporary: string,
    name: string,
    { file, mode, modifiedAt }: Commit
  ): Effect.Effect<void, PlatformError | UploadError> {
    const { fs } = this
    const written = this.path.join(path, temporary)
    const subject = file !== undefined && this.by === "descriptor" ? OpenDirectories.descriptorPath(file) : written
    return Effect.gen(this, function*() {
      yield* check
      if (mode !== undefined && this.path.sep === "/") {
        // Without support for permissions none are kept: the temporary file was for its owner only.
        yield* Effect.catchIf(fs.chmod(subject, mode & permissions), lacksPermissions, () => Effect.void)
      }
      if (modifiedAt !== undefined) yield* fs.utimes(subject, timeOf(modifiedAt), timeOf(modifiedAt))
      yield* fs.rename(written, this.path.join(path, name))
      if (this.fsync) yield* sync
    }).pipe(Effect.uninterruptible)
  }

  /**
   * All regular files, directory by directory. Links are not followed, and files that vanish in the meantime are left
   * out.
   */
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

/** The size of blocks that are written at once, in bytes. */
const writeSize = 1024 * 1024

/** The mode of files before they get their own. */
export const ownerOnly = 0o600

/** The bits of a mode that are kept: none that would let a program run as somebody else. */
const permissions = 0o777

/** Whether the file system does not support permissions, or not these. */
const lacksPermissions = (error: PlatformError): boolean =>
  ["EPERM", "EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(codeOf(error) ?? "")

/** How many names of a directory are examined before they are emitted. */
const walkBatch = 256

/**
 * A time as `utimes` takes it. `utimes` cuts numbers off, to microseconds before Node 24 and to nanoseconds since, so half
 * a microsecond is added where that would be the microsecond before. It takes numbers before 1970 for the present, but
 * not dates.
 */
const timeOf = (millis: number): number | Date => {
  if (millis < 0) return new Date(millis)
  const seconds = millis / 1000
  const isCutRight = Math.trunc(seconds) * 1e6 + Math.trunc((seconds % 1) * 1e6) === Math.round(millis * 1000)
  return isCutRight ? seconds : seconds + 5e-7
}

const isFile = (info: Option.Option<FileSystem.File.Info>): info is Option.Some<FileSystem.File.Info> =>
  Option.isSome(info) && info.value.type === "File"

const sameFile = (a: FileSystem.File.Info, b: FileSystem.File.Info): boolean =>
  a.dev === b.dev && Option.getOrUndefined(a.ino) === Option.getOrUndefined(b.ino)

const orNone = <A, R>(effect: Effect.Effect<A, PlatformError, R>): Effect.Effect<Option.Option<A>, PlatformError, R> =>
  Effect.catchIf(Effect.asSome(effect), isMissing, () => Effect.succeed(Option.none<A>()))
