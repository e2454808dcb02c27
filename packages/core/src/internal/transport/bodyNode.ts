/**
 * Sending bodies to a socket.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import type { Body } from "../../Destination.js"
import { renderUrl } from "../../Transport.js"
import type { Answer, Request } from "../../Transport.js"
import * as AtOnce from "../../unstable/AtOnce.js"
import { SourceChanged } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import * as Failures from "./failures.js"

/**
 * The size of the blocks that are written: large enough to be cheap, and small enough that a link moves one well within
 * the stall timeout, since the progress within a block is not visible. It is what one second moves at the pace of the
 * last request that ended, within bounds; after a failed request it is the minimum, which at 2 kB a second is not a
 * stall.
 */
export class BlockSize {
  /** Also the least that reveals a pace: smaller bodies mostly take a round trip. */
  static readonly least = 64 * 1024
  private static readonly first = 512 * 1024
  private static readonly most = 8 * 1024 * 1024
  /** Encrypted data is held a second time until it is written. */
  private static readonly mostEncrypted = 1024 * 1024
  private current = BlockSize.first

  of({ url }: Request): number {
    return url.startsWith("https:") ? Math.min(BlockSize.mostEncrypted, this.current) : this.current
  }

  ended(bytes: number, millis: number): void {
    if (bytes < BlockSize.least) return
    this.current = Math.max(BlockSize.least, Math.min(BlockSize.most, Math.floor(bytes * 1000 / Math.max(1, millis))))
  }

  failed(): void {
    this.current = BlockSize.least
  }
}

/** What to write: nothing, all bytes at once, or a stream fed block by block. */
export type Sent = Uint8Array | Readable | null

type Send = (request: Request, sent: Sent) => Effect.Effect<Answer, UploadError>

/** Provides the body to send: in one piece, or fed block by block from the fiber of the request. */
export const withBody = (
  request: Request,
  blockSize: BlockSize,
  send: Send
): Effect.Effect<Answer, UploadError> => {
  const { body } = request
  if (body === undefined) return send(request, null)
  if (body instanceof Uint8Array) return send(request, body)
  const { size } = body
  if (size === undefined) return Effect.fail(Failures.unknownSize(renderUrl(request.url)))
  return learning(blockSize, size, () => {
    const most = blockSize.of(request)
    const fits = size <= most
    const sendAll = (bytes: Uint8Array) => bytes.length === size ? send(request, bytes) : Effect.fail(wrongSize(size))
    const atOnce = fits ? AtOnce.ofBody(body) : undefined
    if (atOnce !== undefined) return sendAll(atOnce)
    return size === 0 || (fits && body.inOnePiece)
      ? Effect.flatMap(body.bytes, sendAll)
      : feed(request, body, size, most, send)
  })
}

/** Sends, and measures the pace if it can be measured. */
const learning = <A, E>(blockSize: BlockSize, size: number, send: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  size < BlockSize.least ? Effect.suspend(send) : Effect.uninterruptibleMask((restore) =>
    Effect.clockWith((clock) => {
      const began = clock.unsafeCurrentTimeMillis()
      return Effect.matchCauseEffect(restore(Effect.suspend(send)), {
        onFailure: (cause) => {
          blockSize.failed()
          return Effect.failCause(cause)
        },
        onSuccess: (answer) => {
          blockSize.ended(size, clock.unsafeCurrentTimeMillis() - began)
          return Effect.succeed(answer)
        }
      })
    })
  )

/** The blocks of a readable, interruptible at any time: its own iterator would wait for the next block. */
export const blocksOf = (
  readable: Readable,
  onError: (error: unknown) => UploadError
): Stream.Stream<Uint8Array, UploadError> =>
  Stream.repeatEffectOption(
    Effect.async<Uint8Array, Option.Option<UploadError>>((resume) => {
      const look = () => {
        const block: Uint8Array | null = readable.read()
        if (block !== null) resume(Effect.succeed(block))
        else if (readable.readableEnded) resume(Effect.fail(Option.none()))
        else if (readable.destroyed) resume(Effect.fail(Option.some(onError(readable.errored))))
        else return
        leave()
      }
      const events = ["readable", "end", "error", "close"] as const
      const leave = () => {
        for (const event of events) readable.off(event, look)
      }
      for (const event of events) readable.on(event, look)
      look()
      return Effect.sync(leave)
    })
  )

/** The blocks of a body; the whole body at once if the first block is all of it. */
const feed = (
  request: Request,
  body: Body,
  size: number,
  blockSize: number,
  send: Send
): Effect.Effect<Answer, UploadError> =>
  Effect.scoped(Effect.flatMap(body.blocks({ blockSize, lent: true }), (next) =>
    Effect.matchEffect(next, {
      onSuccess: (first) =>
        first.length === size
          ? Effect.matchEffect(next, {
            onSuccess: () => Effect.fail(wrongSize(size)),
            onFailure: Option.match({ onNone: () => send(request, first), onSome: (error) => Effect.fail(error) })
          })
          : feedFrom(first, next, request, size, send),
      onFailure: Option.match({ onNone: () => Effect.fail(wrongSize(size)), onSome: (error) => Effect.fail(error) })
    })))

const feedFrom = (
  first: Uint8Array,
  next: Effect.Effect<Uint8Array, Option.Option<UploadError>>,
  request: Request,
  size: number,
  send: Send
): Effect.Effect<Answer, UploadError> =>
  Effect.suspend(() => {
    let wanted: (() => void) | undefined = undefined
    let isWanted = false
    let fed = 0
    const readable = new Readable({
      highWaterMark: 1,
      read: () => {
        isWanted = true
        wanted?.()
      }
    })
    // Without a listener, ending a request that has no connection yet would throw.
    readable.on("error", () => {})
    const push = (block: Uint8Array): Effect.Effect<void, UploadError> => {
      fed += block.length
      // No excess bytes may be sent: the server would take them for the next request.
      return fed > size ? Effect.fail(wrongSize(size)) : Effect.async((resume) => {
        isWanted = false
        wanted = () => resume(Effect.void)
        readable.push(block)
        if (isWanted) wanted()
      })
    }
    const end = Effect.suspend(() => {
      if (fed !== size) return Effect.fail(wrongSize(size))
      readable.push(null)
      return Effect.never
    })
    // The socket takes a block before the next but one is requested, and writes it before the one after that.
    const pumping: Effect.Effect<never, UploadError> = Effect.matchEffect(next, {
      onSuccess: (block) => Effect.zipRight(push(block), pumping),
      onFailure: Option.match({ onNone: () => end, onSome: (error) => Effect.fail(error) })
    })
    // Only this code knows the length.
    const sized = { ...request, headers: { ...request.headers, "content-length": String(size) } }
    // If the body fails first, the request is ended, and with it the connection.
    return Effect.raceFirst(send(sized, readable), Effect.zipRight(push(first), pumping))
  })

const wrongSize = (size: number) =>
  new SourceChanged({ reason: "EndedEarly", detail: `The body does not have the ${size} bytes that it should have.` })
