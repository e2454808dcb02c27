/**
 * Files on the local disk as byte sources.
 */
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as MimeTypes from "mrmime"
import * as fs from "node:fs"
import * as ByteSource from "../../ByteSource.js"
import * as AtOnce from "../../unstable/AtOnce.js"
import type { SourceError, SourceUnreadable } from "../../UploadError.js"
import type * as UploadFile from "../../UploadFile.js"
import * as CallNode from "../calls/callNode.js"
import { bigint } from "../calls/callNode.js"
import { isFull } from "../calls/tooManyOpenFiles.js"
import * as Descriptors from "./descriptorsNode.js"
import { call, changed, leadsOut, notRegular, unreadable } from "./fileCallsNode.js"
import { holdPermit, openFiles } from "./openFilesNode.js"
import * as QuickReads from "./quickReadsNode.js"

const defaultBlockSize = 256 * 1024

/** The most that is read in one call, in bytes, so that a slow disk shows progress. */
const mostAtOnce = 1024 * 1024

const fingerprintOf = (stat: fs.BigIntStats): string => `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`

/** Where the files of a walk are, and how they were reached. */
export interface Reached {
  /** The real path of the directory that they are in: nothing outside it is read. */
  readonly root?: string | undefined
  readonly followsLinks: boolean
}

/** Whether the meaning of a file's size must be checked: see {@link QuickReads.QuickReads.isAsked}. */
export const sizeIsDoubtful = (stat: fs.BigIntStats): boolean => stat.blocks === 0n

export const fileOf = (
  key: string,
  filePath: string,
  stat: fs.BigIntStats,
  reached: Reached
): UploadFile.UploadFile => {
  const quickReads = QuickReads.of(stat.dev)
  const { sizes } = quickReads
  const isMade = sizes === "meaningless"
  const size = isMade || sizes === "rightUnlessZero" && stat.size === 0n ? undefined : Number(stat.size)
  return {
    key,
    size,
    source: new FileSource(filePath, size, reached, quickReads),
    contentType: typeOf(key),
    fingerprint: isMade ? undefined : fingerprintOf(stat),
    modifiedAt: isMade ? undefined : Number(stat.mtimeMs),
    mode: modeOf(stat)
  }
}

const modeOf = (stat: fs.BigIntStats): number | undefined =>
  process.platform === "win32" ? undefined : Number(stat.mode & 0o777n)

/** The content type of a file extension; `undefined` for a name without one. */
const typeOf = (key: string): string | undefined => {
  const dot = key.lastIndexOf(".")
  return dot > key.lastIndexOf("/") ? MimeTypes.lookup(key.slice(dot + 1)) : undefined
}

class FileSource implements ByteSource.ByteSource {
  readonly path: string
  readonly size: number | undefined
  private readonly reached: Reached
  private readonly quickReads: QuickReads.QuickReads

  constructor(filePath: string, size: number | undefined, reached: Reached, quickReads: QuickReads.QuickReads) {
    this.path = filePath
    this.size = size
    this.reached = reached
    this.quickReads = quickReads
  }

  get reopenable(): true {
    return true
  }

  get checksFingerprint(): true {
    return true
  }

  get fingerprint(): Effect.Effect<string, SourceUnreadable> | undefined {
    return this.quickReads.sizes === "meaningless" ? undefined : Effect.map(this.stat, fingerprintOf)
  }

  get latest(): Effect.Effect<ByteSource.Latest, SourceUnreadable> {
    return Effect.map(this.stat, (now) => {
      const { fingerprint, mode, modifiedAt, source } = fileOf("", this.path, now, this.reached)
      return { source, fingerprint, modifiedAt, mode }
    })
  }

  /** The current state of the file under its name. */
  private get stat(): Effect.Effect<fs.BigIntStats, SourceUnreadable> {
    const { path, reached: { followsLinks, root } } = this
    if (root === undefined || !Descriptors.arePaths) {
      const stat = followsLinks ? fs.stat : fs.lstat
      const seen = call<fs.BigIntStats>(path, (done) => stat(path, bigint, done))
      return root === undefined ? seen : Effect.zipLeft(seen, this.checkName(root))
    }
    return Effect.acquireUseRelease(
      call<number>(path, (done) => fs.open(path, Descriptors.lookOnly | this.flags, done)),
      (descriptor) =>
        Effect.zipLeft(
          call<fs.BigIntStats>(path, (done) => fs.fstat(descriptor, bigint, done)),
          this.checkPlace(descriptor)
        ),
      (descriptor) => this.close(descriptor)
    )
  }

  /** Fails if the open file is not in the walked directory: a directory on the way may now be a link. */
  private checkPlace(descriptor: number): Effect.Effect<void, SourceUnreadable> {
    const { path, reached: { root } } = this
    return root === undefined ? Effect.void : Effect.mapError(
      Descriptors.whereIs(descriptor, path),
      (error) => unreadable(path, error)
    ).pipe(
      Effect.filterOrFail((real) => Descriptors.isInside(root, real), () => leadsOut(path, root)),
      Effect.asVoid
    )
  }

  private checkName(root: string): Effect.Effect<void, SourceUnreadable> {
    const { path } = this
    return Effect.asVoid(Effect.filterOrFail(
      call<string>(path, (done) => fs.realpath.native(path, done)),
      (real) => Descriptors.isInside(root, real),
      () => leadsOut(path, root)
    ))
  }

