import { assert, describe, it } from "@effect/vitest"
import { ByteSize } from "@sluice/core"
import type { Destination } from "@sluice/core"
import { Either } from "effect"
import * as fc from "fast-check"
import * as PartPlan from "../../../src/internal/calls/partPlan.js"

const KiB = 1024
const MiB = 1024 ** 2
const GiB = 1024 ** 3
const TiB = 1024 ** 4

const s3: Destination.PartLimits = {
  minSize: 5 * MiB,
  maxSize: 5 * GiB,
  multiple: 1,
  maxCount: 10_000,
  maxObjectSize: 10_000 * 5 * GiB,
  inOrder: false
}

const gcs: Destination.PartLimits = {
  minSize: 256 * KiB,
  maxSize: Infinity,
  multiple: 256 * KiB,
  maxCount: Infinity,
  maxObjectSize: 5 * TiB,
  inOrder: true
}

const azure: Destination.PartLimits = {
  minSize: 1,
  maxSize: 4000 * MiB,
  multiple: 1,
  maxCount: 50_000,
  maxObjectSize: 50_000 * 4000 * MiB,
  inOrder: false
}

const unbounded: Destination.PartLimits = {
  minSize: 1,
  maxSize: Infinity,
  multiple: 1,
  maxCount: Infinity,
  maxObjectSize: Infinity,
  inOrder: true
}

const plan = (size: number, limits: Destination.PartLimits, partSize?: number): PartPlan.PartPlan =>
  Either.getOrThrow(PartPlan.make({ size, partSize, limits }))

const refused = (size: number, limits: Destination.PartLimits, partSize?: number) =>
  Either.match(PartPlan.make({ size, partSize, limits }), {
    onLeft: ({ _tag, detail, reason }) => ({ _tag, reason, detail }),
    onRight: () => undefined
  })

const oneOf = (...choices: ReadonlyArray<fc.Arbitrary<number>>) => fc.oneof(...choices)

/** Limits that real destinations have, and small ones on which every edge is near. */
const anyLimits: fc.Arbitrary<Destination.PartLimits> = fc.oneof(
  fc.constantFrom(s3, gcs, azure, unbounded),
  fc.record({
    minSize: fc.integer({ min: 1, max: 40 }),
    maxSize: oneOf(fc.integer({ min: 1, max: 100 }), fc.constant(Infinity)),
    multiple: fc.integer({ min: 1, max: 12 }),
    maxCount: oneOf(fc.integer({ min: 1, max: 50 }), fc.constant(Infinity)),
    maxObjectSize: oneOf(fc.integer({ min: 0, max: 3000 }), fc.constant(Infinity)),
    inOrder: fc.boolean()
  }),
  fc.record({
    minSize: fc.integer({ min: 1, max: 16 * MiB }),
    maxSize: fc.integer({ min: 1, max: 8 * GiB }),
    multiple: fc.constantFrom(1, 512, 1000, 256 * KiB, MiB, 3 * MiB),
    maxCount: fc.integer({ min: 1, max: 50_000 }),
    maxObjectSize: fc.integer({ min: 1, max: 200 * TiB }),
    inOrder: fc.boolean()
  })
)

/** The part sizes that the limits allow: the smallest and the largest; `undefined` if there is none. */
const range = (limits: Destination.PartLimits): readonly [number, number] | undefined => {
  const least = BigInt(limits.minSize)
  const step = BigInt(limits.multiple)
  const most = BigInt(Math.min(limits.maxSize, Number.MAX_SAFE_INTEGER))
  const low = (least + step - 1n) / step * step
  const high = most / step * step
  return low <= high ? [Number(low), Number(high)] : undefined
}

/** Sizes around everything at which a plan changes. */
const anySize = (limits: Destination.PartLimits): fc.Arbitrary<number> => {
  const [low, high] = range(limits) ?? [1, limits.maxSize]
  const edges = [0, 1, low, high, 8 * MiB, limits.maxObjectSize]
    .flatMap((edge) => [edge, edge * limits.maxCount])
    .flatMap((edge) => [edge - 1, edge, edge + 1])
    .filter((edge) => Number.isSafeInteger(edge) && edge >= 0)
  return oneOf(
    fc.constantFrom(...edges),
    fc.integer({ min: 0, max: 5000 }),
    fc.integer({ min: 0, max: 60 * TiB }),
    fc.maxSafeNat()
  )
}

const anyPartSize = fc.option(
  oneOf(
    fc.integer({ min: 0, max: 200 }),
    fc.integer({ min: 0, max: 10 * GiB }),
    fc.constantFrom(0, 0.5, 8 * MiB, Infinity)
  ),
  { nil: undefined }
)

