/**
 * Etags in the form in which they are compared: strong, in quotes, however a proxy or a document wrote them.
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Checksum from "../../Checksum.js"

/**
 * Reads an etag. A proxy that weakens it (`W/"…"`) means the same bytes, and some servers write its quotes as entities
 * or omit them. Empty quotes are not an etag.
 */
export const read = (text: string | undefined): string | undefined => {
  const plain = (text ?? "").replace(/&(?:quot|#34|#x22);/gi, "\"").trim()
  const inner = plain.replace(/^W\//i, "").replace(/^"(.*)"$/s, "$1")
  return inner === "" ? undefined : `"${inner}"`
}

/** The MD5 that an etag may be, in hexadecimal. */
export const md5Of = (etag: string | undefined): string | undefined =>
  /^"?([0-9a-f]{32})"?$/i.exec(read(etag) ?? "")?.[1]?.toLowerCase()

/** The number of parts that an object was made of, by its etag. */
export const partCountOf = (etag: string | undefined): number | undefined => {
  const count = /^"[0-9a-f]{32}-(\d{1,5})"$/i.exec(read(etag) ?? "")?.[1]
  return count === undefined ? undefined : Number(count)
}

/**
 * The etag of an object made of parts with these etags, as S3 defines it: the MD5 of their MD5s, and the number of
 * parts. `undefined` if the etag of a part is not an MD5.
 */
export const ofParts = (parts: Iterable<{ readonly etag?: string | undefined }>): string | undefined => {
  const fold = Checksum.make("md5")
  let count = 0
  for (const { etag } of parts) {
    const md5 = md5Of(etag)
    const digest = md5 === undefined ? undefined : Either.getOrUndefined(Encoding.decodeHex(md5))
    if (digest === undefined) return undefined
    fold.update(digest)
    count += 1
  }
  return count === 0 ? undefined : `"${Encoding.encodeHex(fold.digest())}-${count}"`
}
