/**
 * Checksums of what is uploaded, as incremental folds.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export type Algorithm = "crc32" | "crc32c" | "crc64nvme" | "md5" | "sha256"

/**
 * A checksum, as destinations write it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Checksum {
  readonly algorithm: Algorithm
  /** In base64; of a composite checksum followed by `-` and the number of parts. */
  readonly value: string
}
