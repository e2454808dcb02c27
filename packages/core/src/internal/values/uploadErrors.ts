/**
 * Whether a value is one of the engine's errors, whoever made it.
 */
import * as Predicate from "effect/Predicate"
import { UploadError } from "../../UploadError.js"

const tags: ReadonlySet<string> = new Set(UploadError.members.map(({ _tag }) => _tag))

export const isUploadError = (error: unknown): error is UploadError =>
  Predicate.hasProperty(error, "_tag") && typeof error._tag === "string" && tags.has(error._tag) &&
  Predicate.hasProperty(error, "message")
