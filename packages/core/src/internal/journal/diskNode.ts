/**
 * The file of a journal: opening it with care, reading it, writing at an offset, and replacing it whole.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { JournalError } from "../../Journal.js"
import { bigint, call } from "../calls/callNode.js"
import type { Failure } from "../calls/callNode.js"
import * as Record from "./recordNode.js"
import { Replay } from "./replayNode.js"

export const unusable = (detail: string, cause?: unknown): JournalError =>
  new JournalError({ reason: "Unusable", detail, cause })

/** An error for an operation that failed on the journal in a directory, such as `be read`. */
export const failedTo = (directory: string, what: string) => (cause: Failure): JournalError =>
  unusable(`The journal in ${directory} cannot ${what}: ${cause.message}.`, cause)

export const fileIn = (directory: string): string => path.join(directory, "journal")

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = fs.constants

// Flags that are missing on Windows have no meaning there. Opening a pipe would wait for its other end.
const carefully = (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0)

/** Creates the directory if it is missing, and refuses one in which others could change things. */
export const prepareDirectory = (directory: string): Effect.Effect<void, JournalError> =>
  Effect.gen(function*() {
    yield* makeDirectory(directory)
    yield* checkLinks(directory)
    const { mode, uid } = yield* call<fs.BigIntStats>((done) => fs.stat(directory, bigint, done))
    yield* checkOwner(directory, uid)
    if (process.getuid !== undefined && (mode & 0o022n) !== 0n) {
      yield* Effect.fail(
        unusable(`Other users may write to ${directory}: a journal needs a directory of its own (chmod 700).`)
      )
    }
  }).pipe(Effect.catchAll(failing(directory, "be created")))

// Level by level: in some places, such as /proc, a recursive call in Node never returns.
const makeDirectory = (directory: string): Effect.Effect<void, Failure | JournalError> =>
  Effect.catchIf(
    makeOne(directory),
    (error) => isMissing(error) && path.dirname(directory) !== directory,
    () => Effect.zipRight(makeDirectory(path.dirname(directory)), makeOne(directory))
  )

/** An existing entry must be a directory, or a link to one. */
const makeOne = (directory: string): Effect.Effect<void, Failure | JournalError> =>
  Effect.catchIf(
    call((done) => fs.mkdir(directory, 0o700, (error) => done(error, undefined))),
    (error) => error.code === "EEXIST",
    () =>
      Effect.matchEffect(call<fs.BigIntStats>((done) => fs.stat(directory, bigint, done)), {
        onFailure: (error) =>
          Effect.fail(
            isMissing(error)
              ? unusable(`No journal can be kept in ${directory}: it is a symbolic link that leads nowhere.`, error)
              : error
          ),
        onSuccess: (stat) =>
          stat.isDirectory()
            ? Effect.void
            : Effect.fail(unusable(`No journal can be kept in ${directory}: it is not a directory.`))
      })
  )

const isMissing = (error: Failure | JournalError): boolean => "code" in error && error.code === "ENOENT"

/**
 * Refuses a path that somebody else could redirect: each link on it must belong to this user or root, and so must the
 * directory that contains the link.
 */
const checkLinks = Effect.fnUntraced(function*(directory: string): Effect.fn.Return<void, Failure | JournalError> {
  if (process.getuid === undefined) return
  const own = BigInt(process.getuid())
  const isTrusted = ({ uid }: fs.BigIntStats) => uid === own || uid === 0n
  const absolute = yield* Effect.try({
    try: () => path.resolve(directory),
    catch: (cause) => unusable(`No journal can be kept in ${directory}: the current directory does not exist.`, cause)
  })
  const { root } = path.parse(absolute)
  let at = root
  const rest = absolute.slice(root.length).split(path.sep)
  for (let name = rest.shift(), links = 0; name !== undefined; name = rest.shift()) {
    if (name === "" || name === ".") continue
    if (name === "..") {
      at = path.dirname(at)
      continue
    }
    const next = path.join(at, name)
    const stat = yield* call<fs.BigIntStats>((done) => fs.lstat(next, bigint, done))
    if (!stat.isSymbolicLink()) {
      at = next
      continue
    }
    const parent = yield* call<fs.BigIntStats>((done) => fs.stat(at, bigint, done))
    const isOpenToAll = (parent.mode & 0o002n) !== 0n && (parent.mode & 0o1000n) === 0n
    if (!isTrusted(stat) || !isTrusted(parent) || isOpenToAll) {
      yield* Effect.fail(
        unusable(`${next} is a symbolic link that other users can change: no journal is kept behind it.`)
      )
    }
    if (++links > mostLinks) yield* Effect.fail(unusable(`${directory} is behind too many symbolic links.`))
    const target = yield* call<string>((done) => fs.readlink(next, done))
    if (path.isAbsolute(target)) at = path.parse(target).root
    rest.unshift(...target.split(path.sep))
  }
})

