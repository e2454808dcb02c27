/**
 * The meaning of HTTP answers for an upload, and how much of them may be shown.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { fromStatus, IntegrityMismatch } from "../../UploadError.js"
import type { StatusAnswer, UploadError } from "../../UploadError.js"
import { within } from "../calls/within.js"
import { renderUrl } from "../values/renderUrl.js"
import * as AnswerText from "./answerText.js"

/** An answer that has been read. */
interface Answered extends StatusAnswer {
  readonly body: Uint8Array
}

/** The most characters of an answer's text that are shown. */
const excerptSize = 512

/** How long a server may keep sending an answer that is ignored, in milliseconds. */
export const talkMillis = 1_000

/** How long a server may keep sending an answer that explains what to do, in milliseconds. */
export const explainMillis = 10_000

export const isSuccess = ({ status }: { readonly status: number }): boolean => status >= 200 && status < 300

/** Whether there is nothing at an address, or no longer anything. */
export const isMissing = ({ status }: { readonly status: number }): boolean => status === 404 || status === 410

/**
 * The potential secrets of a request, in case the server repeats them: the query of its address, and the values of its
 * headers.
 */
export const secretsOf = (url: string, headers: Readonly<Record<string, string>>): Array<string> => {
  const query = /\?([^#]*)/.exec(url)?.[1] ?? ""
  return [
    ...query.split("&").map((parameter) => parameter.slice(parameter.indexOf("=") + 1)),
    ...new URLSearchParams(query).values(),
    ...Object.entries(headers).flatMap(([name, value]) =>
      name.toLowerCase() === "authorization" ? secretsOfAuthorization(value) : [value, ...value.split(/\s+/)]
    )
  ].filter((value) => !value.includes("{key}"))
}

/** Everything but the scheme name; for a user and a password, the password. */
const secretsOfAuthorization = (value: string): ReadonlyArray<string> => {
  const [scheme = "", ...rest] = value.trim().split(/\s+/)
  const pair = /^basic$/i.test(scheme) ? Either.getOrUndefined(Encoding.decodeBase64String(rest.join(""))) : undefined
  return [value, ...(rest.length === 0 ? [] : rest), ...(pair === undefined ? [] : [pair, pair.replace(/^[^:]*:/, "")])]
}

/** The meaning of an answer that is not a success. */
export const refused = (
  name: string,
  { body, headers, status }: Answered,
  mask: (text: string) => string,
  now: number
): UploadError => {
  const said = excerpt(body, mask, headers["content-type"])
  const { location } = headers
  return fromStatus(
    { status, headers: location === undefined ? headers : { ...headers, location: mask(renderUrl(location)) } },
    { detail: `${name} answered ${status}${said === "" ? "" : `: ${said}`}`, now }
  )
}

/** An answer with as much of its body as may be shown, if it arrives soon. */
export const withBeginning = (
  { headers, status, stream }: StatusAnswer & { readonly stream: Stream.Stream<Uint8Array, UploadError> }
): Effect.Effect<Answered> =>
  within(Stream.runHead(stream), talkMillis, () => "late" as const).pipe(
    Effect.match({
      onFailure: () => new Uint8Array(0),
      onSuccess: Option.getOrElse(() => new Uint8Array(0))
    }),
    Effect.map((body) => ({ status, headers, body }))
  )

/** The failure if a server has this many bytes of an object. */
export const wrongSize = (name: string, key: string, size: number, persisted: number | undefined): IntegrityMismatch =>
  new IntegrityMismatch({
    reason: "Size",
    detail: `${name} has stored ${persisted ?? "an unknown number of"} bytes of ${key} instead of ${size}.`
  })

/**
 * The beginning of the server's text, on one line and without control characters and secrets. Secrets are searched for
 * in much more text than is shown, so that none is shown truncated, and again after tags and breaks have been removed.
 * For an XML error, the text is its code and message.
 */
export const excerpt = (
  body: Uint8Array,
  mask: (text: string) => string,
  contentType: string | undefined = undefined
): string => {
  const said = mask(AnswerText.decodeLeniently(body.subarray(0, 128 * excerptSize), contentType))
  const error = errorIn(said)
  return mask(error === undefined ? plain(said) : AnswerText.unescape(plain(error))).slice(0, excerptSize)
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Text on one line, without tags and control characters. */
const plain = (text: string): string =>
  text
    .slice(0, 4 * excerptSize)
    .replace(/<!--[^>]*?-->|<!DOCTYPE[^>[]*\[[^\]]*\]\s*>/gi, " ")
    .replace(/<(script|style)\b[^>]*>.*?<\/\1\s*>/gis, " ")
    .replace(/<(?!redacted>)[^>]*>/g, " ")
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim()

/** The code and the message of an XML error, under any prefix; WebDAV uses different names. */
const errorIn = (text: string): string | undefined => {
  const beginning = text.slice(0, 8 * excerptSize)
  if (!/^\s*(?:<\?xml[^>]{0,200}\?>\s*)?<(?:[\w-]{1,20}:)?error(?:response)?[\s>]/i.test(beginning)) return undefined
  const valueOf = (names: string) =>
    new RegExp(`<(?:[\\w-]{1,20}:)?(?:${names})(?:\\s[^<>]{0,200})?>\\s*(?:<!\\[CDATA\\[)?([^<]{1,2000})`, "i")
      .exec(beginning)?.[1]?.replace(/\]\]>$/, "").trim()
  const known = [valueOf("code|exception"), valueOf("message")].filter((part) => part !== undefined && part !== "")
  return known.length === 0 ? undefined : known.join(": ")
}
