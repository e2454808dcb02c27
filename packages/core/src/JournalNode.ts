/**
 * A journal in a directory, so that uploads resume after a crash. For Node.
 *
 * The journal owns its directory (0700): the file `journal`, to which each record adds a line, and `lock`, which exists
 * while a process uses the journal. A record torn by a crash is dropped; a damaged record is skipped, and those after
 * it count. The file is rewritten as it grows, so that its size follows what is unfinished: a part takes about 100
 * bytes, a finished file 39 until its run has ended, plus its location if the destination chooses that itself. The
 * journal holds keys, upload ids and such locations, so keep it private.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Disk from "./internal/journal/diskNode.js"
import * as Lock from "./internal/journal/lockNode.js"
import * as Record from "./internal/journal/recordNode.js"
import type { Replay } from "./internal/journal/replayNode.js"
import { Writer } from "./internal/journal/writerNode.js"
import { Journal, JournalError } from "./Journal.js"
import type { Identity, Immediate, Noted, Session } from "./Journal.js"

/**
 * Where a journal is, and what it records.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The journal's own directory; created if it does not exist. */
  readonly directory: string
  /** The name of the destination, without secrets. A journal of another destination is refused. */
  readonly destination: string
  /** A human-readable name of what is uploaded. */
  readonly source?: string | undefined
  /**
   * Whether records are forced to the disk before they count as written: slower, but safe from a power cut. The death
   * of the process loses nothing either way. Defaults to `false`.
   */
  readonly fsync?: boolean | undefined
  /**
   * Whether the file is removed when the journal is closed with nothing in it: no upload that could be resumed and no
   * finished file of an unfinished run. The directory stays. Defaults to `false`.
   */
  readonly removeWhenEmpty?: boolean | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { fsync: false, removeWhenEmpty: false } as const

/**
 * The contents of a journal, for inspection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Contents {
  readonly destination: string
  readonly source: string | undefined
  /** When the journal was begun, in milliseconds since the epoch. */
  readonly createdAt: number
  /** The multipart uploads that have not ended. */
  readonly sessions: ReadonlyArray<Session>
  /** The names under which processes may have left things at the destination. */
  readonly owners: ReadonlyArray<string>
  /** How many files the unfinished run has uploaded. */
  readonly finished: number
}

