/**
 * Files and directories of the local disk as things to upload. For Node.
 *
 * A directory is walked lazily, so that a tree of any size costs memory for one directory's batch of names and for the
 * subdirectories still to come. What cannot be uploaded is an item too: links that are not followed and special files
 * come as `Skipped`, directories that cannot be read as `Failed`.
 *
 * However many uploads are in flight, at most {@link maxOpenFiles} source files are open at once in a process; the
 * others wait for their turn before they open theirs.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as path from "node:path"
import type * as ByteSource from "./ByteSource.js"
import * as InFlight from "./InFlight.js"
import { SourceUnreadable } from "./UploadError.js"
import type * as UploadFile from "./UploadFile.js"
import type * as UploadList from "./UploadList.js"
import * as UploadResult from "./UploadResult.js"

/**
 * How many source files are open at once, at most, in the whole process.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxOpenFiles = 256

/**
 * A file on the disk, as it is now. A link is followed. Fails where there is no such file, or where it is not a regular
 * one. Its key is its base name unless `key` says otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const file = (
  filePath: string,
  options: { readonly key?: string | undefined } = {}
): Effect.Effect<UploadFile.UploadFile, SourceUnreadable> =>
  Effect.flatMap(call<fs.BigIntStats>(filePath, (done) => fs.stat(filePath, bigint, done)), (stat) =>
    stat.isFile()
      ? Effect.succeed(fileOf(options.key ?? path.basename(filePath), filePath, stat, true))
      : Effect.fail(
        new SourceUnreadable({
          reason: "Failed",
          detail: `${filePath} is ${stat.isDirectory() ? "a directory" : "not a regular file"}.`
        })
      ))

/**
 * @since 0.1.0
 * @category models
 */
export interface DirectoryOptions {
  /** What to take, by key; a directory that is left out is not looked into. Defaults to everything. */
  readonly filter?: ((key: string, kind: "file" | "directory") => boolean) | undefined
  /**
   * Whether symbolic links are followed. A link that leads out of the directory, or back to a directory that it is in, is
   * skipped all the same. What is reached by several names is uploaded under each. Defaults to `false`.
   */
  readonly followSymlinks?: boolean | undefined
}

/**
 * All files below a directory, with keys relative to it. The stream fails only where the directory itself cannot be
 * read.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import * as FilesNode from "@sluice/core/FilesNode"
 * import { Effect } from "effect"
 *
 * const backup = Effect.flatMap(Uploader.Uploader, (uploader) =>
 *   uploader.uploadAll(FilesNode.directory("photos", { filter: (key) => !key.endsWith(".tmp") })))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const directory = (
  root: string,
  options: DirectoryOptions = {}
): Stream.Stream<UploadList.Item, SourceUnreadable> =>
  Stream.unwrap(
    Effect.map(
      Effect.flatMap(call<string>(root, (done) => fs.realpath(root, done)), (realRoot) =>
        Effect.map(
          call<fs.BigIntStats>(realRoot, (done) => fs.stat(realRoot, bigint, done)),
          (stat) => new Walk(realRoot, stat, options)
        )),
      (walk) => Stream.ensuring(Stream.repeatEffectChunkOption(walk.nextBatch), walk.close)
    )
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const bigint = { bigint: true } as const

const openFiles = InFlight.make(maxOpenFiles)

/** How many names of a directory are read at once. */
const batchSize = 1024

const blockSize = 256 * 1024

type Callback<A> = (error: NodeJS.ErrnoException | null, value: A) => void

/** A call to the file system. It is not interruptible: what it does to a descriptor has ended when it returns. */
const call = <A>(filePath: string, start: (done: Callback<A>) => void): Effect.Effect<A, SourceUnreadable> =>
  Effect.uninterruptible(
    Effect.async<A, SourceUnreadable>((resume) => {
      start((error, value) => resume(error === null ? Effect.succeed(value) : Effect.fail(unreadable(filePath, error))))
    })
  )

