/**
 * Object keys: the names that files have at a destination.
 *
 * A key is relative and `/`-separated. Keys often come from file names that somebody else chose, so every upload checks
 * its key before it sends anything: a key that could leave the destination's root is refused everywhere. A key that
 * object stores accept but that cannot be a path, such as the folder marker `photos/`, is refused only where keys are
 * paths.
 *
 * @since 0.1.0
 */

const hostile = /^$|^[/]|\0|(?:^|[/])\.{1,2}(?:[/]|$)|\p{Surrogate}/u

/**
 * Explains why a key is refused; `undefined` for a valid key. The empty key, absolute paths, NUL, the segments `.` and
 * `..`, and text that is not well-formed are refused.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { ObjectKey } from "@sluice/core"
 *
 * assert.strictEqual(ObjectKey.problem("photos/2026/one.jpg"), undefined)
 * assert.strictEqual(ObjectKey.problem("../../etc/passwd"), "contains a \"..\" segment")
 * ```
 *
 * @since 0.1.0
 * @category validation
 */
export const problem = (key: string): string | undefined => {
  if (!hostile.test(key)) return undefined
  if (key === "") return "is empty"
  if (key.includes("\0")) return "contains a NUL character"
  if (key.startsWith("/")) return "is an absolute path"
  if (/\p{Surrogate}/u.test(key)) return "is not well-formed Unicode"
  return key.split("/").includes("..") ? "contains a \"..\" segment" : "contains a \".\" segment"
}

/**
 * Explains why a key cannot be a path. In addition to the rules for every key, a path has no empty segments, neither
 * `a//b` nor `a/`, since it would be the path of another key.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { ObjectKey } from "@sluice/core"
 *
 * assert.strictEqual(ObjectKey.problem("photos/"), undefined)
 * assert.strictEqual(ObjectKey.problemAsPath("photos/"), "contains an empty segment")
 * ```
 *
 * @since 0.1.0
 * @category validation
 */
export const problemAsPath = (key: string): string | undefined =>
  problem(key) ?? (/[/]{2}|[/]$/.test(key) ? "contains an empty segment" : undefined)

/**
 * Explains why a key cannot be a path on Windows, where `:` begins a drive or a stream, a backslash separates, and some
 * names are devices.
 *
 * @since 0.1.0
 * @category validation
 */
export const problemOnWindows = (key: string): string | undefined => {
  const found = problemAsPath(key)
  if (found !== undefined) return found
  if (/^[A-Za-z]:/.test(key)) return "starts with a drive letter"
  if (/[\\:*?"<>|\p{Cc}]/u.test(key)) return "contains a character that Windows does not allow in names"
  if (/[. ](?:[/]|$)/.test(key)) return "contains a segment that ends with a dot or a space, which Windows drops"
  return /(?:^|[/])(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:[.][^/]*)?(?:[/]|$)/i.test(key)
    ? "is the name of a device"
    : undefined
}
