/**
 * The budget that the retries of a `RetryPolicy` share, so that a dead destination meets no storm of them. The uploader
 * has its own; this is for programs that retry other requests by the same policy. Its shape may change in any release.
 *
 * @since 0.1.0
 */
import type { RetryPolicy } from "../RetryPolicy.js"

/**
 * A budget in use.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryBudget {
  /** The number of tokens left; `Infinity` if the policy has no budget. */
  readonly tokens: number
  /** Takes the price of a retry and returns `true`, or returns `false` if too few tokens are left. */
  readonly spend: () => boolean
  /** Gives back the tokens due for a success after `retries` retries. */
  readonly refund: (retries: number) => void
}

/**
 * A full budget for a policy.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { RetryPolicy } from "@sluice/core"
 * import * as RetryBudget from "@sluice/core/unstable/RetryBudget"
 *
 * const policy = RetryPolicy.make({ budget: { tokens: 5, retryCost: 5, successRefund: 1 } })
 * const budget = RetryBudget.make(policy)
 * assert.deepStrictEqual([budget.spend(), budget.spend()], [true, false])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ budget }: RetryPolicy): RetryBudget => {
  if (budget === undefined) return { tokens: Infinity, spend: () => true, refund: () => {} }
  let { tokens } = budget
  return {
    get tokens() {
      return tokens
    },
    spend: () => {
      if (tokens < budget.retryCost) return false
      tokens -= budget.retryCost
      return true
    },
    refund: (retries) => {
      tokens = Math.min(budget.tokens, tokens + (retries === 0 ? budget.successRefund : budget.retryCost))
    }
  }
}
