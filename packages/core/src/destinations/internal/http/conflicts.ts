/**
 * What it means that a server answers 409 to a file that is put: that somebody holds it for now, that it is there already,
 * or, on WebDAV servers (RFC 4918, 9.7.1), that the directory for it is not there. The answer seldom says which; looks do.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Head } from "../../../Destination.js"
import { isMissing } from "../../../internal/transport/answers.js"
import type { Answer } from "../../../Transport.js"
import { Conflict, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"

/** What can be seen of a key that was refused. */
export interface Looks {
  /** Of the object. */
  readonly object: Effect.Effect<Option.Option<Head>, UploadError>
  /** Of the directory that it would be in. */
  readonly directory: Effect.Effect<Answer, UploadError>
}

/**
 * What a conflict means: it stays one where something is there or the directory is not, and where nothing can be seen;
 * where the directory is there, and the object is not, it passes. Without looks, only what the server says counts.
 */
export const settled = (
  name: string,
  conflict: Conflict,
  looks: Looks | undefined
): Effect.Effect<never, UploadError> => {
  const later = new Transient({ reason: "Unavailable", detail: conflict.detail })
  if (passes.test(conflict.detail.slice(name.length))) return Effect.fail(later)
  if (looks === undefined) return Effect.fail(conflict)
  const isThere = Effect.match(looks.object, { onFailure: () => false, onSuccess: Option.isSome })
  const directory = Effect.match(looks.directory, {
    onFailure: () => conflict,
    onSuccess: (answer) =>
      isMissing(answer) ? withoutDirectory(conflict) : answer.status === 409 || answer.status >= 500 ? conflict : later
  })
  return Effect.flatMap(isThere, (there) => there ? Effect.fail(conflict) : Effect.flatMap(directory, Effect.fail))
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** What servers say of what somebody else does at the moment. */
const passes = /\block(?:ed|s|ing|-token\S*)?\b|temporar|\btry(?:ing)? again|in progress|concurrent|\bbusy\b/i

const withoutDirectory = ({ detail }: Conflict) =>
  new Conflict({ detail: `${detail} (its directory is not there: WebDAV servers want it made first)` })
