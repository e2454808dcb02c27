/**
 * Removes secrets from what servers say, in whatever form they repeat them.
 *
 * A text is searched as it is, and after decoding it once and twice from URL encoding (`%2F`), JSON (`\/`, `\u002f`)
 * and HTML (`&#47;`, `&amp;`), in any mixture; and for secrets in hexadecimal and in base64 at any offset. A secret of
 * fewer than eight characters is removed only where it stands alone, since it may be part of any word.
 */
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"

/** The replacement for a secret. */
const redacted = "<redacted>"

/** Makes a function that masks secrets. */
export const masking = (...secrets: ReadonlyArray<string>): (text: string) => string => {
  const all = [...new Set(secrets)].filter((secret) => /[\p{L}\p{N}]/u.test(secret))
  if (all.length === 0) return (text) => text
  let forms: Forms | undefined = undefined
  return (text) => {
    forms ??= formsOf(all)
    const found = rangesIn(text, forms)
    return found.length === 0 ? text : blotted(text, found)
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The forms of secrets to search for. */
interface Forms {
  readonly plain: ReadonlyArray<string>
  /** In lower case. */
  readonly hex: ReadonlyArray<string>
  readonly base64: ReadonlyArray<string>
}

/** A decoded text, and the range of each of its characters in the original text. */
interface Decoded {
  readonly text: string
  readonly from: ReadonlyArray<number>
  readonly to: ReadonlyArray<number>
}

type Range = readonly [from: number, to: number]

/** Shorter secrets are removed only where they stand alone. */
const sureLength = 8

/** The shortest stretch of base64 between the ends that is conclusive. */
const base64Length = 5

const formsOf = (secrets: ReadonlyArray<string>): Forms => {
  const plain = new Set<string>()
  for (const secret of secrets) {
    plain.add(secret)
    // In a query a plus may stand for a space.
    plain.add(secret.replaceAll(" ", "+"))
    plain.add(secret.replaceAll("+", " "))
    for (let text = decode(secret)?.text, times = 0; text !== undefined && times < 2; times++) {
      plain.add(text)
      text = decode(text)?.text
    }
  }
  const bytes = secrets.map((secret) => new TextEncoder().encode(secret))
  return {
    plain: [...plain].sort((a, b) => b.length - a.length),
    hex: bytes.map(Encoding.encodeHex),
    base64: bytes.flatMap(base64Of)
  }
}

/** The base64 of bytes at every offset, without the ends that depend on neighbouring bytes. */
const base64Of = (bytes: Uint8Array): ReadonlyArray<string> =>
  [0, 1, 2].flatMap((offset) => {
    const shifted = new Uint8Array(offset + bytes.length)
    shifted.set(bytes, offset)
    const whole = Encoding.encodeBase64(shifted)
    const cut = whole.slice(offset === 0 ? 0 : offset + 1, Math.floor((shifted.length * 8) / 6))
    const safe = cut.replaceAll("+", "-").replaceAll("/", "_")
    return cut.length < base64Length ? [] : safe === cut ? [cut] : [cut, safe]
  })

const rangesIn = (text: string, forms: Forms): ReadonlyArray<Range> => {
  const found: Array<Range> = []
  let level = undefined as Decoded | undefined
  for (let times = 0; times < 3; times++) {
    const here = level
    const searched = here?.text ?? text
    const note = (form: string, at: number, within: string) => {
      const end = at + form.length
      if (form.length < sureLength && !(isEnd(within, at - 1) && isEnd(within, end))) return
      found.push(here === undefined ? [at, end] : [here.from[at] ?? 0, here.to[end - 1] ?? text.length])
    }
    search(searched, forms.plain, note)
    search(lowerHex(searched), forms.hex, note)
    search(searched, forms.base64, note)
    const next = decode(searched)
    if (next === undefined) break
    level = here === undefined ? next : {
      text: next.text,
      from: next.from.map((at) => here.from[at] ?? 0),
      to: next.to.map((end) => here.to[end - 1] ?? text.length)
    }
  }
  return found
}

const search = (
  text: string,
  forms: ReadonlyArray<string>,
  note: (form: string, at: number, within: string) => void
): void => {
  for (const form of forms) {
    for (let at = text.indexOf(form); at >= 0; at = text.indexOf(form, at + 1)) note(form, at, text)
  }
}

/** Whether a word ends there. */
const isEnd = (text: string, at: number): boolean => !/[\p{L}\p{N}]/u.test(text[at] ?? "")

const lowerHex = (text: string): string => text.replace(/[A-F]/g, (digit) => digit.toLowerCase())

const blotted = (text: string, found: ReadonlyArray<Range>): string => {
  let [shown, end] = ["", 0]
  for (const [from, to] of [...found].sort(([a], [b]) => a - b)) {
    if (from >= end) shown += text.slice(end, from) + redacted
    end = Math.max(end, to)
  }
  return shown + text.slice(end)
}

/** A text with one layer of encoding removed; `undefined` if there is none. */
const decode = (text: string): Decoded | undefined => {
  if (!/[%\\&]/.test(text)) return undefined
  const from: Array<number> = []
  const to: Array<number> = []
  let [decoded, changed] = ["", false]
  for (let at = 0; at < text.length;) {
    const sign = /[%\\&]/.test(text[at] ?? "") ? unitAt(text, at) : undefined
    const [characters, size] = sign ?? [text[at] ?? "", 1]
    changed ||= sign !== undefined
    for (let i = 0; i < characters.length; i++) {
      from.push(at)
      to.push(at + size)
    }
    decoded += characters
    at += size
  }
  return changed ? { text: decoded, from, to } : undefined
}

/** The character that is encoded at a position, and the length of its encoding. */
const unitAt = (text: string, at: number): readonly [characters: string, size: number] | undefined => {
  const unit =
    /^(?:%(?:u[0-9a-f]{4}|[0-9a-f]{2})|\\(?:u[0-9a-f]{4}|x[0-9a-f]{2}|["\\/])|&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,6});)/i
      .exec(
        text.slice(at, at + 12)
      )?.[0]
  if (unit === undefined) return undefined
  const digits = /^[%\\][ux]([0-9a-f]+)$/i.exec(unit)?.[1]
  if (digits !== undefined) return [String.fromCharCode(Number.parseInt(digits, 16)), unit.length]
  if (unit.startsWith("%")) {
    const first = Number.parseInt(unit.slice(1), 16)
    const count = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
    const run = text.slice(at, at + 3 * count)
    const characters = Option.getOrUndefined(decodeRun(run))
    return characters === undefined ? undefined : [characters, run.length]
  }
  if (unit.startsWith("\\")) return [unit.slice(1), unit.length]
  const name = unit.slice(1, -1).toLowerCase()
  const code = name.startsWith("#x")
    ? Number.parseInt(name.slice(2), 16)
    : name.startsWith("#")
    ? Number(name.slice(1))
    : entities[name]
  return code === undefined || code > 0x10ffff ? undefined : [String.fromCodePoint(code), unit.length]
}

const decodeRun = Option.liftThrowable(decodeURIComponent)

/** HTML entities of characters that occur in secrets. */
const entities: Readonly<Record<string, number>> = {
  amp: 0x26,
  apos: 0x27,
  colon: 0x3a,
  comma: 0x2c,
  commat: 0x40,
  dollar: 0x24,
  equals: 0x3d,
  excl: 0x21,
  gt: 0x3e,
  lowbar: 0x5f,
  lt: 0x3c,
  num: 0x23,
  percnt: 0x25,
  period: 0x2e,
  plus: 0x2b,
  quest: 0x3f,
  quot: 0x22,
  semi: 0x3b,
  sol: 0x2f
}