const anyRequest = anyLimits.chain((limits) =>
  fc.record({ limits: fc.constant(limits), size: anySize(limits), partSize: anyPartSize })
)

const holds = <A>(arbitrary: fc.Arbitrary<A>, property: (value: A) => void) =>
  fc.assert(fc.property(arbitrary, property), { numRuns: 3_000 })

/** The whole of a plan when it has few parts; of a longer one its ends. */
const someNumbers = ({ count }: PartPlan.PartPlan): ReadonlyArray<number> =>
  count <= 200
    ? Array.from({ length: count }, (_, i) => i + 1)
    : [1, 2, 3, Math.floor(count / 2), count - 2, count - 1, count]

describe("PartPlan.make", () => {
  it("cuts at the boundaries of parts", () => {
    const cut = (size: number) => [...PartPlan.parts(plan(size, s3))].map(({ offset, size }) => [offset, size])
    const p = PartPlan.defaults.partSize
    assert.deepStrictEqual([0, 1, p - 1, p, p + 1, 2 * p, 2 * p + 1].map(cut), [
      [[0, 0]],
      [[0, 1]],
      [[0, p - 1]],
      [[0, p]],
      [[0, p], [p, 1]],
      [[0, p], [p, p]],
      [[0, p], [p, p], [2 * p, 1]]
    ])
  })

  it("grows the part size in whole MiB if there would be too many parts", () => {
    const most = 8 * MiB * 10_000
    assert.deepStrictEqual(
      [most - 1, most, most + 1, 5 * TiB, 10_000 * 5 * GiB - 1, 10_000 * 5 * GiB].map((size) => plan(size, s3)),
      [
        { size: most - 1, partSize: 8 * MiB, count: 10_000 },
        { size: most, partSize: 8 * MiB, count: 10_000 },
        { size: most + 1, partSize: 9 * MiB, count: 8889 },
        { size: 5 * TiB, partSize: 525 * MiB, count: 9987 },
        { size: 10_000 * 5 * GiB - 1, partSize: 5 * GiB, count: 10_000 },
        { size: 10_000 * 5 * GiB, partSize: 5 * GiB, count: 10_000 }
      ]
    )
    assert.deepStrictEqual(PartPlan.part(plan(10_000 * 5 * GiB - 1, s3), 10_000), {
      number: 10_000,
      offset: 9_999 * 5 * GiB,
      size: 5 * GiB - 1
    })
  })

  it("knows the limits of other destinations", () => {
    assert.deepStrictEqual([
      plan(190 * TiB, azure),
      plan(50_000 * 4000 * MiB, azure),
      plan(5 * TiB, gcs),
      plan(10 * MiB, gcs, 1_000_000),
      plan(Number.MAX_SAFE_INTEGER, unbounded)
    ], [
      { size: 190 * TiB, partSize: 3985 * MiB, count: 49_995 },
      { size: 50_000 * 4000 * MiB, partSize: 4000 * MiB, count: 50_000 },
      { size: 5 * TiB, partSize: 8 * MiB, count: 655_360 },
      { size: 10 * MiB, partSize: MiB, count: 10 },
      { size: Number.MAX_SAFE_INTEGER, partSize: 8 * MiB, count: 2 ** 30 }
    ])
  })

  it("moves the wanted part size into the limits", () => {
    assert.deepStrictEqual(
      [0, 1, 5 * MiB, 5 * MiB + 1, 6 * GiB, Infinity].map((partSize) => plan(TiB / 64, s3, partSize).partSize),
      [5 * MiB, 5 * MiB, 5 * MiB, 5 * MiB + 1, 5 * GiB, 5 * GiB]
    )
    assert.deepStrictEqual(
      [0, 1, 256 * KiB, 256 * KiB + 1, 300_000].map((partSize) => plan(GiB, gcs, partSize).partSize / (256 * KiB)),
      [1, 1, 1, 2, 2]
    )
  })

  it("refuses what is too large, and names the limit", () => {
    const size = 10_000 * 5 * GiB + 1
    assert.deepStrictEqual([refused(size, s3), refused(size, { ...s3, maxObjectSize: Infinity })], [
      {
        _tag: "Rejected",
        reason: "TooLarge",
        detail: "The object has 48.8 TiB (53687091200001 bytes);" +
          " the destination accepts at most 48.8 TiB (53687091200000 bytes)."
      },
      {
        _tag: "Rejected",
        reason: "TooLarge",
        detail: "The object has 48.8 TiB (53687091200001 bytes);" +
          " the destination accepts at most 10000 parts of 5.0 MiB (5242880 bytes) to 5.0 GiB (5368709120 bytes)."
      }
    ])
    // The multiple leaves less than the largest part.
    const uneven = { ...s3, minSize: MiB, maxSize: 2 * MiB - 1, multiple: MiB, maxCount: 3 }
    assert.deepStrictEqual([refused(3 * MiB, uneven), refused(3 * MiB + 1, uneven)?.detail], [
      undefined,
      "The object has 3.0 MiB (3145729 bytes); the destination accepts at most 3 parts" +
      " of 1.0 MiB (1048576 bytes) to 2.0 MiB (2097151 bytes) in multiples of 1.0 MiB."
    ])
  })

  it("covers every byte exactly once, in order", () => {
    holds(anyRequest, (request) => {
      const made = PartPlan.make(request)
      fc.pre(Either.isRight(made) && made.right.count <= 2_000)
      const whole = Either.getOrThrow(made)
      let [end, number] = [0, 0]
      for (const part of PartPlan.parts(whole)) {
        if (part.number !== number + 1 || part.offset !== end || (part.size <= 0 && request.size > 0)) {
          assert.fail(`After part ${number}, which ends at ${end}, comes ${JSON.stringify(part)}`)
        }
        end += part.size
        number = part.number
      }
      assert.deepStrictEqual([end, number], [request.size, whole.count])
    })
  })

  it("keeps every limit, exactly", () => {
    holds(anyRequest, (request) => {
      const made = PartPlan.make(request)
      fc.pre(Either.isRight(made))
      if (Either.isLeft(made)) return
      const { count, partSize, size } = made.right
      const { limits } = request
      assert.isTrue(count >= 1 && count <= limits.maxCount)
      assert.isTrue(partSize >= limits.minSize && partSize <= limits.maxSize && partSize % limits.multiple === 0)
      for (const number of someNumbers(made.right)) {
        const part = PartPlan.part(made.right, number)
        assert.strictEqual(BigInt(part.offset), BigInt(number - 1) * BigInt(partSize))
        assert.isTrue(number === count ? part.size <= partSize : part.size === partSize)
      }
      const last = PartPlan.part(made.right, count)
      assert.strictEqual(BigInt(last.offset) + BigInt(last.size), BigInt(size))
    })
  })

  it("uses the requested size if it fits, and otherwise the smallest that does", () => {
    holds(anyRequest, (request) => {
      const made = PartPlan.make(request)
      fc.pre(Either.isRight(made))
      if (Either.isLeft(made)) return
      const { limits, size, partSize: wanted = PartPlan.defaults.partSize } = request
      const [low, high] = range(limits)!
      const multiple = BigInt(limits.multiple)
      const up = (n: bigint, to: bigint) => (n + to - 1n) / to * to
      const least = (a: bigint, b: bigint) => a < b ? a : b
      const asked = up(BigInt(Math.ceil(Math.min(wanted, high))), multiple)
      const first = least(asked < BigInt(low) ? BigInt(low) : asked, BigInt(high))
      const needed = limits.maxCount === Infinity
        ? 1n
        : up(BigInt(size), BigInt(limits.maxCount)) / BigInt(limits.maxCount)
      assert.strictEqual(
        BigInt(made.right.partSize),
        first >= needed ? first : least(up(up(needed, BigInt(MiB)), multiple), BigInt(high))
      )
    })
  })

  it("refuses exactly those sizes that nothing can make fit", () => {
    const outcomes = { taken: 0, refused: 0 }
    holds(anyRequest, (request) => {
      const { limits, size } = request
      const sizes = range(limits)
      const fits = sizes !== undefined && size <= limits.maxObjectSize &&
        (limits.maxCount === Infinity || BigInt(size) <= BigInt(sizes[1]) * BigInt(limits.maxCount))
      const made = PartPlan.make(request)
      assert.strictEqual(Either.isRight(made), fits)
      if (Either.isLeft(made)) {
        assert.strictEqual(made.left.reason, "TooLarge")
        assert.include(made.left.detail, ByteSize.format(size))
      }
      outcomes[fits ? "taken" : "refused"] += 1
    })
    assert.isAbove(outcomes.taken, 300)
    assert.isAbove(outcomes.refused, 300)
  })

  it("plans the same again, from the request and from the part size of the plan", () => {
    holds(anyRequest, (request) => {
      const made = PartPlan.make(request)
      assert.deepStrictEqual(PartPlan.make(request), made)
      if (Either.isLeft(made)) return
      assert.deepStrictEqual(PartPlan.make({ ...request, partSize: made.right.partSize }), made)
    })
  })
})

