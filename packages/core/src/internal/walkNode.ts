/**
 * A walk through a directory of the local disk: every file below it, with keys relative to it.
 */
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import { SourceUnreadable } from "../UploadError.js"
import type * as UploadList from "../UploadList.js"
import * as UploadResult from "../UploadResult.js"
import { bigint, call, fileOf, unreadable } from "./fileSourceNode.js"
import * as QuickReads from "./quickReadsNode.js"

/** What is walked, and how. */
export interface WalkOptions {
  readonly filter?: ((key: string, kind: "file" | "directory") => boolean) | undefined
  readonly followSymlinks?: boolean | undefined
}

/** How many names of a directory are read at once. */
const batchSize = 1024

/** How long files may be looked at while everything else waits, in nanoseconds. */
const mostNanos = 10_000_000n

/** A directory on the way down, with those that it is in. */
interface Place {
  readonly key: string
  readonly identity: string
  readonly parent: Place | undefined
  readonly quickReads: QuickReads.QuickReads
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
    this.pending = [{ key: "", identity: identityOf(stat), parent: undefined, quickReads: QuickReads.of(stat.dev) }]
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
      const quickReads = place.quickReads.areFine(directoryPath, 0)
      const entries: Array<fs.Dirent> = []
      let problem: SourceUnreadable | undefined = undefined
      while (entries.length < batchSize) {
        const entry = yield* Effect.either(nextEntry(directoryPath, handle, quickReads))
        if (Either.isRight(entry) && entry.right !== null) {
          entries.push(entry.right)
          continue
        }
        if (Either.isLeft(entry)) problem = entry.left
        yield* this.close
        break
      }
      entries.sort((a, b) => a.name < b.name ? -1 : 1)
      const known = quickReads
        ? this.lookAtOnce(yield* Effect.clock, place, entries)
        : new Map<string, UploadList.Item | undefined>()
      const others = entries.filter(({ name }) => !known.has(name))
      const looked = yield* Effect.forEach(others, ({ name }) => this.look(place, name, replaced), { concurrency: 16 })
      this.pending.push(...looked.filter(isPlace).reverse())
      let next = 0
      const found = known.size === 0
        ? looked
        : entries.map(({ name }) => known.has(name) ? known.get(name) : looked[next++])
      const items = Chunk.unsafeFromArray(found.filter(isItem))
      return problem === undefined ? items : Chunk.appendAll(items, yield* unreadableDirectory(place, problem))
    })
  }

  /**
   * What is under the names of regular files, as far as that is told quickly. Directories are left out: one could be
   * where another device begins, which would have to be waited for.
   */
  private lookAtOnce(
    clock: Clock.Clock,
    parent: Place,
    entries: ReadonlyArray<fs.Dirent>
  ): Map<string, UploadList.Item | undefined> {
    const known = new Map<string, UploadList.Item | undefined>()
    const began = clock.unsafeCurrentTimeNanos()
    for (const entry of entries) {
      const { name } = entry
      if (!entry.isFile() || name.includes("\ufffd")) continue
      const key = parent.key === "" ? name : `${parent.key}/${name}`
      const entryPath = this.pathOf(key)
      const stat = Option.getOrUndefined(lstatAtOnce(entryPath))
      if (stat?.isFile() === true) {
        known.set(name, this.wants(key, "file") ? fileOf(key, entryPath, stat, false) : undefined)
      }
      if (known.size % 32 === 0 && clock.unsafeCurrentTimeNanos() - began > mostNanos) break
    }
    parent.quickReads.took((clock.unsafeCurrentTimeNanos() - began) / BigInt(Math.max(1, known.size)))
    return known
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
    if (this.options.followSymlinks !== true) {
      return { key, identity: "", parent: undefined, quickReads: QuickReads.of(stat.dev) }
    }
    const identity = identityOf(stat)
    for (let place: Place | undefined = parent; place !== undefined; place = place.parent) {
      if (place.identity === identity) {
        return UploadResult.skipped(key, "It is a symbolic link to a directory that it is in.")
      }
    }
    return { key, identity, parent, quickReads: QuickReads.of(stat.dev) }
  }
}

const lstatAtOnce = Option.liftThrowable((entryPath: string) => fs.lstatSync(entryPath, bigint))

/** The next name of a directory, `null` after the last; at once, where those of a batch are in memory or come quickly. */
const nextEntry = (
  directoryPath: string,
  handle: fs.Dir,
  atOnce: boolean
): Effect.Effect<fs.Dirent | null, SourceUnreadable> =>
  atOnce
    ? Effect.try({
      try: () => handle.readSync(),
      catch: (error) => unreadable(directoryPath, error as NodeJS.ErrnoException)
    })
    : call<fs.Dirent | null>(directoryPath, (done) => handle.read(done))

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