/** The number of links that Linux follows. */
const mostLinks = 40

const failing = (directory: string, what: string) => (error: Failure | JournalError) =>
  Effect.fail(error instanceof JournalError ? error : failedTo(directory, what)(error))

const checkOwner = (file: string, uid: bigint): Effect.Effect<void, JournalError> => {
  const own = process.getuid?.()
  return own === undefined || BigInt(own) === uid
    ? Effect.void
    : Effect.fail(unusable(`${file} belongs to another user (${uid}), so it is not used as a journal.`))
}

/** An open journal file. */
export interface Opened {
  readonly descriptor: number
  readonly size: number
}

/** Opens the file; `undefined` if it does not exist. The caller must close it. */
export const open = (directory: string, mode: "read" | "write"): Effect.Effect<Opened | undefined, JournalError> => {
  const file = fileIn(directory)
  const flags = carefully | (mode === "read" ? O_RDONLY : O_RDWR)
  return call<number>((done) => fs.open(file, flags, done)).pipe(
    Effect.flatMap((descriptor) =>
      Effect.gen(function*() {
        const stat = yield* call<fs.BigIntStats>((done) => fs.fstat(descriptor, bigint, done))
        if (!stat.isFile()) yield* Effect.fail(unusable(`${file} is not a regular file.`))
        yield* checkOwner(file, stat.uid)
        if (mode === "write" && (stat.mode & 0o077n) !== 0n) {
          yield* call((done) => fs.fchmod(descriptor, 0o600, (error) => done(error, undefined)))
        }
        return { descriptor, size: Number(stat.size) }
      }).pipe(Effect.tapErrorCause(() => close(descriptor)))
    ),
    Effect.catchAll((error) => {
      if (error instanceof JournalError) return Effect.fail(error)
      if (error.code === "ENOENT") return Effect.succeed(undefined)
      return Effect.fail(
        error.code === "ELOOP" || error.code === "EMLINK"
          ? unusable(`${file} is a symbolic link, and is not followed.`, error)
          : failedTo(directory, "be opened")(error)
      )
    }),
    Effect.uninterruptible
  )
}

export const close = (descriptor: number): Effect.Effect<void> =>
  Effect.ignore(call((done) => fs.close(descriptor, (error) => done(error ?? null))))

const blockSize = 256 * 1024

/** Passes on the content of the file from `start` to `end`, one character per byte. */
const readThrough = Effect.fnUntraced(
  function*(
    descriptor: number,
    start: number,
    end: number,
    take: (text: string) => Effect.Effect<void, Failure> | void
  ): Effect.fn.Return<void, Failure> {
    const block = Buffer.allocUnsafeSlow(Math.min(blockSize, Math.max(0, end - start)))
    for (let at = start; at < end;) {
      const wanted = Math.min(block.length, end - at)
      const read = yield* call<number>((done) => fs.read(descriptor, block, 0, wanted, at, done))
      if (read === 0) return
      at += read
      const taken = take(block.toString("latin1", 0, read))
      if (taken !== undefined) yield* taken
    }
  }
)

/** Drops everything after the last whole record. */
export const cut = (
  directory: string,
  { descriptor, size }: Opened,
  end: number
): Effect.Effect<Opened, JournalError> =>
  (end === size ? Effect.void : call((done) => fs.ftruncate(descriptor, end, (error) => done(error, undefined)))).pipe(
    Effect.mapError(failedTo(directory, "be written")),
    Effect.as({ descriptor, size: end })
  )

/** Reads all records. */
export const replay = ({ descriptor, size }: Opened): Effect.Effect<Replay, Failure> =>
  Effect.suspend(() => {
    const replay = new Replay()
    return Effect.map(readThrough(descriptor, 0, size, (text) => replay.feed(text)), () => {
      replay.feed("", true)
      return replay
    })
  })

export const firstBytes = ({ descriptor, size }: Opened): Effect.Effect<string, Failure> => {
  let first = ""
  return Effect.map(
    readThrough(descriptor, 0, Math.min(size, Record.longest), (text) => void (first += text)),
    () => first
  )
}