const unreadable = (filePath: string, cause: NodeJS.ErrnoException): SourceUnreadable =>
  new SourceUnreadable({
    reason: cause.code === "ENOENT" || cause.code === "ENOTDIR"
      ? "NotFound"
      : cause.code === "EACCES" || cause.code === "EPERM"
      ? "Forbidden"
      : "Failed",
    detail: cause.code === "ENOENT"
      ? `${filePath} is not there.`
      : cause.code === "EACCES" || cause.code === "EPERM"
      ? `${filePath} may not be read (${cause.code}).`
      : `${filePath} cannot be read: ${cause.message}.`,
    cause
  })

const fingerprintOf = (stat: fs.BigIntStats): string => `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`

const fileOf = (
  key: string,
  filePath: string,
  stat: fs.BigIntStats,
  followsLinks: boolean
): UploadFile.UploadFile => {
  const source = new FileSource(filePath, Number(stat.size), followsLinks)
  return { key, size: source.size, source, fingerprint: fingerprintOf(stat), modifiedAt: Number(stat.mtimeMs) }
}

class FileSource implements ByteSource.ByteSource {
  readonly path: string
  readonly size: number
  private readonly followsLinks: boolean

  constructor(filePath: string, size: number, followsLinks: boolean) {
    this.path = filePath
    this.size = size
    this.followsLinks = followsLinks
  }

  get reopenable(): true {
    return true
  }

  get fingerprint(): Effect.Effect<string, SourceUnreadable> {
    const stat = this.followsLinks ? fs.stat : fs.lstat
    return Effect.map(call<fs.BigIntStats>(this.path, (done) => stat(this.path, bigint, done)), fingerprintOf)
  }

  get latest(): Effect.Effect<ByteSource.Latest, SourceUnreadable> {
    const stat = this.followsLinks ? fs.stat : fs.lstat
    return Effect.map(call<fs.BigIntStats>(this.path, (done) => stat(this.path, bigint, done)), (now) => ({
      source: new FileSource(this.path, Number(now.size), this.followsLinks),
      fingerprint: fingerprintOf(now),
      modifiedAt: Number(now.mtimeMs)
    }))
  }

  private get open(): Effect.Effect<number, SourceUnreadable> {
    // Where a pipe has taken the file's place, opening it would wait for a writer for ever.
    const flags = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0) |
      (this.followsLinks ? 0 : fs.constants.O_NOFOLLOW ?? 0)
    return call<number>(this.path, (done) => fs.open(this.path, flags, done))
  }

  private close(descriptor: number): Effect.Effect<void> {
    return Effect.ignore(call<void>(this.path, (done) => fs.close(descriptor, (error) => done(error ?? null))))
  }

  /** Reads up to `length` bytes, and at least `enough` unless the file ends before. */
  private readBlock(
    descriptor: number,
    offset: number,
    length: number,
    enough: number
  ): Effect.Effect<Uint8Array, SourceUnreadable> {
    const buffer = Buffer.allocUnsafeSlow(length)
    const fill = (filled: number): Effect.Effect<Uint8Array, SourceUnreadable> =>
      Effect.flatMap(
        call<number>(this.path, (done) => fs.read(descriptor, buffer, filled, length - filled, offset + filled, done)),
        (read) =>
          read === 0 || filled + read >= enough
            ? Effect.succeed(buffer.subarray(0, filled + read))
            : fill(filled + read)
      )
    return enough === 0 ? Effect.succeed(buffer.subarray(0, 0)) : fill(0)
  }

  // One byte more than there should be is asked for, so that a file that grew is seen at once.
  bytes({ length, offset }: ByteSource.Range): Effect.Effect<Uint8Array, SourceUnreadable> {
    const rest = Math.max(0, this.size - offset)
    return openFiles.withPermits(1)(
      Effect.acquireUseRelease(
        this.open,
        (descriptor) => this.readBlock(descriptor, offset, length ?? rest + 1, Math.min(length ?? rest, rest)),
        (descriptor) => this.close(descriptor)
      )
    )
  }

  read({ length = Infinity, offset }: ByteSource.Range): Stream.Stream<Uint8Array, SourceUnreadable> {
    return Stream.unwrapScoped(
      Effect.map(
        Effect.zipRight(
          holdPermit,
          Effect.acquireRelease(this.open, (descriptor) => this.close(descriptor))
        ),
        (descriptor) =>
          Stream.unfoldEffect(offset, (from) => {
            const wanted = Math.min(blockSize, offset + length - from)
            return Effect.map(
              this.readBlock(descriptor, from, wanted, wanted),
              (block) => block.length === 0 ? Option.none() : Option.some([block, from + block.length] as const)
            )
          })
      )
    )
  }
}

