/**
 * The meaning of HTTP statuses and of the headers that come with them.
 */
import { renderUrl } from "./renderUrl.js"

/** Statuses that pass by themselves: a slow, early or busy server, a held lock (WebDAV), a client that left. */
export const passing: ReadonlySet<number> = new Set([408, 423, 425, 499])

/** Statuses of servers that cannot do what is asked, or have no room for it. */
export const lasting: ReadonlySet<number> = new Set([501, 505, 507])

/** Statuses that pass if the server says when to retry: a limit, a conflict, too much at once. */
export const mayPass: ReadonlySet<number> = new Set([403, 409, 413])

/** The reasons for final refusals, by status. */
export const rejections: Readonly<
  Record<number, "Unauthorized" | "Forbidden" | "NotFound" | "TooLarge" | "NoSpace">
> = {
  401: "Unauthorized",
  402: "Forbidden",
  403: "Forbidden",
  404: "NotFound",
  410: "NotFound",
  413: "TooLarge",
  507: "NoSpace"
}

/** `Retry-After`: seconds, or a date. Nonsense and past dates are ignored; more than a day counts as a day. */
export const retryAfterMillis = (header: string | undefined, now: number): number | undefined =>
  header === undefined
    ? undefined
    : plausible(
      /^\s*\d+(\.\d+)?\s*$/.test(header)
        ? Math.ceil(Number(header) * 1000)
        : date.test(header)
        ? Date.parse(header) - now
        : NaN
    )

/** A plausible wait in milliseconds, at most a day; `undefined` for nonsense. */
export const plausible = (millis: number): number | undefined => millis >= 0 ? Math.min(millis, day) : undefined

/** Why a redirect is a failure, and its target as far as it may be shown. */
export const whereTo = (location: string | undefined): string => {
  const to = renderUrl(location ?? "").replace(/[^\x21-\x7e]+/g, " ").slice(0, 200)
  return `redirects are not followed${to.trim() === "" ? "" : `; this one leads to ${to}`}`
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The date formats of HTTP and ISO: the parser finds dates in other text, too. */
const date = /^\s*(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s|\d{4}-\d\d-\d\dT)/i

const day = 86_400_000
