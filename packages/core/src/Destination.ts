/**
 * The port to storage: what a destination can do, and the few verbs that uploads need of it.
 *
 * A driver writes `put`; the engine does the rest: limits, retries, progress, source checks. `put` takes the bytes from
 * the {@link Body} that it is given, never from the source, since the body is what counts them, paces them and checks
 * them. It must be atomic (nothing partial is ever visible under the key), interruptible, and may be called again for
 * the same key. Failures are of type `UploadError`; the error's class decides whether the engine tries again.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { UploadError } from "./UploadError.js"

/**
 * What a destination can do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Capabilities {
  /** The largest object that one request can put, in bytes; may be `Infinity`. */
  readonly maxPutSize: number
  /** Whether an object can be put without saying its size beforehand. */
  readonly unknownSize: boolean
}

/**
 * The bytes of one attempt. Take them once, by `stream` or by `bytes`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Body {
  /** Exactly how many bytes there will be; `undefined` when nobody knows before the end. */
  readonly size: number | undefined
  /** Whether the bytes are few enough to be taken in one piece. */
  readonly inOnePiece: boolean
  /**
   * The bytes in blocks of at most `blockSize` (defaults to 256 KiB). The last block is handed out only after the
   * source has proved whole and unchanged; a source that is not fails the stream instead.
   */
  readonly stream: (options?: { readonly blockSize?: number | undefined }) => Stream.Stream<Uint8Array, UploadError>
  /** All bytes as one array, checked as above. For when `inOnePiece` holds. */
  readonly bytes: Effect.Effect<Uint8Array, UploadError>
  /**
   * Runs an effect during which the attempt is not taken for stalled, although no bytes move: for what is waited for on
   * this side, such as a turn to have a file or a connection open.
   */
  readonly unwatched: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/**
 * What to put.
 *
 * @since 0.1.0
 * @category models
 */
export interface PutRequest {
  readonly key: string
  readonly body: Body
  readonly contentType?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** When the content last changed, in milliseconds since the epoch. */
  readonly modifiedAt?: number | undefined
}

/**
 * What the destination says of an object that it has stored.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stored {
  /** The destination's tag for the content, where it gives one. */
  readonly etag?: string | undefined
}

/**
 * Storage that takes objects.
 *
 * @example
 * ```ts
 * import { Destination, UploadError } from "@sluice/core"
 * import { Effect, Layer } from "effect"
 *
 * const shelf = new Map<string, Uint8Array>()
 *
 * const ShelfLayer = Layer.succeed(Destination.Destination, {
 *   name: "shelf",
 *   capabilities: { maxPutSize: 1_000_000, unknownSize: false },
 *   put: ({ body, key }) =>
 *     shelf.has(key)
 *       ? Effect.fail(new UploadError.Conflict({ detail: `${key} is there already.` }))
 *       : Effect.map(body.bytes, (bytes) => {
 *         shelf.set(key, bytes)
 *         return {}
 *       })
 * })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class Destination extends Context.Tag("@sluice/core/Destination")<Destination, {
  /** What it is called in messages: a path or an address, without secrets. */
  readonly name: string
  readonly capabilities: Capabilities
  /** Stores one object, whole, and replaces what was there under the key. */
  readonly put: (request: PutRequest) => Effect.Effect<Stored, UploadError>
}>() {}
