/**
 * Addresses of files on an HTTP server, and whether the server answers.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { refused, talkMillis } from "../../../internal/transport/answers.js"
import type { Transport } from "../../../Transport.js"
import type { UploadError } from "../../../UploadError.js"

/** The address of a key: in place of `{key}` in the template, or at the end of its path. */
export const withKey = (template: string, key: string): string => {
  const encoded = key.split("/").map(encodeURIComponent).join("/")
  if (template.includes("{key}")) return template.replaceAll("{key}", () => encoded)
  const [, base = "", rest = ""] = /^([^?#]*)(.*)$/s.exec(template) ?? []
  return `${base.endsWith("/") ? base : `${base}/`}${encoded}${rest}`
}

/** The scheme and the host of an address; `undefined` if it is not an HTTP address. */
export const hostOf = (url: string): string | undefined =>
  Option.getOrUndefined(
    Option.filterMap(
      Option.liftThrowable(() => new URL(url))(),
      ({ host, protocol }) => /^https?:$/.test(protocol) ? Option.some(`${protocol}//${host}`) : Option.none()
    )
  )

/** Checks whether the server of an address answers at all: requests only its root, without credentials. */
export const probe = (transport: Transport["Type"], url: string): Effect.Effect<void, UploadError> => {
  const origin = hostOf(withKey(url, "a"))
  return origin === undefined ? Effect.void : Effect.flatMap(
    transport.send({ method: "HEAD", url: `${origin}/`, headers: {}, answerMillis: talkMillis }),
    (answer) =>
      answer.status < 500
        ? Effect.void
        : Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(refused(origin, answer, (text) => text, now)))
  )
}
