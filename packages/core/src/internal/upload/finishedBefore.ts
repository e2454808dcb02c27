/**
 * Files that an earlier run finished before it was interrupted: what the journal knows, and how to look for the object.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Destination from "../../Destination.js"
import type * as Journal from "../../Journal.js"
import type { UploadError } from "../../UploadError.js"
import * as PartRecords from "../calls/partRecords.js"
import * as Etag from "../values/etag.js"
import { isLater } from "./answeringJournal.js"
import type { Asked } from "./answeringJournal.js"
import type { Env } from "./env.js"
import type { Upload } from "./upload.js"

/** A file that an earlier, interrupted run has uploaded, and how to look for its object. */
export interface FinishedBefore {
  readonly noted: Journal.Noted
  /** A look at the object: at its recorded location or, if there is none, by its key. */
  readonly look: Effect.Effect<Option.Option<Destination.Head>, UploadError>
}

/**
 * Asks the journal, once, whether an earlier, interrupted run has uploaded exactly this file; `undefined` if it has not,
 * or if there is no way to look for the object.
 */
export const ask = (env: Env, upload: Upload): Asked<FinishedBefore | undefined> => {
  const { destination: { head, headAt }, journal } = env
  const { file: { key }, fingerprint, size } = upload
  if (journal === undefined || (head ?? headAt) === undefined || size === undefined || fingerprint === undefined) {
    return undefined
  }
  const asked = journal.wasFinished({ key, size, fingerprint })
  return isLater(asked)
    ? Effect.map(asked, (noted) => lookFor(env, key, noted))
    : lookFor(env, key, asked)
}

/** Whether an object found is the one that was uploaded: another may have replaced it, even one of the same size. */
export const isSame = ({ noted }: FinishedBefore, upload: Upload, found: Destination.Head): boolean => {
  const { modifiedAt, size } = upload
  const etag = Etag.read(found.etag)
  return size !== undefined && (etag === undefined || noted.isEtag(etag)) &&
    PartRecords.isSame(found, { size, checksum: undefined, modifiedAt }) !== false
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const lookFor = (
  { destination: { head, headAt } }: Env,
  key: string,
  noted: Journal.Noted | undefined
): FinishedBefore | undefined => {
  if (noted === undefined) return undefined
  const { location } = noted
  if (location !== undefined && headAt !== undefined) {
    return {
      noted,
      look: Effect.suspend(() => headAt(location, key))
    }
  }
  return head === undefined ? undefined : { noted, look: Effect.suspend(() => head(key)) }
}
