/**
 * The items of a list of files. Callers without types can list anything: an item that is not a file fails alone.
 */
import * as Duration from "effect/Duration"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import { Rejected } from "../../UploadError.js"
import type { UploadFile } from "../../UploadFile.js"
import type { Item } from "../../UploadList.js"
import type { Failed } from "../../UploadResult.js"

/** A file or a result; a failure for anything else. */
export const decode = (item: unknown): Item => {
  if (Predicate.hasProperty(item, "source")) {
    return wrongFile(item as unknown as UploadFile) ?? (item as unknown as UploadFile)
  }
  return isResult(item)
    ? item
    : refused(
      shown(item),
      `The list holds something that is not a file: ${shown(item)}. Make files with \`UploadFile.make\`.`
    )
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isResult = (item: unknown): item is Exclude<Item, UploadFile> =>
  Predicate.hasProperty(item, "_tag") && (item._tag === "Skipped" || item._tag === "Failed") &&
  Predicate.hasProperty(item, "file") && Predicate.hasProperty(item.file, "key") && typeof item.file.key === "string"

/** What is wrong with a file, if anything. */
const wrongFile = ({ key, size, source }: UploadFile): Failed | undefined =>
  typeof key !== "string"
    ? refused(shown(key), `The key of a file is text, not ${shown(key)}.`)
    : !Predicate.hasProperty(source, "read") || typeof source.read !== "function" || typeof source.bytes !== "function"
    ? refused(key, `The source of ${JSON.stringify(key)} is not a \`ByteSource\`: ${shown(source)}.`)
    : size === undefined || (Number.isSafeInteger(size) && size >= 0)
    ? undefined
    : refused(key, `The size of ${JSON.stringify(key)} is a whole number of bytes or unknown, not ${shown(size)}.`)

const refused = (key: string, detail: string): Failed => ({
  _tag: "Failed",
  file: { key, size: undefined },
  attempts: 0,
  error: new Rejected({ reason: "Unsupported", detail }),
  duration: Duration.zero
})

const shown = (value: unknown): string =>
  (typeof value === "number" ? String(value) : Inspectable.toStringUnknown(value, 0)).slice(0, 100)
