/**
 * The parts of a large file, in order, for its senders: planned in advance if the source can be read from anywhere,
 * otherwise read into memory one after the other.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ByteSource from "../../ByteSource.js"
import { Rejected, SourceChanged } from "../../UploadError.js"
import type { SourceError, UploadError } from "../../UploadError.js"
import { sourcePull, sourceStream, watchOf } from "../bytes/watch.js"
import type { Watched } from "../bytes/watch.js"
import type { Restore } from "../calls/ended.js"
import type * as PartPlan from "../calls/partPlan.js"
import * as InFlight from "../limits/inFlight.js"
import type { Lease } from "./lease.js"
import type { Piece } from "./sendPart.js"

/** A part, and the lease to send it with. */
export interface Claim {
  readonly piece: Piece
  readonly lease: Lease
}

/**
 * A source of parts. Several fibers may pull at once. They can be interrupted only through `restore`: a claim that has
 * been made holds memory, and reaches its caller.
 */
export interface PartSource {
  readonly next: (restore: Restore) => Effect.Effect<Option.Option<Claim>, UploadError>
}

/** The wanted parts of a plan, read from the source when their turn comes. */
export const planned = (
  parts: Iterable<PartPlan.Part>,
  options: {
    readonly plan: PartPlan.PartPlan
    readonly source: ByteSource.ByteSource
    readonly fingerprint: string | undefined
    readonly leaseOf: (size: number) => Lease
  }
): PartSource => {
  const { fingerprint, plan, source } = options
  const iterator = parts[Symbol.iterator]()
  const next = Effect.sync(() => {
    const { done, value } = iterator.next()
    if (done === true) return Option.none()
    const piece: Piece = {
      ...value,
      source,
      from: value.offset,
      toEnd: value.number === plan.count,
      fingerprint
    }
    return Option.some({ piece, lease: options.leaseOf(value.size) })
  })
  return { next: () => next }
}

/** The parts of a source that can be read only once. The memory of each is taken before it is read. */
export const sequential = (options: {
  readonly source: ByteSource.ByteSource
  readonly sizeOf: (number: number) => number
  readonly maxCount: number
  /** The required number of bytes, if known. */
  readonly total: number | undefined
  readonly leaseOf: (size: number) => Lease
  /** Runs a read of the source, and fails if it stalls. */
  readonly reading: <A>(use: (watched: Watched) => Effect.Effect<A, SourceError>) => Effect.Effect<A, UploadError>
}): Effect.Effect<PartSource, never, Scope.Scope> =>
  Effect.suspend(() => {
    let reader: Watched | undefined = undefined
    const watch = watchOf(() => reader)
    return Effect.map(sourcePull(sourceStream(() => options.source.read({ offset: 0, watch }))), (pull) => {
      const turn = InFlight.make(1)
      let number = 1
      let offset = 0
      let ended = false
      let held: Array<Uint8Array> = []
      let heldSize = 0

      /** Reads until more than `size` bytes are held, or all that there are. */
      const gather = (size: number, watched: Watched): Effect.Effect<void, SourceError> =>
        Effect.suspend(() =>
          ended || heldSize > size ? Effect.void : Effect.matchEffect(pull, {
            onSuccess: (blocks) => {
              watched.onAsk()
              for (const block of blocks) {
                held.push(block)
                heldSize += block.length
              }
              return gather(size, watched)
            },
            onFailure: Option.match({
              onNone: () => {
                ended = true
                return Effect.void
              },
              onSome: (error) => Effect.fail(error)
            })
          })
        )

      /** The first `size` of the bytes that are held, or all. The rest is not copied. */
      const cut = (size: number): Uint8Array => {
        const blocks: Array<Uint8Array> = []
        let missing = Math.min(size, heldSize)
        heldSize -= missing
        while (missing > 0) {
          const block = held[blocks.length]!
          blocks.push(block.subarray(0, missing))
          missing -= Math.min(missing, block.length)
        }
        const last = held[blocks.length - 1]?.subarray(blocks.at(-1)!.length)
        held = held.slice(blocks.length)
        if (last !== undefined && last.length > 0) held.unshift(last)
        return ByteSource.concat(blocks)
      }

      const next = (restore: Restore): Effect.Effect<Option.Option<Claim>, UploadError> =>
        Effect.suspend(() => {
          if (ended && heldSize === 0 && number > 1) return Effect.succeedNone
          if (number > options.maxCount) return Effect.fail(tooManyParts(options.maxCount))
          const wanted = options.sizeOf(number)
          const lease = options.leaseOf(wanted)
          const read = options.reading((watched) => {
            reader = watched
            return gather(wanted, watched)
          })
          return restore(Effect.zipRight(lease.reserve, read)).pipe(
            Effect.zipRight(Effect.suspend(() => {
              const problem = wrongTotal(options.total, offset + heldSize, ended)
              if (problem !== undefined) return Effect.fail(problem)
              if (heldSize === 0 && number > 1) {
                lease.close()
                return Effect.succeedNone
              }
              const bytes = cut(wanted)
              const piece: Piece = {
                number,
                offset,
                size: bytes.length,
                source: ByteSource.fromBytes(bytes),
                from: 0,
                toEnd: true,
                fingerprint: undefined
              }
              number += 1
              offset += bytes.length
              return Effect.succeedSome({ piece, lease })
            })),
            Effect.onError(() => Effect.sync(() => lease.close()))
          )
        })

      return { next: (restore) => turn.withPermits(1, restore)(next(restore)) }
    })
  })

const tooManyParts = (maxCount: number) =>
  new Rejected({ reason: "TooLarge", detail: `The destination takes at most ${maxCount} parts of an object.` })

const wrongTotal = (total: number | undefined, read: number, ended: boolean): SourceChanged | undefined =>
  total === undefined || (ended ? read === total : read <= total)
    ? undefined
    : read < total
    ? new SourceChanged({
      reason: "EndedEarly",
      detail: `The source ended after ${read} bytes; it was listed with ${total}.`
    })
    : new SourceChanged({ reason: "Grew", detail: `The source has more than the ${total} bytes it was listed with.` })
