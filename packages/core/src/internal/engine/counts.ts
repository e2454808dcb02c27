/**
 * A run's counts while it runs: updated in place, several times per file, and read as immutable `Progress` values.
 */
import type * as Progress from "../../Progress.js"
import * as UploadList from "../../UploadList.js"
import type { Step } from "../upload/step.js"

export class Counts implements Progress.Progress {
  readonly startedAt: number
  listing = true
  filesFound = 0
  filesUploaded = 0
  filesSkipped = 0
  filesFailed = 0
  filesInterrupted = 0
  filesOfUnknownSize = 0
  inFlight = 0
  peakInFlight = 0
  bytesFound = 0
  bytesUploaded = 0
  bytesInFlight = 0
  bytesResumed = 0
  attempts = 0
  retries = 0
  declare awaySince?: number

  constructor(startedAt: number) {
    this.startedAt = startedAt
  }

  snapshot(): Progress.Progress {
    return { ...this }
  }

  apply(step: Step): void {
    switch (step._tag) {
      case "Found":
        this.filesFound += step.items.length
        this.bytesFound += UploadList.knownBytes(step.items)
        for (const item of step.items) {
          if (UploadList.isFile(item) && item.size === undefined) this.filesOfUnknownSize += 1
        }
        return
      case "Listed":
        this.listing = false
        return
      case "OutageChanged":
        if (step.change.state === "Away") this.awaySince = step.change.since
        else delete this.awaySince
        return
      case "AttemptStarted":
        this.attempts += 1
        if (step.upload.attempt > 1) this.retries += 1
        if (!step.upload.large) this.requestStarted()
        return
      case "AttemptEnded": {
        const { handedOut, large, resumedBytes, sizeFound } = step.upload
        this.bytesInFlight -= handedOut
        if (step.stored) this.bytesUploaded += handedOut
        else {
          this.bytesResumed -= resumedBytes
          if (!sizeFound) this.bytesFound -= handedOut
        }
        if (!large) this.inFlight -= 1
        return
      }
      case "RequestStarted":
        return this.requestStarted()
      case "RequestEnded":
        this.inFlight -= 1
        return
      case "Retrying":
        // An attempt of a file is counted as a retry when it starts.
        if (step.request !== undefined) this.retries += 1
        return
      case "Resumed":
      case "FoundUploaded":
        this.bytesResumed += step.bytes
        return
      case "Relisted":
        this.bytesFound += (step.now ?? 0) - (step.before ?? 0)
        return
      case "Finished":
        this[counts[step.result._tag]] += 1
        // The file of a result is the one that was found, unless it was no file.
        if ("source" in step.result.file && step.result.file.size === undefined) this.filesOfUnknownSize -= 1
        return
      case "RunChanged":
      case "LimitsChanged":
      case "Restarted":
      case "AbortFailed":
      case "Deferred":
        return
    }
  }

  /** Bytes were handed to the destination; negative if they are taken back. Those of unknown size count as found. */
  sent(bytes: number, sizeKnown: boolean): void {
    this.bytesInFlight += bytes
    if (!sizeKnown) this.bytesFound += bytes
  }

  private requestStarted(): void {
    this.inFlight += 1
    if (this.inFlight > this.peakInFlight) this.peakInFlight = this.inFlight
  }
}

const counts = {
  Uploaded: "filesUploaded",
  Skipped: "filesSkipped",
  Failed: "filesFailed",
  Interrupted: "filesInterrupted"
} as const
