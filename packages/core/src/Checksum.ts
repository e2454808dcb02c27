/**
 * Checksums of what is uploaded, as incremental folds.
 *
 * A fold takes bytes block by block and tells their checksum at any time. The CRCs can be combined: that of a whole
 * object follows from those of its parts without reading a byte again, which is what S3 calls a full-object checksum.
 * MD5 and SHA-256 cannot; of parts they make a composite checksum, the hash of the parts' digests.
 *
 * The platform's own code does the work where there is any (in Node `node:zlib` for CRC-32 and `node:crypto` for MD5
 * and SHA-256), and portable code elsewhere, in browsers for one.
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
 * The name of an algorithm, for what reads one from outside.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Algorithm = Schema.Literal("crc32", "crc32c", "crc64nvme", "md5", "sha256")

/**
 * An algorithm: three CRCs, MD5 and SHA-256.
 *
 * `crc32` is the CRC of zlib, `crc32c` Castagnoli's (RFC 3720, section 12.1), `crc64nvme` that of the NVM Express
 * command set 1.0d, section 5.2.1.3.4; `md5` is of RFC 1321, `sha256` of FIPS 180-4.
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm = typeof Algorithm.Type

/**
 * The algorithms that {@link combine} knows how to combine.
 *
 * @since 0.1.0
 * @category models
 */
export type Combinable = "crc32" | "crc32c" | "crc64nvme"

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

/**
 * A checksum in the making.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fold {
  readonly algorithm: Algorithm
  /** Takes the next bytes. They are not kept. */
  readonly update: (bytes: Uint8Array) => void
  /** The digest of the bytes so far, most significant byte first. It may be asked for as often as wanted. */
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
 * Whether the checksum of a whole follows from those of its parts, as {@link combine} tells it: true of the CRCs.
 *
 * @since 0.1.0
 * @category guards
 */
export const isCombinable = (algorithm: Algorithm): algorithm is Combinable => algorithm in Crc.crcs

/**
 * A fold over no bytes yet, by the fastest code that the platform has.
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
 * A fold that asks nothing of the platform: what {@link make} falls back to, with the same digests.
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
 * The checksum of bytes that are all in memory.
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
 * The checksum of a whole from those of its consecutive parts, in order, with their sizes in bytes; `undefined` for
 * algorithms that have no such thing, and when a part is without a checksum of this algorithm.
 *
 * Sizes may be any safe integer. A part costs about a microsecond, and one of a size that has not occurred before ten
 * to thirty.
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
 * The composite checksum of an object from those of its parts, in order, as S3 has it: the hash of the parts' digests
 * one after the other, in base64, followed by `-` and the number of parts. `undefined` when a part is without a
 * checksum of this algorithm.
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
 * The digest that a checksum stands for, most significant byte first; `undefined` when the checksum is composite, or
 * not of its algorithm's length.
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

/** Asked for once: to ask takes as long as to sum a small object. */
const nativeCrc32 = (): NativeCrc32 | undefined => {
  const builtin = globalThis.process?.getBuiltinModule
  if (builtin !== asked) {
    asked = builtin
    found = builtin?.("node:zlib")?.crc32
  }
  return found
}

const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/** Four bytes in base64: a small object is summed at once, and most are small. */
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
      // Of an empty array that has no memory of its own, zlib would begin anew.
      if (bytes.length > 0) register = step(bytes, register)
    },
    () => Crc.toDigest(Crc.crcs[algorithm].field, Crc.add(register, Crc.ones))
  )
}