describe("PartPlan.parts", () => {
  it("is lazy, and can be iterated over again", () => {
    const parts = PartPlan.parts(plan(Number.MAX_SAFE_INTEGER, unbounded, 1))
    const first = () => parts[Symbol.iterator]().next().value
    assert.deepStrictEqual([first(), first()], [{ number: 1, offset: 0, size: 1 }, { number: 1, offset: 0, size: 1 }])
  })

  it("has no parts but its own", () => {
    const three = plan(20 * MiB, s3)
    assert.deepStrictEqual(PartPlan.part(three, 3), { number: 3, offset: 16 * MiB, size: 4 * MiB })
    for (const number of [0, 4, -1, 1.5, NaN, Infinity]) {
      assert.throws(() => PartPlan.part(three, number), RangeError, "numbered from 1 to 3")
    }
  })
})

describe("PartPlan.remaining", () => {
  it("completes the plan with any stored parts", () => {
    const request = fc.record({
      size: fc.integer({ min: 0, max: 500 }),
      partSize: fc.integer({ min: 1, max: 60 }),
      chosen: fc.infiniteStream(fc.boolean())
    })
    holds(request, ({ chosen, partSize, size }) => {
      const whole = plan(size, unbounded, partSize)
      const all = [...PartPlan.parts(whole)]
      const stored = all.filter(() => chosen.next().value)
      const rest = [...PartPlan.remaining(whole, stored.toReversed())]
      assert.deepStrictEqual([...stored, ...rest].toSorted((a, b) => a.number - b.number), all)
      assert.deepStrictEqual(rest, rest.toSorted((a, b) => a.number - b.number))
    })
  })

  it("sends again what is stored with another size", () => {
    const three = plan(20 * MiB, s3)
    const rest = PartPlan.remaining(three, [{ number: 1, size: 8 * MiB }, { number: 3, size: 8 * MiB }, {
      number: 7,
      size: 1
    }])
    assert.deepStrictEqual([...rest].map(({ number }) => number), [2, 3])
    assert.deepStrictEqual([...rest].map(({ number }) => number), [2, 3])
  })
})

