/**
 * The owner of a body: what is read, and what is reported about its bytes.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as ByteSource from "../../ByteSource.js"
import type * as Checksum from "../../Checksum.js"
import type { SourceError } from "../../UploadError.js"

/** What a body reads, and what it reports about its bytes. */
export interface Owner {
  readonly source: ByteSource.ByteSource
  /** Where in the source the body begins. */
  readonly offset: number
  readonly size: number | undefined
  /** Whether the body goes to the end of the source, which then must not have more. */
  readonly toEnd: boolean
  /** The fingerprint that the source must have at the end, if it has one. */
  readonly fingerprint: string | undefined
  readonly checksum: Checksum.Algorithm | undefined
  readonly clock: Clock.Clock
  /** The source is about to be read. */
  readonly onOpen: () => void
  /** From here until `onGo` no bytes can move, through no fault of the destination or the source. */
  readonly onWait: () => void
  readonly onGo: () => void
  /** The source is asked for bytes and owes them until `onRead`. */
  readonly onAsk: () => void
  /** The source produced bytes, or ended. */
  readonly onRead: () => void
  /** Bytes are handed to the destination. */
  readonly onSent: (bytes: number) => void
  /** Bytes that were handed to the destination no longer count: they will be sent again. */
  readonly onTakenBack: (bytes: number) => void
  /** Provides a way to see how far the bytes handed to the destination have come. */
  readonly onTrack: (position: Effect.Effect<string>) => void
  /** All bytes have been handed to the destination. */
  readonly onEnd: () => void
  /** The source failed: this is the reason, whatever the destination makes of it. */
  readonly onSourceError: (error: SourceError) => void
}

/** The owner of the rest of a body: the same owner, from a later offset. */
export class RestOwner implements Owner {
  readonly size: number
  private readonly owner: Owner
  private readonly from: number

  constructor(owner: Owner, from: number, size: number) {
    // The rest of a rest belongs to the whole: a server that takes little at a time is asked thousands of times.
    this.owner = owner instanceof RestOwner ? owner.owner : owner
    this.from = owner instanceof RestOwner ? owner.from + from : from
    this.size = size
  }

  get source(): ByteSource.ByteSource {
    return this.owner.source
  }

  get offset(): number {
    return this.owner.offset + this.from
  }

  get toEnd(): boolean {
    return this.owner.toEnd
  }

  get fingerprint(): string | undefined {
    return this.owner.fingerprint
  }

  get checksum(): Checksum.Algorithm | undefined {
    return this.owner.checksum
  }

  get clock(): Clock.Clock {
    return this.owner.clock
  }

  onOpen(): void {
    this.owner.onOpen()
  }

  onWait(): void {
    this.owner.onWait()
  }

  onGo(): void {
    this.owner.onGo()
  }

  onAsk(): void {
    this.owner.onAsk()
  }

  onRead(): void {
    this.owner.onRead()
  }

  onSent(bytes: number): void {
    this.owner.onSent(bytes)
  }

  onTakenBack(bytes: number): void {
    this.owner.onTakenBack(bytes)
  }

  onTrack(position: Effect.Effect<string>): void {
    this.owner.onTrack(position)
  }

  onEnd(): void {
    this.owner.onEnd()
  }

  onSourceError(error: SourceError): void {
    this.owner.onSourceError(error)
  }
}
