/**
 * A file to upload: a key, a source of bytes, and what the destination should know about them.
 *
 * An `UploadFile` is a value. It describes the bytes but does not hold them, and holds nothing open. A list of a
 * million of them can be generated lazily and costs nothing until the engine asks for the next one.
 *
 * @since 0.1.0
 */
import * as ByteSource from "./ByteSource.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface UploadFile {
  /** The name at the destination: relative, `/`-separated; checked by `ObjectKey` before anything is sent. */
  readonly key: string
  /** The size in bytes; `undefined` if it is not known before the end. */
  readonly size: number | undefined
  readonly source: ByteSource.ByteSource
  /** The fingerprint that the source had when it was listed; a source that differs at its start fails as changed. */
  readonly fingerprint?: string | undefined
  /** The media type, such as `image/jpeg`. */
  readonly contentType?: string | undefined
  /** Names and values that the destination keeps with the object, if it can. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** When the content last changed, in milliseconds since the epoch. */
  readonly modifiedAt?: number | undefined
  /** The permission bits, such as `0o640`: a destination that keeps them gives the object no others. */
  readonly mode?: number | undefined
}

/**
 * Optional details of a file besides its key and source.
 *
 * @since 0.1.0
 * @category models
 */
export type Details = Pick<UploadFile, "contentType" | "fingerprint" | "metadata" | "mode" | "modifiedAt">

/**
 * A file from a key and a source. The size is the source's.
 *
 * @example
 * ```ts
 * import { ByteSource, UploadFile } from "@sluice/core"
 *
 * const file = UploadFile.make("notes/today.txt", ByteSource.fromText("hello"), { contentType: "text/plain" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (key: string, source: ByteSource.ByteSource, details?: Details): UploadFile =>
  details === undefined ? { key, size: source.size, source } : { key, size: source.size, source, ...details }

/**
 * A file of bytes in memory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBytes = (key: string, bytes: Uint8Array, details?: Details): UploadFile =>
  make(key, ByteSource.fromBytes(bytes), details)

/**
 * A file of text, as UTF-8.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromText = (key: string, text: string, details?: Details): UploadFile =>
  make(key, ByteSource.fromText(text), details)
