/**
 * A walk through a directory on the local disk: every file below it, with keys relative to it.
 */
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import type { SourceUnreadable } from "../../UploadError.js"
import type * as UploadList from "../../UploadList.js"
import * as UploadResult from "../../UploadResult.js"
import { bigint } from "../calls/callNode.js"
import * as Descriptors from "./descriptorsNode.js"
import * as Entry from "./entryNode.js"
import { call, leadsOut, unreadable } from "./fileCallsNode.js"
import { fileOf, sizeIsDoubtful } from "./fileSourceNode.js"
import * as QuickReads from "./quickReadsNode.js"

/** The options of a walk. */
export interface WalkOptions {
  readonly filter?: ((key: string, kind: "file" | "directory") => boolean) | undefined
  readonly followSymlinks?: boolean | undefined
  readonly leaveOut?: ((identity: { readonly dev: bigint; readonly ino: bigint }) => boolean) | undefined
}

/** The number of names that are read from a directory at once. */
const batchSize = 1024

/** How long files are examined while everything else waits, in nanoseconds, before the walk yields. */
const mostNanos = 10_000_000n

/** A directory on the way down, with its parents. */
interface Place {
  readonly key: string
  readonly identity: string
  readonly parent: Place | undefined
  readonly quickReads: QuickReads.QuickReads
}

/** The open directory, and its names that were read last. */
interface Current {
  readonly place: Place
  readonly handle: fs.Dir
  /** Present if descriptors are paths. */
  readonly descriptor: number | undefined
  /** The path for opening its entries: it stays valid even if the directory is renamed. */
  readonly path: string
  /** Names with a replacement character that were found in it. */
  readonly replaced: Set<string>
  entries: ReadonlyArray<fs.Dirent>
  /** The number of entries examined so far. */
  looked: number
  /** The directories among them. */
  places: Array<Place>
  /** The reason why no more names can be read. */
  problem: SourceUnreadable | undefined
  isRead: boolean
}