/** Takes a permit to have a file open, until the scope ends. */
const holdPermit: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() => {
  let held = false
  return Effect.zipRight(
    Effect.addFinalizer(() =>
      Effect.sync(() => {
        if (held) openFiles.unsafeRelease(1)
      })
    ),
    openFiles.take(1, () => held = true)
  )
})

/** A directory on the way down, with those that it is in. */
interface Place {
  readonly key: string
  readonly identity: string
  readonly parent: Place | undefined
}

/** The directory that is open. */
interface Current {
  readonly place: Place
  readonly handle: fs.Dir
  /** Names with a replacement character that were seen in it. */
  readonly replaced: Set<string>
}

/** A walk in progress: the directory that is open, and those still to come. */
class Walk {
  private readonly root: string
  private readonly options: DirectoryOptions
  private readonly pending: Array<Place>
  private current: Current | undefined = undefined

  constructor(root: string, stat: fs.BigIntStats, options: DirectoryOptions) {
    this.root = root
    this.options = options
    this.pending = [{ key: "", identity: identityOf(stat), parent: undefined }]
  }

  private pathOf(key: string): string {
    return key === "" ? this.root : path.join(this.root, key)
  }

  readonly close: Effect.Effect<void> = Effect.uninterruptible(Effect.suspend(() => {
    const { current } = this
    this.current = undefined
    return current === undefined
      ? Effect.void
      : Effect.ignore(
        call<void>(current.place.key, (done) => current.handle.close((error) => done(error ?? null)))
      )
  }))

  readonly nextBatch: Effect.Effect<Chunk.Chunk<UploadList.Item>, Option.Option<SourceUnreadable>> = Effect.suspend(
    () => {
      if (this.current !== undefined) return this.readOn(this.current)
      const place = this.pending.pop()
      return place === undefined
        ? Effect.fail(Option.none())
        : Effect.catchAll(Effect.as(this.enter(place), Chunk.empty()), (error) => unreadableDirectory(place, error))
    }
  )

  private enter(place: Place): Effect.Effect<void, SourceUnreadable> {
    const directoryPath = this.pathOf(place.key)
    return Effect.map(
      call<fs.Dir>(directoryPath, (done) => fs.opendir(directoryPath, { bufferSize: batchSize }, done)),
      (handle) => {
        this.current = { place, handle, replaced: new Set() }
      }
    ).pipe(Effect.uninterruptible)
  }

  private readOn(
    { handle, place, replaced }: Current
  ): Effect.Effect<Chunk.Chunk<UploadList.Item>, Option.Option<SourceUnreadable>> {
    return Effect.gen(this, function*() {
      const directoryPath = this.pathOf(place.key)
      const names: Array<string> = []
      let problem: SourceUnreadable | undefined = undefined
      while (names.length < batchSize) {
        const entry = yield* Effect.either(call<fs.Dirent | null>(directoryPath, (done) => handle.read(done)))
        if (Either.isRight(entry) && entry.right !== null) {
          names.push(entry.right.name)
          continue
        }
        if (Either.isLeft(entry)) problem = entry.left
        yield* this.close
        break
      }
      names.sort()
      const found = yield* Effect.forEach(names, (name) => this.look(place, name, replaced), { concurrency: 16 })
      this.pending.push(...found.filter(isPlace).reverse())
      const items = Chunk.unsafeFromArray(found.filter(isItem))
      return problem === undefined ? items : Chunk.appendAll(items, yield* unreadableDirectory(place, problem))
    })
  }

