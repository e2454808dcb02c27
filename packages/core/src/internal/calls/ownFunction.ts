/**
 * Effects that a user passes to a destination, and functions that return them: credentials, addresses. They may be
 * written without types, so mistakes in them are reported as the user's own and fail one request. The values that they
 * return are never shown, since they may be secret; addresses in their errors are shown without query, user and
 * password.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { Rejected } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { isUploadError } from "../values/uploadErrors.js"

/**
 * Runs the user's code that `whose` names, such as "The function `urls`", and fails if the result is invalid. `problem`
 * returns the reason, which follows the name in the message.
 */
export const asked = <A>(
  whose: string,
  ask: () => Effect.Effect<A, UploadError>,
  problem: (answer: A) => string | undefined
): Effect.Effect<A, UploadError> =>
  Effect.matchCauseEffect(
    Effect.suspend(() => {
      const given: unknown = ask()
      return Effect.isEffect(given)
        ? given as Effect.Effect<A, UploadError>
        : Effect.fail(wrong(`${whose} gave ${kindOf(given)} instead of an Effect.`))
    }),
    {
      onFailure: (cause) => Cause.isInterrupted(cause) ? Effect.failCause(cause) : Effect.fail(failureOf(whose, cause)),
      onSuccess: (answer) => {
        const said = problem(answer)
        return said === undefined ? Effect.succeed(answer) : Effect.fail(wrong(`${whose} ${said}.`))
      }
    }
  )

/** A failure caused by the user's own code. */
export const wrong = (detail: string, cause?: unknown): Rejected =>
  new Rejected({ reason: "Unexpected", detail, ...(cause !== undefined && { cause }) })

/** The kind of a value, without the value itself: such as `a string`. */
export const kindOf = (value: unknown): string =>
  value === undefined || value === null
    ? String(value)
    : Predicate.isPromise(value)
    ? "a Promise"
    : typeof value === "object"
    ? "an object"
    : `a ${typeof value}`

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const failureOf = (whose: string, cause: Cause.Cause<unknown>): UploadError =>
  Option.match(Cause.failureOption(cause), {
    onSome: (error) =>
      isUploadError(error)
        ? error
        : wrong(`${whose} failed with ${shown(error)}, which is not an UploadError.`, error),
    onNone: () => {
      const defect = Cause.squash(cause)
      return wrong(`${whose} failed unexpectedly: ${shown(defect)}`, defect)
    }
  })

const shown = (error: unknown): string =>
  error instanceof Error
    ? `${error.name}: ${withoutSecrets(error.message)}`.replace(/[\p{Cc}\s]+/gu, " ").slice(0, 200)
    : kindOf(error)

/** Removes queries, which may be signatures, and user and password from addresses. */
const withoutSecrets = (text: string): string =>
  text.replace(
    /\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>)\]]+/gi,
    (address) => address.replace(/[?#].*$/s, "").replace(/\/\/[^/@]*@/, "//")
  )
