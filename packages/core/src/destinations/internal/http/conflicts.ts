/**
 * The meaning of a 409 in answer to a put: somebody holds the file for now, it exists already or, on WebDAV servers
 * (RFC 4918, 9.7.1), its directory does not exist. The answer seldom says which; looking does.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Head } from "../../../Destination.js"
import { isMissing } from "../../../internal/transport/answers.js"
import type { Answer } from "../../../Transport.js"
import { Conflict, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"

/** Ways to look at a key that was refused. */
export interface Looks {
  /** Looks at the object. */
  readonly object: Effect.Effect<Option.Option<Head>, UploadError>
  /** Looks at the directory that it would be in. */
  readonly directory: Effect.Effect<Answer, UploadError>
}

/**
 * The meaning of a conflict: it is a lasting one if the object exists, if its directory does not, or if neither can be
 * looked at; it is temporary if the directory exists and the object does not. Without looks, only the server's text
 * counts.
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

/** How servers describe a concurrent operation by somebody else. */
const passes = /\block(?:ed|s|ing|-token\S*)?\b|temporar|\btry(?:ing)? again|in progress|concurrent|\bbusy\b/i

const withoutDirectory = ({ detail }: Conflict) =>
  new Conflict({ detail: `${detail} (its directory does not exist, and WebDAV servers do not create it)` })
