/**
 * The records of a journal file, one per line: `crc length payload`, where the payload is a version, a letter for the
 * kind, and the content.
 *
 *     7a0c1f52 95 1H{"destination":"https://host/bucket","source":"/photos","createdAt":1700000000000}
 *     0d1b94e3 97 1B{"n":1,"key":"a.mov","token":"…","size":9,"partSize":4,"startedAt":1700000000000}
 *
 * Everything is printable ASCII, so one character is one byte, and a line end only ever ends a record: after a damaged
 * record the next one is found at the next line. The CRC-32 covers length and payload. A later version must keep this
 * frame, so that an earlier one can recognize it as later.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { hash } from "node:crypto"
import { crc32 } from "node:zlib"
import type { Algorithm } from "../../Checksum.js"
import type { StoredPart } from "../../Destination.js"
import type { Finished, Intent } from "../../Journal.js"

export const version = 1

/** The longest payload, in bytes: a damaged length beyond it is detected at once. */
export const longest = 1024 * 1024

// The type keeps the list complete: a journal must be able to read everything that it can write.
const algorithm: Schema.Schema<Algorithm> = Schema.Literal("crc32", "crc32c", "crc64nvme", "md5", "sha256")

const optionally = <A, I>(schema: Schema.Schema<A, I>) => Schema.optional(schema)

export const Header = Schema.Struct({
  destination: Schema.String,
  source: optionally(Schema.String),
  createdAt: Schema.Number
})

/** What a journal file records, and since when: its first record. */
export type Header = typeof Header.Type

/** The records that have a schema, by the letter of their kind; `n` is the number of the session. */
export const kinds = {
  H: Header,
  B: Schema.Struct({
    n: Schema.Int,
    key: Schema.String,
    token: Schema.String,
    size: optionally(Schema.Number),
    fingerprint: optionally(Schema.String),
    partSize: Schema.Number,
    checksum: optionally(algorithm),
    startedAt: Schema.Number
  }),
  C: Schema.Struct({ n: Schema.Int, uploadId: Schema.String }),
  P: Schema.Struct({
    n: Schema.Int,
    number: Schema.Int,
    size: Schema.Number,
    etag: optionally(Schema.String),
    checksum: optionally(Schema.Struct({ algorithm, value: Schema.String }))
  }),
  E: Schema.Struct({ n: Schema.Int }),
  O: Schema.Struct({ owner: Schema.String }),
  D: Schema.Struct({ owner: Schema.String })
} as const

const line = (payload: string): string => {
  const covered = `${payload.length} ${payload}`
  return `${crc32(covered).toString(16).padStart(8, "0")} ${covered}\n`
}

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

const ascii = (text: string): string => /[^ -~]/.test(text) ? text.replace(/[^ -~]/g, escaped) : text

const json = (kind: keyof typeof kinds, value: object): string =>
  line(`${version}${kind}${ascii(JSON.stringify(value))}`)

export const header = (value: Header): string => json("H", value)

export const begin = (n: number, intent: Intent): string => {
  const { checksum, fingerprint, key, partSize, size, startedAt, token } = intent
  return json("B", { n, key, token, size, fingerprint, partSize, checksum, startedAt })
}

export const created = (n: number, uploadId: string): string => json("C", { n, uploadId })

export const part = (n: number, { checksum, etag, number, size }: StoredPart): string =>
  json("P", { n, number, size, etag, checksum })

export const ended = (n: number): string => json("E", { n })

export const owned = (owner: string): string => json("O", { owner })

export const disowned = (owner: string): string => json("D", { owner })

/** A finished file, and its location at the destination. */
export const finished = (digest: string, location?: string): string =>
  location === undefined ? line(`${version}F${digest}`) : line(`${version}W${digest}${ascii(JSON.stringify(location))}`)

export const runEnded = line(`${version}R`)

