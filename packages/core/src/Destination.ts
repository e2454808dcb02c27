/**
 * The port to storage: what a destination can do, and the few verbs that uploads need of it.
 *
 * A driver writes `put`, and {@link Multipart} where it can take an object in parts; the engine does the rest: limits,
 * retries, progress, checksums, source checks, resume. Bytes come from the {@link Body} that a verb is given, never
 * from the source, since the body is what counts them, paces them and checks them. Every verb is interruptible, and may
 * be called again with the same arguments. Nothing partial is ever visible under a key. Failures are of type
 * `UploadError`; the error's class decides whether the engine tries again.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Algorithm, Checksum } from "./Checksum.js"
import type { PartLimits } from "./PartPlan.js"
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
  /** The checksums that it verifies or answers with, the one to use by default first. Defaults to none. */
  readonly checksums?: ReadonlyArray<Algorithm> | undefined
  /**
   * Whether the driver takes every body `whole`, as it has to where a checksum goes in a header: the engine then sets
   * memory for all of it aside. Defaults to `false`.
   */
  readonly wholeBodies?: boolean | undefined
  /**
   * Whether keys may have empty segments, such as `a//b` and the folder marker `a/`: see `ObjectKey.problemAsPath`.
   * Defaults to `false`, and such keys are refused.
   */
  readonly emptySegments?: boolean | undefined
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
   * The bytes in blocks of at most `blockSize`. The last block is handed out only after the
   * source has proved whole and unchanged; a source that is not fails the stream instead. Where they are only `lent`,
   * the memory of a block is used again when two more have been pulled after it: for who is through with each by then.
   */
  readonly stream: (options?: StreamOptions) => Stream.Stream<Uint8Array, UploadError>
  /** As `stream`, for who asks for each block by itself: one after the other, until it fails with `None`. */
  readonly blocks: (
    options?: StreamOptions
  ) => Effect.Effect<Effect.Effect<Uint8Array, Option.Option<UploadError>>, UploadError, Scope.Scope>
  /** All bytes as one array, checked as above. For when `inOnePiece` holds. */
  readonly bytes: Effect.Effect<Uint8Array, UploadError>
  /**
   * The same in the call itself, of a body that has its bytes; `undefined` where the bandwidth has to be waited for, and
   * `bytes` is to be asked.
   */
  readonly unsafeBytes?: (() => Uint8Array | undefined) | undefined
  /**
   * Reads all bytes into memory, and gives a body that has them: its `checksum` is there before its first byte is taken.
   * For destinations that want the checksum in a header; such a destination says so in `wholeBodies`.
   */
  readonly whole: Effect.Effect<Body, UploadError>
  /** The checksum of the bytes, when all of them have been read; `undefined` before, and where none is computed. */
  readonly checksum: Checksum | undefined
  /** The checksum by any algorithm, for a body that has its bytes: see `whole`. */
  readonly sum?: ((algorithm: Algorithm) => Checksum) | undefined
  /**
   * Takes back what was handed out of a body that has its bytes (see `whole`), so that they can be taken once more within
   * the same attempt: for who was refused before anything of it was stored, and can put right why.
   */
  readonly again?: (() => void) | undefined
  /**
   * The bytes from the offset `from` on, read once more within the same attempt: for who was told that those before it are
   * stored, and the others are not. What was taken of them is taken back. `undefined` where the source can be read only
   * once.
   */
  readonly rest?: ((from: number) => Body | undefined) | undefined
  /**
   * Runs an effect during which the attempt is not taken for stalled, although no bytes move: for what is waited for on
   * this side, such as a turn to have a file or a connection open.
   */
  readonly unwatched: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /**
   * Gives the engine a way to see how far the bytes are that the body has handed out: `position` answers with another text
   * whenever some of them have moved since, such as out of the buffers of a connection, or when the other side has said
   * something. An attempt is not taken for stalled while its position changes. Without it only what is handed out counts
   * as moved. Transports do this for the bodies that they send.
   */
  readonly track?: ((position: Effect.Effect<string>) => void) | undefined
  /**
   * Says that nobody reads the bytes any more that the body gave, so that their memory is used again. Only for who has
   * stored or sent all of them and keeps none: memory then stays much lower. Without it nothing is amiss.
   */
  readonly release: () => void
}

/**
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions {
  /** How large blocks are at most, in bytes. Defaults to 256 KiB, and to 512 KiB where they are lent. */
  readonly blockSize?: number | undefined
  /** Whether blocks are lent, and not given away. Defaults to `false`. */
  readonly lent?: boolean | undefined
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
  /** The permission bits of the file, such as `0o640`, for destinations that keep them; `undefined` where it has none. */
  readonly mode?: number | undefined
}

/**
 * What the destination says of an object that it has stored. What it says of the size or the checksum has to agree with
 * what was sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stored {
  /** The destination's tag for the content, where it gives one. */
  readonly etag?: string | undefined
  /** The checksum of what was stored, as the destination reckoned it. */
  readonly checksum?: Checksum | undefined
  /** The size of what was stored, in bytes. */
  readonly size?: number | undefined
  /**
   * Where the object is, where the destination chooses that itself and an object cannot be found by its key: with a journal
   * it is written down, and another process finds the object by it, with `headAt`. No secrets.
   */
  readonly location?: string | undefined
}

