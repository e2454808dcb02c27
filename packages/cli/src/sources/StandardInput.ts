/**
 * Uploads from standard input, whose size is unknown and which cannot be read again.
 *
 * If the program that writes to the pipe fails, the only sign may be that nothing arrives. So empty standard input does
 * not replace an object with contents, unless a flag asks for it.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as ByteSource from "@sluice/core/ByteSource"
import type { Destination } from "@sluice/core/Destination"
import * as UploadFile from "@sluice/core/UploadFile"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as CliError from "../CliError.js"
import * as Descriptor from "../terminal/Descriptor.js"
import { Output, writeLines } from "../terminal/Output.js"
import type { Sources } from "./Sources.js"
import { Locations } from "./Sources.js"

export interface StandardInput extends Sources {
  readonly key: string
  /** Waits for the first bytes; returns whether there are none. */
  readonly isEmpty: Effect.Effect<boolean, CliError.CliError>
}

/** Standard input, under a key. Nothing has been read yet. */
export const make = Effect.fnUntraced(
  function*(key: string): Effect.fn.Return<StandardInput, CliError.CliError, Scope.Scope> {
    // Node treats a directory as an empty stream.
    if (Option.exists(Descriptor.stat(process.stdin.fd), (stat) => stat.isDirectory())) {
      return yield* CliError.sourceNotFound("Standard input is a directory: it cannot be read.")
    }
    const blocks = Stream.filter(
      NodeStream.fromReadable<unknown, Uint8Array>(() => process.stdin, (cause) => cause),
      (block) => block.length > 0
    )
    const scope = yield* Effect.scope
    const begun = yield* Effect.cached(
      Effect.provideService(Stream.peel(blocks, Sink.head<Uint8Array>()), Scope.Scope, scope)
    )
    const bytes = Stream.unwrap(
      Effect.map(
        begun,
        ([first, rest]) => Stream.concat(Stream.fromIterable(Option.toArray(first)), Stream.concat(rest, cutShort))
      )
    )
    return {
      key,
      items: [UploadFile.make(key, patient(ByteSource.fromStream(bytes)))],
      locations: new Locations(),
      isEmpty: Effect.mapBoth(begun, {
        onFailure: (cause) => CliError.sourceNotFound(`Standard input ${CliError.whyUnreadable(cause)}.`),
        onSuccess: ([first]) => Option.isNone(first)
      })
    }
  }
)

/** The program that writes into a pipe may take its time: a query, a sort. Silence does not count as a stall here. */
const patient = (source: ByteSource.ByteSource): ByteSource.ByteSource => ({
  ...source,
  read: (range) =>
    range.watch === undefined
      ? source.read(range)
      : Stream.fromPull(Effect.map(Stream.toPull(source.read(range)), range.watch.unwatched))
})

/**
 * Ctrl-C also ends the program that writes into the pipe, and this process notices both at about the same time. So the
 * end of input counts only if no signal arrives with it.
 */
const cutShort = Stream.drain(Stream.fromEffect(Effect.sleep("200 millis")))

/** Warns about empty standard input, and fails if it would replace something. */
export const check = (
  { isEmpty, key }: StandardInput,
  { head, name }: Destination["Type"]
): Effect.Effect<void, CliError.CliError, Output> =>
  Effect.gen(function*() {
    if (!(yield* isEmpty)) return
    const { stderr } = yield* Output
    // Without lookups, as with tus, each upload is a new object.
    const there = head === undefined ? Either.right(Option.none()) : yield* Effect.either(head(key))
    if (Either.isRight(there) && !Option.exists(there.right, ({ size }) => size > 0)) {
      return yield* writeLines(stderr, [
        stderr.style.yellow(
          "sluice: Standard input was empty, so the stored object is empty. --allow-empty silences this warning."
        )
      ])
    }
    return yield* new CliError.CliError({
      reason: "SomeFailed",
      detail: Either.isRight(there)
        ? `Standard input was empty, so ${key} at ${name} was not replaced. To replace it with an empty object, add --allow-empty.`
        : `Standard input was empty, and it is unknown whether ${name} has ${key}: nothing was uploaded. ` +
          `To store an empty object there, add --allow-empty. ${there.left.message}`
    })
  })