  /** What is under a name: an item, a directory to walk, or nothing where it is left out. */
  private look(
    parent: Place,
    name: string,
    replaced: Set<string>
  ): Effect.Effect<UploadList.Item | Place | undefined> {
    const key = parent.key === "" ? name : `${parent.key}/${name}`
    const entryPath = this.pathOf(key)
    // Bytes that are not UTF-8 were replaced: the name in hand is not the file's, and may be another's.
    const odd = name.includes("\ufffd")
    const twice = odd && replaced.has(name)
    if (odd) replaced.add(name)
    return Effect.suspend(() =>
      twice
        ? Effect.fail(notUtf8(entryPath))
        : call<fs.BigIntStats>(entryPath, (done) => fs.lstat(entryPath, bigint, done))
    ).pipe(
      Effect.flatMap((stat) =>
        stat.isSymbolicLink() ? this.lookThrough(parent, key) : Effect.succeed(this.classify(parent, key, stat, false))
      ),
      Effect.catchAll((error) =>
        Effect.succeed(
          this.wants(key, "file")
            ? failed(key, odd && error.reason === "NotFound" ? notUtf8(entryPath) : error)
            : undefined
        )
      )
    )
  }

  private lookThrough(
    parent: Place,
    key: string
  ): Effect.Effect<UploadList.Item | Place | undefined, SourceUnreadable> {
    if (this.options.followSymlinks !== true) {
      return Effect.succeed(
        this.wants(key, "file")
          ? UploadResult.skipped(key, "It is a symbolic link, and links are not followed.")
          : undefined
      )
    }
    const linkPath = this.pathOf(key)
    return Effect.gen(this, function*() {
      const target = yield* call<string>(linkPath, (done) => fs.realpath(linkPath, done))
      if (target !== this.root && !target.startsWith(this.root.endsWith(path.sep) ? this.root : this.root + path.sep)) {
        return UploadResult.skipped(key, "It is a symbolic link that leads out of the directory.")
      }
      const stat = yield* call<fs.BigIntStats>(target, (done) => fs.stat(target, bigint, done))
      return this.classify(parent, key, stat, true)
    })
  }

  private wants(key: string, kind: "file" | "directory"): boolean {
    return this.options.filter?.(key, kind) ?? true
  }

  private classify(
    parent: Place,
    key: string,
    stat: fs.BigIntStats,
    followed: boolean
  ): UploadList.Item | Place | undefined {
    if (!stat.isDirectory()) {
      if (!this.wants(key, "file")) return undefined
      return stat.isFile()
        ? fileOf(key, this.pathOf(key), stat, followed)
        : UploadResult.skipped(key, "It is not a regular file.")
    }
    if (!this.wants(key, "directory")) return undefined
    if (this.options.followSymlinks !== true) return { key, identity: "", parent: undefined }
    const identity = identityOf(stat)
    for (let place: Place | undefined = parent; place !== undefined; place = place.parent) {
      if (place.identity === identity) {
        return UploadResult.skipped(key, "It is a symbolic link to a directory that it is in.")
      }
    }
    return { key, identity, parent }
  }
}

const identityOf = (stat: fs.BigIntStats): string => `${stat.dev}:${stat.ino}`

const isPlace = (found: UploadList.Item | Place | undefined): found is Place =>
  found !== undefined && "identity" in found

const isItem = (found: UploadList.Item | Place | undefined): found is UploadList.Item =>
  found !== undefined && !("identity" in found)

const notUtf8 = (filePath: string): SourceUnreadable =>
  new SourceUnreadable({
    reason: "Failed",
    detail: `${filePath} has a name that is not valid UTF-8, and cannot be read by it.`
  })

/** A directory that cannot be read fails alone, unless it is the root. */
const unreadableDirectory = (
  place: Place,
  error: SourceUnreadable
): Effect.Effect<Chunk.Chunk<UploadList.Item>, Option.Option<SourceUnreadable>> =>
  place.key === "" ? Effect.fail(Option.some(error)) : Effect.succeed(Chunk.of(failed(`${place.key}/`, error)))

const failed = (key: string, error: SourceUnreadable): UploadResult.Failed => ({
  _tag: "Failed",
  file: { key, size: undefined },
  attempts: 0,
  error,
  duration: Duration.zero
})