/**
 * 48 bits for the key, 60 bits for the whole file and 36 bits for its etag, in base64url. The worst that
 * happens to keys that share the first part is that they hide each other, and are uploaded again.
 */
export const digestOf = ({ etag, fingerprint, key, size }: Finished): string =>
  hash("sha256", key, "base64url").slice(0, 8) +
  hash("sha256", `${key.length}:${key}${size}:${fingerprint}`, "base64url").slice(0, 10) +
  (etag === undefined ? noEtag : hash("sha256", etag, "base64url").slice(0, 6))

const noEtag = "AAAAAA"

/** The digest without the etag: two digests of the same file share it. */
export const identityIn = (digest: string): string => digest.slice(0, 18)

const anyDigest = "x".repeat(24)

/** The length of every record of a finished file, without its location. */
export const finishedLength = finished(anyDigest).length

/** How much longer a record with a location is. */
export const locationLength = (location: string): number => finished(anyDigest, location).length - finishedLength

/** The digest of a finished file in a record's payload, and its location; `undefined` for any other record. */
export const finishedIn = (
  payload: string
): { readonly digest: string; readonly location: string | undefined } | undefined => {
  const [, kind, digest, text = ""] = /^1([FW])([\w-]{24})(.*)$/.exec(payload) ?? []
  if (digest === undefined) return undefined
  if (kind === "F") return text === "" ? { digest, location: undefined } : undefined
  return Option.getOrUndefined(Option.map(decodeLocation(text), (location) => ({ digest, location })))
}

const decodeLocation = Schema.decodeOption(Schema.parseJson(Schema.String))

/** A whole record, and where it ends. */
export interface Frame {
  readonly payload: string
  readonly length: number
  /** The offset in the file after it. */
  readonly end: number
}

/** Finds the records in text that arrives in pieces, and skips damaged ones. */
export class Scanner {
  private rest = ""
  private offset = 0
  private skipping = false
  private damage = false
  private readonly onFrame: (frame: Frame, damaged: boolean) => void

  /** `damaged` tells whether there was something unreadable before the frame. */
  constructor(onFrame: (frame: Frame, damaged: boolean) => void) {
    this.onFrame = onFrame
  }

  /** Takes more text; `last` marks the final piece. */
  feed(text: string, last = false): void {
    this.rest += text
    let at = 0
    while (at < this.rest.length) {
      const found = this.skipping ? 0 : lineAt(this.rest, at, last)
      if (found === undefined) break
      if (found > 0) {
        const payload = this.rest.slice(this.rest.indexOf(" ", at + 9) + 1, at + found - 1)
        const damaged = this.damage
        this.damage = false
        this.onFrame({ payload, length: found, end: this.offset + at + found }, damaged)
        at += found
        continue
      }
      this.damage = true
      const next = this.rest.indexOf("\n", at)
      this.skipping = next < 0
      at = next < 0 ? this.rest.length : next + 1
    }
    this.rest = this.rest.slice(at)
    this.offset += at
  }
}

/** The length of the line that starts here; 0 if it is damaged, `undefined` if more text is needed. */
const lineAt = (text: string, at: number, last: boolean): number | undefined => {
  const short = last ? 0 : undefined
  const space = text.indexOf(" ", at + 9)
  if (space < 0 || space > at + 16) return text.length >= at + 17 ? 0 : short
  const length = Number(text.slice(at + 9, space))
  if (text[at + 8] !== " " || !Number.isInteger(length) || length > longest) return 0
  const end = space + 1 + length
  if (text.length <= end) return short
  return parseInt(text.slice(at, at + 8), 16) === crc32(text.slice(at + 9, end)) ? end + 1 - at : 0
}

/** Whether text is the beginning of a header that was never completely written. */
export const isTornHeader = (text: string): boolean =>
  /^[0-9a-f]{0,8}$|^[0-9a-f]{8} \d{0,4}$|^[0-9a-f]{8} \d{1,4} (1(H([ -~]*)?)?)?$/.test(text)
