/**
 * Files of the local disk as sources of bytes.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as MimeTypes from "mrmime"
import * as fs from "node:fs"
import type * as ByteSource from "../ByteSource.js"
import * as InFlight from "../InFlight.js"
import { SourceChanged, SourceUnreadable } from "../UploadError.js"
import type { SourceError } from "../UploadError.js"
import type * as UploadFile from "../UploadFile.js"
import * as QuickReads from "./quickReadsNode.js"

/** How many source files are open at once, at most, in the whole process. */
export const maxOpenFiles = 256

export const bigint = { bigint: true } as const

const openFiles = InFlight.make(maxOpenFiles)

const defaultBlockSize = 256 * 1024

/** How much is read in one call, in bytes: a slow disk is seen to give. */
const mostAtOnce = 1024 * 1024

export type Callback<A> = (error: NodeJS.ErrnoException | null, value: A) => void

/** A call to the file system. It is not interruptible: what it does to a descriptor has ended when it returns. */
export const call = <A>(filePath: string, start: (done: Callback<A>) => void): Effect.Effect<A, SourceUnreadable> =>
  Effect.uninterruptible(
    Effect.async<A, SourceUnreadable>((resume) => {
      start((error, value) => resume(error === null ? Effect.succeed(value) : Effect.fail(unreadable(filePath, error))))
    })
  )

export const unreadable = (filePath: string, cause: NodeJS.ErrnoException): SourceUnreadable =>
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

export const fileOf = (
  key: string,
  filePath: string,
  stat: fs.BigIntStats,
  followsLinks: boolean
): UploadFile.UploadFile => {
  const source = new FileSource(filePath, Number(stat.size), followsLinks, QuickReads.of(stat.dev))
  return {
    key,
    size: source.size,
    source,
    contentType: typeOf(key),
    fingerprint: fingerprintOf(stat),
    modifiedAt: Number(stat.mtimeMs)
  }
}

/** The type that an ending stands for; of a name without one nothing is known. */
const typeOf = (key: string): string | undefined => {
  const dot = key.lastIndexOf(".")
  return dot > key.lastIndexOf("/") ? MimeTypes.lookup(key.slice(dot + 1)) : undefined
}

class FileSource implements ByteSource.ByteSource {
  readonly path: string
  readonly size: number
  private readonly followsLinks: boolean
  private readonly quickReads: QuickReads.QuickReads

  constructor(filePath: string, size: number, followsLinks: boolean, quickReads: QuickReads.QuickReads) {
    this.path = filePath
    this.size = size
    this.followsLinks = followsLinks
    this.quickReads = quickReads
  }

  get reopenable(): true {
    return true
  }

  get checksFingerprint(): true {
    return true
  }

  get fingerprint(): Effect.Effect<string, SourceUnreadable> {
    const stat = this.followsLinks ? fs.stat : fs.lstat
    return Effect.map(call<fs.BigIntStats>(this.path, (done) => stat(this.path, bigint, done)), fingerprintOf)
  }

  get latest(): Effect.Effect<ByteSource.Latest, SourceUnreadable> {
    const stat = this.followsLinks ? fs.stat : fs.lstat
    return Effect.map(call<fs.BigIntStats>(this.path, (done) => stat(this.path, bigint, done)), (now) => ({
      source: new FileSource(this.path, Number(now.size), this.followsLinks, QuickReads.of(now.dev)),
      fingerprint: fingerprintOf(now),
      modifiedAt: Number(now.mtimeMs)
    }))
  }

