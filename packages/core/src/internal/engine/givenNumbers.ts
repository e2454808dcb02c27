/**
 * The numbers of drivers and of policies made by hand, which nothing has validated before.
 */
import type { Destination } from "../../Destination.js"
import type { RetryPolicy } from "../../RetryPolicy.js"
import * as PartPlan from "../calls/partPlan.js"
import * as Decode from "../values/decode.js"

/** Throws a `RangeError` that names the first invalid number. */
export const check = ({ capabilities, multipart }: Destination["Type"], { attempts, budget }: RetryPolicy): void => {
  Decode.count("retry.attempts", attempts)
  Decode.between("capabilities.maxPutSize", capabilities.maxPutSize, 0, Infinity)
  if (multipart !== undefined) PartPlan.growing({ limits: multipart.limits })
  for (const [name, value] of Object.entries(budget ?? {})) Decode.between(`retry.budget.${name}`, value, 0, Infinity)
}
