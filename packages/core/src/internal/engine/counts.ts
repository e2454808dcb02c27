/**
 * A run's counts while it runs: updated in place, several times per file, and read as immutable `Progress` values.
 */
import type * as Progress from "../../Progress.js"
import type { UploadResult } from "../../UploadResult.js"

export class Counts implements Progress.Progress {
  readonly startedAt: number
  listing = true
  filesFound = 0
  filesUploaded = 0
  filesSkipped = 0
  filesFailed = 0
  filesInterrupted = 0
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

  found(files: number, bytes: number): void {
    this.filesFound += files
    this.bytesFound += bytes
  }

  /** The size of a file differs from the listed one. */
  relisted(before: number | undefined, now: number | undefined): void {
    this.bytesFound += (now ?? 0) - (before ?? 0)
  }

  attemptStarted(attempt: number): void {
    this.attempts += 1
    if (attempt > 1) this.retries += 1
  }

  requestStarted(): void {
    this.inFlight += 1
    if (this.inFlight > this.peakInFlight) this.peakInFlight = this.inFlight
  }

  requestEnded(): void {
    this.inFlight -= 1
  }

  /** The bytes of a file of unknown size count as found when they are sent. */
  sent(bytes: number, sizeKnown: boolean): void {
    this.bytesInFlight += bytes
    if (!sizeKnown) this.bytesFound += bytes
  }

  /** The bytes that an attempt sent are acknowledged or taken back. */
  attemptEnded(bytesSent: number, acknowledged: boolean, sizeKnown: boolean): void {
    this.bytesInFlight -= bytesSent
    if (acknowledged) this.bytesUploaded += bytesSent
    else if (!sizeKnown) this.bytesFound -= bytesSent
  }

  finished(outcome: UploadResult["_tag"]): void {
    switch (outcome) {
      case "Uploaded":
        this.filesUploaded += 1
        break
      case "Skipped":
        this.filesSkipped += 1
        break
      case "Failed":
        this.filesFailed += 1
        break
      case "Interrupted":
        this.filesInterrupted += 1
        break
    }
  }
}
