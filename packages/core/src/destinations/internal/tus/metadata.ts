/**
 * The `Upload-Metadata` of an upload: names as they are, values in base64.
 */
import * as Encoding from "effect/Encoding"
import type { PutRequest } from "../../../Destination.js"

/** The header's value. The name and type of the upload take precedence over its metadata. */
export const encode = (
  keyName: string,
  { contentType, key, metadata = {} }: Pick<PutRequest, "contentType" | "key" | "metadata">
): string => {
  const pairs = new Map<string, string>()
  const add = (name: string, value: string) => {
    const valid = nameOf(name)
    if (valid !== "" && !pairs.has(valid)) pairs.set(valid, value)
  }
  add(keyName, key)
  add("filename", key.slice(key.lastIndexOf("/") + 1))
  if (contentType !== undefined) add("filetype", contentType)
  for (const [name, value] of Object.entries(metadata)) add(name, value)
  return Array.from(pairs, ([name, value]) => value === "" ? name : `${name} ${Encoding.encodeBase64(value)}`).join(",")
}

/** Names are printable ASCII without space and comma. */
const nameOf = (name: string): string => name.replace(/[^\x21-\x2b\x2d-\x7e]+/g, "-")
