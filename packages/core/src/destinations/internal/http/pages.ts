/**
 * Web pages in answer to a put: what proxies, filters and login portals send for any request, and some servers on
 * success.
 *
 * No status reliably tells whether a page came from the server itself: a proxy that changes an answer sends 203, and
 * Apache sends 201 with a page. Nor does an etag, because it is the page's own. So the file is looked for.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Head, Stored } from "../../../Destination.js"
import * as AnswerText from "../../../internal/transport/answerText.js"
import type { Answer } from "../../../Transport.js"
import { Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"

/** The evidence available for a file that was put. */
export interface Evidence {
  /** The address that it was put to. A server that reports a creation there, with a location, is believed. */
  readonly url?: string | undefined
  readonly size: number | undefined
  /**
   * Looks at the object. Without a look, a server that says it has created something is believed: nothing in between
   * says that.
   */
  readonly look?: Effect.Effect<Option.Option<Head>, UploadError> | undefined
}

/** What is stored, according to a success. A page is a failure, unless there is evidence or none is needed. */
export const stored = (
  name: string,
  answer: Answer,
  evidence: Evidence | undefined
): Effect.Effect<Stored, UploadError> => {
  const said = Effect.succeed({ etag: answer.headers["etag"] })
  if (evidence === undefined || !AnswerText.isPage(answer.body)) return said
  const { look, size, url } = evidence
  if (hasCreated(answer, url)) return said
  const problem = pageOf(name, answer)
  if (look === undefined) return answer.status === 201 ? said : Effect.fail(problem)
  return Effect.matchEffect(look, {
    onFailure: (error) =>
      error._tag === "Rejected" && notToBeLookedAt.has(error.reason)
        ? Effect.succeed({ etag: undefined })
        : Effect.fail(problem),
    onSuccess: (found) =>
      Option.isSome(found) && found.value.size === size
        ? Effect.succeed({ etag: found.value.etag })
        : Effect.fail(problem)
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Whether the server says that it has created the file at the address that it was put to. */
const hasCreated = ({ headers, status }: Answer, url: string | undefined): boolean => {
  const location = headers["location"]
  return status === 201 && location !== undefined && url !== undefined &&
    Option.getOrElse(
      Option.liftThrowable(() => placeOf(new URL(location, url)) === placeOf(new URL(url)))(),
      () => false
    )
}

const placeOf = ({ host, pathname }: URL): string => `${host}${pathname}`

const pageOf = (name: string, { body, headers }: Answer): Transient => {
  const title = AnswerText.titleOf(body, headers["content-type"])
  return new Transient({
    reason: "Unavailable",
    detail: `${name} answered with a web page${title === undefined ? "" : ` (${title})`}, and nothing shows that the ` +
      "file is stored: something in between may have answered, such as a proxy or a login page."
  })
}

/** The refusals of servers that take files but allow no look. An answer without a size proves nothing. */
const notToBeLookedAt: ReadonlySet<string> = new Set(["Unauthorized", "Forbidden", "Unsupported"])