describe("PartPlan.growing", () => {
  it("begins small and reaches the largest object", () => {
    const outlines = [{ ...s3, maxObjectSize: 5 * TiB }, s3, azure, gcs, unbounded, { ...s3, maxCount: 1 }].map(
      (limits) => {
        const { capacity, doublesEvery, partSize, sizeOf } = PartPlan.growing({ limits })
        const last = sizeOf(Math.min(limits.maxCount, 10_000))
        return [partSize, doublesEvery, last, capacity].map((n, i) => i === 1 ? n : ByteSize.format(n))
      }
    )
    assert.deepStrictEqual(outlines, [
      ["8.0 MiB", 1089, "4.0 GiB", "5.0 TiB"],
      ["8.0 MiB", 595, "5.0 GiB", "24.4 TiB"],
      ["8.0 MiB", 3133, "64.0 MiB", "95.4 TiB"],
      ["8.0 MiB", Number.MAX_SAFE_INTEGER, "8.0 MiB", "5.0 TiB"],
      ["8.0 MiB", Number.MAX_SAFE_INTEGER, "8.0 MiB", "8.0 PiB"],
      ["4.0 GiB", 1, "4.0 GiB", "4.0 GiB"]
    ])
  })

  it("has sizes for its own parts only", () => {
    const { sizeOf } = PartPlan.growing({ limits: s3 })
    for (const number of [0, 10_001, 1.5, NaN]) assert.throws(() => sizeOf(number), RangeError, "from 1 to 10000")
  })

  it("has no room if no part size is allowed", () => {
    assert.strictEqual(PartPlan.growing({ limits: { ...s3, minSize: 6 * GiB } }).capacity, 0)
  })

  it("has parts of one size if required, and still room for large objects", () => {
    const r2 = { ...s3, equalParts: true }
    const outline = (limits: Destination.PartLimits, partSize?: number) => {
      const { capacity, sizeOf } = PartPlan.growing({ limits, partSize })
      const sizes = new Set([1, 2, 3, limits.maxCount - 1, limits.maxCount].map(sizeOf))
      return [...sizes, capacity].map((size) => ByteSize.format(size))
    }
    assert.deepStrictEqual(outline(r2), ["64.0 MiB", "625 GiB"])
    assert.deepStrictEqual(outline(r2, 8 * MiB), ["64.0 MiB", "625 GiB"])
    assert.deepStrictEqual(outline(r2, 512 * MiB), ["512 MiB", "4.9 TiB"])
    assert.deepStrictEqual(outline({ ...r2, maxSize: 32 * MiB }), ["32.0 MiB", "313 GiB"])
    assert.deepStrictEqual(outline({ ...r2, maxObjectSize: 80 * GiB }), ["8.2 MiB", "80.0 GiB"])
    assert.deepStrictEqual(outline({ ...r2, maxObjectSize: 10 * GiB }), ["8.0 MiB", "10.0 GiB"])
    assert.deepStrictEqual(outline({ ...r2, minSize: 6 * GiB }).at(-1), "0 B")
    const { sizeOf } = PartPlan.growing({ limits: r2 })
    for (const number of [0, 10_001]) assert.throws(() => sizeOf(number), RangeError, "from 1 to 10000")
  })

  const anyGrowth = fc.record({
    limits: anyLimits.filter((limits) => range(limits) !== undefined),
    partSize: anyPartSize
  })

  it("never shrinks, and keeps every limit", () => {
    holds(anyGrowth, ({ limits, partSize }) => {
      const growing = PartPlan.growing({ limits, partSize })
      const count = Math.min(limits.maxCount, Number.MAX_SAFE_INTEGER)
      const every = growing.doublesEvery
      const numbers = [1, 2, 3, every, every + 1, 2 * every, 2 * every + 1, 10 * every, count - 1, count]
        .filter((number) => number >= 1 && number <= count)
        .toSorted((a, b) => a - b)
      const sizes = numbers.map(growing.sizeOf)
      assert.strictEqual(sizes[0], growing.partSize)
      assert.deepStrictEqual(sizes, sizes.toSorted((a, b) => a - b))
      for (const size of sizes) {
        assert.isTrue(size >= limits.minSize && size <= limits.maxSize && size % limits.multiple === 0)
      }
      assert.deepStrictEqual(numbers.map(PartPlan.growing({ limits, partSize }).sizeOf), sizes)
    })
  })

  it("keeps its promises, grows no faster than it must, and begins with the requested size if it can", () => {
    holds(anyGrowth, ({ limits, partSize }) => {
      fc.pre(limits.maxCount <= 100)
      const growing = PartPlan.growing({ limits, partSize })
      const [, high] = range(limits)!
      const sumOf = (sizeOf: (number: number) => number) => {
        let sum = 0n
        for (let number = 1; number <= limits.maxCount; number++) sum += BigInt(sizeOf(number))
        return sum
      }
      const sum = sumOf(growing.sizeOf)
      const most = BigInt(Math.min(limits.maxObjectSize, Number.MAX_SAFE_INTEGER))
      const half = BigInt(high) * BigInt(limits.maxCount) / 2n
      const reach = half < most ? half : most
      assert.strictEqual(BigInt(growing.capacity), sum < most ? sum : most)
      assert.isTrue(sum >= reach)
      if (growing.doublesEvery < limits.maxCount) {
        const slower = growing.doublesEvery + 1
        const sizeOf = (n: number) => Math.min(growing.partSize * 2 ** Math.floor((n - 1) / slower), high)
        assert.isTrue(sumOf(sizeOf) < reach)
      }
      const first = plan(0, { ...limits, maxObjectSize: Infinity }, partSize).partSize
      const doubling = sumOf((n) => Math.min(first * 2 ** (n - 1), high))
      assert.strictEqual(growing.partSize === first, doubling >= reach)
    })
  })
})

