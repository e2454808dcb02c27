/**
 * The elements of a history: requests and their outcomes, with virtual times.
 */
import type { Settings } from "../../../Limits.js"
import type { Progress } from "../../../Progress.js"
import type { UploadEvent } from "../../../UploadEvent.js"
import type { UploadResult } from "../../../UploadResult.js"

export type Verb = "put" | "create" | "uploadPart" | "listParts" | "complete" | "abort" | "head"

/** A request, as a process made it or as the storage carried it out. */
export interface Operation {
  readonly verb: Verb
  readonly key: string
  /** The part number, from 1. */
  readonly part: number | undefined
  /** The id of a multipart upload; for `create`, once it has been answered. */
  uploadId: string | undefined
  /** The token of `create`. */
  readonly token: string | undefined
  /** The size of the body, in bytes. */
  readonly size: number | undefined
  /** When it began, as a clock time in milliseconds. */
  readonly at: number
  /** Its position among all beginnings and ends in the history. */
  readonly began: number
  /** The same for its end; `undefined` if it never ended because its process was killed. */
  ended: number | undefined
  endedAt: number | undefined
  outcome: "Succeeded" | "Failed" | "Interrupted" | undefined
  /** The tag of the error that it failed with. */
  error: string | undefined
}

/** A record of the journal, when it was written. */
export interface Written {
  readonly what: "begin" | "created"
  readonly key: string
  readonly token: string | undefined
  readonly uploadId: string | undefined
  readonly order: number
}

/** One process and its run. */
export interface Process {
  readonly number: number
  readonly operations: Array<Operation>
  readonly written: Array<Written>
  readonly events: Array<UploadEvent>
  readonly results: Array<{ readonly at: number; readonly result: UploadResult }>
  /** The object of each file at the moment it was reported as uploaded, if it could be read. */
  readonly reported: Array<{ readonly key: string; readonly object: Uint8Array | undefined }>
  readonly progress: Array<Progress>
  /** Bytes emitted: when, and how many. */
  readonly bytes: Array<readonly [at: number, bytes: number]>
  readonly hasJournal: boolean
  readonly ownIds: boolean
  /** The limits at their loosest. */
  loosest: Settings
  /** The memory budget in bytes. */
  memoryLimit: number
  killed: boolean
  /** Violations that were detected at once. */
  readonly seen: Array<Violation>
}

/** A promise that was broken. */
export interface Violation {
  readonly promise:
    | "lost"
    | "corrupted"
    | "duplicated"
    | "orphaned"
    | "leaked"
    | "bounds"
    | "progress"
    | "order"
  /** A human-readable description. */
  readonly message: string
}

/** The state at the end. */
export interface Ending {
  readonly objects: ReadonlyMap<string, Uint8Array>
  readonly sessions: ReadonlyArray<{ readonly key: string; readonly uploadId: string }>
  /** The multipart uploads that the journal still knows. */
  readonly journal: ReadonlyArray<{ readonly key: string; readonly uploadId: string | undefined }>
}

export interface Recorded {
  readonly processes: ReadonlyArray<Process>
  /** The requests that the storage received from any process, and what it did. */
  readonly storage: ReadonlyArray<Operation>
  /** What each key may hold: every version of its source. */
  readonly sources: ReadonlyMap<string, ReadonlyArray<Uint8Array>>
  readonly ending: Ending | undefined
}

export const isBodied = ({ verb }: Pick<Operation, "verb">): boolean => verb === "put" || verb === "uploadPart"

export const named = ({ key, part, verb }: Pick<Operation, "key" | "part" | "verb">): string =>
  `${verb} ${key}${part === undefined ? "" : ` part ${part}`}`

export const isSame = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
