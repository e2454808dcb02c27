/**
 * How a large object is cut into parts: a pure function of its size and of what the destination takes.
 *
 * All parts of a {@link PartPlan} but the last have one size, so that the plan is three numbers and a process that goes
 * on with an upload finds the same parts again. Where nobody knows the size beforehand, the parts of a
 * {@link GrowingPlan} get larger with their number instead.
 *
 * Everything is in whole bytes and exact up to `Number.MAX_SAFE_INTEGER`. A limit may be `Infinity`.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as ByteSize from "./ByteSize.js"
import * as Decode from "./internal/values/decode.js"
import { Rejected } from "./UploadError.js"

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
  /** Whether all parts but the last have to be of one size, as at Cloudflare R2. Defaults to `false`. */
  readonly equalParts?: boolean | undefined
}

/**
 * An object of `size` bytes, cut into `count` parts of `partSize` bytes, the last of which may be smaller.
 *
 * @since 0.1.0
 * @category models
 */
export interface PartPlan {
  /** Of the whole object, in bytes. */
  readonly size: number
  /** Of each part but the last, in bytes. */
  readonly partSize: number
  /** How many parts there are; at least 1. */
  readonly count: number
}

/**
 * A range of an object that is sent as one part.
 *
 * @since 0.1.0
 * @category models
 */
export interface Part {
  /** From 1. */
  readonly number: number
  /** Where in the object the part begins, in bytes. */
  readonly offset: number
  /** In bytes. */
  readonly size: number
}

/**
 * The sizes of the parts of an object whose size nobody knows before its end.
 *
 * @since 0.1.0
 * @category models
 */
export interface GrowingPlan {
  /** Of the first part, in bytes. */
  readonly partSize: number
  /** After how many parts the size doubles. */
  readonly doublesEvery: number
  /** The most parts that there can be. */
  readonly maxCount: number
  /** The largest object that these parts can hold and the destination takes, in bytes. */
  readonly capacity: number
  /** The size in bytes of the part with a number from 1. The object's last part is as small as its end makes it. */
  readonly sizeOf: (number: number) => number
}

/**
 * What is planned when nothing else is asked for: parts of 8 MiB, as aws-cli and s3transfer cut them.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { partSize: 8 * 1024 ** 2 } as const

/**
 * The smallest size of parts, in bytes, where all have to be of one size and nobody knows how many there will be: 64
 * MiB. With 10,000 parts an object may then have 625 GiB, and four parts fit into the memory that uploads have by default.
 *
 * @since 0.1.0
 * @category constants
 */
export const equalPartSize = 64 * 1024 ** 2

