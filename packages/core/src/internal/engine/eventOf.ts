/**
 * The public event of a step, if it has one.
 */
import * as Duration from "effect/Duration"
import * as Record from "effect/Record"
import { summarize } from "../../UploadError.js"
import * as UploadEvent from "../../UploadEvent.js"
import type { UploadResult } from "../../UploadResult.js"
import type { Step } from "../upload/step.js"
import type { Counts } from "./counts.js"

export const eventOf = (step: Step, at: number, counts?: Counts): UploadEvent.UploadEvent | undefined => {
  const { version } = UploadEvent
  switch (step._tag) {
    case "Listed":
      return counts && { _tag: "ListingFinished", version, at, files: counts.filesFound, bytes: counts.bytesFound }
    case "RunChanged":
      return { _tag: "RunChanged", version, at, state: step.state }
    case "LimitsChanged": {
      const { reason, settings } = step
      return {
        _tag: "LimitsChanged",
        version,
        at,
        ...Record.filter({ ...settings }, Number.isFinite),
        ...(reason !== undefined && { reason })
      }
    }
    case "OutageChanged": {
      const { change } = step
      return {
        _tag: "OutageChanged",
        version,
        at,
        state: change.state,
        since: change.since,
        ...(change.state === "Away" && { error: summarize(change.error) })
      }
    }
    case "AttemptStarted": {
      const { attempt, attemptStartedAt, file, size } = step.upload
      return { _tag: "UploadStarted", version, at: attemptStartedAt, key: file.key, size, attempt }
    }
    case "Retrying": {
      const { attempt, attempts, delayMillis, error, request, upload } = step
      const part = request?.part
      return {
        _tag: "UploadRetrying",
        version,
        at,
        key: upload.file.key,
        ...(part !== undefined && { part }),
        attempt,
        ...(Number.isFinite(attempts) && { attempts }),
        delayMillis,
        error: summarize(error)
      }
    }
    case "Resumed": {
      const { bytes, parts, upload } = step
      return { _tag: "UploadResumed", version, at, key: upload.file.key, size: upload.size, bytes, parts }
    }
    case "Restarted":
      return { _tag: "UploadRestarted", version, at, key: step.upload.file.key, reason: step.reason }
    case "AbortFailed":
      return { _tag: "AbortFailed", version, at, key: step.upload.file.key, error: summarize(step.error) }
    case "Deferred": {
      const { error, upload } = step
      return {
        _tag: "UploadDeferred",
        version,
        at,
        key: upload.file.key,
        attempts: upload.attempt,
        error: summarize(error)
      }
    }
    case "Finished":
      return finished(at, step.result)
    case "Found":
    case "AttemptEnded":
    case "RequestStarted":
    case "RequestEnded":
    case "Relisted":
    case "FoundUploaded":
      return undefined
  }
}

/** The event for a file's result. */
export const finished = (at: number, result: UploadResult): typeof UploadEvent.UploadFinished.Type => {
  const event = {
    _tag: "UploadFinished",
    version: UploadEvent.version,
    at,
    key: result.file.key,
    outcome: result._tag,
    attempts: result._tag === "Skipped" ? 0 : result.attempts,
    bytes: result._tag === "Uploaded" ? result.bytes : 0,
    durationMillis: result._tag === "Skipped" ? 0 : Duration.toMillis(result.duration)
  } as const
  switch (result._tag) {
    case "Skipped":
      return { ...event, reason: result.reason }
    case "Failed":
      return { ...event, error: summarize(result.error) }
    case "Uploaded":
    case "Interrupted":
      return event
  }
}
