/**
 * The port to storage: a destination's capabilities, and the few verbs that uploads need.
 *
 * A driver implements `put`, and {@link Multipart} if it can take an object in parts; the engine does the rest: limits,
 * retries, progress, checksums, source checks, resume. Bytes come from the {@link Body} that a verb receives, never
 * from the source, because the body counts, paces and checks them. Every verb is interruptible and may be called again
 * with the same arguments. Nothing partial is ever visible under a key. Failures are of type `UploadError`; the class
 * of the error decides whether the engine retries.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Algorithm, Checksum } from "./Checksum.js"
import type { UploadError } from "./UploadError.js"

/**
 * The capabilities of a destination.
 *
 * @since 0.1.0
 * @category models
 */
export interface Capabilities {
  /** The largest object that one request can put, in bytes; may be `Infinity`. */
  readonly maxPutSize: number
  /** Whether an object can be put without a size known in advance. */
  readonly unknownSize: boolean
  /** The checksums that it verifies or returns; the first is the default to use. Defaults to none. */
  readonly checksums?: ReadonlyArray<Algorithm> | undefined
  /**
   * Whether the driver takes every body `whole`, as it must if a checksum goes in a header: the engine then reserves
   * memory for the whole object. Defaults to `false`.
   */
  readonly wholeBodies?: boolean | undefined
  /**
   * Whether keys may have empty segments, such as `a//b` and the folder marker `a/`: see `ObjectKey.problemAsPath`.
   * Defaults to `false`: such keys are refused.
   */
  readonly emptySegments?: boolean | undefined
}

/**
 * The bytes of one attempt. Take them once, with `stream` or with `bytes`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Body {
  /** The exact number of bytes; `undefined` if it is not known before the end. */
  readonly size: number | undefined
  /** Whether the body is small enough to be taken in one piece. */
  readonly inOnePiece: boolean
  /**
   * The bytes in blocks of at most `blockSize`. The last block is emitted only after the source has proved whole and
   * unchanged; otherwise the stream fails. If blocks are `lent`, the memory of a block is reused once two more have
   * been pulled after it, so the reader must be done with each block by then.
   */
  readonly stream: (options?: StreamOptions) => Stream.Stream<Uint8Array, UploadError>
  /** Like `stream`, but pulls one block at a time, in sequence, until it fails with `None`. */
  readonly blocks: (
    options?: StreamOptions
  ) => Effect.Effect<Effect.Effect<Uint8Array, Option.Option<UploadError>>, UploadError, Scope.Scope>
  /** All bytes as one array, checked as above. For bodies whose `inOnePiece` is true. */
  readonly bytes: Effect.Effect<Uint8Array, UploadError>
  /**
   * Reads all bytes into memory and returns a body that holds them: its `checksum` is known before its first byte is
   * taken. For destinations that need the checksum in a header, which must set `wholeBodies`.
   */
  readonly whole: Effect.Effect<Body, UploadError>
  /** The checksum of the bytes once all have been read; `undefined` before that, and if none is computed. */
  readonly checksum: Checksum | undefined
  /** The checksum with any algorithm, for a body that holds its bytes: see `whole`. */
  readonly sum?: ((algorithm: Algorithm) => Checksum) | undefined
  /**
   * Resets a body that holds its bytes (see `whole`), so that they can be taken again within the same attempt. For a
   * driver whose request was refused before anything of it was stored, and that can correct the reason.
   */
  readonly again?: (() => void) | undefined
  /**
   * The bytes from the offset `from` on, read again within the same attempt. For a driver that learned that the bytes
   * before it are stored and the others are not. The bytes taken before no longer count. `undefined` if the source can
   * be read only once.
   */
  readonly rest?: ((from: number) => Body | undefined) | undefined
  /**
   * Runs an effect during which the attempt does not count as stalled although no bytes move. For waits on this side,
   * such as for a turn to open a file or a connection.
   */
  readonly unwatched: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /**
   * Lets the engine see how far the emitted bytes have come: `position` returns a different text whenever some of them
   * have moved since, for example out of the buffers of a connection, or when the other side has said something. An
   * attempt does not count as stalled while its position changes. Without it only the emission of bytes counts as
   * movement. Transports call it for the bodies that they send.
   */
  readonly track?: ((position: Effect.Effect<string>) => void) | undefined
  /**
   * Says that the emitted bytes are no longer read, so that their memory can be reused. Only for a driver that has
   * stored or sent all of them and keeps none: memory use then stays much lower. Calling it is optional.
   */
  readonly release: () => void
}

