/**
 * The result of one check of `sluice doctor`.
 */
import type * as Effect from "effect/Effect"

/** The outcome of a check. */
export type Outcome = "ok" | "note" | "problem"

export interface Finding {
  readonly _tag: "Check"
  readonly version: 1
  /** The name of the check, such as `write`. */
  readonly check: string
  readonly outcome: Outcome
  /** What the check found. */
  readonly detail: string
  /** What to do about it, if something is wrong. */
  readonly advice: string | undefined
}

/** Reports a finding. */
export type Tell = (check: string, outcome: Outcome, detail: string, advice?: string) => Effect.Effect<void>
