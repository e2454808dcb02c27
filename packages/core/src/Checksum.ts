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
export const isCombinable = (algorithm: Algorithm): algorithm is Combinable => algorithm in crcs

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
      return crcFold(algorithm, crcs[algorithm].step())
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
  const { field } = crcs[algorithm]
  const shifts = new Map<number, Residue>()
  let total = zero
  for (const { checksum, size } of parts) {
    const digest = checksum?.algorithm === algorithm ? digestOf(checksum) : undefined
    if (digest === undefined) return undefined
    let shift = shifts.get(size)
    if (shift === undefined) shifts.set(size, shift = shiftBy(field, size))
    total = add(multiply(field, total, shift), fromDigest(digest))
  }
  return toChecksum(algorithm, toDigest(field, total))
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

const native = (algorithm: Algorithm): Fold | undefined => {
  const builtin = globalThis.process?.getBuiltinModule
  if (builtin === undefined) return undefined
  switch (algorithm) {
    case "crc32": {
      const crc32 = builtin("node:zlib")?.crc32
      if (crc32 === undefined) return undefined
      return crcFold("crc32", (bytes, { high, low }) => ({ high, low: ~crc32(bytes, ~low >>> 0) }))
    }
    case "md5":
    case "sha256": {
      const hash = builtin("node:crypto")?.createHash?.(algorithm)
      if (hash === undefined) return undefined
      return fold(algorithm, (bytes) => hash.update(bytes), () => new Uint8Array(hash.copy().digest()))
    }
    default:
      return undefined
  }
}

// A CRC is the residue of the bytes, read as a polynomial over GF(2), by the polynomial of the algorithm. All three
// have the lowest power in the highest bit, and start from and end with the complement.

interface Residue {
  /** The upper 32 bits; 0 where the CRC has only 32. */
  readonly high: number
  readonly low: number
}

interface Field extends Residue {
  readonly width: 32 | 64
}

/** Takes bytes into the register of a CRC. */
type Step = (bytes: Uint8Array, register: Residue) => Residue

const zero: Residue = { high: 0, low: 0 }

const ones: Residue = { high: -1, low: -1 }

const add = (a: Residue, b: Residue): Residue => ({ high: a.high ^ b.high, low: a.low ^ b.low })

const multiply = (field: Field, a: Residue, b: Residue): Residue => {
  let high = 0
  let low = 0
  let { high: termHigh, low: termLow } = b
  for (let bit = field.width - 1; bit >= 0; bit--) {
    const chosen = -((bit < 32 ? a.low >>> bit : a.high >>> (bit - 32)) & 1)
    high ^= termHigh & chosen
    low ^= termLow & chosen
    const overflow = -(termLow & 1)
    termLow = (termLow >>> 1 | termHigh << 31) ^ (field.low & overflow)
    termHigh = (termHigh >>> 1) ^ (field.high & overflow)
  }
  return { high, low }
}

const power = (field: Field, exponent: 0 | 8): Residue => {
  const word = (1 << 31) >>> exponent
  return field.width === 32 ? { high: 0, low: word } : { high: word, low: 0 }
}

/** What a CRC is multiplied by when `size` more bytes follow: x to the power of 8 times `size`. */
const shiftBy = (field: Field, size: number): Residue => {
  let shift = power(field, 0)
  let square = power(field, 8)
  // Not by `>>`, because sizes go beyond 32 bits.
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shift = multiply(field, shift, square)
    square = multiply(field, square, square)
  }
  return shift
}

const toDigest = ({ width }: Field, { high, low }: Residue): Uint8Array => {
  const view = new DataView(new ArrayBuffer(width / 8))
  if (width === 64) view.setInt32(0, high)
  view.setInt32(width / 8 - 4, low)
  return new Uint8Array(view.buffer)
}