/**
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions {
  /** The maximum size of blocks, in bytes. Defaults to 256 KiB, and to 512 KiB if they are lent. */
  readonly blockSize?: number | undefined
  /** Whether blocks are lent rather than given away. Defaults to `false`. */
  readonly lent?: boolean | undefined
}

/**
 * A request to put an object.
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
  /** The permission bits of the file, such as `0o640`, for destinations that keep them; `undefined` if it has none. */
  readonly mode?: number | undefined
}

/**
 * The destination's answer about an object that it has stored. The size and the checksum, if present, must match what
 * was sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stored {
  /** The destination's tag for the content, if it gives one. */
  readonly etag?: string | undefined
  /** The checksum of the stored bytes, as the destination computed it. */
  readonly checksum?: Checksum | undefined
  /** The size of the stored object, in bytes. */
  readonly size?: number | undefined
  /**
   * Where the object is, if the destination chooses the location itself and an object cannot be found by its key. A
   * journal records it, and another process uses it to find the object, with `headAt`. It must contain no secrets.
   */
  readonly location?: string | undefined
}

/**
 * The destination's answer about an object that exists.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  /** The size in bytes. */
  readonly size: number
  readonly etag?: string | undefined
  readonly checksum?: Checksum | undefined
  /** When the content last changed, in milliseconds since the epoch, if the destination keeps that. */
  readonly modifiedAt?: number | undefined
}

/**
 * An existing object with its key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listed extends Head {
  readonly key: string
}

/**
 * A multipart upload in progress: its key and the destination's upload id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session {
  readonly key: string
  readonly uploadId: string
  /** The parts that the journal records as stored, for destinations that cannot list them. */
  readonly parts?: ReadonlyArray<StoredPart> | undefined
}

/**
 * A request to begin a multipart upload.
 *
 * @since 0.1.0
 * @category models
 */
export interface CreateRequest extends Omit<PutRequest, "body"> {
  /** The size of the whole object in bytes; `undefined` if it is not known before the end. */
  readonly size: number | undefined
  /** The algorithm of the checksums that parts will carry, if any. */
  readonly checksum: Algorithm | undefined
  /**
   * A random name that no other upload has. The journal records it before `create` is called. A destination that can do
   * so uses it as the upload id, so that an upload can be found again even if `create` was never answered.
   */
  readonly token: string
}

/**
 * A part to store. Parts of a session may arrive in any order and concurrently, unless the limits say otherwise; a part
 * that is sent again replaces the previous one.
 *
 * @since 0.1.0
 * @category models
 */
export interface PartRequest extends Session {
  /** The part number, from 1. */
  readonly number: number
  /** Where in the object the part begins, in bytes. */
  readonly offset: number
  /** The size of the whole object in bytes, if known. */
  readonly total: number | undefined
  readonly contentType?: string | undefined
  readonly body: Body
}

/**
 * A part that the destination has stored.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredPart {
  /** The part number, from 1. */
  readonly number: number
  /** The size in bytes. */
  readonly size: number
  readonly etag?: string | undefined
  /** The checksum as the destination computed it or, if it does not compute one, as it was sent. */
  readonly checksum?: Checksum | undefined
}

/**
 * A request to turn the parts of a session into an object.
 *
 * @since 0.1.0
 * @category models
 */
export interface CompleteRequest extends Session {
  /** All parts, by number. */
  readonly parts: ReadonlyArray<StoredPart>
  /** The size of the whole object in bytes. */
  readonly size: number
  /** The checksum of the whole object, if it can be derived from those of its parts. */
  readonly checksum: Checksum | undefined
  /** When the content last changed, in milliseconds since the epoch. */
  readonly modifiedAt?: number | undefined
  /** The permission bits of the file, such as `0o640`, for destinations that keep them; `undefined` if it has none. */
  readonly mode?: number | undefined
}

