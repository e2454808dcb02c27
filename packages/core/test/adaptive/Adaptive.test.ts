import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as Criteria from "./Criteria.js"
import * as Criterion from "./Criterion.js"

vi.setConfig({ testTimeout: 120_000 })

describe("the adaptive controller, on the real engine", () => {
  for (const criterion of Criteria.criteria) {
    it.effect(`${criterion.id}: ${criterion.title}, ${criterion.seeds} seeds`, () =>
      Effect.gen(function*() {
        const verdicts = yield* Criterion.judge(criterion, criterion.seeds)
        assert.deepStrictEqual(verdicts.filter(({ isKept }) => !isKept).map(Criterion.render), [])
      }))
  }
})