/** Writes all of the text at an offset. After a failure, writing it again at the same offset repairs a torn write. */
export const writeAt = (descriptor: number, text: string, offset: number): Effect.Effect<void, Failure> =>
  Effect.suspend(() => {
    const bytes = Buffer.from(text, "latin1")
    const from = (written: number): Effect.Effect<void, Failure> =>
      written === bytes.length ? Effect.void : Effect.flatMap(
        call<number>((done) => fs.write(descriptor, bytes, written, bytes.length - written, offset + written, done)),
        (count) => from(written + count)
      )
    return from(0)
  })

export const sync = (descriptor: number): Effect.Effect<void, Failure> =>
  call((done) => fs.fdatasync(descriptor, (error) => done(error, undefined)))

/** The records of finished files in a range of text that holds whole records. */
export const finishedIn = (text: string, wanted: (digest: string) => boolean = () => true): string => {
  let found = ""
  const scanner = finishedScanner(wanted, (line) => found += line)
  scanner.feed(text, true)
  return found
}

const finishedScanner = (wanted: (digest: string) => boolean, take: (line: string) => void): Record.Scanner =>
  new Record.Scanner(({ payload }) => {
    const finished = Record.finishedIn(payload)
    if (finished !== undefined && wanted(finished.digest)) take(Record.finished(finished.digest, finished.location))
  })

/** The replacement of a journal file. */
export interface Replacement {
  /** Whether it is forced to the disk, so that it survives a power cut. */
  readonly fsync: boolean
  /** The text at its start. */
  readonly text: string
  /** The source and the selection of records of finished files to copy. */
  readonly copy?: {
    readonly descriptor: number
    readonly start: number
    readonly end: number
    readonly wanted?: ((digest: string) => boolean) | undefined
  } | undefined
  /** The text at its end. */
  readonly last?: string | undefined
}

/**
 * Replaces the journal with a new file, atomically: at any moment one or the other is under the name, and either is
 * sufficient. Only for the holder of the lock.
 */
export const replace = (
  directory: string,
  { copy, fsync, last, text }: Replacement
): Effect.Effect<Opened, Failure> => {
  const file = fileIn(directory)
  const temporary = `${file}.new`
  const remove = call((done) => fs.unlink(temporary, (error) => done(error, undefined)))
  return Effect.gen(function*() {
    yield* Effect.catchIf(remove, (error) => error.code === "ENOENT", () => Effect.void)
    const descriptor = yield* call<number>((done) =>
      fs.open(temporary, O_RDWR | O_CREAT | O_EXCL | carefully, 0o600, done)
    )
    const size = yield* Effect.gen(function*() {
      let size = 0
      const append = (more: string) =>
        Effect.map(writeAt(descriptor, more, size), () => {
          size += more.length
        })
      yield* append(text)
      if (copy !== undefined) {
        let found = ""
        const scanner = finishedScanner(copy.wanted ?? (() => true), (line) => found += line)
        const move = (more: string, isLast?: boolean) => {
          scanner.feed(more, isLast)
          const lines = found
          found = ""
          return append(lines)
        }
        yield* readThrough(copy.descriptor, copy.start, copy.end, move)
        yield* move("", true)
      }
      yield* append(last ?? "")
      if (fsync) yield* sync(descriptor)
      yield* call((done) => fs.rename(temporary, file, (error) => done(error, undefined)))
      return size
    }).pipe(Effect.tapErrorCause(() => Effect.zipRight(close(descriptor), Effect.ignore(remove))))
    if (fsync) yield* Effect.ignore(syncDirectory(directory))
    return { descriptor, size }
  }).pipe(Effect.uninterruptible)
}

/** Removes the journal. Only for the holder of the lock. */
export const remove = (directory: string, fsync: boolean): Effect.Effect<void, Failure> =>
  Effect.zipRight(
    call((done) => fs.unlink(fileIn(directory), (error) => done(error, undefined))),
    fsync ? Effect.ignore(syncDirectory(directory)) : Effect.void
  )

/**
 * Makes the new name survive a power cut, too. Where directories cannot be opened, the file system takes care of it.
 */
const syncDirectory = (directory: string): Effect.Effect<void, Failure> =>
  Effect.acquireUseRelease(
    call<number>((done) => fs.open(directory, O_RDONLY, done)),
    (descriptor) => call((done) => fs.fsync(descriptor, (error) => done(error, undefined))),
    close
  )
