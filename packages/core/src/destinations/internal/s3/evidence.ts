/**
 * Evidence that a success really comes from the server and that the request was carried out. The absence of
 * counter-evidence is not enough: proxies, filters and login portals answer 200 to anything.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Unreadable } from "../../../internal/calls/unreadable.js"
import * as AnswerText from "../../../internal/transport/answerText.js"
import type { Answer, Head } from "../../../Transport.js"
import { Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Errors from "./errors.js"
import * as Xml from "./xml.js"

/** The failure of an answer that lacks required information. */
export const without = (name: string, what: string): Transient =>
  new Transient({
    reason: "Unavailable",
    detail: `${name} returned no ${what}: its answer cannot be read.`,
    cause: new Unreadable()
  })

/** Evidence against a success, in its own body: an error that occurred after the head was sent, or a page. */
export const problem = (
  name: string,
  { body, headers }: Pick<Answer, "body" | "headers">,
  subject: Errors.Subject
): UploadError | undefined => {
  if (body.length === 0) return undefined
  if (AnswerText.isPage(body)) return pageOf(name, AnswerText.titleOf(body, headers["content-type"]))
  const answered = { status: 500, headers: {}, body }
  // Whatever it is, it counts as a server failure unless its code says more.
  return Errors.errorIn(body) === undefined ? undefined : Errors.classify(name, Errors.read(answered, 0), subject)
}

/** Whether the head of an answer describes a page and has nothing that S3 sends; for answers whose body is not read. */
export const isOfPage = ({ headers }: Head): boolean =>
  /^\s*text\/html\b/i.test(headers["content-type"] ?? "") && headers["etag"] === undefined &&
  headers["last-modified"] === undefined && !Object.keys(headers).some((name) => name.startsWith("x-amz-"))

/** The failure of a request that something in between answered with a web page. */
export const pageOf = (name: string, title?: string): Transient =>
  new Transient({
    reason: "Unavailable",
    detail: `${name} answered with a web page${title === undefined ? "" : ` (${title})`} instead of an answer of S3: ` +
      "something in between may have answered, such as a proxy or a login page.",
    cause: new Unreadable()
  })

/**
 * Reads a document that has a certain root or, whatever its root is called, elements that only such a document has. A
 * truncated document, an error or a page is not accepted as an answer.
 */
export const document = (
  name: string,
  answer: Pick<Answer, "body" | "headers">,
  { evidence = [], root, subject }: {
    readonly root: string
    /** Elements that only such an answer has. */
    readonly evidence?: ReadonlyArray<string> | undefined
    readonly subject: Errors.Subject
  }
): Effect.Effect<Xml.Element, UploadError> => {
  const found = Option.getOrUndefined(Xml.parse(answer.body))
  const isIt = found !== undefined && found.name !== "Error" &&
    (found.name === root || evidence.some((element) => (found.text(element) ?? "") !== ""))
  return isIt ? Effect.succeed(found) : Effect.fail(
    problem(name, answer, subject) ??
      new Transient({
        reason: "Unavailable",
        detail: `${name} sent an answer that cannot be read.`,
        cause: new Unreadable()
      })
  )
}

/** Whether there is another page. Some servers do not say so, and only tell where it begins, in the element `next`. */
export const hasMore = (root: Xml.Element, next: string | undefined): boolean => {
  const isTruncated = root.text("IsTruncated")?.trim().toLowerCase() ?? ""
  const begins = next === undefined ? "" : root.text(next)?.trim() ?? ""
  return isTruncated === "true" || (isTruncated === "" && begins !== "" && begins !== "0")
}

/** The key of an object in a listing. */
export const keyIn = (root: Xml.Element, object: Xml.Element): string => {
  const key = object.text("Key") ?? ""
  if (root.text("EncodingType") !== "url") return key
  const spaced = key.replaceAll("+", "%20")
  return Option.getOrElse(Option.liftThrowable(decodeURIComponent)(spaced), () => key)
}
