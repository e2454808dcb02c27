/**
 * The directories of a local destination, each open while something is written in it.
 *
 * Entries below an open directory stay below it, even if a name on the way is replaced by a link in the meantime: on
 * Linux a descriptor has its own path, `/proc/self/fd/7`, and shows where it leads. Elsewhere a directory counts as the
 * same as long as its device and inode are unchanged, which is checked before a file is created and before it gets its
 * name.
 */
import type { PlatformError } from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { Rejected } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import { codeOf, errorOf, isMissing, opening, ownErrors } from "./errors.js"

/** A directory in use. */
export interface Place {
  /** The path by which it can be reached. */
  readonly path: string
  /** Fails if it is reached by its name and the name no longer leads to it. */
  readonly check: Effect.Effect<void, UploadError>
  /** Forces its names to the disk. */
  readonly sync: Effect.Effect<void, PlatformError>
}

interface Opened extends Place {
  readonly close: Effect.Effect<void>
}

/** A directory that is in use, or about to be. */
interface Entry {
  readonly directory: string
  readonly opening: Deferred.Deferred<Opened, PlatformError | UploadError>
  opened: Opened | undefined
  users: number
}

type Entered = readonly [Place, Entry]

/** How to reach directories: by descriptors, or by their names. */
export type By = "descriptor" | "name"

export interface PlacesOptions {
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
  /** The real path of the root. */
  readonly root: string
  /** Whether the names of new directories are forced to the disk. */
  readonly fsync: boolean
  readonly by: By
}

/** Whether directories can be reached by their descriptors on this system. */
export const howToReach = (fs: FileSystem.FileSystem, root: string): Effect.Effect<By> =>
  Effect.scoped(
    Effect.flatMap(fs.open(root, { flag: "r" }), (file) => fs.readLink(descriptorPath(file)))
  ).pipe(
    Effect.map((real): By => real === root ? "descriptor" : "name"),
    Effect.orElseSucceed((): By => "name")
  )

/** The path of an open file, by its descriptor. */
export const descriptorPath = ({ fd }: FileSystem.File): string => `${descriptors}/${fd}`

export class Places {
  private readonly options: PlacesOptions
  private readonly inside: string
  private readonly entries = new Map<string, Entry>()

  constructor(options: PlacesOptions) {
    this.options = options
    const { path: { sep }, root } = options
    this.inside = root.endsWith(sep) ? root : root + sep
  }

  /** Uses a directory, and creates it if it is missing. Fails if it leads out of the root. */
  make<A, E, R>(
    directory: string,
    use: (place: Place) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | UploadError, R> {
    return this.using(this.making(directory), use)
  }

  /** Uses a directory, or does something else if it is missing. Fails if it leads out of the root. */
  find<A, E, R>(
    directory: string,
    use: (place: Place) => Effect.Effect<A, E, R>,
    missing: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | UploadError, R> {
    const found: Effect.Effect<Option.Option<Entered>, UploadError> = Effect.catchAll(
      Effect.asSome(this.enter(directory)),
      (error) => isMissing(error) ? Effect.succeedNone : Effect.fail(failureIn(directory, "read")(error))
    )
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        found,
        Option.match({
          onNone: () => restore(missing),
          onSome: ([place, entry]) => Effect.ensuring(restore(use(place)), this.leave(entry))
        })
      )
    )
  }

  /** Forgets what was seen of a directory, which may be outdated: the next user opens it again. */
  forget(directory: string): void {
    for (const known of this.entries.keys()) if (directory.startsWith(known)) this.entries.delete(known)
  }

