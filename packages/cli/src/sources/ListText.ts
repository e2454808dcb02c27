/**
 * Decodes a list of names: detects its encoding and the separator of its names.
 *
 * Lists are UTF-8, or UTF-16 if they begin with its byte order mark, as PowerShell writes them. Names are separated by
 * line ends or, as `find -print0` writes them, by NUL. The separator is detected as soon as the first name has
 * arrived, so that a list can be read while it is being written.
 */
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** The names in a list's bytes, and their separator. */
export const names = <E>(
  bytes: Stream.Stream<Uint8Array, E>
): Effect.Effect<
  { readonly separator: "line" | "NUL"; readonly names: Stream.Stream<string, E> },
  E,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const pull = yield* Stream.toPull(bytes)
    const beginning = yield* begin(pull)
    const encoding = encodingOf(beginning)
    const decoded = Stream.mapAccum(
      // At the end, the decoder flushes what it has of an incomplete character.
      Stream.concat(
        Stream.map(Stream.concat(Stream.make(beginning), Stream.repeatEffectChunkOption(pull)), Option.some),
        Stream.make(Option.none<Uint8Array>())
      ),
      new TextDecoder(encoding),
      (decoder, block) => [
        decoder,
        Option.match(block, {
          onNone: () => decoder.decode(),
          onSome: (block) => decoder.decode(block, { stream: true })
        })
      ]
    )
    const separator = separatorOf(new TextDecoder(encoding).decode(beginning, { stream: true }))
    return { separator, names: separator === "line" ? Stream.splitLines(decoded) : splitAtNul(decoded) }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Pull<E> = Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<E>>

/** The number of bytes within which the first name must end for its separator to be detected. */
const longestBeginning = 64 * 1024

/** The first bytes, which include the end of the first name, if there is one. */
const begin = <E>(pull: Pull<E>): Effect.Effect<Uint8Array, E> => {
  const more = (before: Uint8Array): Effect.Effect<Uint8Array, E> =>
    Effect.matchEffect(pull, {
      onFailure: Option.match({ onNone: () => Effect.succeed(before), onSome: (error: E) => Effect.fail(error) }),
      onSuccess: (blocks) => {
        const all = Buffer.concat([before, ...blocks])
        return all.length >= longestBeginning || all.includes(0) || all.includes("\n")
          ? Effect.succeed(all)
          : more(all)
      }
    })
  return more(new Uint8Array())
}

/** Without a byte order mark, UTF-16 can be recognized by its line ends, half of which are NUL. */
const encodingOf = (beginning: Uint8Array): "utf-8" | "utf-16le" | "utf-16be" => {
  const [first, second] = beginning
  if (first === 0xff && second === 0xfe) return "utf-16le"
  if (first === 0xfe && second === 0xff) return "utf-16be"
  const characters = beginning.subarray(0, beginning.length - beginning.length % 2)
  const half = characters.length / 2
  const zeros = [0, 0]
  characters.forEach((byte, i) => byte === 0 && zeros[i % 2]!++)
  const text = Buffer.from(characters)
  if (zeros[0] === 0 && zeros[1]! > half / 2 && text.includes("\n\0")) return "utf-16le"
  return zeros[1] === 0 && zeros[0]! > half / 2 && text.includes("\0\n") ? "utf-16be" : "utf-8"
}

/**
 * A name in a list of lines can contain a NUL, and one in a list with NULs a line end: the more frequent one decides.
 */
const separatorOf = (beginning: string): "line" | "NUL" => {
  const nuls = beginning.split("\0").length - 1
  const lines = beginning.split("\n").length - 1
  return nuls > lines || (nuls > 0 && nuls === lines && beginning.endsWith("\0")) ? "NUL" : "line"
}

const splitAtNul = <E>(texts: Stream.Stream<string, E>): Stream.Stream<string, E> =>
  Stream.concat(Stream.map(texts, Option.some), Stream.make(Option.none<string>())).pipe(
    Stream.mapAccum("", (rest, text) => {
      if (Option.isNone(text)) return ["", rest === "" ? [] : [rest]] as const
      const names = `${rest}${text.value}`.split("\0")
      return [names.pop() ?? "", names] as const
    }),
    Stream.flattenIterables
  )
