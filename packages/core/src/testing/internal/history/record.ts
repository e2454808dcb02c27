/**
 * What a history is made of: what was asked for and what became of it, with its virtual time.
 */
import type { Settings } from "../../../Limits.js"
import type { Progress } from "../../../Progress.js"
import type { UploadEvent } from "../../../UploadEvent.js"
import type { UploadResult } from "../../../UploadResult.js"

export type Verb = "put" | "create" | "uploadPart" | "listParts" | "complete" | "abort" | "head"

/** A request: as a process made it, or as the storage carried it out. */
export interface Operation {
  readonly verb: Verb
  readonly key: string
  /** Of a part, from 1. */
  readonly part: number | undefined
  /** Of a multipart upload; of `create` when it has been answered. */
  uploadId: string | undefined
  /** The token of `create`. */
  readonly token: string | undefined
  /** Of the body, in bytes. */
  readonly size: number | undefined
  /** When it began, in milliseconds on the clock. */
  readonly at: number
  /** Its place among all that began or ended in the history. */
  readonly began: number
  /** The same for its end; `undefined` where it never ended, since its process was killed. */
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
  /** What was there of each file at the moment at which it was reported as uploaded, where that could be looked at. */
  readonly reported: Array<{ readonly key: string; readonly object: Uint8Array | undefined }>
  readonly progress: Array<Progress>
  /** Bytes handed out: when, and how many. */
  readonly bytes: Array<readonly [at: number, bytes: number]>
  readonly hasJournal: boolean
  readonly ownIds: boolean
  /** The knobs at their loosest. */
  loosest: Settings
  /** The memory budget in bytes. */
  memoryLimit: number
  killed: boolean
  /** What is wrong that was seen at once. */
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
  /** What happened, for people. */
  readonly message: string
}

/** What is there when all is over. */
export interface Ending {
  readonly objects: ReadonlyMap<string, Uint8Array>
  readonly sessions: ReadonlyArray<{ readonly key: string; readonly uploadId: string }>
  /** The multipart uploads that the journal still knows. */
  readonly journal: ReadonlyArray<{ readonly key: string; readonly uploadId: string | undefined }>
}

export interface Recorded {
  readonly processes: ReadonlyArray<Process>
  /** What the storage was asked for and has done, by whomever. */
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
