/**
 * What an uploader is made of: its limits with their controllers, its retry budget, its journal, and how the journal
 * learns of the end of runs.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as ByteSize from "../../ByteSize.js"
import * as Checksum from "../../Checksum.js"
import { Destination } from "../../Destination.js"
import type { Capabilities } from "../../Destination.js"
import * as Journal from "../../Journal.js"
import * as Limits from "../../Limits.js"
import type { RetryPolicy } from "../../RetryPolicy.js"
import type { Strategy } from "../../Strategy.js"
import * as RetryBudget from "../../unstable/RetryBudget.js"
import * as UploadMetrics from "../../UploadMetrics.js"
import * as UploadReport from "../../UploadReport.js"
import * as PartPlan from "../calls/partPlan.js"
import * as EngineLimits from "../limits/engineLimits.js"
import { answering } from "../upload/answeringJournal.js"
import * as Driver from "../upload/driver.js"
import type { Env } from "../upload/env.js"
import { Outage } from "../upload/outage.js"
import * as Decode from "../values/decode.js"
import { ofDestination } from "./measure.js"
import * as Orphans from "./orphans.js"
import * as Single from "./single.js"

/** The options of an uploader, with their defaults. */
export interface Options {
  readonly strategy: Strategy
  readonly within: Limits.Limits | undefined
  readonly gate: Effect.Effect<void> | undefined
  readonly retry: RetryPolicy
  readonly memory: ByteSize.ByteSizeInput
  readonly multipartThreshold: ByteSize.ByteSizeInput
  readonly partSize: ByteSize.ByteSizeInput
  readonly partConcurrency: number
  readonly checksum: Checksum.Algorithm | "none" | undefined
  readonly tracing: "run" | "file" | "attempt"
}

/** Makes what all uploads of an uploader share, and the upload of single files. Dies if an option is invalid. */
export const make = (
  options: Options
): Effect.Effect<{ readonly env: Env; readonly upload: Single.Single }, never, Destination | Scope.Scope> =>
  Effect.gen(function*() {
    const destination = Driver.checked(yield* Destination)
    const { retry, strategy } = options
    Decode.oneOf("tracing", options.tracing, ["run", "file", "attempt"])
    // A policy made by hand has not been validated yet.
    Decode.count("retry.attempts", retry.attempts)
    Decode.between("capabilities.maxPutSize", destination.capabilities.maxPutSize, 0, Infinity)
    if (destination.multipart !== undefined) PartPlan.growing({ limits: destination.multipart.limits })
    for (const [name, value] of Object.entries(retry.budget ?? {})) {
      Decode.between(`retry.budget.${name}`, value, 0, Infinity)
    }
    const runs: Env["runs"] = new Set()
    const labels = ofDestination(yield* FiberRef.get(FiberRef.currentMetricLabels), destination)
    const measure = ({ concurrency }: Limits.Settings): void => {
      UploadMetrics.concurrency.unsafeUpdate(concurrency, labels)
    }
    const limits = EngineLimits.make({
      values: EngineLimits.valuesOf(strategy),
      memory: Decode.size("memory", options.memory),
      whole: options.within === undefined ? undefined : EngineLimits.of(options.within),
      gate: Decode.effect("gate", options.gate),
      changed: (settings, reason) => {
        measure(settings)
        for (const run of runs) run.limitsChanged(settings, reason)
      }
    })
    measure(strategy)
    for (const controller of strategy.controllers) {
      // Its fibers inherit this: made in an uninterruptible region, they could not be interrupted.
      limits.observers.push(yield* Effect.interruptible(controller.start(Limits.forController(limits))))
    }
    const journal = Option.getOrUndefined(Option.map(yield* Effect.serviceOption(Journal.Journal), answering))
    const leftovers = journal === undefined ? undefined : yield* Orphans.make(journal, destination)
    const budget = RetryBudget.make(retry)
    const outage = new Outage({
      policy: retry,
      budget,
      changed: (change) => {
        for (const run of runs) run.outageChanged(change)
      }
    })
    let incomplete = false
    let singles: "None" | "Complete" | "Incomplete" = "None"
    const env: Env = {
      runs,
      destination,
      limits,
      retry,
      budget,
      outage,
      memory: limits.memory,
      parts: {
        threshold: Decode.size("multipartThreshold", options.multipartThreshold, 0),
        partSize: Decode.size("partSize", options.partSize),
        partConcurrency: Decode.count("partConcurrency", options.partConcurrency),
        checksum: checksumOf(options.checksum, destination.capabilities)
      },
      tracing: options.tracing,
      journal,
      prepare: leftovers?.sweep ?? Effect.void,
      conclude: (report) => {
        if (!UploadReport.isComplete(report)) incomplete = true
        return journal === undefined || singles !== "None" || runs.size > 1 || !UploadReport.isComplete(report)
          ? Effect.void
          : Effect.ignoreLogged(journal.runEnded)
      },
      observe: EngineLimits.observing(limits)
    }
    // To the journal, all single uploads together are one run, which ends with the uploader.
    const single = Single.make(env, (result) => {
      const isComplete = (result?._tag === "Uploaded" || result?._tag === "Skipped") && singles !== "Incomplete"
      singles = isComplete ? "Complete" : "Incomplete"
    })
    yield* Effect.addFinalizer((exit) => {
      single.close()
      return journal !== undefined && singles === "Complete" && !incomplete && runs.size === 0 && Exit.isSuccess(exit)
        ? Effect.ignoreLogged(journal.runEnded)
        : Effect.void
    })
    return { env, upload: single.upload }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const checksumOf = (checksum: Options["checksum"], { checksums }: Capabilities): Checksum.Algorithm | undefined => {
  if (checksum === undefined) return checksums?.[0]
  Decode.oneOf("checksum", checksum, ["none", ...Checksum.algorithms])
  return checksum === "none" ? undefined : checksum
}