/** A walk in progress: the open directory, and those still to come. */
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
    if (key === "") return this.root
    return path.sep === "/" && this.root !== "/" ? `${this.root}/${key}` : path.join(this.root, key)
  }

  readonly close: Effect.Effect<void> = Effect.uninterruptible(Effect.suspend(() => {
    const { current } = this
    this.current = undefined
    return current === undefined
      ? Effect.void
      : Effect.zipRight(
        Effect.ignore(call<void>(current.path, (done) => current.handle.close((error) => done(error ?? null)))),
        Entry.close(current.descriptor)
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
    return Effect.gen(this, function*() {
      yield* place.quickReads.isAsked(directoryPath)
      const descriptor = Descriptors.arePaths ? yield* this.open(place, directoryPath) : undefined
      const entered = descriptor === undefined ? directoryPath : Descriptors.pathOf(descriptor)
      const handle = yield* call<fs.Dir>(
        directoryPath,
        (done) => fs.opendir(entered, { bufferSize: batchSize }, done)
      ).pipe(Effect.onError(() => Entry.close(descriptor)))
      this.current = {
        place,
        handle,
        descriptor,
        path: entered,
        replaced: new Set(),
        entries: [],
        looked: 0,
        places: [],
        problem: undefined,
        isRead: false
      }
    }).pipe(Effect.uninterruptible)
  }

  /** Opens a directory and fails if it is no longer in the root. */
  private open(place: Place, directoryPath: string): Effect.Effect<number, SourceUnreadable> {
    const mayBeLink = this.options.followSymlinks === true || place.key === ""
    const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants
    const flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | (mayBeLink ? 0 : O_NOFOLLOW)
    return Effect.flatMap(
      call<number>(directoryPath, (done) => fs.open(directoryPath, flags, done)),
      (descriptor) =>
        Effect.mapError(Descriptors.whereIs(descriptor, directoryPath), (error) => unreadable(directoryPath, error))
          .pipe(
            Effect.filterOrFail(
              (real) => Descriptors.isInside(this.root, real),
              () => leadsOut(directoryPath, this.root)
            ),
            Effect.as(descriptor),
            Effect.onError(() => Entry.close(descriptor))
          )
    )
  }

  /** If a directory is reached only by its name, the name must lead inside the root for as long as it is read. */
  private checkName({ descriptor, place }: Current): Effect.Effect<void, SourceUnreadable> {
    if (descriptor !== undefined) return Effect.void
    const directoryPath = this.pathOf(place.key)
    return Effect.asVoid(Effect.filterOrFail(
      call<string>(directoryPath, (done) => fs.realpath.native(directoryPath, done)),
      (real) => Descriptors.isInside(this.root, real),
      () => leadsOut(directoryPath, this.root)
    ))
  }

  /** Examines some of the names that were read, after reading more if none are left. */
  private readOn(current: Current): Effect.Effect<Chunk.Chunk<UploadList.Item>, Option.Option<SourceUnreadable>> {
    return Effect.gen(this, function*() {
      const { place } = current
      const directoryPath = this.pathOf(place.key)
      const quickReads = place.quickReads.areFine(directoryPath, 0)
      if (current.looked === current.entries.length) yield* readNames(directoryPath, current, quickReads)
      const { entries, looked } = current
      const known = quickReads ? this.lookAtOnce(yield* Effect.clock, current) : []
      const end = quickReads ? looked + known.length : entries.length
      const found = known.includes(waiting) || known.length === 0
        ? yield* Effect.forEach(
          entries.slice(looked, end),
          ({ name }, i) => {
            const one = i < known.length ? known[i] : waiting
            return one === waiting ? this.look(current, name) : Effect.succeed(one)
          },
          { concurrency: 16 }
        )
        : known
      current.looked = end
      const outside = yield* Effect.either(this.checkName(current))
      if (Either.isLeft(outside)) {
        yield* this.close
        return yield* unreadableDirectory(place, outside.left)
      }
      for (const one of found) if (isPlace(one)) current.places.push(one)
      const items = Chunk.unsafeFromArray(found.filter(isItem))
      if (end < entries.length) return items
      this.pending.push(...current.places.reverse())
      current.places = []
      if (!current.isRead) return items
      yield* this.close
      const { problem } = current
      return problem === undefined ? items : Chunk.appendAll(items, yield* unreadableDirectory(place, problem))
    })
  }

  /**
   * The entries of the next names, as far as they are known quickly: `waiting` for those that take longer, such as a
   * directory, which could be where another device begins.
   */
  private lookAtOnce(clock: Clock.Clock, current: Current): Array<Found> {
    const { entries, looked, place } = current
    const known: Array<Found> = []
    const began = clock.unsafeCurrentTimeNanos()
    for (let i = looked; i < entries.length; i++) {
      const entry = entries[i]!
      const { name } = entry
      known.push(entry.isFile() && !name.includes("\ufffd") ? this.lookAtFile(current, name) : waiting)
      if (known.length % 8 === 0 && clock.unsafeCurrentTimeNanos() - began > mostNanos) break
    }
    place.quickReads.took((clock.unsafeCurrentTimeNanos() - began) / BigInt(Math.max(1, known.length)))
    return known
  }

  private lookAtFile({ path, place }: Current, name: string): Found {
    const key = place.key === "" ? name : `${place.key}/${name}`
    const stat = lstatAtOnce(`${path}/${name}`)
    if (stat?.isFile() !== true || sizeIsDoubtful(stat) && stat.size > 0n) return waiting
    if (!this.wants(key, "file") || this.leavesOut(stat)) return undefined
    return fileOf(key, this.pathOf(key), stat, { root: this.root, followsLinks: false })
  }

  /** The entry under a name: an item, a directory to walk, or nothing if it is excluded. */
  private look(current: Current, name: string): Effect.Effect<UploadList.Item | Place | undefined> {
    const { path, place: parent, replaced } = current
    const key = parent.key === "" ? name : `${parent.key}/${name}`
    const entryPath = this.pathOf(key)
    // Bytes that are not UTF-8 were replaced: the name is not the file's, and may be that of another.
    const odd = name.includes("\ufffd")
    const twice = odd && replaced.has(name)
    if (odd) replaced.add(name)
    return Effect.suspend(() =>
      twice
        ? Effect.fail(Entry.notUtf8(entryPath))
        : call<fs.BigIntStats>(entryPath, (done) => fs.lstat(`${path}/${name}`, bigint, done))
    ).pipe(
      Effect.flatMap((stat) =>
        stat.isSymbolicLink() ? this.lookThrough(current, key, name) : this.classify(parent, key, stat, false)
      ),
      Effect.catchAll((error) =>
        Effect.succeed(
          this.wants(key, "file")
            ? Entry.failed(key, odd && error.reason === "NotFound" ? Entry.notUtf8(entryPath) : error)
            : undefined
        )
      )
    )
  }

  private lookThrough(
    { descriptor, path, place }: Current,
    key: string,
    name: string
  ): Effect.Effect<UploadList.Item | Place | undefined, SourceUnreadable> {
    if (this.options.followSymlinks !== true) {
      return Effect.succeed(
        this.wants(key, "file")
          ? Entry.notFollowed(key)
          : undefined
      )
    }
    const linkPath = this.pathOf(key)
    const seen = descriptor === undefined ? Entry.seeByName(linkPath) : Entry.seeThrough(linkPath, `${path}/${name}`)
    return Effect.flatMap(seen, ({ real, stat }) =>
      Descriptors.isInside(this.root, real)
        ? this.classify(place, key, stat, true)
        : Effect.succeed(Entry.leadingOut(key)))
  }

  private wants(key: string, kind: "file" | "directory"): boolean {
    return this.options.filter?.(key, kind) ?? true
  }

  private leavesOut(stat: fs.BigIntStats): boolean {
    return this.options.leaveOut?.(stat) === true
  }

  private classify(
    parent: Place,
    key: string,
    stat: fs.BigIntStats,
    followed: boolean
  ): Effect.Effect<UploadList.Item | Place | undefined> {
    const classified = Effect.sync(() => this.classified(parent, key, stat, followed))
    return stat.isFile() && sizeIsDoubtful(stat)
      ? Effect.zipRight(QuickReads.of(stat.dev).isAsked(this.pathOf(key)), classified)
      : classified
  }

  private classified(
    parent: Place,
    key: string,
    stat: fs.BigIntStats,
    followed: boolean
  ): UploadList.Item | Place | undefined {
    if (this.leavesOut(stat)) return undefined
    if (!stat.isDirectory()) {
      if (!this.wants(key, "file")) return undefined
      return stat.isFile()
        ? fileOf(key, this.pathOf(key), stat, { root: this.root, followsLinks: followed })
        : Entry.notRegular(key)
    }
    if (!this.wants(key, "directory")) return undefined
    if (this.options.followSymlinks !== true) {
      return { key, identity: "", parent: undefined, quickReads: QuickReads.of(stat.dev) }
    }
    const identity = identityOf(stat)
    for (let place: Place | undefined = parent; place !== undefined; place = place.parent) {
      if (place.identity === identity) {
        return UploadResult.skipped(key, "It is a symbolic link to a directory that contains it.")
      }
    }
    return { key, identity, parent, quickReads: QuickReads.of(stat.dev) }
  }
}

/** The entry under a name: an item, a directory to walk, or nothing if it is excluded. */
type Found = UploadList.Item | Place | typeof waiting | undefined

/** An entry that has not been examined. */
const waiting = Symbol("waiting")

const lstatAtOnce = (entryPath: string): fs.BigIntStats | undefined => {
  try {
    return fs.lstatSync(entryPath, bigint)
  } catch {
    return undefined
  }
}

/** Reads the next batch of names, in order: synchronously if names that are not in memory arrive quickly. */
const readNames = (directoryPath: string, current: Current, atOnce: boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    const entries: Array<fs.Dirent> = []
    const read = atOnce
      ? Effect.try({
        try: () => {
          while (entries.length < batchSize) {
            const entry = current.handle.readSync()
            if (entry === null) return true
            entries.push(entry)
          }
          return false
        },
        catch: (error) => unreadable(directoryPath, error as NodeJS.ErrnoException)
      })
      : Effect.iterate(false, {
        while: (isRead) => !isRead && entries.length < batchSize,
        body: () =>
          Effect.map(call<fs.Dirent | null>(directoryPath, (done) => current.handle.read(done)), (entry) => {
            if (entry !== null) entries.push(entry)
            return entry === null
          })
      })
    const done = (isRead: boolean) => {
      current.entries = entries.sort((a, b) => a.name < b.name ? -1 : 1)
      current.looked = 0
      current.isRead = isRead
    }
    return Effect.match(read, {
      onSuccess: done,
      onFailure: (problem) => {
        current.problem = problem
        done(true)
      }
    })
  })

const identityOf = (stat: fs.BigIntStats): string => `${stat.dev}:${stat.ino}`

const isPlace = (found: Found): found is Place => found !== undefined && found !== waiting && "identity" in found

const isItem = (found: Found): found is UploadList.Item =>
  found !== undefined && found !== waiting && !("identity" in found)

/** A directory that cannot be read fails alone, unless it is the root. */
const unreadableDirectory = (
  place: Place,
  error: SourceUnreadable
): Effect.Effect<Chunk.Chunk<UploadList.Item>, Option.Option<SourceUnreadable>> =>
  place.key === "" ? Effect.fail(Option.some(error)) : Effect.succeed(Chunk.of(Entry.failed(`${place.key}/`, error)))
