/**
 * One part in flight: the owner of its body, with its own stall watch.
 */
import type * as Clock from "effect/Clock"
import type * as ByteSource from "../../ByteSource.js"
import type { Algorithm } from "../../Checksum.js"
import type { SourceError } from "../../UploadError.js"
import type { Owner } from "../bytes/bodyOwner.js"
import { Watched } from "../bytes/watch.js"

/** A piece of a file, to be sent in one request. */
export interface Piece {
  /** The part number, from 1. */
  readonly number: number
  /** The offset in the object at which it begins, in bytes. */
  readonly offset: number
  readonly size: number
  readonly source: ByteSource.ByteSource
  /** The offset in `source` at which it begins. */
  readonly from: number
  /** Whether nothing may follow it in `source`. */
  readonly toEnd: boolean
  /** The fingerprint that the source must have. */
  readonly fingerprint: string | undefined
}

/** The observer of moving bytes. */
export interface TransferOwner {
  readonly clock: Clock.Clock
  readonly sent: (bytes: number) => void
  /** Bytes that were counted as sent were not stored. */
  readonly takenBack: (bytes: number) => void
}

export class Transfer extends Watched implements Owner {
  readonly source: ByteSource.ByteSource
  readonly offset: number
  readonly size: number
  readonly toEnd: boolean
  readonly fingerprint: string | undefined
  readonly checksum: Algorithm | undefined
  /** Bytes handed to the destination. */
  handedOut = 0
  /** The source's failure, which is the reason, whatever the driver makes of it. */
  sourceError: SourceError | undefined = undefined
  private readonly owner: TransferOwner

  constructor(owner: TransferOwner, piece: Piece, checksum: Algorithm | undefined) {
    super(owner.clock)
    this.owner = owner
    this.source = piece.source
    this.offset = piece.from
    this.size = piece.size
    this.toEnd = piece.toEnd
    this.fingerprint = piece.fingerprint
    this.checksum = checksum
  }

  onOpen(): void {}

  onSent(bytes: number): void {
    this.handedOut += bytes
    this.moved()
    this.owner.sent(bytes)
  }

  onTakenBack(bytes: number): void {
    this.handedOut -= bytes
    this.owner.takenBack(bytes)
  }

  onEnd(): void {}

  onSourceError(error: SourceError): void {
    this.sourceError = error
  }
}
