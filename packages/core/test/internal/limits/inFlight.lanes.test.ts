import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as InFlight from "../../../src/internal/limits/inFlight.js"

type Lane = "files" | "parts"

/** A budget with all permits taken, and waiting takes of both lanes, recorded in the order of their grants. */
const waitedFor = (limit: number, taken: Partial<Record<Lane, number>>, lanes: ReadonlyArray<Lane>) =>
  Effect.gen(function*() {
    const budget = InFlight.make(limit)
    for (const lane of ["files", "parts"] as const) {
      for (let i = 0; i < (taken[lane] ?? 0); i++) assert.isTrue(budget.unsafeTake(1, lane))
    }
    const order: Array<Lane> = []
    yield* Effect.forEach(lanes, (lane) => Effect.fork(budget.take(1, () => order.push(lane), lane)))
    yield* Effect.repeatN(Effect.yieldNow(), 100)
    assert.deepStrictEqual([budget.waiting, order.length], [lanes.length, 0])
    return { budget, order }
  })

describe("the lanes of a budget", () => {
  it.effect("take turns while they hold equally many permits", () =>
    Effect.gen(function*() {
      for (const lanes of [["files", "files", "parts", "parts"], ["parts", "parts", "files", "files"]] as const) {
        const { budget, order } = yield* waitedFor(1, { files: 1 }, lanes)
        budget.unsafeRelease(1, "files")
        budget.unsafeRelease(1, "files")
        budget.unsafeRelease(1, "parts")
        budget.unsafeRelease(1, "files")
        assert.deepStrictEqual(order, ["files", "parts", "files", "parts"])
        budget.unsafeRelease(1, "parts")
        assert.deepStrictEqual([budget.taken, budget.waiting], [0, 0])
      }
    }))

  it.effect("come to hold equally many permits, whichever came first", () =>
    Effect.gen(function*() {
      const many = (lane: Lane): ReadonlyArray<Lane> => [lane, lane, lane, lane]
      for (const [first, second] of [["files", "parts"], ["parts", "files"]] as const) {
        const { budget, order } = yield* waitedFor(4, { [first]: 4 }, [...many(first), ...many(second)])
        for (let i = 0; i < 2; i++) budget.unsafeRelease(1, first)
        assert.deepStrictEqual(order, [second, second])
        budget.unsafeRelease(1, first)
        assert.deepStrictEqual(order, [second, second, first])
        budget.unsafeRelease(1, second)
        assert.deepStrictEqual(order, [second, second, first, second])
        assert.strictEqual(budget.taken, 4)
      }
    }))

  it.effect("let one have all permits if the other wants none", () =>
    Effect.gen(function*() {
      for (const lane of ["files", "parts"] as const) {
        const { budget, order } = yield* waitedFor(3, { [lane]: 3 }, [lane, lane])
        budget.unsafeRelease(2, lane)
        assert.deepStrictEqual(order, [lane, lane])
        assert.strictEqual(budget.taken, 3)
      }
    }))

  it.effect("let nobody take a free permit while others wait", () =>
    Effect.gen(function*() {
      const { budget } = yield* waitedFor(2, { parts: 2 }, ["files"])
      assert.isFalse(budget.unsafeTake(1, "parts"))
      budget.unsafeRelease(1, "parts")
      assert.deepStrictEqual([budget.taken, budget.waiting], [2, 0])
      budget.unsafeRelease(1, "parts")
      assert.isTrue(budget.unsafeTake(1, "parts"))
    }))
})