  private using<A, E, R>(
    entered: Effect.Effect<Entered, UploadError>,
    use: (place: Place) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | UploadError, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        entered,
        ([place, entry]) => Effect.ensuring(restore(use(place)), this.leave(entry))
      )
    )
  }

  private making(directory: string): Effect.Effect<Entered, UploadError> {
    return Effect.catchAll(
      this.enter(directory),
      (error) =>
        codeOf(error) === "ENOENT" && directory !== this.options.root ? this.makeBelow(directory) : Effect.fail(error)
    ).pipe(Effect.mapError(failureIn(directory, "written")))
  }

  private makeBelow(directory: string): Effect.Effect<Entered, PlatformError | UploadError> {
    const { fs, fsync, path } = this.options
    return this.using(this.making(path.dirname(directory)), (parent) =>
      Effect.gen(this, function*() {
        yield* parent.check
        yield* Effect.catchIf(
          fs.makeDirectory(path.join(parent.path, path.basename(directory))),
          (error) => codeOf(error) === "EEXIST",
          () => Effect.void
        )
        if (fsync) yield* parent.sync
        return yield* this.enter(directory)
      }))
  }

  /** Opens a directory, or joins its current users. */
  private enter(directory: string): Effect.Effect<Entered, PlatformError | UploadError> {
    return Effect.suspend(() => {
      const known = this.entries.get(directory)
      if (known === undefined) return this.enterFirst(directory)
      known.users += 1
      return known.opened === undefined
        ? Effect.map(Deferred.await(known.opening), (opened): Entered => [opened, known])
        : Effect.succeed<Entered>([known.opened, known])
    })
  }

  private enterFirst(directory: string): Effect.Effect<Entered, PlatformError | UploadError> {
    const entry: Entry = { directory, opening: Deferred.unsafeMake(FiberId.none), opened: undefined, users: 1 }
    this.entries.set(directory, entry)
    return (this.options.by === "descriptor" ? this.open(directory) : this.see(directory)).pipe(
      Effect.onExit((exit) => {
        if (Exit.isSuccess(exit)) entry.opened = exit.value
        else this.drop(entry)
        return Deferred.done(entry.opening, exit)
      }),
      Effect.map((opened): Entered => [opened, entry])
    )
  }

  private leave(entry: Entry): Effect.Effect<void> {
    return Effect.suspend(() => {
      entry.users -= 1
      if (entry.users > 0 || entry.opened === undefined) return Effect.void
      this.drop(entry)
      return entry.opened.close
    })
  }

  private drop(entry: Entry): void {
    if (this.entries.get(entry.directory) === entry) this.entries.delete(entry.directory)
  }

  private open(directory: string): Effect.Effect<Opened, PlatformError | UploadError> {
    const { fs } = this.options
    return Effect.gen(this, function*() {
      const scope = yield* Scope.make()
      const close = Scope.close(scope, Exit.void)
      return yield* Effect.gen(this, function*() {
        // Only a directory is opened: a pipe would wait for its other end.
        const file = yield* Scope.extend(fs.open(`${directory}/.`, { flag: "r" }), scope)
        const path = descriptorPath(file)
        if (!this.isInside(yield* fs.readLink(path))) yield* Effect.fail(leadsOut(directory))
        return { path, check: Effect.void, sync: file.sync, close }
      }).pipe(Effect.onError(() => close))
    }).pipe(opening, Effect.uninterruptible)
  }

  private see(directory: string): Effect.Effect<Opened, PlatformError | UploadError> {
    const { fs } = this.options
    return Effect.gen(this, function*() {
      const seen = yield* fs.stat(directory)
      if (!this.isInside(yield* fs.realPath(directory))) yield* Effect.fail(leadsOut(directory))
      const same = Effect.filterOrFail(
        Effect.mapError(fs.stat(directory), errorOf(directory)),
        (now) => now.dev === seen.dev && Option.getOrUndefined(now.ino) === Option.getOrUndefined(seen.ino),
        () => leadsOut(directory)
      )
      yield* same
      const sync = Effect.scoped(Effect.flatMap(opening(fs.open(directory)), (file) => file.sync))
      return { path: directory, check: Effect.asVoid(same), sync, close: Effect.void }
    })
  }

  private isInside(real: string): boolean {
    return (real + this.options.path.sep).startsWith(this.inside)
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The directory of this process's descriptors on Linux. */
const descriptors = "/proc/self/fd"

const failureIn = (directory: string, verb: "read" | "written") => ownErrors(errorOf(directory, verb))

const leadsOut = (directory: string) =>
  new Rejected({ reason: "InvalidKey", detail: `${directory} is a link that leads out of the destination.` })
