/**
 * Forms with a file in them, as browsers send them: `multipart/form-data` by RFC 7578, encoded as in the HTML standard.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as ByteSource from "../../../ByteSource.js"
import type { Body, StreamOptions } from "../../../Destination.js"

export interface Form {
  /** Fields other than the file, which come before it. */
  readonly fields: Readonly<Record<string, string>>
  /** The name of the file's field. */
  readonly field: string
  readonly fileName: string
  readonly contentType: string
  readonly body: Body
}

/** The form as a body, whose size is known if the file's is, and its content type. */
export interface Encoded {
  readonly body: Body
  readonly contentType: string
}

export const encode = ({ body, contentType, field, fields, fileName }: Form): Effect.Effect<Encoded> =>
  Effect.map(boundary, (between) => {
    const before = Object.entries(fields).map(([name, value]) =>
      `--${between}\r\ncontent-disposition: form-data; name="${quote(newlines(name))}"\r\n\r\n${newlines(value)}\r\n`
    )
    const head = utf8(
      `${before.join("")}--${between}\r\ncontent-disposition: form-data; name="${quote(newlines(field))}"; ` +
        `filename="${quote(fileName)}"\r\ncontent-type: ${contentType.replace(/[\r\n\0]+/g, " ")}\r\n\r\n`
    )
    return {
      body: new FormBody(body, head, utf8(`\r\n--${between}--\r\n`)),
      contentType: `multipart/form-data; boundary=${between}`
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** A file with the parts of the form before and after it. Only the bytes of the file are counted and paced. */
class FormBody implements Body {
  private readonly file: Body
  private readonly head: Uint8Array
  private readonly tail: Uint8Array

  constructor(file: Body, head: Uint8Array, tail: Uint8Array) {
    this.file = file
    this.head = head
    this.tail = tail
  }

  get size(): number | undefined {
    const { size } = this.file
    return size === undefined ? undefined : this.head.length + size + this.tail.length
  }

  get inOnePiece(): boolean {
    return this.file.inOnePiece
  }

  get bytes(): Body["bytes"] {
    return Effect.map(this.file.bytes, (bytes) => ByteSource.concat([this.head, bytes, this.tail]))
  }

  get whole(): Body["whole"] {
    return Effect.map(this.file.whole, (whole) => new FormBody(whole, this.head, this.tail))
  }

  get checksum(): Body["checksum"] {
    return this.file.checksum
  }

  stream(options?: StreamOptions): ReturnType<Body["stream"]> {
    return Stream.unwrapScoped(Effect.map(this.blocks(options), Stream.repeatEffectOption))
  }

  blocks(options?: StreamOptions): ReturnType<Body["blocks"]> {
    const { head, tail } = this
    return Effect.map(this.file.blocks(options), (next) => {
      const edges = [head, tail]
      const edge = Effect.suspend(() => Effect.mapError(Effect.fromNullable(edges.shift()), Option.none<never>))
      return Effect.suspend(() => edges.length === 2 ? edge : Effect.catchIf(next, Option.isNone, () => edge))
    })
  }

  unwatched<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return this.file.unwatched(effect)
  }

  track(position: Effect.Effect<string>): void {
    this.file.track?.(position)
  }

  release(): void {
    this.file.release()
  }
}

/** Unpredictable for anybody who names or writes files. */
const boundary: Effect.Effect<string> = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 36), 32),
  (digits) => `sluice-${digits.map((digit) => digit.toString(36)).join("")}`
)

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

const newlines = (text: string): string => text.replace(/\r\n|\r|\n/g, "\r\n")

/** Names in quotes, as browsers write them. */
const quote = (text: string): string => text.replaceAll("\"", "%22").replaceAll("\r", "%0D").replaceAll("\n", "%0A")
