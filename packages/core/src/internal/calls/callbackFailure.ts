/**
 * The failure of a user's callback on its way around the uploads, which fail with `UploadError` only. It travels as a
 * defect, so that nothing on the way takes it for a failure of the destination, and is taken out where a run ends.
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"

export class CallbackFailure {
  readonly cause: Cause.Cause<unknown>

  constructor(cause: Cause.Cause<unknown>) {
    this.cause = cause
  }
}

/** What a callback failed with, if that is in a cause. */
export const inCause = (cause: Cause.Cause<unknown>): Option.Option<Cause.Cause<unknown>> =>
  Cause.find(
    cause,
    (part) =>
      part._tag === "Die" && part.defect instanceof CallbackFailure ? Option.some(part.defect.cause) : Option.none()
  )
