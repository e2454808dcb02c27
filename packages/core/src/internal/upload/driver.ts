/**
 * Makes a driver safe to call. Drivers may be written without types: a throw, a defect, a failure other than an
 * `UploadError` and a malformed answer each fail only the one request.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Destination from "../../Destination.js"
import { Rejected } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { isUploadError } from "../values/uploadErrors.js"

/** The error that a cause other than an interruption stands for. */
export const failureOf = (cause: Cause.Cause<UploadError>): UploadError =>
  Option.match(Cause.failureOption(cause), {
    onSome: (error) =>
      isUploadError(error) ? error : unexpected(`failed with ${shown(error)}, which is not an UploadError.`, error),
    onNone: () => unexpected(`failed unexpectedly: ${Cause.pretty(cause).split("\n", 1)[0]}`, Cause.squash(cause))
  })

/** What is wrong with an answer to `put`, `uploadPart` or `complete`, if anything. */
export const wrongAnswer = (verb: string, answer: unknown): Rejected | undefined =>
  Predicate.isObject(answer) ? undefined : answered(verb, answer, "an object")

/** A destination whose verbs, except `put`, fail only with `UploadError`. */
export const checked = (destination: Destination.Destination["Type"]): Destination.Destination["Type"] => {
  const { head, multipart, probe } = destination
  return {
    ...destination,
    ...(head !== undefined && { head: (key: string) => asked(() => head(key), (found) => wrongHead(found)) }),
    ...(probe !== undefined && { probe: asked(() => probe, () => undefined) }),
    ...(multipart !== undefined && {
      multipart: {
        ...multipart,
        create: (request) =>
          asked(
            () => multipart.create(request),
            (id) => typeof id === "string" && id !== "" ? undefined : answered("create", id, "the id of the upload")
          ),
        uploadPart: (request) => asked(() => multipart.uploadPart(request), (part) => wrongAnswer("uploadPart", part)),
        listParts: (session) =>
          asked(
            () => multipart.listParts(session),
            (parts) =>
              parts === undefined || (Array.isArray(parts) && parts.every(Predicate.isObject))
                ? undefined
                : answered("listParts", parts, "the parts, or nothing")
          ),
        complete: (request) => asked(() => multipart.complete(request), (stored) => wrongAnswer("complete", stored)),
        abort: (session) => asked(() => multipart.abort(session), () => undefined)
      }
    })
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const asked = <A>(
  call: () => Effect.Effect<A, UploadError>,
  problem: (answer: A) => Rejected | undefined
): Effect.Effect<A, UploadError> =>
  Effect.matchCauseEffect(Effect.suspend(call), {
    onFailure: (cause) => Cause.isInterrupted(cause) ? Effect.failCause(cause) : Effect.fail(failureOf(cause)),
    onSuccess: (answer) => {
      const wrong = problem(answer)
      return wrong === undefined ? Effect.succeed(answer) : Effect.fail(wrong)
    }
  })

const wrongHead = (found: unknown): Rejected | undefined =>
  Option.isOption(found) && (Option.isNone(found) || Predicate.isObject(found.value))
    ? undefined
    : answered("head", found, "an Option of what is there")

const answered = (verb: string, answer: unknown, expected: string): Rejected =>
  unexpected(`answered ${verb} with ${shown(answer)} instead of ${expected}.`, undefined)

const unexpected = (what: string, cause: unknown): Rejected =>
  new Rejected({
    reason: "Unexpected",
    detail: `The destination's driver ${what}`,
    ...(cause !== undefined && { cause })
  })

const shown = (value: unknown): string =>
  (value instanceof Error ? value.message : Inspectable.toStringUnknown(value, 0)).slice(0, 200)