/**
 * Plans the parts of an object of `size` bytes.
 *
 * `partSize` is what is wished for, in bytes; it defaults to {@link defaults}. It is rounded up to a multiple of
 * `limits.multiple` and moved between `limits.minSize` and `limits.maxSize`. Where it would make more than
 * `limits.maxCount` parts it is `size / maxCount`, rounded up to a whole MiB and to the multiple, at most the largest
 * part. An empty object has one part of 0 bytes. To plan again with the part size of a plan gives the same plan.
 *
 * Refuses with `Rejected`, reason `TooLarge`, what no part size can make fit.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { PartPlan } from "@sluice/core"
 * import { Either } from "effect"
 *
 * const MiB = 1024 ** 2
 * const limits: PartPlan.PartLimits = {
 *   minSize: 5 * MiB,
 *   maxSize: 5 * 1024 * MiB,
 *   multiple: 1,
 *   maxCount: 10_000,
 *   maxObjectSize: 50_000 * 1024 * MiB,
 *   inOrder: false
 * }
 *
 * const plan = Either.getOrThrow(PartPlan.make({ size: 20 * MiB, limits }))
 * assert.deepStrictEqual([...PartPlan.parts(plan)], [
 *   { number: 1, offset: 0, size: 8 * MiB },
 *   { number: 2, offset: 8 * MiB, size: 8 * MiB },
 *   { number: 3, offset: 16 * MiB, size: 4 * MiB }
 * ])
 *
 * // Parts of 8 MiB would be 131,072.
 * const large = Either.getOrThrow(PartPlan.make({ size: 1024 ** 4, limits }))
 * assert.deepStrictEqual([large.partSize / MiB, large.count], [105, 9987])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly size: number
  readonly partSize?: number | undefined
  readonly limits: PartLimits
}): Either.Either<PartPlan, Rejected> => {
  const { limits } = options
  const size = Decode.between("size", options.size, 0, Infinity)
  const { largest, maxCount, maxObjectSize, smallest } = bounds(limits)
  if (size > maxObjectSize || size > largest * maxCount || smallest > largest) {
    return Either.left(tooLarge(size, limits))
  }
  const wanted = firstSize(options.partSize, limits)
  const needed = divideUp(size, maxCount)
  const partSize = wanted >= needed
    ? wanted
    : Math.min(roundUp(roundUp(needed, growthStep), limits.multiple), largest)
  return Either.right({ size, partSize, count: Math.max(1, divideUp(size, partSize)) })
}

/**
 * Plans parts that grow with their number, for an object whose size nobody knows before its end.
 *
 * Part `n` has `min(maxSize, partSize * 2 ** floor((n - 1) / doublesEvery))` bytes, with `maxSize` rounded down to a
 * multiple of `limits.multiple`. `doublesEvery` is the largest number with which `limits.maxCount` parts hold
 * `limits.maxObjectSize` or half of what that many largest parts would, whichever is less: to reach all of that, the
 * very first part would have to be of the largest size. A part larger than the first thus has at most `2 /
 * doublesEvery` of the bytes before it. Only where so few parts are allowed that doubling with each does not suffice,
 * the first is larger than asked.
 *
 * `partSize` is in bytes, defaults to {@link defaults}, and is moved into the limits as {@link make} does.
 *
 * Where `limits.equalParts` holds, no part grows: each is as large as asked, but at least {@link equalPartSize}, unless
 * smaller parts hold `limits.maxObjectSize` as well. Who has larger objects asks for larger parts.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { PartPlan } from "@sluice/core"
 *
 * const MiB = 1024 ** 2
 * const plan = PartPlan.growing({
 *   limits: {
 *     minSize: 5 * MiB,
 *     maxSize: 5 * 1024 * MiB,
 *     multiple: 1,
 *     maxCount: 10_000,
 *     maxObjectSize: 5 * 1024 ** 4,
 *     inOrder: false
 *   }
 * })
 *
 * assert.strictEqual(plan.doublesEvery, 1089)
 * assert.deepStrictEqual([1, 1089, 1090, 5000, 10_000].map((n) => plan.sizeOf(n) / MiB), [8, 8, 16, 128, 4096])
 * assert.strictEqual(plan.capacity, 5 * 1024 ** 4)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const growing = (options: {
  readonly partSize?: number | undefined
  readonly limits: PartLimits
}): GrowingPlan => {
  const { largest, maxCount, maxObjectSize, smallest } = bounds(options.limits)
  if (options.limits.equalParts === true) return equal(options)
  const reach = Math.min(maxObjectSize, Math.floor(largest * maxCount / 2))
  const holds = (partSize: number, doublesEvery: number) => total({ partSize, doublesEvery, largest, maxCount })

  let partSize = firstSize(options.partSize, options.limits)
  while (partSize < largest && holds(partSize, 1) < reach) partSize = Math.min(partSize * 2, largest)

  let doublesEvery = 1
  let tooMany = maxCount + 1
  while (tooMany - doublesEvery > 1) {
    const middle = doublesEvery + Math.floor((tooMany - doublesEvery) / 2)
    if (holds(partSize, middle) >= reach) doublesEvery = middle
    else tooMany = middle
  }

  return {
    partSize,
    doublesEvery,
    maxCount,
    capacity: smallest > largest ? 0 : Math.min(holds(partSize, doublesEvery), maxObjectSize),
    sizeOf: (number) => {
      checkNumber(number, maxCount)
      return Math.min(partSize * 2 ** Math.floor((number - 1) / doublesEvery), largest)
    }
  }
}

/**
 * The part with a number from 1 to `plan.count`. Throws a `RangeError` for another number.
 *
 * @since 0.1.0
 * @category getters
 */
export const part = (plan: PartPlan, number: number): Part => {
  checkNumber(number, plan.count)
  const offset = (number - 1) * plan.partSize
  return { number, offset, size: Math.min(plan.partSize, plan.size - offset) }
}

/**
 * All parts in order. They are made while one iterates, and can be iterated over again.
 *
 * @since 0.1.0
 * @category getters
 */
