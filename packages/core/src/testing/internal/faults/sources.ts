/**
 * Sources that change while they are read, like files on a disk.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as ByteSource from "../../../ByteSource.js"
import { SourceUnreadable } from "../../../UploadError.js"
import type { SourceError } from "../../../UploadError.js"
import type { UploadFile } from "../../../UploadFile.js"

/** A change of a source in the middle of a read. */
export type Change =
  | { readonly _tag: "SourceShrinks"; readonly bytes: number }
  | { readonly _tag: "SourceGrows"; readonly bytes: number }
  | { readonly _tag: "SourceVanishes" }
  | { readonly _tag: "SourceTouched" }
  | { readonly _tag: "SourceRewritten" }
  | { readonly _tag: "SourceFails" }

interface Version {
  readonly size: number
  readonly fingerprint: string
  readonly modifiedAt: number | undefined
  readonly bytes: (range: ByteSource.Range) => Effect.Effect<Uint8Array, SourceError>
}

const vanished = new SourceUnreadable({ reason: "NotFound", detail: "The file no longer exists." })

const unreadable = new SourceUnreadable({ reason: "Failed", detail: "The file could not be read to its end." })

/** A file that may change: its current and earlier contents. */
export class ChangingSource {
  readonly versions: Array<Version>
  /** The number of reads in progress. */
  open = 0
  private readonly file: UploadFile
  private readonly onRead: (clock: Clock.Clock) => Change | undefined
  private isThere = true

  constructor(
    file: UploadFile,
    fingerprint: string,
    size: number,
    onRead: (clock: Clock.Clock) => Change | undefined
  ) {
    this.file = file
    this.onRead = onRead
    this.versions = [{
      size,
      fingerprint,
      modifiedAt: file.modifiedAt,
      bytes: ({ length, offset }) => file.source.bytes({ offset, length })
    }]
  }

  /** The file as a listing sees it now; a vanished file is back. */
  list(): UploadFile {
    this.isThere = true
    const { fingerprint, modifiedAt, size } = this.now
    return { ...this.file, size, fingerprint, modifiedAt, source: this.view(size) }
  }

  private get now(): Version {
    return this.versions[this.versions.length - 1]!
  }

  private view(size: number): ByteSource.ByteSource {
    return {
      size,
      reopenable: true,
      read: (range) => Stream.unwrap(Effect.map(this.held(range), Stream.fromIterable)),
      bytes: (range) => Effect.map(this.held(range), (blocks) => ByteSource.concat(blocks)),
      fingerprint: Effect.suspend(() => this.isThere ? Effect.succeed(this.now.fingerprint) : Effect.fail(vanished)),
      latest: Effect.suspend(() =>
        this.isThere
          ? Effect.succeed({
            source: this.view(this.now.size),
            fingerprint: this.now.fingerprint,
            modifiedAt: this.now.modifiedAt
          })
          : Effect.fail(vanished)
      )
    }
  }

  private held(range: ByteSource.Range): Effect.Effect<ReadonlyArray<Uint8Array>, SourceError> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.open += 1
      }),
      () => Clock.clockWith((clock) => this.isThere ? this.read(range, this.onRead(clock)) : Effect.fail(vanished)),
      () =>
        Effect.sync(() => {
          this.open -= 1
        })
    )
  }

  /** The first half of the requested range before the change, and the second half after it. */
  private read(
    range: ByteSource.Range,
    change: Change | undefined
  ): Effect.Effect<ReadonlyArray<Uint8Array>, SourceError> {
    const before = this.now.bytes(range)
    if (change === undefined) return Effect.map(before, (bytes) => [bytes])
    return Effect.flatMap(before, (old) => {
      const half = old.length >> 1
      if (change._tag === "SourceFails") return Effect.fail(unreadable)
      this.change(change)
      // An open file can still be read after its name is gone.
      if (!this.isThere) return Effect.succeed([old])
      return Effect.map(this.now.bytes(range), (bytes) => [old.subarray(0, half), bytes.subarray(half)])
    })
  }

  private change(change: Exclude<Change, { readonly _tag: "SourceFails" }>): void {
    if (change._tag === "SourceVanishes") {
      this.isThere = false
      return
    }
    const { now: old } = this
    const fingerprint = `${old.fingerprint}+${this.versions.length}`
    const modifiedAt = old.modifiedAt === undefined ? undefined : old.modifiedAt + 10_000
    const size = change._tag === "SourceShrinks"
      ? Math.max(0, old.size - change.bytes)
      : change._tag === "SourceGrows"
      ? old.size + change.bytes
      : old.size
    const within = ({ length = Infinity, offset }: ByteSource.Range, limit: number) => ({
      offset,
      length: Math.max(0, Math.min(offset + length, limit) - offset)
    })
    const bytes: Version["bytes"] = (range) => {
      const whole = old.bytes(within(range, Math.min(size, old.size)))
      if (change._tag === "SourceRewritten") return Effect.map(whole, (some) => some.map((byte) => byte ^ 0x5a))
      if (change._tag !== "SourceGrows") return whole
      const { length } = within(range, size)
      return Effect.map(whole, (some) => ByteSource.concat([some, new Uint8Array(length - some.length).fill(0x2e)]))
    }
    this.versions.push({ size, fingerprint, modifiedAt, bytes })
  }
}