/**
 * A destination's limits on parts.
 *
 * @since 0.1.0
 * @category models
 */
export interface PartLimits {
  /** The smallest size of a part other than the last, in bytes; at least 1. */
  readonly minSize: number
  /** The largest size of a part, in bytes. */
  readonly maxSize: number
  /** The size of every part but the last is a multiple of this, in bytes; at least 1. */
  readonly multiple: number
  /** The most parts that an object can have. */
  readonly maxCount: number
  /** The largest object, in bytes. */
  readonly maxObjectSize: number
  /** Whether parts must be sent one at a time, in order. */
  readonly inOrder: boolean
  /** Whether all parts but the last must have the same size, as on Cloudflare R2. Defaults to `false`. */
  readonly equalParts?: boolean | undefined
}

/**
 * The verbs of destinations that take an object in parts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Multipart {
  readonly limits: PartLimits
  /** Whether the upload id is the token of the `CreateRequest`. */
  readonly ownIds: boolean
  /** Whether a completed session becomes the object, so that aborting it would then remove the object. */
  readonly becomesObject: boolean
  /** Begins an upload and returns its id. */
  readonly create: (request: CreateRequest) => Effect.Effect<string, UploadError>
  readonly uploadPart: (request: PartRequest) => Effect.Effect<StoredPart, UploadError>
  /**
   * The parts that the destination has, by number; `undefined` if it has the session but cannot list its parts, so that
   * the journal decides. Fails with `SessionGone` if the session no longer exists.
   */
  readonly listParts: (session: Session) => Effect.Effect<ReadonlyArray<StoredPart> | undefined, UploadError>
  /** Makes the object visible, atomically. Fails with `SessionGone` if the session no longer exists. */
  readonly complete: (request: CompleteRequest) => Effect.Effect<Stored, UploadError>
  /** Ends the session and frees what it holds. Succeeds if the session no longer exists. */
  readonly abort: (session: Session) => Effect.Effect<void, UploadError>
}

/**
 * Finds and removes what the interrupted `put`s of a killed process may have left behind.
 *
 * @since 0.1.0
 * @category models
 */
export interface Leftovers {
  /** The name by which leftovers of this process are recognized. */
  readonly owner: string
  /** Removes what an earlier process left behind and returns the number of items removed. */
  readonly sweep: (owner: string) => Effect.Effect<number, UploadError>
}

/**
 * Storage that takes objects.
 *
 * A request that stalls, or whose result is no longer needed, is interrupted, so every verb must be interruptible.
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
 *       ? Effect.fail(new UploadError.Conflict({ detail: `${key} already exists.` }))
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
  /** Its name in messages: a path or an address, without secrets. */
  readonly name: string
  readonly capabilities: Capabilities
  /** Stores one whole object and replaces whatever was under the key. */
  readonly put: (request: PutRequest) => Effect.Effect<Stored, UploadError>
  /** Stores an object in parts. */
  readonly multipart?: Multipart | undefined
  /** A cheap look at the object under a key. */
  readonly head?: ((key: string) => Effect.Effect<Option.Option<Head>, UploadError>) | undefined
  /** A cheap look at a key's object by the `location` that it was stored at. */
  readonly headAt?: ((location: string, key: string) => Effect.Effect<Option.Option<Head>, UploadError>) | undefined
  /**
   * A request that costs little and changes nothing, to check whether the destination answers at all. Defaults to a
   * `head` of the object that failed.
   */
  readonly probe?: Effect.Effect<unknown, UploadError> | undefined
  /** The bytes under a key, for comparisons. */
  readonly read?: ((key: string) => Stream.Stream<Uint8Array, UploadError>) | undefined
  /** All objects, for comparisons. */
  readonly list?: Stream.Stream<Listed, UploadError> | undefined
  /** Removes an object; succeeds if there is none. */
  readonly remove?: ((key: string) => Effect.Effect<void, UploadError>) | undefined
  readonly leftovers?: Leftovers | undefined
}>() {}
