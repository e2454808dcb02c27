/**
 * Checks whether a destination verifies checksums, by sending bytes with a wrong one.
 */
import * as Checksum from "@sluice/core/Checksum"
import type { Body, Destination } from "@sluice/core/Destination"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Tell } from "./Finding.js"

/** Sends a wrong checksum under a separate key, and reports the result. */
export const run = (
  destination: Destination["Type"],
  { algorithm, key, tell }: { readonly algorithm: Checksum.Algorithm; readonly key: string; readonly tell: Tell }
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const bytes = new TextEncoder().encode("sluice doctor wrote this with a wrong checksum. It can be removed.\n")
    const right = sumOf(algorithm, bytes)
    const wrong = sumOf(algorithm, bytes.subarray(1))
    const sent = yield* Effect.either(
      Effect.timeoutFail(
        destination.put({ key, body: bodyOf(bytes, wrong), contentType: "text/plain; charset=utf-8" }),
        { duration: patienceMillis, onTimeout: () => undefined }
      ).pipe(
        // A request with the wrong region or time fails once, and the next one is corrected.
        Effect.retry({ times: 1, while: (error) => error?._tag === "Transient" })
      )
    )
    if (Either.isRight(sent)) {
      yield* Effect.ignore(destination.remove?.(key) ?? Effect.void)
      const { checksum } = sent.right
      return yield* checksum?.algorithm === algorithm && checksum.value === right.value
        ? tell(
          "checksum",
          "ok",
          `${algorithm}: the destination reports the checksum of the stored object, and uploads compare it`
        )
        : tell(
          "checksum",
          "note",
          `The destination does not verify ${algorithm}: it stored bytes with a wrong checksum. Damage in transit is not ` +
            "detected.",
          "sluice verify compares stored objects with their sources."
        )
    }
    const error = sent.left
    return yield* error === undefined || error._tag === "Transient" || error._tag === "Throttled"
      ? tell(
        "checksum",
        "note",
        `could not find out whether ${algorithm} is verified: ${error?.message ?? "no answer"}`
      )
      : tell("checksum", "ok", `${algorithm}: bytes with a wrong checksum were refused`)
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const patienceMillis = 30_000

const sumOf = (algorithm: Checksum.Algorithm, bytes: Uint8Array): Checksum.Checksum => {
  const sum = Checksum.make(algorithm)
  sum.update(bytes)
  return sum.checksum()
}

const bodyOf = (bytes: Uint8Array, checksum: Checksum.Checksum): Body => {
  const body: Body = {
    size: bytes.length,
    inOnePiece: true,
    stream: () => Stream.succeed(bytes),
    blocks: () =>
      Effect.sync(() => {
        let given = false
        return Effect.suspend(() => {
          if (given) return Effect.fail(Option.none())
          given = true
          return Effect.succeed(bytes)
        })
      }),
    bytes: Effect.succeed(bytes),
    whole: Effect.suspend(() => Effect.succeed(body)),
    checksum,
    unwatched: (effect) => effect,
    release: () => {}
  }
  return body
}
