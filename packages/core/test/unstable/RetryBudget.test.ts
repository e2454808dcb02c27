import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy } from "@sluice/core"
import * as RetryBudget from "@sluice/core/unstable/RetryBudget"
import * as fc from "fast-check"

const times = <A>(count: number, value: A): Array<A> => Array.from({ length: count }, () => value)

describe("a retry budget", () => {
  const make = (budget: RetryPolicy.BudgetOptions | false) => RetryBudget.make(RetryPolicy.make({ budget }))

  it("pays for retries until it is empty", () => {
    const budget = make({ tokens: 12, retryCost: 5, successRefund: 1 })
    assert.deepStrictEqual(times(4, 0).map(() => [budget.spend(), budget.tokens]), [
      [true, 7],
      [true, 2],
      [false, 2],
      [false, 2]
    ])
  })

  it("gets back what successes return, and never exceeds its capacity", () => {
    const budget = make({ tokens: 10, retryCost: 5, successRefund: 1 })
    budget.refund(0)
    assert.strictEqual(budget.tokens, 10)
    budget.spend()
    budget.spend()
    budget.refund(0)
    assert.strictEqual(budget.tokens, 1)
    budget.refund(2)
    assert.strictEqual(budget.tokens, 6)
    budget.refund(1)
    assert.strictEqual(budget.tokens, 10)
  })

  it("of the default pays for a hundred retries", () => {
    const budget = RetryBudget.make(RetryPolicy.make())
    let retries = 0
    while (budget.spend()) retries += 1
    assert.strictEqual(retries, 100)
  })

  it("may be none", () => {
    const budget = make(false)
    for (let i = 0; i < 1_000; i++) assert.isTrue(budget.spend())
    budget.refund(1)
    assert.strictEqual(budget.tokens, Infinity)
  })

  it("stays between empty and full, whatever happens", () => {
    fc.assert(
      fc.property(
        fc.record({ tokens: fc.nat(50), retryCost: fc.integer({ min: 1, max: 10 }), successRefund: fc.nat(10) }),
        fc.array(fc.option(fc.nat(3), { nil: "take" as const }), { maxLength: 100 }),
        (options, steps) => {
          const budget = make(options)
          let tokens = options.tokens
          for (const step of steps) {
            if (step === "take") {
              const enough = tokens >= options.retryCost
              assert.strictEqual(budget.spend(), enough)
              if (enough) tokens -= options.retryCost
            } else {
              budget.refund(step)
              tokens = Math.min(options.tokens, tokens + (step === 0 ? options.successRefund : options.retryCost))
            }
            assert.strictEqual(budget.tokens, tokens)
          }
        }
      ),
      { numRuns: 1_000 }
    )
  })
})
