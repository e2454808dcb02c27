/**
 * The text of answers: decoding, and recognizing web pages.
 */
import * as Option from "effect/Option"

/**
 * Decodes text: as UTF-8, or else with the encoding that the document or the header names, or else as Latin-1 if that
 * is possible. `None` if it is not text in any of these.
 */
export const decode = (bytes: Uint8Array, contentType: string | undefined = undefined): Option.Option<string> => {
  const label = labelOf(bytes, contentType)
  return decodeAs("utf-8", bytes).pipe(
    Option.orElse(() => label === undefined ? Option.none() : decodeAs(label, bytes)),
    Option.orElse(() => isLatin1(bytes) ? decodeAs("windows-1252", bytes) : Option.none())
  )
}

/** Like `decode`, with a replacement character for anything unreadable. */
export const decodeLeniently = (bytes: Uint8Array, contentType: string | undefined = undefined): string =>
  Option.getOrElse(decode(bytes, contentType), () => new TextDecoder().decode(bytes))

/** Whether a body is a web page: what proxies and login portals answer with, unlike any protocol for machines. */
export const isPage = (body: Uint8Array): boolean =>
  /^(?:\s|<!--.*?-->|<\?xml[^>]*\?>)*<(?:!doctype\s+html|html|head|body)\b/is.test(
    new TextDecoder().decode(body.subarray(0, 1024))
  )

/** The title of a page. */
export const titleOf = (body: Uint8Array, contentType: string | undefined = undefined): string | undefined => {
  const text = decodeLeniently(body.subarray(0, 16 * 1024), contentType)
  const title = /<title[^>]{0,200}>([^<]{1,200})/i.exec(text)?.[1]?.replace(/[\p{Cc}\s]+/gu, " ").trim()
  return title === undefined || title === "" ? undefined : unescape(title)
}

/** Text between tags, with the predefined entities decoded. */
export const unescape = (text: string): string =>
  text.replace(/&(?:(lt|gt|quot|apos)|#(\d{1,6})|#x([0-9a-f]{1,5})|amp);/gi, (_, name, decimal, hex) => {
    if (name !== undefined) return entities[String(name).toLowerCase()] ?? ""
    const code = decimal !== undefined ? Number(decimal) : hex !== undefined ? Number.parseInt(hex, 16) : 38
    return code > 31 && code <= 0x10ffff ? String.fromCodePoint(code) : " "
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: "\"", apos: "'" }

const decodeAs = (label: string, bytes: Uint8Array): Option.Option<string> =>
  Option.liftThrowable(() => new TextDecoder(label, { fatal: true }).decode(bytes))()

/** The encoding that a document or a header names. */
const labelOf = (bytes: Uint8Array, contentType: string | undefined): string | undefined => {
  const beginning = String.fromCharCode(...bytes.subarray(0, 200))
  return /^\s*<\?xml[^>]*\bencoding\s*=\s*["']([\w.:-]{1,40})["']/.exec(beginning)?.[1] ??
    /\bcharset\s*=\s*"?([\w.:-]{1,40})/i.exec(contentType ?? "")?.[1]
}

/** Whether bytes can be Latin-1: without control characters above 127 and without the mark of another encoding. */
const isLatin1 = (bytes: Uint8Array): boolean => {
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte >= 0x80 && byte < 0xa0) return false
    if (byte === 0xff && bytes[i + 1] === 0xfe) return false
  }
  return true
}
