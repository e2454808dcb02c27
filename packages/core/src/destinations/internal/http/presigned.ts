/**
 * Presigned addresses, one for each key.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { Destination } from "../../../Destination.js"
import * as OwnFunction from "../../../internal/calls/ownFunction.js"
import type * as InFlight from "../../../internal/limits/inFlight.js"
import { secretsOf, talkMillis } from "../../../internal/transport/answers.js"
import { masking } from "../../../internal/transport/masking.js"
import { renderUrl } from "../../../Transport.js"
import type { Transport } from "../../../Transport.js"
import { Rejected } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as HttpAddress from "./address.js"
import { stored } from "./answers.js"

/** An address, and the headers that its signature covers. */
export interface Signed {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface PresignedRequest {
  readonly url: string
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

/** A map of addresses by key, or a function that looks one up. */
export type Urls =
  | ((key: string) => Effect.Effect<string | Signed, UploadError>)
  | ReadonlyMap<string, string | Signed>
  | Readonly<Record<string, string | Signed>>

export interface Options {
  readonly urls: Urls
  readonly method: "PUT" | "POST"
  /** The permits of requests; each request takes one. */
  readonly requests: InFlight.InFlight
  readonly name: string
}

/** A destination of presigned addresses, which supports only puts. */
export const make = (transport: Transport["Type"], options: Options): Destination["Type"] => {
  const { method, name, requests, urls } = options
  let failedAt = ""
  return Destination.of({
    name,
    probe: Effect.suspend(() => HttpAddress.probe(transport, failedAt)),
    capabilities: { maxPutSize: Infinity, unknownSize: false },
    put: ({ body, key }) =>
      Effect.flatMap(find(urls, key), ({ headers, url }) =>
        Effect.flatMap(
          Effect.tapError(
            transport.send({ method, url, headers, body, answerMillis: talkMillis }),
            () => Effect.sync(() => failedAt = url)
          ),
          (answer) =>
            stored(
              renderUrl(url),
              answer,
              masking(...secretsOf(url, headers)),
              method === "PUT" ? { size: body.size } : undefined
            )
        )).pipe(requests.withPermits(1, (turn) => body.unwatched(turn)))
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The address of a key. */
const find = (urls: Urls, key: string): Effect.Effect<PresignedRequest, UploadError> =>
  Effect.map(typeof urls === "function" ? asked(urls, key) : listed(urls, key), (found) => {
    const { headers = {}, url } = typeof found === "string" ? { url: found } : found
    return {
      url,
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
    }
  })

const asked = (urls: (key: string) => Effect.Effect<string | Signed, UploadError>, key: string) =>
  OwnFunction.asked(
    "The function `urls`",
    () => urls(key),
    (found) => isAddress(found) ? undefined : `answered with ${whatIs(found)}`
  )

const isAddress = (found: unknown): found is string | Signed =>
  typeof found === "string" ||
  (Predicate.hasProperty(found, "url") && typeof found.url === "string" && areHeaders(headersOf(found)))

const headersOf = (found: object): unknown => Predicate.hasProperty(found, "headers") ? found.headers : undefined

const areHeaders = (headers: unknown): boolean =>
  headers === undefined || (Predicate.isRecord(headers) && Object.values(headers).every(Predicate.isString))

/** Describes an invalid address. */
const whatIs = (found: unknown): string =>
  !Predicate.isRecord(found)
    ? `${OwnFunction.kindOf(found)} instead of an address`
    : typeof found["url"] === "string"
    ? "headers that are not text"
    : `${OwnFunction.kindOf(found)} without a \`url\``

const listed = (
  urls: Exclude<Urls, (...args: never) => unknown>,
  key: string
): Effect.Effect<string | Signed, UploadError> => {
  const found = urls instanceof Map ? urls.get(key) : ownOf(urls, key)
  return found === undefined
    ? Effect.fail(
      new Rejected({
        reason: "InvalidKey",
        detail: `There is no presigned address for the key ${JSON.stringify(key)}.`
      })
    )
    : isAddress(found)
    ? Effect.succeed(found)
    : Effect.fail(OwnFunction.wrong(`The list \`urls\` has ${whatIs(found)} for ${JSON.stringify(key)}.`))
}

const ownOf = (urls: object, key: string): string | Signed | undefined =>
  Object.hasOwn(urls, key) ? (urls as Readonly<Record<string, string | Signed>>)[key] : undefined
