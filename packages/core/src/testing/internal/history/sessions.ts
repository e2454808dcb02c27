/**
 * What a history says about multipart uploads: journaled before they begin, ended once, and nothing left over.
 */
import { named } from "./record.js"
import type { Operation, Process, Recorded, Violation } from "./record.js"

export const check = (recorded: Recorded): ReadonlyArray<Violation> => [
  ...recorded.processes.flatMap((process) => [
    ...journaled(process),
    ...ended(process),
    ...told(process, recorded)
  ]),
  ...orphans(recorded)
]

const succeeded = ({ outcome }: Operation): boolean => outcome === "Succeeded"

/** An upload is in the journal before it is created, and its id before the first part. */
const journaled = ({ hasJournal, number, operations, ownIds, written }: Process): Array<Violation> => {
  if (!hasJournal) return []
  const violations: Array<Violation> = []
  // An upload that another process created is known only from the journal.
  const created = new Set(operations.flatMap(({ uploadId, verb }) => verb === "create" ? [uploadId] : []))
  for (const operation of operations) {
    const { began, token, uploadId, verb } = operation
    const isWritten = verb === "create"
      ? written.some((record) => record.what === "begin" && record.token === token && record.order < began)
      : verb !== "uploadPart" || ownIds || !created.has(uploadId) ||
        written.some((record) => record.uploadId === uploadId && record.order < began)
    if (isWritten) continue
    violations.push({
      promise: "order",
      message: `${named(operation)} came before the journal had it written (process ${number})`
    })
  }
  return violations
}

/** Groups operations by upload id, in the order in which they began. */
const byUpload = (operations: ReadonlyArray<Operation>): ReadonlyMap<string, ReadonlyArray<Operation>> => {
  const uploads = new Map<string, Array<Operation>>()
  for (const operation of operations) {
    if (operation.uploadId === undefined) continue
    const same = uploads.get(operation.uploadId)
    if (same === undefined) uploads.set(operation.uploadId, [operation])
    else same.push(operation)
  }
  return uploads
}

/** A multipart upload known to have ended gets no more requests, and its end waits for those in flight. */
const ended = ({ number, operations }: Process): Array<Violation> => {
  const violations: Array<Violation> = []
  for (const [id, all] of byUpload(operations)) {
    const wrong = (what: string) =>
      violations.push({ promise: "order", message: `${what}: upload ${id} of ${all[0]!.key} (process ${number})` })
    for (const end of all) {
      if (end.verb !== "complete" && end.verb !== "abort") continue
      for (const other of all) {
        if (other === end) continue
        const isLater = end.ended !== undefined && other.began > end.ended
        const isBeside = other.began < end.began && (other.ended ?? Infinity) > end.began
        if (isLater && succeeded(end)) {
          if (end.verb === "complete" && other.verb === "abort") wrong("committed, then aborted")
          else if (other.verb !== "abort" && other.verb !== "listParts") wrong(`${named(other)} after ${end.verb}`)
        }
        if (isBeside && other.verb !== "listParts") wrong(`${end.verb} while ${named(other)} is in flight`)
      }
    }
  }
  return violations
}

/** A committed object is reported, and is not committed again, if all requests were answered. */
const told = ({ killed, number, operations, results }: Process, { storage }: Recorded): Array<Violation> => {
  const violations: Array<Violation> = []
  const mine = new Map(
    operations.flatMap(({ key, uploadId, verb }) =>
      verb === "complete" && uploadId !== undefined ? [[uploadId, key] as const] : []
    )
  )
  const commits = new Map<string, Array<Operation>>()
  for (const operation of storage) {
    if (operation.verb !== "complete" || !succeeded(operation) || !mine.has(operation.uploadId ?? "")) continue
    commits.set(operation.key, [...commits.get(operation.key) ?? [], operation])
  }
  for (const [key, all] of commits) {
    // A process whose look was not answered, or answered wrongly, cannot know.
    const looked = operations.filter((operation) =>
      operation.key === key && (operation.verb === "head" || operation.verb === "listParts") &&
      operation.error !== "SessionGone"
    )
    const isAnswered = looked.every(succeeded) &&
      operations.every((operation) => operation.key !== key || operation.verb !== "complete" || isPlain(operation))
    if (!isAnswered) continue
    if (all.length > 1) {
      violations.push({
        promise: "duplicated",
        message: `${key} was committed ${all.length} times (process ${number})`
      })
    }
    const result = results.find(({ result: { file } }) => file.key === key)?.result
    const lastLook = Math.max(
      ...operations.flatMap(({ began, key: of, verb }) => of === key && verb !== "put" ? [began] : []),
      -1
    )
    const wasThere = all.some((commit) => (commit.ended ?? Infinity) < lastLook)
    if (!killed && wasThere && result !== undefined && result._tag !== "Uploaded" && result._tag !== "Skipped") {
      violations.push({
        promise: "duplicated",
        message: `${key} was committed and is reported as ${result._tag} (process ${number})`
      })
    }
  }
  return violations
}

/** Whether it was answered or its connection broke: from then on a look tells. */
const isPlain = ({ error, outcome }: Operation): boolean =>
  outcome === "Succeeded" || error === "SessionGone" || error === "Transient"

const orphans = ({ ending, processes }: Recorded): Array<Violation> => {
  const violations: Array<Violation> = []
  for (const { key, uploadId } of ending?.sessions ?? []) {
    if (ending!.journal.some((known) => known.key === key && known.uploadId === uploadId)) continue
    if (!isExcused(uploadId, key, processes)) {
      violations.push({ promise: "orphaned", message: `upload ${uploadId} of ${key} is left at the destination` })
    }
  }
  return violations
}

/** Whether no process could know an upload, or it was reported as left behind. */
const isExcused = (uploadId: string, key: string, processes: ReadonlyArray<Process>): boolean => {
  const isTold = processes.some(({ events }) =>
    events.some((event) => event._tag === "AbortFailed" && event.key === key)
  )
  const isKnown = processes.some(({ killed, operations, ownIds, written }) => {
    const isCreated = operations.some((operation) => operation.verb === "create" && operation.uploadId === uploadId)
    const isWritten = written.some((record) =>
      record.key === key && (record.uploadId === uploadId || (ownIds && record.token === uploadId))
    )
    const isUsed = operations.some((operation) => operation.verb !== "create" && operation.uploadId === uploadId)
    // A killed process told only the journal, if anything; one that used the upload without creating it had it from the
    // journal.
    return isWritten || (isCreated && !killed) || (isUsed && !isCreated)
  })
  return isTold || !isKnown
}
