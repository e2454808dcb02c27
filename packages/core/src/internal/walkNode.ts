/**
 * A walk through a directory of the local disk: every file below it, with keys relative to it.
 */
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import { SourceUnreadable } from "../UploadError.js"
import type * as UploadList from "../UploadList.js"
import * as UploadResult from "../UploadResult.js"
import { bigint, call, fileOf } from "./fileSourceNode.js"

/** What is walked, and how. */
export interface WalkOptions {
  readonly filter?: ((key: string, kind: "file" | "directory") => boolean) | undefined
  readonly followSymlinks?: boolean | undefined
}

/** How many names of a directory are read at once. */
const batchSize = 1024

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
export class Walk {
  private readonly root: string
  private readonly options: WalkOptions
  private readonly pending: Array<Place>
  private current: Current | undefined = undefined

  constructor(root: string, stat: fs.BigIntStats, options: WalkOptions) {
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
