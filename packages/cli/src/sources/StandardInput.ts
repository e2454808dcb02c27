/**
 * Standard input as what is uploaded: nobody knows how much it is, and it cannot be read again.
 *
 * Of a pipe whose left side has failed nothing can be seen but that nothing came. So an empty one does not replace an
 * object that holds something, unless it is asked to.
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
  /** Waits for the first bytes, and tells whether there are none. */
  readonly isEmpty: Effect.Effect<boolean, CliError.CliError>
}

/** Standard input, under a key. Nothing of it is read yet. */
export const make = (key: string): Effect.Effect<StandardInput, CliError.CliError, Scope.Scope> =>
  Effect.gen(function*() {
    // Node takes a directory for an empty stream.
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
  })

/** What writes into a pipe may take its time: a query, a sort. Nobody else waits for that, so silence is no stall. */
const patient = (source: ByteSource.ByteSource): ByteSource.ByteSource => ({
  ...source,
  read: (range) =>
    range.watch === undefined
      ? source.read(range)
      : Stream.fromPull(Effect.map(Stream.toPull(source.read(range)), range.watch.unwatched))
})

/**
 * Ctrl-C ends whatever writes into the pipe, and this process hears of both at about the same time: the end is believed
 * when it was not the first thing to be heard of a signal.
 */
const cutShort = Stream.drain(Stream.fromEffect(Effect.sleep("200 millis")))

/** Warns of an empty standard input, and fails where it would replace something. */
export const check = (
  { isEmpty, key }: StandardInput,
  { head, name }: Destination["Type"]
): Effect.Effect<void, CliError.CliError, Output> =>
  Effect.gen(function*() {
    if (!(yield* isEmpty)) return
    const { stderr } = yield* Output
    // Where there is no way to look, as with tus, each upload is a new object.
    const there = head === undefined ? Either.right(Option.none()) : yield* Effect.either(head(key))
    if (Either.isRight(there) && !Option.exists(there.right, ({ size }) => size > 0)) {
      return yield* writeLines(stderr, [
        stderr.style.yellow(
          "sluice: Standard input was empty: so is what is stored. --allow-empty says that it may be."
        )
      ])
    }
    return yield* new CliError.CliError({
      reason: "SomeFailed",
      detail: Either.isRight(there)
        ? `Standard input was empty: what ${name} has as ${key} stays as it is. To replace it by nothing, add --allow-empty.`
        : `Standard input was empty, and whether ${name} has something as ${key} cannot be seen: nothing was uploaded. ` +
          `To store nothing there, add --allow-empty. ${there.left.message}`
    })
  })