/**
 * Reads the journal in a directory without locking or changing it; a process may be writing to it at the same time.
 *
 * Fails with `Unusable` if there is none or it cannot be read.
 *
 * @example
 * ```ts
 * import * as JournalNode from "@sluice/core/JournalNode"
 * import { Console, Effect } from "effect"
 *
 * const listUploads = Effect.flatMap(JournalNode.readDirectory("/var/lib/sluice/photos"), ({ destination, sessions }) =>
 *   Effect.forEach(sessions, ({ key, parts }) => Console.log(`${destination} ${key}: ${parts.size} parts stored`)))
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const readDirectory = (directory: string): Effect.Effect<Contents, JournalError> =>
  Effect.scoped(
    Effect.gen(function*() {
      const file = yield* Effect.acquireRelease(Disk.open(directory, "read"), closeOpened)
      if (file === undefined) return yield* Effect.fail(Disk.unusable(`There is no journal in ${directory}.`))
      const { finished, header, state } = yield* understand(directory, file)
      if (header === undefined) return yield* Effect.fail(Disk.unusable(`The journal in ${directory} is empty.`))
      return {
        destination: header.destination,
        source: header.source,
        createdAt: header.createdAt,
        sessions: state.sessions,
        owners: [...state.owners],
        finished: finished.size
      }
    })
  )

/**
 * The process on this machine that is using the journal in a directory; `undefined` if there is none or that cannot be
 * determined. It does not try to take the lock.
 *
 * @example
 * ```ts
 * import * as JournalNode from "@sluice/core/JournalNode"
 * import { Console, Effect } from "effect"
 *
 * const tellUser = Effect.flatMap(JournalNode.userOf("/var/lib/sluice/photos"), (pid) =>
 *   Console.log(pid === undefined ? "Nobody is using it." : `Process ${pid} is using it.`))
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const userOf = (directory: string): Effect.Effect<number | undefined> => Lock.holderOf(directory)

/**
 * A journal in a directory, for one process at a time.
 *
 * Fails with `Locked` if another process, or another layer of this one, is using the directory; with `Foreign` if the
 * journal belongs to another destination; with `Newer` if a later version wrote it; and with `Unusable` if it cannot be
 * read or written, or if others may write to the directory. In all of these cases the journal is left unchanged.
 *
 * Noted records are written within 20 ms, or as soon as 64 of them wait. When the disk is full, calls that wait for a
 * record fail with `Unusable`; written records stay, and noted ones are written when there is space again.
 * `wasFinished` knows the files that were in the journal when it was opened, at 27 to 43 bytes of memory each, or about
 * 150 plus the location if the destination chooses one; files that finish afterwards take no memory and are known the
 * next time the journal is opened.
 *
 * @example
 * ```ts
 * import * as JournalNode from "@sluice/core/JournalNode"
 *
 * const JournalLayer = JournalNode.layerDirectory({
 *   directory: "/var/lib/sluice/photos",
 *   destination: "https://storage.example.org/photos",
 *   source: "/home/ada/photos"
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDirectory = (options: Options): Layer.Layer<Journal, JournalError> =>
  Layer.scoped(Journal, make(options))

/**
 * Opens a journal in a directory until the scope ends; see `layerDirectory`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<Immediate, JournalError, Scope.Scope> {
    const { destination, directory, fsync = defaults.fsync, removeWhenEmpty = defaults.removeWhenEmpty, source } =
      options
    // The previous user may remove an empty directory before it is locked here.
    const lock = yield* Effect.retry(Effect.zipRight(Disk.prepareDirectory(directory), Lock.acquire(directory)), {
      times: 20,
      while: (error) => Predicate.hasProperty(error.cause, "code") && error.cause.code === "ENOENT"
    })
    const fresh: Record.Header = { destination, source, createdAt: yield* Clock.currentTimeMillis }
    return yield* Effect.uninterruptible(Effect.gen(function*() {
      const { file, replay } = yield* openOrCreate(directory, fresh, fsync)
      const header = { destination, source: source ?? replay.header?.source, createdAt: replay.header?.createdAt ?? 0 }
      const writer = new Writer({ directory, fsync, removeWhenEmpty, header, lock }, replay, file)
      yield* writer.run
      if (replay.damaged > 0) {
        yield* Effect.logWarning(
          `The journal in ${directory} was damaged in ${replay.damaged} places; the rest is used.`
        )
      }
      yield* writer.tidy({ always: replay.damaged > 0 || header.source !== replay.header?.source })
      return journalOf(writer, replay)
    }))
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const closeOpened = (file: Disk.Opened | undefined): Effect.Effect<void> =>
  file === undefined ? Effect.void : Disk.close(file.descriptor)

/** Parses the file. A file without a header holds nothing: it is empty, or was torn while it was created. */
const understand = Effect.fnUntraced(
  function*(directory: string, file: Disk.Opened): Effect.fn.Return<Replay, JournalError> {
    const failed = Effect.mapError(Disk.failedTo(directory, "be read"))
    const replay = yield* failed(Disk.replay(file))
    if (replay.newer) {
      return yield* Effect.fail(
        new JournalError({
          reason: "Newer",
          detail:
            `The journal in ${directory} was written by a later version of Sluice, and only that version can use it.`
        })
      )
    }
    if (replay.header === undefined && !Record.isTornHeader(yield* failed(Disk.firstBytes(file)))) {
      return yield* Effect.fail(
        Disk.unusable(
          `${
            Disk.fileIn(directory)
          } does not begin like a journal: it is damaged, or another kind of file. Move it away ` +
            "to start a new journal."
        )
      )
    }
    return replay
  }
)

interface Ready {
  readonly file: Disk.Opened
  readonly replay: Replay
}

/** Opens the file and drops a torn record at its end. Changes nothing before the whole file has been understood. */
const openOrCreate = Effect.fnUntraced(
  function*(directory: string, fresh: Record.Header, fsync: boolean): Effect.fn.Return<Ready, JournalError> {
    const file = yield* Disk.open(directory, "write")
    if (file === undefined) return yield* create(directory, fresh, fsync)
    return yield* Effect.gen(function*() {
      const replay = yield* understand(directory, file)
      if (replay.header === undefined) return yield* Effect.zipLeft(create(directory, fresh, fsync), closeOpened(file))
      if (replay.header.destination !== fresh.destination) {
        return yield* Effect.fail(
          new JournalError({
            reason: "Foreign",
            detail: `The journal in ${directory} is for ${replay.header.destination}, not for ${fresh.destination}.`
          })
        )
      }
      return { file: yield* Disk.cut(directory, file, replay.end), replay }
    }).pipe(Effect.tapErrorCause(() => closeOpened(file)))
  }
)

