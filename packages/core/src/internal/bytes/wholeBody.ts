/**
 * A body that has been read: all of its bytes are in memory and have been checked.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Checksum from "../../Checksum.js"
import type * as Destination from "../../Destination.js"
import * as AtOnce from "../../unstable/AtOnce.js"
import type * as Bandwidth from "../limits/bandwidth.js"
import { defaultBlockSize } from "./blockSizes.js"
import type { Owner } from "./bodyOwner.js"
import { OwnedBody } from "./ownedBody.js"
import type { Pull } from "./ownedBody.js"

/** The body that the bytes were read through. It owns their memory. */
interface Origin {
  readonly checksum: Checksum.Checksum | undefined
  readonly release: () => void
  /** The bytes are taken again, from the first. */
  readonly begun: () => void
  readonly onEnd: () => void
  readonly restOf: (taken: number, from: number) => Destination.Body | undefined
}

/** A body whose bytes are in memory and have been checked. */
export class WholeBody extends OwnedBody implements Destination.Body {
  private readonly all: Uint8Array
  private taken = 0
  private readonly origin: Origin

  constructor(owner: Owner, bandwidth: Bandwidth.Bandwidth, all: Uint8Array, origin: Origin) {
    super(owner, bandwidth)
    this.all = all
    this.origin = origin
  }

  get checksum(): Checksum.Checksum | undefined {
    return this.origin.checksum
  }

  release(): void {
    this.origin.release()
  }

  again(): void {
    this.owner.onTakenBack(this.taken)
    this.taken = 0
    this.origin.begun()
  }

  rest(from: number): Destination.Body | undefined {
    return this.origin.restOf(this.taken, from)
  }

  protected override onEnd(): void {
    this.origin.onEnd()
  }

  protected override handedOut(block: Uint8Array, all: boolean): Uint8Array {
    this.taken += block.length
    return super.handedOut(block, all)
  }

  override get size(): number {
    return this.all.length
  }

  get bytes(): Effect.Effect<Uint8Array> {
    return Effect.suspend(() => this.handOut(this.all, true))
  }

  [AtOnce.body](): Uint8Array | undefined {
    const { all, bandwidth, owner } = this
    return bandwidth.unsafeTake(owner.clock, all.length) ? this.handedOut(all, true) : undefined
  }

  get whole(): Effect.Effect<Destination.Body> {
    return Effect.succeed(this)
  }

  sum(algorithm: Checksum.Algorithm): Checksum.Checksum {
    return this.checksum?.algorithm === algorithm ? this.checksum : Checksum.of(algorithm, this.all)
  }

  blocks({ blockSize = defaultBlockSize }: Destination.StreamOptions = {}): Effect.Effect<Pull> {
    const { all } = this
    let from = 0
    return Effect.succeed(Effect.suspend(() => {
      if (from === all.length) {
        this.onEnd()
        return Effect.fail(Option.none())
      }
      const slice = all.subarray(from, from + this.sliceSize(blockSize))
      from += slice.length
      return this.handOut(slice, false)
    }))
  }
}
