/**
 * The metrics of a step. They are updated at once, without an effect: this happens several times per file.
 */
import * as Duration from "effect/Duration"
import * as MetricLabel from "effect/MetricLabel"
import * as UploadMetrics from "../../UploadMetrics.js"
import type { Step } from "../upload/step.js"

export type Labels = ReadonlyArray<MetricLabel.MetricLabel>

export const measure = (step: Step, labels: Labels): void => {
  switch (step._tag) {
    case "AttemptStarted":
      return step.upload.large ? undefined : inFlight(1, labels)
    case "AttemptEnded":
      return step.upload.large ? undefined : inFlight(-1, labels)
    case "RequestStarted":
      return inFlight(1, labels)
    case "RequestEnded":
      return inFlight(-1, labels)
    case "Retrying":
      return UploadMetrics.retries(step.error._tag).unsafeUpdate(1, labels)
    case "Resumed":
    case "FoundUploaded":
      return UploadMetrics.resumedBytes.unsafeUpdate(step.bytes, labels)
    case "AbortFailed":
      return UploadMetrics.failedAborts.unsafeUpdate(1, labels)
    case "Finished": {
      const { result } = step
      UploadMetrics.uploads[result._tag].unsafeUpdate(1, labels)
      if (result._tag === "Uploaded") UploadMetrics.uploadedBytes.unsafeUpdate(result.bytes, labels)
      if (result._tag !== "Skipped") {
        UploadMetrics.duration.unsafeUpdate(Duration.toSeconds(result.duration), labels)
      }
      return
    }
    case "Found":
    case "Listed":
    case "RunChanged":
    case "LimitsChanged":
    case "OutageChanged":
    case "Restarted":
    case "Relisted":
    case "Deferred":
      return
  }
}

/** The labels of gauges that each uploader sets: those of two destinations must not overwrite each other. */
export const ofDestination = (labels: Labels, { name }: { readonly name: string }): Labels => [
  ...labels,
  MetricLabel.make("destination", name)
]

const inFlight = (change: number, labels: Labels): void => {
  UploadMetrics.inFlight.unsafeModify(change, labels)
}