const fromDigest = (digest: Uint8Array): Residue => {
  const view = viewOf(digest)
  return { high: digest.length === 8 ? view.getInt32(0) : 0, low: view.getInt32(digest.length - 4) }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const crcFold = (algorithm: Combinable, step: Step): Fold => {
  let register = ones
  return fold(
    algorithm,
    (bytes) => {
      register = step(bytes, register)
    },
    () => toDigest(crcs[algorithm].field, add(register, ones))
  )
}

/** Slice `n` of 256 entries tells what a byte becomes with `n` more bytes after it. */
const slices = (field: Field): { readonly high: Int32Array; readonly low: Int32Array } => {
  const high = new Int32Array(16 * 256)
  const low = new Int32Array(16 * 256)
  for (let byte = 0; byte < 256; byte++) {
    const residue = multiply(field, { high: 0, low: byte }, power(field, 8))
    high[byte] = residue.high
    low[byte] = residue.low
  }
  for (let entry = 256; entry < low.length; entry++) {
    const h = high[entry - 256]!
    const l = low[entry - 256]!
    high[entry] = h >>> 8 ^ high[l & 255]!
    low[entry] = (l >>> 8 | h << 24) ^ low[l & 255]!
  }
  return { high, low }
}

// Sixteen bytes at a time, "slicing by 16": about as fast as WebAssembly, and there at once. Each step is a closure of
// its own over its tables, because V8 drops the bounds checks only then.

const step32 = (field: Field): Step => {
  const t = slices(field).low
  return (bytes, register) => {
    const view = viewOf(bytes)
    let crc = register.low
    let at = 0
    for (const end = bytes.length - 15; at < end; at += 16) {
      const a = view.getInt32(at, true) ^ crc
      const b = view.getInt32(at + 4, true)
      const c = view.getInt32(at + 8, true)
      const d = view.getInt32(at + 12, true)
      crc = t[0xb00 | b & 255]! ^ t[0xa00 | b >>> 8 & 255]! ^ t[0x900 | b >>> 16 & 255]! ^ t[0x800 | b >>> 24]! ^
        t[0x700 | c & 255]! ^ t[0x600 | c >>> 8 & 255]! ^ t[0x500 | c >>> 16 & 255]! ^ t[0x400 | c >>> 24]! ^
        t[0x300 | d & 255]! ^ t[0x200 | d >>> 8 & 255]! ^ t[0x100 | d >>> 16 & 255]! ^ t[d >>> 24]! ^
        (t[0xf00 | a & 255]! ^ t[0xe00 | a >>> 8 & 255]! ^ t[0xd00 | a >>> 16 & 255]! ^ t[0xc00 | a >>> 24]!)
    }
    for (; at < bytes.length; at++) crc = crc >>> 8 ^ t[(crc ^ bytes[at]!) & 255]!
    return { high: -1, low: crc }
  }
}

const step64 = (field: Field): Step => {
  const { high: h, low: l } = slices(field)
  return (bytes, register) => {
    const view = viewOf(bytes)
    let { high, low } = register
    let at = 0
    for (const end = bytes.length - 15; at < end; at += 16) {
      const a = view.getInt32(at, true) ^ low
      const b = view.getInt32(at + 4, true) ^ high
      const c = view.getInt32(at + 8, true)
      const d = view.getInt32(at + 12, true)
      const a0 = 0xf00 | a & 255, a1 = 0xe00 | a >>> 8 & 255, a2 = 0xd00 | a >>> 16 & 255, a3 = 0xc00 | a >>> 24
      const b0 = 0xb00 | b & 255, b1 = 0xa00 | b >>> 8 & 255, b2 = 0x900 | b >>> 16 & 255, b3 = 0x800 | b >>> 24
      const c0 = 0x700 | c & 255, c1 = 0x600 | c >>> 8 & 255, c2 = 0x500 | c >>> 16 & 255, c3 = 0x400 | c >>> 24
      const d0 = 0x300 | d & 255, d1 = 0x200 | d >>> 8 & 255, d2 = 0x100 | d >>> 16 & 255, d3 = d >>> 24
      low = l[c0]! ^ l[c1]! ^ l[c2]! ^ l[c3]! ^ l[d0]! ^ l[d1]! ^ l[d2]! ^ l[d3]! ^
        (l[a0]! ^ l[a1]! ^ l[a2]! ^ l[a3]! ^ l[b0]! ^ l[b1]! ^ l[b2]! ^ l[b3]!)
      high = h[c0]! ^ h[c1]! ^ h[c2]! ^ h[c3]! ^ h[d0]! ^ h[d1]! ^ h[d2]! ^ h[d3]! ^
        (h[a0]! ^ h[a1]! ^ h[a2]! ^ h[a3]! ^ h[b0]! ^ h[b1]! ^ h[b2]! ^ h[b3]!)
    }
    for (; at < bytes.length; at++) {
      const entry = (low ^ bytes[at]!) & 255
      low = (low >>> 8 | high << 24) ^ l[entry]!
      high = high >>> 8 ^ h[entry]!
    }
    return { high, low }
  }
}

const crc = (
  field: Field,
  make: (field: Field) => Step
): { readonly field: Field; readonly step: () => Step } => {
  let step: Step | undefined
  return { field, step: () => step ??= make(field) }
}

const crcs = {
  crc32: crc({ width: 32, high: 0, low: 0xedb88320 }, step32),
  crc32c: crc({ width: 32, high: 0, low: 0x82f63b78 }, step32),
  crc64nvme: crc({ width: 64, high: 0x9a6c9329, low: 0xac4bc9b5 }, step64)
}
