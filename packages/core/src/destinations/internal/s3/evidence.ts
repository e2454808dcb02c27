/**
 * What shows that an answer of success is the server's, and that what was asked for is done: that nothing speaks against
 * it is not enough. Proxies, filters and login portals answer 200 to anything.
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

/** An answer without what it has to tell. */
export const without = (name: string, what: string): Transient =>
  new Transient({
    reason: "Unavailable",
    detail: `${name} gave no ${what}: its answer cannot be read.`,
    cause: new Unreadable()
  })

/** What the body of a success says against it: an error that has come about after the head was sent, or a page. */
export const problem = (
  name: string,
  { body, headers }: Pick<Answer, "body" | "headers">,
  subject: Errors.Subject
): UploadError | undefined => {
  if (body.length === 0) return undefined
  if (AnswerText.isPage(body)) return pageOf(name, AnswerText.titleOf(body, headers["content-type"]))
  const answered = { status: 500, headers: {}, body }
  // Whatever it is, it is taken for a failure of the server's own unless its code says more.
  return Errors.errorIn(body) === undefined ? undefined : Errors.classify(name, Errors.read(answered, 0), subject)
}

/** Whether an answer without a body, or with one that is not to be read, tells of a page and of nothing that S3 tells. */
export const isOfPage = ({ headers }: Head): boolean =>
  /^\s*text\/html\b/i.test(headers["content-type"] ?? "") && headers["etag"] === undefined &&
  headers["last-modified"] === undefined && !Object.keys(headers).some((name) => name.startsWith("x-amz-"))

/** The failure of a request that somebody in between has answered with a page for people. */
export const pageOf = (name: string, title?: string): Transient =>
  new Transient({
    reason: "Unavailable",
    detail: `${name} answered with a web page${title === undefined ? "" : ` (${title})`} instead of what S3 answers: ` +
      "something in between may have answered, such as a proxy or a login page.",
    cause: new Unreadable()
  })

/**
 * Reads a document that has a certain root or, by whatever name, says what that one would. One that is cut short, an
 * error or a page is no answer.
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

/** Whether there is another page. Some leave out that there is, and tell only where it begins, by the element `next`. */
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
