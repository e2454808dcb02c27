/**
 * What `sluice doctor` has to say of one thing that it has looked at.
 */
import type * as Effect from "effect/Effect"

/** How a check came out. */
export type Outcome = "ok" | "note" | "problem"

export interface Finding {
  readonly _tag: "Check"
  readonly version: 1
  /** What was checked, such as `write`. */
  readonly check: string
  readonly outcome: Outcome
  /** What was seen. */
  readonly detail: string
  /** What to do about it, where it is not well. */
  readonly advice: string | undefined
}

/** Tells a finding. */
export type Tell = (check: string, outcome: Outcome, detail: string, advice?: string) => Effect.Effect<void>
