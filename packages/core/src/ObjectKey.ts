/**
 * Object keys: the names that files have at a destination.
 *
 * A key is relative and `/`-separated. Keys often come from file names that somebody else chose, so every upload
 * checks its key before anything is sent: a key that could leave the destination's root is refused.
 *
 * @since 0.1.0
 */

const hostile = /^$|^[/]|^[A-Za-z]:|\0|[/]{2}|[/]$|(?:^|[/])\.{1,2}(?:[/]|$)|\p{Surrogate}/u

/**
 * Why a key is refused, in words for people; `undefined` when it is a good key. Refused are the empty key, an
 * absolute path, a drive letter, NUL, an empty segment, the segments `.` and `..`, and text that is not well-formed.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { ObjectKey } from "@sluice/core"
 *
 * assert.strictEqual(ObjectKey.problem("photos/2026/one.jpg"), undefined)
 * assert.strictEqual(ObjectKey.problem("../../etc/passwd"), "has a \"..\" segment")
 * ```
 *
 * @since 0.1.0
 * @category validation
 */
export const problem = (key: string): string | undefined => {
  if (!hostile.test(key)) return undefined
  if (key === "") return "is empty"
  if (key.includes("\0")) return "has a NUL character"
  if (key.startsWith("/")) return "is an absolute path"
  if (/^[A-Za-z]:/.test(key)) return "starts with a drive letter"
  if (/\p{Surrogate}/u.test(key)) return "is not well-formed Unicode"
  const segments = key.split("/")
  if (segments.includes("..")) return "has a \"..\" segment"
  if (segments.includes(".")) return "has a \".\" segment"
  return "has an empty segment"
}