const create = (directory: string, fresh: Record.Header, fsync: boolean): Effect.Effect<Ready, JournalError> =>
  Effect.gen(function*() {
    const file = yield* Disk.replace(directory, { fsync, text: Record.header(fresh) })
    return { file, replay: yield* Disk.replay(file) }
  }).pipe(Effect.mapError(Disk.failedTo(directory, "be created")))

const journalOf = (writer: Writer, { finished, locations, state }: Replay): Immediate => ({
  session: (key) => state.session(key),
  sessions: Effect.sync(() => state.sessions),
  begin: (intent) =>
    Effect.suspend(() => {
      const tooLong = refuse(intent.key, intent.token, intent.fingerprint)
      if (tooLong !== undefined) return Effect.fail(tooLong)
      const entry = state.begin(intent)
      state.record(entry, writer.note(Record.begin(entry.number, intent)))
      return writer.settled
    }),
  created: (key, uploadId) =>
    Effect.suspend(() => {
      const entry = state.entries.get(key)
      const tooLong = refuse(uploadId)
      if (tooLong !== undefined) return Effect.fail(tooLong)
      if (entry !== undefined) {
        entry.uploadId = uploadId
        state.record(entry, writer.note(Record.created(entry.number, uploadId)))
      }
      return writer.settled
    }),
  partStored: (key, part) => {
    const entry = state.entries.get(key)
    if (entry === undefined) return
    const recorded = writer.note(Record.part(entry.number, part))
    if (!entry.parts.has(part.number)) state.record(entry, recorded)
    entry.parts.set(part.number, part)
  },
  flush: writer.settled,
  ended: (key) => {
    const entry = state.end(key)
    if (entry !== undefined) writer.note(Record.ended(entry.number))
  },
  finished: (file) => {
    const digest = Record.digestOf(file)
    const location = file.location === undefined || refuse(file.location) !== undefined ? undefined : file.location
    const identity = Record.identityIn(digest)
    if (finished.has(digest) && locations.get(identity) === location) return
    if (finished.hasKey(digest)) {
      finished.set(digest)
      if (location === undefined) locations.delete(identity)
      else locations.set(identity, location)
    }
    writer.noteFinished(Record.finished(digest, location))
  },
  wasFinished: (file) => {
    if (finished.size === 0) return undefined
    const digest = Record.digestOf(file)
    return finished.hasFile(digest) ? notedOf(finished, locations.get(Record.identityIn(digest)), file) : undefined
  },
  runEnded: Effect.suspend(() => {
    finished.clear()
    locations.clear()
    writer.noteRunEnded()
    return writer.settled
  }),
  owners: Effect.sync(() => [...state.owners]),
  own: (owner) =>
    Effect.suspend(() => {
      const tooLong = refuse(owner)
      if (tooLong !== undefined) return Effect.fail(tooLong)
      if (!state.owners.has(owner)) {
        state.owners.add(owner)
        writer.noteOwned(owner)
      }
      return writer.settled
    }),
  disown: (owner) =>
    Effect.suspend(() => {
      if (state.owners.delete(owner)) writer.noteDisowned(owner)
      return writer.settled
    })
})

const notedOf = (
  finished: Replay["finished"],
  location: string | undefined,
  { fingerprint, key, size }: Identity
): Noted => ({
  location,
  isEtag: (etag) => finished.hasFile(Record.digestOf({ key, size, fingerprint, etag }))
})

/** A record that is too long could be written but not read back. A character takes up to 6 bytes. */
const refuse = (...texts: ReadonlyArray<string | undefined>): JournalError | undefined => {
  const length = texts.reduce((sum, text) => sum + (text?.length ?? 0), 0)
  return length * 6 < Record.longest - 1024
    ? undefined
    : Disk.unusable(
      `A name of ${length} characters is too long for a journal: it begins with ${texts[0]?.slice(0, 60)}.`
    )
}