describe("the limits and sizes of a plan", () => {
  const limits: Destination.PartLimits = {
    minSize: 1,
    maxSize: 100,
    multiple: 1,
    maxCount: 10,
    maxObjectSize: 1_000,
    inOrder: false
  }
  const knobs: Record<string, readonly [least: number, plan: (value: number) => unknown]> = {
    "limits.maxCount": [1, (maxCount) => PartPlan.growing({ limits: { ...limits, maxCount } })],
    "limits.multiple": [1, (multiple) => PartPlan.make({ size: 1, limits: { ...limits, multiple } })],
    "limits.minSize": [0, (minSize) => PartPlan.make({ size: 1, limits: { ...limits, minSize } })],
    size: [0, (size) => PartPlan.make({ size, limits })],
    partSize: [0, (partSize) => PartPlan.growing({ partSize, limits })]
  }
  for (const [name, [least, plan]] of Object.entries(knobs)) {
    it(`refuse ${name} of no number and of less than ${least}, and take ${least}`, () => {
      for (const value of [least - 1, NaN, -Infinity, "8" as unknown as number]) {
        assert.throws(() => plan(value), RangeError, new RegExp(`^${name.replace(".", "\\.")} takes .+, not .+\\.$`))
      }
      plan(least)
    })
  }
})