/**
 * What the destination says of an object that is there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  /** In bytes. */
  readonly size: number
  readonly etag?: string | undefined
  readonly checksum?: Checksum | undefined
  /** When the content last changed, in milliseconds since the epoch, where the destination keeps that. */
  readonly modifiedAt?: number | undefined
}

/**
 * An object that is there, with its key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listed extends Head {
  readonly key: string
}

/**
 * A multipart upload under way: the key that it is for, and what the destination calls it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session {
  readonly key: string
  readonly uploadId: string
  /** The parts that the journal knows to be stored, for destinations that cannot tell them by themselves. */
  readonly parts?: ReadonlyArray<StoredPart> | undefined
}

/**
 * What to begin a multipart upload with.
 *
 * @since 0.1.0
 * @category models
 */
export interface CreateRequest extends Omit<PutRequest, "body"> {
  /** The size of the whole object in bytes; `undefined` when nobody knows before the end. */
  readonly size: number | undefined
  /** The checksum that parts will come with, if any. */
  readonly checksum: Algorithm | undefined
  /**
   * A random name that no other upload has. It is in the journal before `create` is called: a destination that can uses
   * it for the upload id, so that even an upload whose `create` was never answered can be found again.
   */
  readonly token: string
}

/**
 * One part to store. Parts of a session may come in any order, and several at once, unless the limits say otherwise;
 * a part that comes again replaces its former self.
 *
 * @since 0.1.0
 * @category models
 */
export interface PartRequest extends Session {
  /** From 1. */
  readonly number: number
  /** Where in the object the part begins, in bytes. */
  readonly offset: number
  /** The size of the whole object, where it is known. */
  readonly total: number | undefined
  readonly contentType?: string | undefined
  readonly body: Body
}

/**
 * A part that the destination has.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredPart {
  /** From 1. */
  readonly number: number
  /** In bytes. */
  readonly size: number
  readonly etag?: string | undefined
  /** The checksum as the destination reckoned it or, where it does not, as it was sent. */
  readonly checksum?: Checksum | undefined
}

/**
 * What makes the parts of a session an object.
 *
 * @since 0.1.0
 * @category models
 */
export interface CompleteRequest extends Session {
  /** All parts, by number. */
  readonly parts: ReadonlyArray<StoredPart>
  /** The size of the whole object in bytes. */
  readonly size: number
  /** The checksum of the whole object, where it can be told from those of its parts. */
  readonly checksum: Checksum | undefined
  /** When the content last changed, in milliseconds since the epoch. */
  readonly modifiedAt?: number | undefined
  /** The permission bits of the file, such as `0o640`, for destinations that keep them; `undefined` where it has none. */
  readonly mode?: number | undefined
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
  /** Whether a session becomes the object when it is complete: to abort it then would remove the object. */
  readonly becomesObject: boolean
  /** Begins an upload, and gives its id. */
  readonly create: (request: CreateRequest) => Effect.Effect<string, UploadError>
  readonly uploadPart: (request: PartRequest) => Effect.Effect<StoredPart, UploadError>
  /**
   * The parts that the destination has, by number; `undefined` where it has the session but cannot tell its parts, and
   * the journal's word has to do. Fails with `SessionGone` where there is no such session any more.
   */
  readonly listParts: (session: Session) => Effect.Effect<ReadonlyArray<StoredPart> | undefined, UploadError>
  /** Makes the object appear, all at once. Fails with `SessionGone` where there is no such session any more. */
  readonly complete: (request: CompleteRequest) => Effect.Effect<Stored, UploadError>
  /** Ends the session and frees what it holds. Succeeds where there is no such session any more. */
  readonly abort: (session: Session) => Effect.Effect<void, UploadError>
}

/**
 * What interrupted `put`s of a process that was killed may have left behind, and how to find it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Leftovers {
  /** What the leftovers of this process are known by. */
  readonly owner: string
  /** Removes what an earlier process has left behind, and tells how many pieces that were. */
  readonly sweep: (owner: string) => Effect.Effect<number, UploadError>
}

/**
 * Storage that takes objects.
 *
 * A request that stalls, or that nobody waits for any more, is interrupted: every verb has to be interruptible.
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
  /** Stores an object in parts. */
  readonly multipart?: Multipart | undefined
  /** A cheap look at what is under a key. */
  readonly head?: ((key: string) => Effect.Effect<Option.Option<Head>, UploadError>) | undefined
  /** A cheap look at an object of a key, by the `location` that it was stored with. */
  readonly headAt?: ((location: string, key: string) => Effect.Effect<Option.Option<Head>, UploadError>) | undefined
  /**
   * A request that costs little and changes nothing, to see whether the destination answers at all. Defaults to a `head`
   * of the object that failed.
   */
  readonly probe?: Effect.Effect<unknown, UploadError> | undefined
  /** The bytes under a key, for whoever compares. */
  readonly read?: ((key: string) => Stream.Stream<Uint8Array, UploadError>) | undefined
  /** All objects, for whoever compares. */
  readonly list?: Stream.Stream<Listed, UploadError> | undefined
  /** Removes an object; succeeds where there is none. */
  readonly remove?: ((key: string) => Effect.Effect<void, UploadError>) | undefined
  readonly leftovers?: Leftovers | undefined
}>() {}
