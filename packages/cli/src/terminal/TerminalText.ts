/**
 * Makes text safe for terminals, measures it, and cuts it to columns.
 *
 * File names may contain anything but NUL and `/`: escape sequences, line feeds, marks that reverse the writing
 * direction. A terminal would obey them, so {@link printable} shows them as symbols instead. East Asian wide characters
 * and emoji take two columns each; a grapheme is never cut in two.
 */

/** The text with visible symbols for control characters and direction marks. */
export const printable = (text: string): string => hidden.test(text) ? text.replace(hiddenEverywhere, signOf) : text

/** The text with JSON escapes for them, for use inside JSON strings. */
export const escaped = (text: string): string =>
  hidden.test(text)
    ? text.replace(hiddenEverywhere, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : text

/** The number of columns that a printable text takes. */
export const width = (text: string): number => {
  if (ascii.test(text)) return text.length
  let columns = 0
  for (const { segment } of graphemes.segment(text)) columns += graphemeWidth(segment)
  return columns
}

/** The beginning of a printable text, in at most `columns`. */
export const cutEnd = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  return columns < 1
    ? ""
    : `${take(Array.from(graphemes.segment(text), ({ segment }) => segment), columns - 1).join("")}…`
}

/** The end of a printable text, in at most `columns`: for paths, whose end says most. */
export const cutStart = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  if (columns < 1) return ""
  const backwards = Array.from(graphemes.segment(text), ({ segment }) => segment).reverse()
  return `…${take(backwards, columns - 1).reverse().join("")}`
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

// Control characters, unpaired surrogates, line separators, and direction marks.
const hidden = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u

const hiddenEverywhere = new RegExp(hidden, "gu")

const signOf = (character: string): string => {
  const code = character.charCodeAt(0)
  if (code < 0x20) return String.fromCharCode(0x2400 + code)
  return code === 0x7f ? "\u2421" : "\ufffd"
}

const ascii = /^[\x20-\x7e]*$/

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" })

const wide =
  /\p{Emoji_Presentation}|\ufe0f|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]/u

const zero = /^[\p{Mn}\p{Me}\p{Cf}]+$/u

const graphemeWidth = (grapheme: string): number => wide.test(grapheme) ? 2 : zero.test(grapheme) ? 0 : 1

const take = (segments: ReadonlyArray<string>, columns: number): Array<string> => {
  let left = columns
  const taken: Array<string> = []
  for (const segment of segments) {
    left -= graphemeWidth(segment)
    if (left < 0) break
    taken.push(segment)
  }
  return taken
}
