/**
 * Checksums of uploaded bytes, as incremental folds.
 *
 * A fold takes bytes block by block and gives their checksum at any time. CRCs can be combined: the CRC of a whole
 * object follows from those of its parts without reading a byte again, which S3 calls a full-object checksum. MD5 and
 * SHA-256 cannot be combined; their parts make a composite checksum, the hash of the parts' digests.
 *
 * The platform's own code does the work where it exists (in Node, `node:zlib` for CRC-32 and `node:crypto` for MD5 and
 * SHA-256), and portable code elsewhere, such as in browsers.
 *
 * @since 0.1.0
 */
import { md5 } from "@noble/hashes/legacy.js"
import { sha256 } from "@noble/hashes/sha2.js"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Schema from "effect/Schema"
import * as Crc from "./internal/values/crc.js"

/**
 * A schema for the name of an algorithm.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Algorithm = Schema.Literal("crc32", "crc32c", "crc64nvme", "md5", "sha256")

/**
 * An algorithm: three CRCs, MD5 and SHA-256.
 *
 * `crc32` is the CRC of zlib, `crc32c` is Castagnoli's (RFC 3720, section 12.1), `crc64nvme` is from the NVM Express
 * command set 1.0d, section 5.2.1.3.4; `md5` is defined by RFC 1321, `sha256` by FIPS 180-4.
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm = typeof Algorithm.Type

/**
 * The algorithms that {@link combine} can combine.
 *
 * @since 0.1.0
 * @category models
 */
export type Combinable = "crc32" | "crc32c" | "crc64nvme"

/**
 * A schema for a checksum in the form that destinations use.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Checksum = Schema.Struct({
  algorithm: Algorithm,
  /** The digest in base64; in a composite checksum, followed by `-` and the number of parts. */
  value: Schema.String
})

/**
 * A checksum in the form that destinations use.
 *
 * @since 0.1.0
 * @category models
 */
export interface Checksum extends Schema.Schema.Type<typeof Checksum> {}

/**
 * A checksum being computed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fold {
  readonly algorithm: Algorithm
  /** Takes the next bytes, without keeping them. */
  readonly update: (bytes: Uint8Array) => void
  /** The digest of the bytes so far, most significant byte first. May be called repeatedly. */
  readonly digest: () => Uint8Array
  /** The digest of the bytes so far, in base64. */
  readonly checksum: () => Checksum
}

/**
 * All algorithms, by name.
 *
 * @since 0.1.0
 * @category models
 */
export const algorithms: ReadonlyArray<Algorithm> = Algorithm.literals

/**
 * Whether a value is the name of an algorithm.
 *
 * @since 0.1.0
 * @category guards
 */
export const isAlgorithm: (value: unknown) => value is Algorithm = Schema.is(Algorithm)

/**
 * Whether {@link combine} can derive the checksum of a whole from those of its parts: true for the CRCs.
 *
 * @since 0.1.0
 * @category guards
 */
export const isCombinable = (algorithm: Algorithm): algorithm is Combinable => algorithm in Crc.crcs

/**
 * An empty fold that uses the fastest code the platform has.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Checksum } from "@sluice/core"
 *
 * const fold = Checksum.make("crc32c")
 * fold.update(new TextEncoder().encode("12345"))
 * fold.update(new TextEncoder().encode("6789"))
 *
 * assert.deepStrictEqual(fold.digest(), Uint8Array.of(0xe3, 0x06, 0x92, 0x83))
 * assert.deepStrictEqual(fold.checksum(), { algorithm: "crc32c", value: "4waSgw==" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (algorithm: Algorithm): Fold => native(algorithm) ?? makePortable(algorithm)

/**
 * A fold that uses nothing from the platform. {@link make} falls back to it, with the same digests.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makePortable = (algorithm: Algorithm): Fold => {
  switch (algorithm) {
    case "crc32":
    case "crc32c":
    case "crc64nvme":
      return crcFold(algorithm, Crc.crcs[algorithm].step())
    case "md5":
    case "sha256": {
      const hash = (algorithm === "md5" ? md5 : sha256).create()
      return fold(algorithm, (bytes) => hash.update(bytes), () => hash.clone().digest())
    }
  }
}

/**
 * The checksum of bytes in memory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (algorithm: Algorithm, bytes: Uint8Array): Checksum => {
  const sum = algorithm === "crc32" && bytes.length > 0 ? nativeCrc32() : undefined
  if (sum !== undefined) return { algorithm, value: base64Of32(sum(bytes)) }
  const fold = make(algorithm)
  fold.update(bytes)
  return fold.checksum()
}

/**
 * The checksum of a whole from those of its consecutive parts, in order, with their sizes in bytes; `undefined` if the
 * algorithm cannot be combined or a part has no checksum of this algorithm.
 *
 * Sizes may be any safe integer. A part costs about a microsecond, and ten to thirty if its size has not occurred
 * before.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Checksum } from "@sluice/core"
 *
 * const parts = ["12345", "6789"].map((text) => {
 *   const bytes = new TextEncoder().encode(text)
 *   return { checksum: Checksum.of("crc32", bytes), size: bytes.length }
 * })
 *
 * assert.deepStrictEqual(
 *   Checksum.combine("crc32", parts),
 *   Checksum.of("crc32", new TextEncoder().encode("123456789"))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const combine = (
  algorithm: Algorithm,
  parts: Iterable<{ readonly checksum?: Checksum | undefined; readonly size: number }>
): Checksum | undefined => {
  if (!isCombinable(algorithm)) return undefined
  const { field } = Crc.crcs[algorithm]
  const shifts = new Map<number, Crc.Residue>()
  let total = Crc.zero
  for (const { checksum, size } of parts) {
    const digest = checksum?.algorithm === algorithm ? digestOf(checksum) : undefined
    if (digest === undefined) return undefined
    let shift = shifts.get(size)
    if (shift === undefined) shifts.set(size, shift = Crc.shiftBy(field, size))
    total = Crc.add(Crc.multiply(field, total, shift), Crc.fromDigest(digest))
  }
  return toChecksum(algorithm, Crc.toDigest(field, total))
}

/**
 * The composite checksum of an object from those of its parts, in order, as S3 defines it: the hash of the concatenated
 * digests of the parts, in base64, followed by `-` and the number of parts. `undefined` if a part has no checksum of
 * this algorithm.
 *
 * @since 0.1.0
 * @category combinators
 */
