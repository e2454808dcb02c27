/**
 * What a history says about objects and results: nothing lost, nothing corrupted, one result per file, counts that add
 * up.
 */
import * as Progress from "../../../Progress.js"
import type { UploadResult } from "../../../UploadResult.js"
import { isSame } from "./record.js"
import type { Process, Recorded, Violation } from "./record.js"

export const check = (recorded: Recorded): ReadonlyArray<Violation> => [
  ...objects(recorded),
  ...recorded.processes.flatMap((process) => [
    ...results(process, recorded),
    ...progressed(process),
    ...(process.killed ? [] : totals(process))
  ])
]

const objects = ({ ending, sources }: Recorded): Array<Violation> => {
  const violations: Array<Violation> = []
  for (const [key, bytes] of ending?.objects ?? []) {
    if (sources.get(key)?.some((version) => isSame(version, bytes)) !== true) {
      violations.push({ promise: "corrupted", message: `${key} holds ${bytes.length} bytes that its source never had` })
    }
  }
  return violations
}

/** Checks that files reported as uploaded are there, and that each file has one result. */
const results = (process: Process, { ending, sources }: Recorded): Array<Violation> => {
  const violations: Array<Violation> = []
  for (const { key, object } of process.reported) {
    const message = `${key} was reported as uploaded in process ${process.number}`
    if (object === undefined) violations.push({ promise: "lost", message: `${message} when it was not there` })
    else if (sources.get(key)?.some((version) => isSame(version, object)) !== true) {
      violations.push({ promise: "corrupted", message: `${message} with ${object.length} bytes that it never had` })
    }
  }
  const told = new Map<string, UploadResult>()
  for (const { result } of process.results) {
    const { key } = result.file
    if (told.has(key)) {
      violations.push({ promise: "duplicated", message: `${key} has two results in process ${process.number}` })
    }
    told.set(key, result)
    if (result._tag === "Uploaded" && ending !== undefined && !ending.objects.has(key)) {
      violations.push({ promise: "lost", message: `${key} was reported as uploaded but does not exist` })
    }
  }
  return violations
}

/** Checks that acknowledged bytes and counts never decrease, and that nothing exceeds its total. */
const progressed = ({ number, progress }: Process): Array<Violation> => {
  const violations: Array<Violation> = []
  const wrong = (message: string) => violations.push({ promise: "progress", message: `${message} (process ${number})` })
  let before: Progress.Progress | undefined
  for (const now of progress) {
    if (before !== undefined) {
      if (now.bytesUploaded < before.bytesUploaded) {
        wrong(`uploaded bytes went back from ${before.bytesUploaded} to ${now.bytesUploaded}`)
      }
      if (Progress.filesFinished(now) < Progress.filesFinished(before)) wrong("finished files went back")
      if (now.attempts < before.attempts || now.retries < before.retries) wrong("attempts or retries went back")
    }
    if (now.bytesInFlight < 0 || now.inFlight < 0 || now.bytesResumed < 0) {
      wrong(
        `below nothing: ${now.bytesInFlight} bytes and ${now.inFlight} requests in flight, ${now.bytesResumed} resumed`
      )
    }
    if (now.inFlight > now.peakInFlight) wrong(`${now.inFlight} in flight are above the peak ${now.peakInFlight}`)
    const counted = now.bytesUploaded + now.bytesInFlight + now.bytesResumed
    if (counted > now.bytesFound) wrong(`${counted} bytes are counted of ${now.bytesFound}`)
    before = now
  }
  return violations
}

/** Checks that at the end of a run its counts match its results. */
const totals = ({ number, progress, results }: Process): Array<Violation> => {
  const last = progress[progress.length - 1]
  if (last === undefined) return []
  const violations: Array<Violation> = []
  const equal = (what: string, is: number, should: number) => {
    if (is !== should) {
      violations.push({ promise: "progress", message: `${what}: ${is}, not ${should} (process ${number})` })
    }
  }
  const count = (tag: UploadResult["_tag"]) => results.filter(({ result }) => result._tag === tag).length
  let sent = 0
  for (const { result } of results) if (result._tag === "Uploaded") sent += result.bytes - result.resumedBytes
  equal("files uploaded", last.filesUploaded, count("Uploaded"))
  equal("files failed", last.filesFailed, count("Failed"))
  equal("files skipped", last.filesSkipped, count("Skipped"))
  equal("files interrupted", last.filesInterrupted, count("Interrupted"))
  equal("bytes uploaded", last.bytesUploaded, sent)
  equal("bytes in flight at the end", last.bytesInFlight, 0)
  equal("requests in flight at the end", last.inFlight, 0)
  return violations
}
