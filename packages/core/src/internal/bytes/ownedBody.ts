/**
 * What bodies have in common, whether their bytes are in memory or still to be read: how blocks are handed out.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Destination from "../../Destination.js"
import type { SourceError } from "../../UploadError.js"
import type * as Bandwidth from "../limits/bandwidth.js"
import { onePiece } from "./blockSizes.js"
import type { Owner } from "./bodyOwner.js"

/** Pulls the next block; fails with `None` after the last. */
export type Pull = Effect.Effect<Uint8Array, Option.Option<SourceError>>

/** The common base of bodies with and without their bytes in memory. */
export abstract class OwnedBody {
  protected readonly owner: Owner
  protected readonly bandwidth: Bandwidth.Bandwidth

  constructor(owner: Owner, bandwidth: Bandwidth.Bandwidth) {
    this.owner = owner
    this.bandwidth = bandwidth
  }

  get size(): number | undefined {
    return this.owner.size
  }

  abstract blocks(options?: Destination.StreamOptions): Effect.Effect<Pull, SourceError, Scope.Scope>

  stream(options?: Destination.StreamOptions): Stream.Stream<Uint8Array, SourceError> {
    return Stream.unwrapScoped(Effect.map(this.blocks(options), Stream.repeatEffectOption))
  }

  get inOnePiece(): boolean {
    const { bandwidth, size } = this
    return size !== undefined && size <= onePiece && (bandwidth.isUnlimited || size <= bandwidth.unit)
  }

  unwatched<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.owner.onWait()
      return Effect.ensuring(effect, Effect.sync(() => this.owner.onGo()))
    })
  }

  track(position: Effect.Effect<string>): void {
    this.owner.onTrack(position)
  }

  /** All bytes have been emitted. */
  protected onEnd(): void {
    this.owner.onEnd()
  }

  protected sliceSize(blockSize: number): number {
    return this.bandwidth.isUnlimited ? blockSize : Math.min(blockSize, this.bandwidth.unit)
  }

  /** Called when the block is due; if the bandwidth allows, the block goes within the call. */
  protected handOut(block: Uint8Array, all: boolean): Effect.Effect<Uint8Array> {
    const { bandwidth, owner } = this
    return bandwidth.unsafeTake(owner.clock, block.length)
      ? Effect.succeed(this.handedOut(block, all))
      : Effect.map(this.unwatched(bandwidth.take(block.length)), () => this.handedOut(block, all))
  }

  protected handedOut(block: Uint8Array, all: boolean): Uint8Array {
    this.owner.onSent(block.length)
    if (all) this.onEnd()
    return block
  }
}
