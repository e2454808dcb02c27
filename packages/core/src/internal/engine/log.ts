/**
 * What is logged, at level debug: retries, throttling, changes of limits, outages, restarts and aborts. Anything more
 * frequent is an event or a metric.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Step } from "../upload/step.js"

/** The log entry of a step, if it has one. */
export const logOf = (step: Step): Effect.Effect<void> | undefined => {
  switch (step._tag) {
    case "Retrying": {
      const { attempt, attempts, delayMillis, error, request, upload } = step
      const message = error._tag === "Throttled" ? "The destination throttles." : "An attempt has failed."
      return annotated(message, {
        key: upload.file.key,
        ...(request?.part !== undefined && { part: request.part }),
        attempt,
        attempts,
        delay: Duration.format(Duration.millis(delayMillis)),
        error: error.message
      })
    }
    case "LimitsChanged":
      return annotated("The limits have changed.", {
        ...step.settings,
        ...(step.reason !== undefined && { reason: step.reason })
      })
    case "OutageChanged":
      return annotated(
        outages[step.change.state],
        step.change.state === "Away" ? { error: step.change.error.message } : {}
      )
    case "Restarted":
      return annotated("An upload cannot be resumed and starts over.", {
        key: step.upload.file.key,
        reason: step.reason
      })
    case "AbortFailed":
      return annotated("A multipart upload cannot be aborted.", {
        key: step.upload.file.key,
        error: step.error.message
      })
    case "Found":
    case "Listed":
    case "RunChanged":
    case "AttemptStarted":
    case "AttemptEnded":
    case "RequestStarted":
    case "RequestEnded":
    case "Resumed":
    case "Relisted":
    case "Deferred":
    case "FoundUploaded":
    case "Finished":
      return undefined
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const outages = {
  Away: "The destination is away. Uploads wait for it.",
  Back: "The destination is back.",
  GivenUp: "The destination stays away. Uploads do not wait any longer."
} as const

const annotated = (message: string, annotations: Record<string, unknown>): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logDebug(message), annotations)
