/**
 * What all uploads of an uploader share.
 */
import type * as Effect from "effect/Effect"
import type * as Checksum from "../../Checksum.js"
import type * as Destination from "../../Destination.js"
import type * as Limits from "../../Limits.js"
import type { RetryPolicy } from "../../RetryPolicy.js"
import type { RetryBudget } from "../../unstable/RetryBudget.js"
import type { UploadReport } from "../../UploadReport.js"
import type { EngineLimits } from "../limits/engineLimits.js"
import type * as InFlight from "../limits/inFlight.js"
import type { AnsweringJournal } from "./answeringJournal.js"
import type * as Outage from "./outage.js"

/** How files are sent in parts. */
export interface PartSettings {
  /** Files larger than this go up in parts, in bytes. */
  readonly threshold: number
  /** The size of a part, in bytes; adjusted to the destination's limits. */
  readonly partSize: number
  /** Parts of one file in flight, at most. */
  readonly partConcurrency: number
  /** The checksum of parts and objects, if any. */
  readonly checksum: Checksum.Algorithm | undefined
}

/** What is told of changes that concern all uploads. */
export interface Listener {
  readonly limitsChanged: (settings: Limits.Settings, reason: string | undefined) => void
  readonly outageChanged: (change: Outage.Change) => void
}

export interface Env {
  readonly destination: Destination.Destination["Type"]
  readonly limits: EngineLimits
  /** The budget of bytes in memory. */
  readonly memory: InFlight.InFlight
  readonly retry: RetryPolicy
  /** The budget that all retries share. */
  readonly budget: RetryBudget
  /** Knows when the destination is away. Without it, nothing waits for the destination. */
  readonly outage: Outage.Outage | undefined
  /** Takes what the strategy's controllers learn about an attempt that has ended. */
  readonly observe: ((observation: Limits.Observation) => void) | undefined
  readonly parts: PartSettings
  /** What has spans: runs, or also files, or also each of their attempts and parts. */
  readonly tracing: "run" | "file" | "attempt"
  readonly journal: AnsweringJournal | undefined
  /** The runs in progress, which are told of changes. */
  readonly runs: Set<Listener>
  /** Runs before the first file of a run. */
  readonly prepare: Effect.Effect<void>
  /** Runs when a run has ended. */
  readonly conclude: (report: UploadReport) => Effect.Effect<void>
}
