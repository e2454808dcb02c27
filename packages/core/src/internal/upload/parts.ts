/**
 * Which files go up in parts, and in which parts.
 */
import * as Either from "effect/Either"
import { Rejected } from "../../UploadError.js"
import * as PartPlan from "../calls/partPlan.js"
import type { Env } from "./env.js"

/** Whether a file of this size goes up in parts. */
export const applies = (
  { destination: { capabilities, multipart }, parts }: Pick<Env, "destination" | "parts">,
  size: number | undefined
): boolean =>
  multipart !== undefined &&
  (size === undefined ? !capabilities.unknownSize : size > Math.min(parts.threshold, capabilities.maxPutSize))

/** How many parts of one file may be in flight at once. */
export const atOnce = ({ destination: { multipart }, parts }: Env): number =>
  multipart?.limits.inOrder === true ? 1 : parts.partConcurrency

/** The plan of a file of this size, if its destination takes it in parts. */
export const planOf = (
  { destination: { multipart }, parts }: Env,
  size: number
): Either.Either<PartPlan.PartPlan, Rejected> =>
  multipart === undefined
    ? Either.left(new Rejected({ reason: "Unsupported", detail: "The destination does not support parts." }))
    : PartPlan.make({ size, partSize: parts.partSize, limits: multipart.limits })
