/**
 * A tus server that requests are sent to: its address, its capabilities, and which addresses belong to it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { within } from "../../../internal/calls/within.js"
import * as HttpAnswers from "../../../internal/transport/answers.js"
import { invalidAddress } from "../../../internal/transport/failures.js"
import { masking } from "../../../internal/transport/masking.js"
import { renderUrl } from "../../../Transport.js"
import type { Answer, OpenAnswer, Request, Transport } from "../../../Transport.js"
import { Rejected, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Answers from "./answers.js"
import * as Offer from "./offer.js"

export interface Options {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly credentials?: Redacted.Redacted<string> | undefined
  readonly keyName: string
  readonly offer?: Offer.Offer | undefined
  readonly onStored?:
    | ((uploaded: { readonly key: string; readonly url: string; readonly size: number }) => Effect.Effect<void>)
    | undefined
}

/** A request to an upload, or to the endpoint that creates uploads. */
export interface Asked {
  readonly method: Request["method"]
  /** The upload's path, with its query. Defaults to the endpoint that creates uploads. */
  readonly path?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: Request["body"]
}

/** A request to an upload, without a body. */
export interface AskedOfUpload {
  readonly method: Request["method"]
  readonly path: string
}

export interface Server {
  /** Its name in messages. */
  readonly name: string
  readonly keyName: string
  readonly offer: Offer.Offer
  /** Whether it takes bytes when an upload is created: assumed if it says so, until it proves otherwise. */
  takesBytesAtOnce: boolean
  /** Uploads of failed attempts that could not be removed at the time. */
  readonly left: Set<string>
  /** Sends a request and returns any answer. */
  readonly ask: (asked: Asked) => Effect.Effect<Answer, UploadError>
  /** Returns the answer to a request without a body while it is still arriving; the scope closes it. */
  readonly open: (asked: AskedOfUpload) => Effect.Effect<OpenAnswer, UploadError, Scope.Scope>
  /** Fails with the meaning of an answer that is not a success. With a `path`, the path is kept out of the message. */
  readonly refused: (answer: Answer, path?: string) => Effect.Effect<never, UploadError>
  /** The path of an upload, with its query, from what `Location` says. */
  readonly pathOf: (location: string | undefined) => Either.Either<string, UploadError>
  /** A request that changes nothing, to check whether the server is there and healthy. */
  readonly probe: Effect.Effect<void, UploadError>
  /** Succeeds if the server has answered anything before, or answers now. */
  readonly reached: Effect.Effect<void, UploadError>
  /** Reports that an upload is complete. */
  readonly stored: (key: string, path: string, size: number) => Effect.Effect<void>
}

export const make = Effect.fnUntraced(
  function*(transport: Transport["Type"], options: Options): Effect.fn.Return<Server> {
    const name = renderUrl(options.url)
    const endpoint = Option.getOrUndefined(parse(options.url))
    const { origin = "", username = "" } = endpoint ?? {}
    const problem = endpoint === undefined
      ? invalidAddress(name)
      : username !== "" || endpoint.password !== ""
      ? withPassword(name)
      : undefined
    const headers: Record<string, string> = {}
    for (const [header, value] of Object.entries(options.headers ?? {})) headers[header.toLowerCase()] = value
    if (options.credentials !== undefined) headers["authorization"] = Redacted.value(options.credentials)
    const secrets = HttpAnswers.secretsOf(options.url, headers)
    // Addresses are recorded in journals. The endpoint's query may legitimately appear in upload addresses.
    const credentials = Object.fromEntries(Object.entries(headers).filter(([header]) => maySayWhoAsks.test(header)))
    // A short secret may be part of any address.
    const mustNotRepeat = masking(...HttpAnswers.secretsOf("", credentials).filter(isLong))
    let isReached = false
    const send = (asked: Asked, more: Readonly<Record<string, string>>): Effect.Effect<Answer, UploadError> =>
      problem !== undefined ? Effect.fail(problem) : Effect.mapBoth(
        transport.send({
          method: asked.method,
          url: asked.path === undefined ? `${endpoint?.href.replace(/#.*$/s, "")}` : `${origin}${asked.path}`,
          headers: { ...headers, ...asked.headers, ...more },
          body: asked.body,
          answerMillis: HttpAnswers.explainMillis
        }),
        {
          onFailure: (error) => asked.path === undefined ? error : unnamed(error, renderUrl(origin + asked.path), name),
          onSuccess: (answer) => {
            isReached = true
            return answer
          }
        }
      )
    const open = ({ method, path }: AskedOfUpload): Effect.Effect<OpenAnswer, UploadError, Scope.Scope> => {
      if (problem !== undefined) return Effect.fail(problem)
      const url = `${origin}${path}`
      const unnamedHere = (error: UploadError) => unnamed(error, renderUrl(url), name)
      return transport.open({ method, url, headers: { ...headers, "tus-resumable": Offer.version } }).pipe(
        Effect.mapBoth({
          onFailure: unnamedHere,
          onSuccess: (answer) => ({ ...answer, stream: Stream.mapError(answer.stream, unnamedHere) })
        })
      )
    }
    const { offer, version } = options.offer === undefined
      ? yield* offered(send({ method: "OPTIONS" }, {}))
      : { offer: options.offer, version: undefined }
    const otherVersion = version === undefined ? undefined : Answers.otherVersion(name, version)

    const pathOf = (location: string | undefined): Either.Either<string, UploadError> => {
      const url = Option.flatMap(Option.fromNullable(location), (text) => parse(text, endpoint?.href))
      return Option.match(url, {
        onNone: () => Either.left(nowhere(name)),
        onSome: (found) =>
          found.origin !== origin || found.username !== "" || found.password !== ""
            ? Either.left(elsewhere(name, found.origin))
            : repeats(found, mustNotRepeat)
            ? Either.left(repeating(name))
            : Either.right(found.pathname + found.search)
      })
    }

    const refused = (answer: Answer, path?: string): Effect.Effect<never, UploadError> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const mask = masking(
          ...secrets,
          ...(path === undefined ? [] : [path, ...path.split(/[/?]/).filter(isLong)])
        )
        return Effect.fail(Answers.refused(name, answer, { isOfUpload: path !== undefined, mask, now }))
      })
    const probe = Effect.flatMap(
      send({ method: "OPTIONS" }, {}),
      (answer) => isUnwell(answer) ? refused(answer) : Effect.void
    )

    return {
      name,
      keyName: options.keyName,
      offer,
      takesBytesAtOnce: offer.extensions.includes("creation-with-upload"),
      left: new Set(),
      ask: (asked) =>
        otherVersion === undefined ? send(asked, { "tus-resumable": Offer.version }) : Effect.fail(otherVersion),
      open: (asked) => otherVersion === undefined ? open(asked) : Effect.fail(otherVersion),
      refused,
      probe,
      reached: Effect.suspend(() => isReached ? Effect.void : probe),
      pathOf,
      stored: (key, path, size) => options.onStored?.({ key, url: origin + path, size }) ?? Effect.void
    }
  }
)

