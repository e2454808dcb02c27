/**
 * Lists of files to upload.
 *
 * A list may be an array, which is counted at once; any other iterable, which is pulled one by one as uploads start; or
 * an async iterable or a `Stream`, which is read ahead up to a bound. A list of any length costs constant memory unless
 * it is an array.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import type * as Stream from "effect/Stream"
import type { UploadFile } from "./UploadFile.js"
import type { Failed, Skipped } from "./UploadResult.js"

/**
 * An item of a list: a file, or a result that the lister already knows, such as a link that is not followed or a
 * directory that cannot be read. Such results are counted and reported with the others.
 *
 * @since 0.1.0
 * @category models
 */
export type Item = UploadFile | Skipped | Failed

/**
 * A list of files.
 *
 * @example
 * ```ts
 * import { UploadFile } from "@sluice/core"
 * import type { UploadList } from "@sluice/core"
 *
 * // A million files that cost nothing until they are uploaded.
 * const readings: UploadList.UploadList = {
 *   *[Symbol.iterator]() {
 *     for (let i = 0; i < 1_000_000; i++) yield UploadFile.fromText(`readings/${i}.txt`, `${i}`)
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type UploadList<E = never, R = never> = Iterable<Item> | AsyncIterable<Item> | Stream.Stream<Item, E, R>

/**
 * Any list of files, with any requirements and errors.
 *
 * @since 0.1.0
 * @category models
 */
export type Any = UploadList<unknown, unknown>

/**
 * The error type of a list: only a `Stream` can fail.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorOf<Files> = Files extends Stream.Stream<Item, infer E, unknown> ? E : never

/**
 * The requirements of a list: only a `Stream` has any.
 *
 * @since 0.1.0
 * @category models
 */
export type ContextOf<Files> = Files extends Stream.Stream<Item, unknown, infer R> ? R : never

/**
 * Whether an item is a file rather than a result.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFile = (item: Item): item is UploadFile => Predicate.hasProperty(item, "source")

/**
 * The sum of the known sizes, in bytes.
 *
 * @since 0.1.0
 * @category getters
 */
export const knownBytes = (items: ReadonlyArray<Item>): number =>
  items.reduce((total, item) => isFile(item) && item.size !== undefined && item.size > 0 ? total + item.size : total, 0)
