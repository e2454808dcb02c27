/**
 * One part on its way: the owner of its body, watched for stalls by itself.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type * as ByteSource from "../ByteSource.js"
import type { Algorithm } from "../Checksum.js"
import { Transient } from "../UploadError.js"
import type { SourceError } from "../UploadError.js"
import type * as Body from "./body.js"
import { ended } from "./ended.js"
import type { Restore } from "./ended.js"

/** A piece of a file, to be sent in one request. */
export interface Piece {
  /** From 1. */
  readonly number: number
  /** Where in the object it begins, in bytes. */
  readonly offset: number
  readonly size: number
  readonly source: ByteSource.ByteSource
  /** Where in `source` it begins. */
  readonly from: number
  /** Whether nothing may follow it in `source`. */
  readonly toEnd: boolean
  /** What the source's fingerprint has to be. */
  readonly fingerprint: string | undefined
}

/** Who is told of bytes that move. */
export interface TransferOwner {
  readonly clock: Clock.Clock
  readonly sent: (bytes: number) => void
  /** Bytes that were counted as sent are not stored. */
  readonly takenBack: (bytes: number) => void
}

export class Transfer implements Body.Owner {
  readonly source: ByteSource.ByteSource
  readonly offset: number
  readonly size: number
  readonly toEnd: boolean
  readonly fingerprint: string | undefined
  readonly checksum: Algorithm | undefined
  readonly clock: Clock.Clock
  /** Bytes handed to the destination. */
  handedOut = 0
  /** The source's failure, which is the reason whatever the driver makes of it. */
  sourceError: SourceError | undefined = undefined
  lastByteAt: number
  waits = 0
  private readonly owner: TransferOwner
  private fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined = undefined
  private isStalled = false

  constructor(owner: TransferOwner, piece: Piece, checksum: Algorithm | undefined) {
    this.owner = owner
    this.source = piece.source
    this.offset = piece.from
    this.size = piece.size
    this.toEnd = piece.toEnd
    this.fingerprint = piece.fingerprint
    this.checksum = checksum
    this.clock = owner.clock
    this.lastByteAt = this.clock.unsafeCurrentTimeMillis()
  }

  /**
   * Makes the request, and fails when `unsafeStall` is called. However it ends, it has ended when this has: a race would
   * leave the request behind when the fiber is interrupted. For who cannot be interrupted but by `restore`.
   */
  watched<A, E>(request: Effect.Effect<A, E>, restore: Restore): Effect.Effect<A, E | Transient> {
    return Effect.flatMap(Effect.fork(restore(request)), (fiber) => {
      this.fiber = fiber
      return Effect.flatMap(
        ended(fiber, restore),
        (exit): Effect.Effect<A, E | Transient> =>
          this.isStalled && Exit.isInterrupted(exit)
            ? Effect.fail(new Transient({ reason: "Stalled", detail: "No bytes moved for too long." }))
            : exit
      )
    })
  }

  unsafeStall(): void {
    this.isStalled = true
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  onOpen(): void {}

  onWait(): void {
    this.waits += 1
  }

  onGo(): void {
    this.waits -= 1
    this.onRead()
  }

  onRead(): void {
    this.lastByteAt = this.clock.unsafeCurrentTimeMillis()
  }

  onSent(bytes: number): void {
    this.handedOut += bytes
    this.onRead()
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
