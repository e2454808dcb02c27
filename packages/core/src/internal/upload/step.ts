/**
 * What happens in a run, as values. Counts, metrics, events, results and the report are all made from these.
 */
import type * as Effect from "effect/Effect"
import type { Settings } from "../../Limits.js"
import type { UploadError } from "../../UploadError.js"
import type { RunChanged, UploadEvent } from "../../UploadEvent.js"
import type * as UploadList from "../../UploadList.js"
import type { UploadResult } from "../../UploadResult.js"
import type { Restore } from "../calls/ended.js"
import type { Change } from "./outage.js"

/** A file as steps name it. */
interface Named {
  readonly file: { readonly key: string }
}

export type Step =
  | { readonly _tag: "Found"; readonly items: ReadonlyArray<UploadList.Item> }
  | { readonly _tag: "Listed" }
  | { readonly _tag: "RunChanged"; readonly state: (typeof RunChanged.Type)["state"] }
  | { readonly _tag: "LimitsChanged"; readonly settings: Settings; readonly reason: string | undefined }
  | { readonly _tag: "OutageChanged"; readonly change: Change }
  | { readonly _tag: "AttemptStarted"; readonly upload: Attempted }
  | { readonly _tag: "AttemptEnded"; readonly upload: Attempted; readonly stored: boolean }
  | { readonly _tag: "RequestStarted" }
  | { readonly _tag: "RequestEnded" }
  /** The file, or the request of a multipart upload, is tried again after `delayMillis`. */
  | {
    readonly _tag: "Retrying"
    readonly upload: Named
    /** The request of a multipart upload, of this part if it has a number; else the file. */
    readonly request: { readonly part: number | undefined } | undefined
    /** The attempt that failed, from 1. */
    readonly attempt: number
    readonly attempts: number
    readonly delayMillis: number
    readonly error: UploadError
  }
  /** An earlier process has stored these bytes. */
  | { readonly _tag: "Resumed"; readonly upload: Resumable; readonly bytes: number; readonly parts: number }
  | { readonly _tag: "Restarted"; readonly upload: Named; readonly reason: RestartReason }
  | { readonly _tag: "AbortFailed"; readonly upload: Named; readonly error: UploadError }
  /** The source was checked again and has a different size from the one it was listed with. */
  | { readonly _tag: "Relisted"; readonly before: number | undefined; readonly now: number | undefined }
  /** The file failed and gets another round of attempts. */
  | { readonly _tag: "Deferred"; readonly upload: Attempted; readonly error: UploadError }
  /** The file was found at the destination: an earlier run had uploaded it. */
  | { readonly _tag: "FoundUploaded"; readonly bytes: number }
  | { readonly _tag: "Finished"; readonly result: UploadResult }

/** The state of an attempt that steps report. */
export interface Attempted extends Named {
  readonly size: number | undefined
  readonly attempt: number
  readonly attemptStartedAt: number
  readonly large: boolean
  readonly handedOut: number
  readonly resumedBytes: number
  readonly sizeFound: boolean
}

interface Resumable extends Named {
  readonly size: number | undefined
}

export type RestartReason = Extract<UploadEvent, { readonly _tag: "UploadRestarted" }>["reason"]

/** A request is in flight. */
export const requestStarted: Step = { _tag: "RequestStarted" }

/** A request has ended, whatever its outcome. */
export const requestEnded: Step = { _tag: "RequestEnded" }

/** Records a step. Returns what there is to wait for, if anyone listens. */
export type Record = (step: Step) => Effect.Effect<void> | undefined

/** What uploads report to. */
export interface Recording {
  readonly record: (step: Step, restore?: Restore) => Effect.Effect<void> | undefined
  readonly recorded: (step: Step) => Effect.Effect<void>
  readonly sent: (bytes: number, at: number, sizeKnown: boolean) => void
  readonly takenBack: (bytes: number, sizeKnown: boolean) => void
}
