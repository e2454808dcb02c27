import * as Progress from "../../Progress.js"
import { version } from "../../UploadEvent.js"
import type * as UploadReport from "../../UploadReport.js"

/**
 * The report of a run from its final progress at `endedAt`.
 */
export const makeReport = (
  progress: Progress.Progress,
  options: {
    readonly ended: UploadReport.UploadReport["ended"]
    readonly endedAt: number
    readonly failures: ReadonlyArray<UploadReport.Failure>
    readonly abortsFailed: number
    readonly leftBehind: UploadReport.UploadReport["leftBehind"]
    readonly kept?: UploadReport.UploadReport["kept"]
  }
): UploadReport.UploadReport => {
  const durationMillis = options.endedAt - progress.startedAt
  return {
    _tag: "Report",
    version,
    ended: options.ended,
    files: {
      total: progress.filesFound,
      uploaded: progress.filesUploaded,
      skipped: progress.filesSkipped,
      failed: progress.filesFailed,
      interrupted: progress.filesInterrupted,
      notStarted: progress.filesFound - Progress.filesFinished(progress)
    },
    bytes: { total: progress.bytesFound, uploaded: progress.bytesUploaded, resumed: progress.bytesResumed },
    attempts: progress.attempts,
    retries: progress.retries,
    peakInFlight: progress.peakInFlight,
    durationMillis,
    throughputBytesPerSecond: durationMillis > 0 ? (progress.bytesUploaded * 1000) / durationMillis : 0,
    failures: options.failures,
    abortsFailed: options.abortsFailed,
    leftBehind: options.leftBehind,
    ...(options.kept !== undefined && { kept: options.kept })
  }
}