/** Whether a path that was recorded earlier is one that a request can be sent to. */
export const isPath = (text: string): boolean =>
  text.startsWith("/") && Option.exists(parse(`http://a${text}`), (url) => url.pathname + url.search === text)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How long the server may take to report its capabilities, over all attempts, in milliseconds. */
const offerMillis = 10_000

const isUnwell = ({ status }: Answer): boolean => status === 429 || status >= 500

interface Offered {
  readonly offer: Offer.Offer
  /** The versions that it supports, if this one is not among them. */
  readonly version: ReadonlyArray<string> | undefined
}

/** Asks the server, and once more if it is in trouble. */
const asked = (ask: Effect.Effect<Answer, UploadError>): Effect.Effect<Answer, "unwell" | UploadError> =>
  Effect.flatMap(
    ask,
    (answer) => isUnwell(answer) ? Effect.fail("unwell" as const) : Effect.succeed(answer)
  ).pipe(
    Effect.retry({
      schedule: Schedule.exponential("200 millis"),
      times: 2,
      while: (error) => error === "unwell" || error._tag === "Transient" || error._tag === "Throttled"
    })
  )

/** The capabilities that the server reports. A server that does not report them is tried anyway. */
const offered = (ask: Effect.Effect<Answer, UploadError>): Effect.Effect<Offered> =>
  within(asked(ask), offerMillis, () => "late" as const).pipe(
    Effect.match({
      onFailure: () => ({ offer: Offer.unknown, version: undefined }),
      onSuccess: (answer) => {
        const versions = Offer.versionsOf(answer)
        return !HttpAnswers.isSuccess(answer) || versions.length === 0
          ? { offer: Offer.unknown, version: undefined }
          : versions.includes(Offer.version)
          ? { offer: Offer.read(answer), version: undefined }
          : { offer: Offer.unknown, version: versions }
      }
    })
  )

/** A failure of the transport, with the server's name instead of an upload's address. */
const unnamed = (error: UploadError, address: string, name: string): UploadError => {
  const { cause } = error
  const detail = error.detail.replaceAll(address, name)
  return error._tag === "Transient"
    ? new Transient({ reason: error.reason, detail, cause })
    : error._tag === "Rejected"
    ? new Rejected({ reason: error.reason, detail, cause })
    : error
}

const parse = (text: string, base?: string): Option.Option<URL> =>
  Option.filter(
    Option.liftThrowable(() => new URL(text, base))(),
    ({ protocol }) => protocol === "http:" || protocol === "https:"
  )

const maySayWhoAsks = /auth|cookie|key|pass|secret|session|token/

const isLong = ({ length }: string): boolean => length >= 8

/** Whether an address contains a secret, encoded or not. */
const repeats = ({ href }: URL, mask: (text: string) => string): boolean => {
  const decoded = Option.getOrElse(Option.liftThrowable(decodeURIComponent)(href), () => href)
  return mask(href) !== href || mask(decoded) !== decoded
}

const repeating = (name: string) =>
  new Rejected({
    reason: "Unexpected",
    detail: `${name} returned an address for the upload that contains the request's credentials.`
  })

const withPassword = (name: string) =>
  new Rejected({
    reason: "Unsupported",
    detail: `The address of ${name} contains a user or a password: pass them as credentials.`
  })

const nowhere = (name: string) =>
  new Rejected({ reason: "Unexpected", detail: `${name} does not say where the upload is.` })

const elsewhere = (name: string, origin: string) =>
  new Rejected({
    reason: "Redirected",
    detail: `${name} says that the upload is at ${renderUrl(origin)}: only its own origin is trusted. A server behind` +
      " a proxy may need its public address in its configuration."
  })