  private get flags(): number {
    // Where a pipe has taken the file's place, opening it would wait for a writer for ever.
    return fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0) |
      (this.followsLinks ? 0 : fs.constants.O_NOFOLLOW ?? 0)
  }

  private get open(): Effect.Effect<number, SourceUnreadable> {
    return call<number>(this.path, (done) => fs.open(this.path, this.flags, done))
  }

  private close(descriptor: number): Effect.Effect<void> {
    return Effect.ignore(call<void>(this.path, (done) => fs.close(descriptor, (error) => done(error ?? null))))
  }

  /** Reads up to `length` bytes, and at least `enough` unless the file ends before. */
  private readBlock(
    descriptor: number,
    { enough, into, length, offset, watch }: Omit<Wanted, "fingerprint">
  ): Effect.Effect<Uint8Array, SourceUnreadable> {
    const buffer = into?.(length) ?? Buffer.allocUnsafeSlow(length)
    const fill = (filled: number): Effect.Effect<Uint8Array, SourceUnreadable> =>
      Effect.flatMap(
        call<number>(
          this.path,
          (done) => fs.read(descriptor, buffer, filled, Math.min(mostAtOnce, length - filled), offset + filled, done)
        ),
        (read) => {
          if (read === 0 || filled + read >= enough) return Effect.succeed(buffer.subarray(0, filled + read))
          watch?.moved()
          return fill(filled + read)
        }
      )
    return enough === 0 ? Effect.succeed(buffer.subarray(0, 0)) : fill(0)
  }

  /** Fails unless the open file is still what it was, and still has a name. */
  private check(descriptor: number, fingerprint: string): Effect.Effect<void, SourceError> {
    return Effect.flatMap(
      call<fs.BigIntStats>(this.path, (done) => fs.fstat(descriptor, bigint, done)),
      (stat): Effect.Effect<void, SourceError> => {
        const problem = this.problem(stat, fingerprint)
        if (problem !== undefined) return Effect.fail(problem)
        return stat.nlink > 0n ? Effect.void : Effect.zipRight(this.fingerprint, Effect.fail(changed(this.path, 0)))
      }
    )
  }

  /** What speaks against an open file being what it was; nothing where nothing does. */
  private problem(stat: fs.BigIntStats, fingerprint: string): SourceError | undefined {
    if (!stat.isFile()) return notRegular(this.path)
    return fingerprintOf(stat) === fingerprint ? undefined : changed(this.path, Number(stat.size) - this.size)
  }

  // One byte more than there should be is asked for, so that a file that grew is seen at once.
  bytes(range: ByteSource.Range): Effect.Effect<Uint8Array, SourceError> {
    return this.readAll(this.wanted(range))
  }

  /** In one go: nothing else runs meanwhile, so that no other file is open. */
  unsafeBytes(range: ByteSource.Range, clock: Clock.Clock): Exit.Exit<Uint8Array, SourceError> | undefined {
    const wanted = this.wanted(range)
    return this.quickReads.areFine(this.path, wanted.length) ? this.readAtOnce(clock, wanted) : undefined
  }

  private wanted({ fingerprint, into, length, offset, watch }: ByteSource.Range): Wanted {
    const rest = Math.max(0, this.size - offset)
    return { offset, length: length ?? rest + 1, enough: Math.min(length ?? rest, rest), into, fingerprint, watch }
  }

  private readAll(wanted: Wanted): Effect.Effect<Uint8Array, SourceError> {
    const { fingerprint, watch } = wanted
    return openFiles.withPermits(1, watch?.unwatched)(
      Effect.acquireUseRelease(
        this.open,
        (descriptor) => {
          const block = this.readBlock(descriptor, wanted)
          return fingerprint === undefined ? block : Effect.zipLeft(block, this.check(descriptor, fingerprint))
        },
        (descriptor) => this.close(descriptor)
      )
    )
  }

  /** Gives up where it turns out that a disk is waited for. */
  private readAtOnce(
    clock: Clock.Clock,
    { enough, fingerprint, into, length, offset }: Wanted
  ): Exit.Exit<Uint8Array, SourceError> | undefined {
    let began = clock.unsafeCurrentTimeNanos()
    let isQuick = true
    let descriptor: number | undefined = undefined
    const look = () => {
      const now = clock.unsafeCurrentTimeNanos()
      isQuick = this.quickReads.took(now - began)
      began = now
    }
    try {
      descriptor = fs.openSync(this.path, this.flags)
      const buffer = into?.(length) ?? Buffer.allocUnsafeSlow(length)
      let filled = 0
      let read = Infinity
      while (filled < enough && read > 0 && isQuick) {
        const size = Math.min(QuickReads.blockSize, length - filled)
        read = fs.readSync(descriptor, buffer, filled, size, offset + filled)
        filled += read
        if (filled < enough) look()
      }
      if (filled < enough && read > 0) return undefined
      if (fingerprint !== undefined) {
        const stat = fs.fstatSync(descriptor, bigint)
        // Why a file has no name any more has to be asked for.
        if (stat.nlink === 0n) return undefined
        const problem = this.problem(stat, fingerprint)
        if (problem !== undefined) return Exit.fail(problem)
      }
      return Exit.succeed(buffer.subarray(0, filled))
    } catch (error) {
      return Exit.fail(unreadable(this.path, error as NodeJS.ErrnoException))
    } finally {
      if (descriptor !== undefined) fs.closeSync(descriptor)
      if (isQuick) look()
    }
  }

  read(
    { blockSize = defaultBlockSize, fingerprint, into, length = Infinity, offset, watch }: ByteSource.Range
  ): Stream.Stream<Uint8Array, SourceError> {
    return Stream.unwrapScoped(
      Effect.map(
        Effect.zipRight(
          holdPermit(watch),
          Effect.acquireRelease(this.open, (descriptor) => this.close(descriptor))
        ),
        (descriptor) => {
          const blocks = Stream.unfoldEffect(offset, (from) => {
            const size = Math.min(blockSize, offset + length - from)
            return size === 0
              ? Effect.succeedNone
              : Effect.map(
                this.readBlock(descriptor, { offset: from, length: size, enough: size, into, watch }),
                (block) => block.length === 0 ? Option.none() : Option.some([block, from + block.length] as const)
              )
          })
          if (fingerprint === undefined) return blocks
          const checked = Stream.execute(this.check(descriptor, fingerprint))
          return Stream.concat(checked, Stream.concat(blocks, checked))
        }
      )
    )
  }
}

/** What is to be read of a file. */
interface Wanted {
  readonly offset: number
  /** In bytes; more than there is where growth is to be seen. */
  readonly length: number
  /** How much of it is enough, unless the file ends before. */
  readonly enough: number
  readonly fingerprint: string | undefined
  readonly into: ((size: number) => Uint8Array) | undefined
  readonly watch: ByteSource.Watch | undefined
}

const notRegular = (filePath: string) =>
  new SourceUnreadable({ reason: "Failed", detail: `${filePath} is not a regular file any more.` })

/** A file that is not what it was, and has `growth` bytes more than it had. */
const changed = (filePath: string, growth: number): SourceChanged =>
  growth === 0
    ? new SourceChanged({ reason: "Modified", detail: `${filePath} was modified or replaced while it was uploaded.` })
    : new SourceChanged({
      reason: growth > 0 ? "Grew" : "EndedEarly",
      detail: `${filePath} has become ${Math.abs(growth)} bytes ${growth > 0 ? "longer" : "shorter"} meanwhile.`
    })

/** Takes a permit to have a file open, until the scope ends. */
const holdPermit = (watch: ByteSource.Watch | undefined): Effect.Effect<void, never, Scope.Scope> =>
  Effect.suspend(() => {
    let held = false
    const turn = openFiles.take(1, () => held = true)
    return Effect.zipRight(
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (held) openFiles.unsafeRelease(1)
        })
      ),
      watch === undefined ? turn : watch.unwatched(turn)
    )
  })
