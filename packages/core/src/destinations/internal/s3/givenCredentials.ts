/**
 * Validation of S3 credentials from a user's effect, which may be written without types.
 */
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as OwnFunction from "../../../internal/calls/ownFunction.js"
import type { UploadError } from "../../../UploadError.js"
import type { Credentials } from "./credentials.js"

/** Credentials that can sign requests, or a failure if they are invalid. */
export const checked = (
  credentials: Effect.Effect<Credentials, UploadError>
): Effect.Effect<Credentials, UploadError> => OwnFunction.asked("The effect `credentials`", () => credentials, problem)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const problem = (found: unknown): string | undefined => {
  if (!Predicate.isRecord(found)) return `answered with ${OwnFunction.kindOf(found)} instead of credentials`
  const is = (name: string, isRight: Predicate.Predicate<unknown>, expected: string) =>
    isRight(found[name])
      ? undefined
      : `answered with ${name.startsWith("a") || name.startsWith("e") ? "an" : "a"} \`${name}\` that is ${
        OwnFunction.kindOf(found[name])
      } instead of ${expected}`
  return is("accessKeyId", Predicate.isString, "text") ??
    is("secretAccessKey", isSecret, "Redacted text") ??
    is("sessionToken", Predicate.or(Predicate.isUndefined, isSecret), "Redacted text") ??
    is("expiresAt", Predicate.or(Predicate.isUndefined, isTime), "milliseconds since the epoch")
}

/** A wiped secret is not valid. */
const isSecret = (value: unknown): boolean =>
  Redacted.isRedacted(value) && Option.exists(Option.liftThrowable(() => Redacted.value(value))(), Predicate.isString)

const isTime = (value: unknown): boolean => typeof value === "number" && !Number.isNaN(value)
