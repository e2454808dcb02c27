import { assert, beforeAll, describe, it, vi } from "@effect/vitest"
import { Deferred, Effect, FiberId } from "effect"
import * as Criterion from "./Criterion.js"
import * as CriterionWorkers from "./CriterionWorkers.js"

/** Tests that hold criteria to what they promise, over as many seeds as they name. */
export const hold = (criteria: ReadonlyArray<Criterion.Criterion>): void => {
  vi.setConfig({ testTimeout: 600_000 })

  const judged = new Map(
    criteria.map(({ id }) => [id, Deferred.unsafeMake<ReadonlyArray<Criterion.Verdict>, unknown>(FiberId.none)])
  )

  // In a process of their own, which measures one after the other: the tests wait for it.
  beforeAll(() => {
    void CriterionWorkers.run(criteria, {
      seeds: undefined,
      parallel: 1,
      onJudged: ({ id }, verdicts) => Deferred.unsafeDone(judged.get(id)!, Effect.succeed(verdicts))
    }).catch((cause) => {
      for (const verdicts of judged.values()) Deferred.unsafeDone(verdicts, Effect.fail(cause))
    })
  })

  describe("the adaptive controller, on the real engine", () => {
    for (const { id, seeds, title } of criteria) {
      it.live(`${id}: ${title}, ${seeds} seeds`, () =>
        Effect.gen(function*() {
          const verdicts = yield* Deferred.await(judged.get(id)!)
          assert.deepStrictEqual(verdicts.filter(({ isKept }) => !isKept).map(Criterion.render), [])
        }))
    }
  })
}