  private get flags(): number {
    // If a pipe has replaced the file, opening it would wait for a writer forever.
    return fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0) |
      (this.reached.followsLinks ? 0 : fs.constants.O_NOFOLLOW ?? 0)
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
    // One byte is requested even of an empty file: some files claim to be empty and are not.
    return length === 0 ? Effect.succeed(buffer.subarray(0, 0)) : fill(0)
  }

  /** Fails unless the open file is unchanged and still has a name. */
  private check(descriptor: number, fingerprint: string | undefined): Effect.Effect<void, SourceError> {
    if (fingerprint === undefined) return this.checkPlace(descriptor)
    const { size = 0 } = this
    return Effect.flatMap(
      call<fs.BigIntStats>(this.path, (done) => fs.fstat(descriptor, bigint, done)),
      (stat): Effect.Effect<void, SourceError> => {
        const problem = this.problem(stat, fingerprint, size)
        if (problem !== undefined) return Effect.fail(problem)
        return stat.nlink > 0n ? Effect.void : Effect.zipRight(this.stat, Effect.fail(changed(this.path, 0)))
      }
    )
  }

  /** The evidence that an open file has changed; `undefined` if there is none. */
  private problem(stat: fs.BigIntStats, fingerprint: string, size: number): SourceError | undefined {
    if (!stat.isFile()) return notRegular(this.path)
    return fingerprintOf(stat) === fingerprint ? undefined : changed(this.path, Number(stat.size) - size)
  }

  // Requests one byte more than expected, so that growth is noticed at once.
  bytes(range: ByteSource.Range): Effect.Effect<Uint8Array, SourceError> {
    const wanted = this.wanted(range)
    return wanted === undefined
      ? Effect.map(Stream.runCollect(this.read(range)), (blocks) => ByteSource.concat(Chunk.toArray(blocks)))
      : this.readAll(wanted)
  }

  /** Synchronous: nothing else runs in the meantime, so no other file is open. */
  [AtOnce.source](range: ByteSource.Range, clock: Clock.Clock): Exit.Exit<Uint8Array, SourceError> | undefined {
    const wanted = this.wanted(range)
    // Without a fingerprint, the location of the file must be checked.
    if (wanted === undefined || range.fingerprint === undefined && this.reached.root !== undefined) return undefined
    return this.quickReads.areFine(this.path, wanted.length) ? this.readAtOnce(clock, wanted) : undefined
  }

  /** What to read; `undefined` if the amount is not known. */
  private wanted({ fingerprint, into, length, offset, watch }: ByteSource.Range): Wanted | undefined {
    if (this.size === undefined && length === undefined) return undefined
    const rest = this.size === undefined ? Infinity : Math.max(0, this.size - offset)
    return { offset, length: length ?? rest + 1, enough: Math.min(length ?? rest, rest), into, fingerprint, watch }
  }

  private readAll(wanted: Wanted): Effect.Effect<Uint8Array, SourceError> {
    const { fingerprint, watch } = wanted
    return openFiles().withPermits(1, watch?.unwatched)(
      Effect.acquireUseRelease(
        this.open,
        (descriptor) => Effect.zipLeft(this.readBlock(descriptor, wanted), this.check(descriptor, fingerprint)),
        (descriptor) => this.close(descriptor)
      )
    )
  }

  /** Gives up if it turns out to be waiting for a disk. */
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
      let read = 0
      do {
        const size = Math.min(QuickReads.blockSize, length - filled)
        read = fs.readSync(descriptor, buffer, filled, size, offset + filled)
        filled += read
        if (filled < enough) look()
      } while (filled < enough && read > 0 && isQuick)
      if (filled < enough && read > 0) return undefined
      if (fingerprint !== undefined) {
        const stat = fs.fstatSync(descriptor, bigint)
        // Finding out why a file has lost its name takes an asynchronous call.
        if (stat.nlink === 0n) return undefined
        const problem = this.problem(stat, fingerprint, this.size ?? 0)
        if (problem !== undefined) return Exit.fail(problem)
      }
      return Exit.succeed(buffer.subarray(0, filled))
    } catch (error) {
      const failure = CallNode.failureOf(error)
      // Waiting for a descriptor happens elsewhere.
      return isFull(failure.code) ? undefined : Exit.fail(unreadable(this.path, failure))
    } finally {
      if (descriptor !== undefined) closeAtOnce(descriptor)
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
          if (fingerprint === undefined && this.reached.root === undefined) return blocks
          const checked = Stream.execute(this.check(descriptor, fingerprint))
          return Stream.concat(checked, Stream.concat(blocks, checked))
        }
      )
    )
  }
}

/** A close may report earlier write errors, which do not concern a reader. */
const closeAtOnce = (descriptor: number): void => {
  try {
    fs.closeSync(descriptor)
  } catch {
    return
  }
}

/** The range of a file to read. */
interface Wanted {
  readonly offset: number
  /** In bytes; more than there is if growth is to be detected. */
  readonly length: number
  /** How many bytes are enough, unless the file ends before. */
  readonly enough: number
  readonly fingerprint: string | undefined
  readonly into: ((size: number) => Uint8Array) | undefined
  readonly watch: ByteSource.Watch | undefined
}