export const composite = (
  algorithm: Algorithm,
  parts: Iterable<{ readonly checksum?: Checksum | undefined }>
): Checksum | undefined => {
  const fold = make(algorithm)
  let count = 0
  for (const { checksum } of parts) {
    const digest = checksum?.algorithm === algorithm ? digestOf(checksum) : undefined
    if (digest === undefined) return undefined
    fold.update(digest)
    count += 1
  }
  return { algorithm, value: `${fold.checksum().value}-${count}` }
}

/**
 * The digest that a checksum represents, most significant byte first; `undefined` if the checksum is composite or does
 * not have its algorithm's length.
 *
 * @since 0.1.0
 * @category destructors
 */
export const digestOf = ({ algorithm, value }: Checksum): Uint8Array | undefined => {
  const digest = Either.getOrUndefined(Encoding.decodeBase64(value))
  return digest?.length === digestSizes[algorithm] ? digest : undefined
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const digestSizes: Record<Algorithm, number> = { crc32: 4, crc32c: 4, crc64nvme: 8, md5: 16, sha256: 32 }

const toChecksum = (algorithm: Algorithm, digest: Uint8Array): Checksum => ({
  algorithm,
  value: Encoding.encodeBase64(digest)
})

const fold = (algorithm: Algorithm, update: (bytes: Uint8Array) => void, digest: () => Uint8Array): Fold => ({
  algorithm,
  update,
  digest,
  checksum: () => toChecksum(algorithm, digest())
})

type NativeCrc32 = (bytes: Uint8Array, before?: number) => number

let asked: NodeJS.Process["getBuiltinModule"] | undefined
let found: NativeCrc32 | undefined

/** Looked up once: the lookup takes as long as the checksum of a small object. */
const nativeCrc32 = (): NativeCrc32 | undefined => {
  const builtin = globalThis.process?.getBuiltinModule
  if (builtin !== asked) {
    asked = builtin
    found = builtin?.("node:zlib")?.crc32
  }
  return found
}

const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/** Four bytes in base64: a small object is summed in one call, and most objects are small. */
const base64Of32 = (sum: number): string =>
  base64.charAt(sum >>> 26) + base64.charAt(sum >>> 20 & 63) + base64.charAt(sum >>> 14 & 63) +
  base64.charAt(sum >>> 8 & 63) + base64.charAt(sum >>> 2 & 63) + base64.charAt((sum & 3) << 4) + "=="

const native = (algorithm: Algorithm): Fold | undefined => {
  const builtin = globalThis.process?.getBuiltinModule
  if (builtin === undefined) return undefined
  switch (algorithm) {
    case "crc32": {
      const crc32 = nativeCrc32()
      if (crc32 === undefined) return undefined
      return crcFold("crc32", (bytes, { high, low }) => ({ high, low: ~crc32(bytes, ~low >>> 0) }))
    }
    case "md5":
    case "sha256": {
      const hash = builtin("node:crypto")?.createHash?.(algorithm)
      if (hash === undefined) return undefined
      return fold(algorithm, (bytes) => hash.update(bytes), () => new Uint8Array(hash.copy().digest()))
    }
    case "crc32c":
    case "crc64nvme":
      return undefined
  }
}

const crcFold = (algorithm: Combinable, step: Crc.Step): Fold => {
  let register = Crc.ones
  return fold(
    algorithm,
    (bytes) => {
      // For an empty array without memory of its own, zlib would start over.
      if (bytes.length > 0) register = step(bytes, register)
    },
    () => Crc.toDigest(Crc.crcs[algorithm].field, Crc.add(register, Crc.ones))
  )
}
