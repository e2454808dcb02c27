import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as Criterion from "./Criterion.js"

/** Tests that hold criteria to what they promise, over as many seeds as they name. */
export const hold = (criteria: ReadonlyArray<Criterion.Criterion>): void => {
  vi.setConfig({ testTimeout: 300_000 })

  describe("the adaptive controller, on the real engine", () => {
    for (const criterion of criteria) {
      it.effect(`${criterion.id}: ${criterion.title}, ${criterion.seeds} seeds`, () =>
        Effect.gen(function*() {
          const verdicts = yield* Criterion.judge(criterion, criterion.seeds)
          assert.deepStrictEqual(verdicts.filter(({ isKept }) => !isKept).map(Criterion.render), [])
        }))
    }
  })
}