export const parts = (plan: PartPlan): Iterable<Part> => ({
  *[Symbol.iterator]() {
    for (let number = 1; number <= plan.count; number++) yield part(plan, number)
  }
})

/**
 * The parts that are still to be sent, in order, when others are stored: those whose number is not among them, or is
 * with another size.
 *
 * @since 0.1.0
 * @category getters
 */
export const remaining = (
  plan: PartPlan,
  stored: Iterable<{ readonly number: number; readonly size: number }>
): Iterable<Part> => {
  const sizes = new Map<number, number>()
  for (const { number, size } of stored) sizes.set(number, size)
  return {
    *[Symbol.iterator]() {
      for (const part of parts(plan)) if (sizes.get(part.number) !== part.size) yield part
    }
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Parts that do not grow. */
const equal = (options: { readonly partSize?: number | undefined; readonly limits: PartLimits }): GrowingPlan => {
  const { largest, maxCount, maxObjectSize, smallest } = bounds(options.limits)
  const atLeast = Math.min(equalPartSize, divideUp(maxObjectSize, maxCount))
  const partSize = firstSize(Math.max(options.partSize ?? defaults.partSize, atLeast), options.limits)
  return {
    partSize,
    doublesEvery: maxCount,
    maxCount,
    capacity: smallest > largest ? 0 : Math.min(partSize * maxCount, maxObjectSize),
    sizeOf: (number) => {
      checkNumber(number, maxCount)
      return partSize
    }
  }
}

const growthStep = 1024 ** 2

/** The remainder is exact where a quotient would be rounded. */
const divideUp = (a: number, b: number): number => {
  const rest = a % b
  return (a - rest) / b + (rest > 0 ? 1 : 0)
}

const roundUp = (size: number, multiple: number): number => divideUp(size, multiple) * multiple

const roundDown = (size: number, multiple: number): number => size - size % multiple

/** The limits with all sizes of parts rounded inwards to the multiple, and with the largest integer for `Infinity`. */
const bounds = (limits: PartLimits) => {
  const finite = (name: "maxCount" | "maxObjectSize" | "maxSize", least: number) =>
    Math.min(Decode.between(`limits.${name}`, limits[name], least, Infinity), Number.MAX_SAFE_INTEGER)
  const multiple = Decode.between("limits.multiple", limits.multiple, 1, Infinity)
  return {
    smallest: roundUp(Math.max(1, Decode.between("limits.minSize", limits.minSize, 0, Infinity)), multiple),
    largest: roundDown(finite("maxSize", 1), multiple),
    maxCount: finite("maxCount", 1),
    maxObjectSize: finite("maxObjectSize", 0)
  }
}

const firstSize = (partSize: number = defaults.partSize, limits: PartLimits): number => {
  const wanted = Decode.between("partSize", partSize, 0, Infinity)
  const { largest, smallest } = bounds(limits)
  return Math.min(Math.max(roundUp(Math.min(wanted, largest), limits.multiple), smallest), largest)
}

/** What all parts of a growing plan hold together. */
const total = ({ doublesEvery, largest, maxCount, partSize }: {
  readonly partSize: number
  readonly doublesEvery: number
  readonly largest: number
  readonly maxCount: number
}): number => {
  let bytes = 0
  let rest = maxCount
  for (let size = partSize; size < largest && rest > 0; size *= 2) {
    const equal = Math.min(doublesEvery, rest)
    bytes += equal * size
    rest -= equal
  }
  return bytes + rest * largest
}

const checkNumber = (number: number, count: number): void => {
  if (!Number.isInteger(number) || number < 1 || number > count) {
    throw new RangeError(`There is no part ${number}: parts are numbered from 1 to ${count}.`)
  }
}

const sized = (bytes: number): string => `${ByteSize.format(bytes)} (${bytes} bytes)`

const tooLarge = (size: number, limits: PartLimits): Rejected => {
  const multiples = limits.multiple === 1 ? "" : ` in multiples of ${ByteSize.format(limits.multiple)}`
  return new Rejected({
    reason: "TooLarge",
    detail: size > limits.maxObjectSize
      ? `The object has ${sized(size)}; the destination takes at most ${sized(limits.maxObjectSize)}.`
      : `The object has ${sized(size)}; the destination takes at most ${limits.maxCount} parts` +
        ` of ${sized(limits.minSize)} to ${sized(limits.maxSize)}${multiples}.`
  })
}
