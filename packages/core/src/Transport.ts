/**
 * The port to HTTP for destinations: one request with a body of known length, and its answer, read to a bound.
 *
 * A request is sent as it is: redirects are not followed, since following one would hand the credentials to whoever it
 * names, nothing is tried again, and nothing is traced, since an address may be a secret. The body's length is sent as
 * `Content-Length`, and never chunked. An interrupted request has ended when its fiber has.
 *
 * `TransportNode.layer` is the fast one, for Node.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Body } from "./Destination.js"
import type { UploadError } from "./UploadError.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly method: "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT"
  /** The whole address. Messages have it as {@link renderUrl} gives it. */
  readonly url: string
  /** Names are in lower case. The transport adds `content-length`. */
  readonly headers: Readonly<Record<string, string>>
  /** What is sent: the body of an upload, whose size has to be known, or some bytes. */
  readonly body?: Body | Uint8Array | undefined
}

/**
 * The head of an answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  readonly status: number
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * An answer that has been read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer extends Head {
  /** The first {@link answerLimit} bytes of the body, at most. */
  readonly body: Uint8Array
}

/**
 * An answer whose body is still to come.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenAnswer extends Head {
  readonly stream: Stream.Stream<Uint8Array, UploadError>
}

/**
 * How many bytes of an answer `send` keeps: 1 MiB. Where there are more, the connection is closed.
 *
 * @since 0.1.0
 * @category constants
 */
export const answerLimit = 1024 * 1024

/**
 * @since 0.1.0
 * @category tags
 */
export class Transport extends Context.Tag("@sluice/core/Transport")<Transport, {
  /** Sends a request and reads its answer, whatever its status. Fails where there is none. */
  readonly send: (request: Request) => Effect.Effect<Answer, UploadError>
  /** Sends a request, and gives its answer while the body is still coming; the scope closes it. */
  readonly open: (request: Request) => Effect.Effect<OpenAnswer, UploadError, Scope.Scope>
}>() {}

/**
 * Writes an address for people: without user, password, query and fragment, where secrets may be.
 *
 * @since 0.1.0
 * @category formatting
 */
export const renderUrl = (url: string): string =>
  url
    .replace(/[?#].*$/s, "")
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, "$1")
    // What is no port may be a password that was cut.
    .replace(/^([a-z][a-z0-9+.-]*:\/\/(?!\[)[^/:]*):(?!\d+(?:\/|$))[^/]*/i, "$1")
