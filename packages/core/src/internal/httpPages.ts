/**
 * Web pages in answer to a file that was put: what proxies, filters and login portals say to anything, and what some
 * servers say when all is well.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Head } from "../Destination.js"
import type { Answer } from "../Transport.js"
import { Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import * as AnswerText from "./answerText.js"

/**
 * The failure that an answer is which says 200 with a page for people, and neither an etag nor where it has put the file:
 * nothing in it shows that it is the server's. Other statuses of success, such as 201, nobody in between makes up.
 */
export const problem = (name: string, { body, headers, status }: Answer): Transient | undefined => {
  if (status !== 200 || headers["etag"] !== undefined || headers["location"] !== undefined) return undefined
  if (!AnswerText.isPage(body)) return undefined
  const title = AnswerText.titleOf(body, headers["content-type"])
  return new Transient({
    reason: "Unavailable",
    detail: `${name} answered with a web page${title === undefined ? "" : ` (${title})`}, and nothing shows that the ` +
      "file is stored: something in between may have answered, such as a proxy or a login page."
  })
}

/** Fails with a problem unless a look shows that the file is there after all, or the server is not to be looked at. */
export const settled = (
  problem: Transient,
  look: Effect.Effect<Option.Option<Head>, UploadError>,
  size: number | undefined
): Effect.Effect<void, UploadError> =>
  Effect.matchEffect(look, {
    onFailure: (error) =>
      error._tag === "Rejected" && notToBeLookedAt.has(error.reason) ? Effect.void : Effect.fail(problem),
    onSuccess: (found) => Option.exists(found, (head) => head.size === size) ? Effect.void : Effect.fail(problem)
  })

/** What a server says that takes files and lets nobody look. One that answers, and does not say how large, shows nothing. */
const notToBeLookedAt: ReadonlySet<string> = new Set(["Unauthorized", "Forbidden", "Unsupported"])
