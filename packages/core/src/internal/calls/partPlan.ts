/**
 * How a large object is cut into parts: a pure function of its size and the destination's limits.
 *
 * All parts of a {@link PartPlan} but the last have the same size, so the plan is three numbers, and a process that
 * resumes an upload computes the same parts again. If the size is not known in advance, the parts of a {@link
 * GrowingPlan} grow with their number instead.
 *
 * Everything is in whole bytes and exact up to `Number.MAX_SAFE_INTEGER`. A limit may be `Infinity`.
 */
import * as Either from "effect/Either"
import * as ByteSize from "../../ByteSize.js"
import type { PartLimits } from "../../Destination.js"
import { Rejected } from "../../UploadError.js"
import * as Decode from "../values/decode.js"

/**
 * An object of `size` bytes, cut into `count` parts of `partSize` bytes, the last of which may be smaller.
 */
export interface PartPlan {
  /** The size of the whole object, in bytes. */
  readonly size: number
  /** The size of each part but the last, in bytes. */
  readonly partSize: number
  /** The number of parts; at least 1. */
  readonly count: number
}

/**
 * A range of an object that is sent as one part.
 */
export interface Part {
  /** The part number, from 1. */
  readonly number: number
  /** Where in the object the part begins, in bytes. */
  readonly offset: number
  /** The size of the part, in bytes. */
  readonly size: number
}

/**
 * The sizes of the parts of an object whose size is not known in advance.
 */
export interface GrowingPlan {
  /** The size of the first part, in bytes. */
  readonly partSize: number
  /** The number of parts after which the size doubles. */
  readonly doublesEvery: number
  /** The most parts that an object can have. */
  readonly maxCount: number
  /** The largest object that fits into these parts and that the destination takes, in bytes. */
  readonly capacity: number
  /** The size in bytes of the part with this number, from 1. The object's last part may be smaller. */
  readonly sizeOf: (number: number) => number
}

/**
 * The default part size: 8 MiB, as in aws-cli and s3transfer.
 */
export const defaults = { partSize: 8 * 1024 ** 2 } as const

/**
 * The smallest part size, in bytes, when all parts must have the same size and their number is not known in advance: 64
 * MiB. With 10,000 parts an object may then be up to 625 GiB, and four parts fit into the default memory of an
 * uploader.
 */
export const equalPartSize = 64 * 1024 ** 2

/**
 * Plans the parts of an object of `size` bytes.
 *
 * `partSize` is the requested size in bytes and defaults to {@link defaults}. It is rounded up to a multiple of
 * `limits.multiple` and clamped between `limits.minSize` and `limits.maxSize`. If it would make more than
 * `limits.maxCount` parts, it becomes `size / maxCount`, rounded up to a whole MiB and to the multiple, at most the
 * largest part. An empty object has one part of 0 bytes. Planning again with the part size of a plan gives the same
 * plan.
 *
 * Fails with `Rejected`, reason `TooLarge`, if no part size makes the object fit.
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
 * Plans parts that grow with their number, for an object whose size is not known in advance.
 *
 * Part `n` has `min(maxSize, partSize * 2 ** floor((n - 1) / doublesEvery))` bytes, with `maxSize` rounded down to a
 * multiple of `limits.multiple`. `doublesEvery` is the largest number with which `limits.maxCount` parts hold
 * `limits.maxObjectSize`, or half of what that many parts of the largest size would hold, whichever is less: to reach
 * all of that, the very first part would have to be of the largest size. A part larger than the first thus has at most
 * `2 / doublesEvery` of the bytes before it. The first part is larger than requested only if the limits allow so few
 * parts that doubling with each does not suffice.
 *
 * `partSize` is in bytes, defaults to {@link defaults}, and is adjusted to the limits as in {@link make}.
 *
 * If `limits.equalParts` is true, parts do not grow: each has the requested size, but at least {@link equalPartSize}
 * unless smaller parts hold `limits.maxObjectSize` as well. For larger objects, request larger parts.
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
 * The part with this number, from 1 to `plan.count`. Throws a `RangeError` for any other number.
 */
export const part = (plan: PartPlan, number: number): Part => {
  checkNumber(number, plan.count)
  const offset = (number - 1) * plan.partSize
  return { number, offset, size: Math.min(plan.partSize, plan.size - offset) }
}

/**
 * All parts in order, computed lazily. The iterable can be iterated more than once.
 */
export const parts = (plan: PartPlan): Iterable<Part> => ({
  *[Symbol.iterator]() {
    for (let number = 1; number <= plan.count; number++) yield part(plan, number)
  }
})

/**
 * The parts still to be sent, in order, given those already stored: parts whose number is not stored, or is stored with
 * another size.
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

/** A plan whose parts do not grow. */
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

/** The remainder is exact, whereas a quotient would be rounded. */
const divideUp = (a: number, b: number): number => {
  const rest = a % b
  return (a - rest) / b + (rest > 0 ? 1 : 0)
}

const roundUp = (size: number, multiple: number): number => divideUp(size, multiple) * multiple

const roundDown = (size: number, multiple: number): number => size - size % multiple

/** The limits with part sizes rounded inwards to the multiple and `Infinity` replaced by the largest safe integer. */
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

/** The total capacity of all parts of a growing plan. */
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
      ? `The object has ${sized(size)}; the destination accepts at most ${sized(limits.maxObjectSize)}.`
      : `The object has ${sized(size)}; the destination accepts at most ${limits.maxCount} parts` +
        ` of ${sized(limits.minSize)} to ${sized(limits.maxSize)}${multiples}.`
  })
}
