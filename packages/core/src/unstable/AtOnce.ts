/**
 * Bytes at once, without an effect: for sources and bodies that have them and need not wait.
 *
 * An effect for each of many small files costs more than to read the file. A source or a body that can give its bytes
 * within a call has a method under one of the symbols here; whoever wants them asks, and falls back to `bytes`. Files on
 * a fast local disk have it, and bodies whose bytes are in memory.
 *
 * Unstable: it may change in any release.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Exit from "effect/Exit"
import type { ByteSource, Range } from "../ByteSource.js"
import type { Body } from "../Destination.js"
import type { SourceError } from "../UploadError.js"

/**
 * The key of a source's method: it returns the bytes of a range, or `undefined` if that would have to wait. Nothing else
 * runs in the meantime.
 *
 * @since 0.1.0
 * @category symbols
 */
export const source: unique symbol = Symbol.for("@sluice/core/unstable/AtOnce/source")

/**
 * The key of a body's method: it returns all bytes, or `undefined` if they have to wait for bandwidth.
 *
 * @since 0.1.0
 * @category symbols
 */
export const body: unique symbol = Symbol.for("@sluice/core/unstable/AtOnce/body")

/**
 * A source that may give its bytes at once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source extends ByteSource {
  readonly [source]?: ((range: Range, clock: Clock.Clock) => Exit.Exit<Uint8Array, SourceError> | undefined) | undefined
}

/**
 * Whether a source may give its bytes at once.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSource = (from: ByteSource): boolean => (from as Source)[source] !== undefined

/**
 * The bytes of a range of a source, or its failure; `undefined` if they have to be waited for.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofSource = (
  from: ByteSource,
  range: Range,
  clock: Clock.Clock
): Exit.Exit<Uint8Array, SourceError> | undefined => (from as Source)[source]?.(range, clock)

/**
 * All bytes of a body; `undefined` if they have to be waited for.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofBody = (from: Body): Uint8Array | undefined =>
  (from as Body & { readonly [body]?: (() => Uint8Array | undefined) | undefined })[body]?.()
