/**
 * How a large object is cut into parts: a pure function of its size and of what the destination takes.
 *
 * @since 0.1.0
 */

/**
 * What a destination demands of parts.
 *
 * @since 0.1.0
 * @category models
 */
export interface PartLimits {
  /** The smallest part but the last, in bytes; at least 1. */
  readonly minSize: number
  /** The largest part, in bytes. */
  readonly maxSize: number
  /** All parts but the last are multiples of this, in bytes; at least 1. */
  readonly multiple: number
  /** The most parts that an object can have. */
  readonly maxCount: number
  /** The largest object, in bytes. */
  readonly maxObjectSize: number
  /** Whether parts have to come one after the other, in order. */
  readonly inOrder: boolean
}
