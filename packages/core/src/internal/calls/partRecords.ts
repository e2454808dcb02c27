/**
 * What the journal, the destination and the plan know about a file's parts, and whether they agree.
 */
import * as Match from "effect/Match"
import * as Checksum from "../../Checksum.js"
import type * as Destination from "../../Destination.js"
import type { Finished } from "../../Journal.js"
import { IntegrityMismatch, isRetryable, isSourceError } from "../../UploadError.js"
import type { Rejected, UploadError } from "../../UploadError.js"
import * as Etag from "../values/etag.js"
import * as PartPlan from "./partPlan.js"
import { isUnreadable } from "./unreadable.js"

/** Whether an upload with this failure can be resumed later. */
export const canGoOn = (error: UploadError): boolean =>
  (!isSourceError(error) || isRetryable(error)) && error._tag !== "SessionGone" && error._tag !== "IntegrityMismatch"

/**
 * The same for an upload whose parts are all stored and whose completion failed: not after a failure that the same
 * request would meet again.
 */
export const canComplete: (error: UploadError) => boolean = Match.type<UploadError>().pipe(
  Match.tag("Transient", "Throttled", "AuthExpired", () => true),
  // Failures that people can repair at the destination, and then resume.
  Match.tag("Rejected", ({ reason }) => mendable.has(reason)),
  Match.tag("Conflict", "IntegrityMismatch", "SessionGone", "SourceChanged", "SourceUnreadable", () => false),
  Match.exhaustive
)

/** Whether a destination that will not list the parts of an upload may still accept it from the start. */
export const mayBeginAgain = (error: UploadError): boolean =>
  isUnreadable(error) || (error._tag === "Rejected" && untold.has(error.reason))

/** The parts that both the journal and the destination know and that match the plan. */
export const reconcile = (
  plan: PartPlan.PartPlan,
  noted: ReadonlyMap<number, Destination.StoredPart>,
  listed: ReadonlyArray<Destination.StoredPart> | undefined,
  comesInOrder: boolean
): Map<number, Destination.StoredPart> => {
  const stored = new Map<number, Destination.StoredPart>()
  const byNumber = listed === undefined ? undefined : new Map(listed.map((part) => [part.number, part]))
  const persisted = comesInOrder ? persistedBytes(listed, 0) : 0
  // More bytes than there are to send cannot be a beginning of them.
  if (persisted > plan.size) return stored
  for (const part of PartPlan.parts(plan)) {
    if (comesInOrder) {
      if (listed === undefined ? !noted.has(part.number) : part.offset + part.size > persisted) break
      stored.set(part.number, noted.get(part.number) ?? { number: part.number, size: part.size })
      continue
    }
    const own = noted.get(part.number)
    const theirs = byNumber === undefined ? own : byNumber.get(part.number)
    if (own?.size === part.size && theirs?.size === part.size && Etag.read(own.etag) === Etag.read(theirs.etag)) {
      stored.set(part.number, own)
    }
  }
  return stored
}

/**
 * The parts of a server that takes bytes in order and does not know parts. A part with number 0 stands for all bytes
 * that it has from the first on: an upload in order needs no more than the sum of the sizes.
 */
export const listed = (persisted: number): ReadonlyArray<Destination.StoredPart> =>
  persisted === 0 ? [] : [{ number: 0, size: persisted }]

/** The number of leading bytes that a destination has, if it takes parts in order. */
export const persistedBytes = (listed: ReadonlyArray<Destination.StoredPart> | undefined, unknown: number): number =>
  listed === undefined ? unknown : listed.reduce((total, part) => total + part.size, 0)

/** Parts by their numbers. */
export const inOrder = (parts: ReadonlyMap<number, Destination.StoredPart>): ReadonlyArray<Destination.StoredPart> =>
  Array.from(parts.values()).sort((a, b) => a.number - b.number)

/** The checksum of the whole object, if it can be derived from those of its parts. */
export const combined = (
  algorithm: Checksum.Algorithm | undefined,
  parts: Iterable<Destination.StoredPart>
): Checksum.Checksum | undefined => algorithm === undefined ? undefined : Checksum.combine(algorithm, parts)

const mendable: ReadonlySet<Rejected["reason"]> = new Set(["Forbidden", "NoSpace", "Redirected", "Unauthorized"])

const untold: ReadonlySet<Rejected["reason"]> = new Set(["Forbidden", "Unexpected", "Unsupported"])

/** How far apart two records of the same modification time may be, in milliseconds. */
const timePrecision = 2_000

/** The journal's record of a stored file. */
export const finished = (
  file: Pick<Finished, "fingerprint" | "key" | "size">,
  { etag, location }: Destination.Stored
): Finished => ({ ...file, location, etag: Etag.read(etag) })

/** Whether an existing object is the one that was sent; `undefined` if only its size suggests so. */
export const isSame = (
  found: Destination.Head,
  sent: {
    readonly size: number | undefined
    readonly checksum: Checksum.Checksum | undefined
    /** The etag that the destination assigns, if known. A different etag proves nothing. */
    readonly etag?: string | undefined
    readonly modifiedAt: number | undefined
  }
): boolean | undefined => {
  if (found.size !== sent.size) return false
  if (sent.etag !== undefined && Etag.read(found.etag)?.toLowerCase() === sent.etag) return true
  if (sent.checksum !== undefined && found.checksum?.algorithm === sent.checksum.algorithm) {
    return found.checksum.value === sent.checksum.value
  }
  return sent.modifiedAt === undefined || found.modifiedAt === undefined
    ? undefined
    : Math.abs(found.modifiedAt - sent.modifiedAt) < timePrecision
}

/** The problem with what the destination says it has stored, if there is one. */
export const mismatch = (
  stored: Destination.Stored,
  sent: number,
  size: number,
  checksum: Checksum.Checksum | undefined
): IntegrityMismatch | undefined => {
  const arrived = stored.size ?? sent
  if (sent !== size || arrived !== size) {
    return new IntegrityMismatch({
      reason: "Size",
      detail: `The destination stored ${Math.min(arrived, sent)} of ${size} bytes.`
    })
  }
  const theirs = stored.checksum
  return checksum === undefined || theirs === undefined || theirs.algorithm !== checksum.algorithm ||
      theirs.value === checksum.value
    ? undefined
    : new IntegrityMismatch({
      reason: "Checksum",
      detail: `The stored data has the ${checksum.algorithm} ${theirs.value}, not ${checksum.value}.`
    })
}
