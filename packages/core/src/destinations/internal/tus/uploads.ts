/**
 * Single uploads on a tus server: create, send, look, remove.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type { Body, PutRequest, Session, Stored } from "../../../Destination.js"
import { withDeadline } from "../../../internal/calls/deadline.js"
import { isMissing, isSuccess, wrongSize } from "../../../internal/transport/answers.js"
import type { Answer } from "../../../Transport.js"
import { isRetryable, Rejected, SessionGone, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Metadata from "./metadata.js"
import * as Offer from "./offer.js"
import { isPath } from "./server.js"
import type { Server } from "./server.js"

/** How long to wait for side tasks, over all attempts, in milliseconds. */
export const besidesMillis = 5_000

/** The most requests without bytes that are made at once. */
export const concurrency = 8

const contentType = "application/offset+octet-stream"

const nothing = new Uint8Array(0)

/** Puts a file into its own upload. */
export const put = Effect.fnUntraced(
  function*(server: Server, request: PutRequest): Effect.fn.Return<Stored, UploadError> {
    const { body, key } = request
    const metadata = Metadata.encode(server.keyName, request)
    const path = yield* send(server, key, body, { "upload-metadata": metadata }, server.takesBytesAtOnce)
    yield* server.stored(key, path, body.size ?? 0)
    return { location: path }
  }
)

/**
 * Creates an upload, sends all of it, and returns its path. A failed upload is removed or, if that fails, removed when
 * the next one is sent. The path of an upload sent `atOnce` with its creation is not known before the answer.
 */
export const send = Effect.fnUntraced(
  function*(
    server: Server,
    key: string,
    body: Body,
    headers: Readonly<Record<string, string>>,
    atOnce: boolean
  ): Effect.fn.Return<string, UploadError> {
    const { size } = body
    if (size === undefined) return yield* Effect.fail(sizeless(server.name))
    yield* removeLeft(server)
    const { checksum, sent } = yield* summed(server, body)
    const known = { ...headers, "upload-length": String(size) }
    if (size === 0) {
      // The source must prove to be empty.
      yield* sent.bytes
      return yield* create(server, known)
    }
    const isAtOnce = sent.inOnePiece && atOnce
    const creating = isAtOnce
      ? createWith(server, sent, { ...known, ...checksum })
      : Effect.map(create(server, known), (path) => ({ path, offset: undefined }))
    return yield* removedOtherwise(server, creating, ({ offset, path }) => {
      const request = { path, key, size, body: sent }
      const sending = isAtOnce
        ? goOn(server, { ...request, from: offset })
        : patch(server, { ...request, offset: 0, headers: checksum })
      return Effect.catchTag(
        sending,
        "Transient",
        (error) =>
          Effect.matchEffect(withDeadline(head(server, path, key), besidesMillis), {
            onFailure: () => Effect.fail(error),
            onSuccess: ({ offset }) => offset === size ? Effect.void : Effect.fail(error)
          })
      )
    })
  }
)

/** A body to send, with the header of its checksum. */
export const summed = (
  { offer: { checksums = [] } }: Server,
  body: Body
): Effect.Effect<{ readonly sent: Body; readonly checksum: Readonly<Record<string, string>> }, UploadError> =>
  checksums.length === 0 || body.size === 0
    ? Effect.succeed({ sent: body, checksum: {} })
    : Effect.map(body.whole, (sent) => {
      const { checksum } = sent
      return {
        sent,
        checksum: checksum !== undefined && checksums.includes(checksum.algorithm)
          ? { "upload-checksum": `${checksum.algorithm} ${checksum.value}` }
          : {}
      }
    })

/** Creates an upload and returns its path. */
export const create = (
  server: Server,
  headers: Readonly<Record<string, string>>
): Effect.Effect<string, UploadError> =>
  Effect.flatMap(server.ask({ method: "POST", headers, body: nothing }), (answer) => created(server, answer))

/** Bytes for an upload. */
interface PatchRequest {
  readonly path: string
  readonly key: string
  readonly offset: number
  readonly size: number
  readonly body: Body | Uint8Array
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Appends bytes to an upload. Succeeds when the server says that it has them all. If the server says that it has stored
 * only some of them, the rest is sent next, as long as it stores any.
 */
export const patch = (server: Server, request: PatchRequest): Effect.Effect<void, UploadError> =>
  Effect.flatMap(patchOnce(server, request), (persisted) => {
    const { body, key, offset, path, size } = request
    const end = offset + size
    if (persisted === end) return Effect.void
    if (persisted === undefined || persisted < offset || persisted > end) {
      return Effect.fail(wrongSize(server.name, key, end, persisted))
    }
    const rest = persisted > offset && "rest" in body ? body.rest?.(persisted - offset) : undefined
    return rest === undefined
      ? Effect.fail(storedLess(server, key, persisted, end))
      : patchRest(server, { path, key, offset: persisted, size: end - persisted, body: rest })
  })

/** Sends the rest of a body with its own checksum. */
const patchRest = (
  server: Server,
  request: Omit<PatchRequest, "headers"> & { readonly body: Body }
): Effect.Effect<void, UploadError> =>
  Effect.flatMap(
    summed(server, request.body),
    ({ checksum, sent }) => patch(server, { ...request, body: sent, headers: checksum })
  )

/** Sends bytes once, and returns how many the upload has then; `undefined` if the server does not say. */
const patchOnce = Effect.fnUntraced(
  function*(
    server: Server,
    { body, headers, key, offset, path }: PatchRequest
  ): Effect.fn.Return<number | undefined, UploadError> {
    const answer = yield* server.ask({
      method: "PATCH",
      path,
      headers: { ...headers, "content-type": contentType, "upload-offset": String(offset) },
      body
    })
    if (isMissing(answer)) return yield* Effect.fail(gone(server, key))
    if (!isSuccess(answer)) return yield* server.refused(answer, path)
    return Offer.sizeOf(answer.headers["upload-offset"]) ?? (yield* head(server, path, key)).offset
  }
)

/** Sends the missing bytes of an upload created with bytes; `from` is how many it has, if the answer said so. */
const goOn = Effect.fnUntraced(function*(server: Server, { body, from, ...request }: {
  readonly path: string
  readonly key: string
  readonly size: number
  readonly body: Body
  readonly from: number | undefined
}): Effect.fn.Return<void, UploadError> {
  const { key, path, size } = request
  const offset = from ?? (yield* head(server, path, key)).offset ?? 0
  if (offset === size) return
  if (offset > size) return yield* Effect.fail(wrongSize(server.name, key, size, offset))
  // A server that stores none does not take bytes at creation, whatever it claims.
  if (offset === 0) server.takesBytesAtOnce = false
  const rest = body.rest?.(offset)
  if (rest === undefined) return yield* Effect.fail(storedLess(server, key, offset, size))
  yield* patchRest(server, { path, key, offset, size: size - offset, body: rest })
})

/** The server's state of an upload. */
export interface State {
  /** The number of bytes that it has; `undefined` if the server does not say, such as while it concatenates parts. */
  readonly offset: number | undefined
  /** The total number of bytes, if known. */
  readonly length: number | undefined
}

/** Requests the state of an upload. Fails with `SessionGone` if it does not exist. */
export const head = (server: Server, path: string, key: string): Effect.Effect<State, UploadError> =>
  Effect.flatMap(server.ask({ method: "HEAD", path }), (answer): Effect.Effect<State, UploadError> =>
    // Servers may hide that an upload does not exist.
    isMissing(answer) || answer.status === 403
      ? Effect.fail(gone(server, key))
      : !isSuccess(answer)
      ? server.refused(answer, path)
      : Effect.succeed(stateOf(answer)))

/** The state of an upload in an answer. */
export const stateOf = ({ headers }: Pick<Answer, "headers">): State => ({
  offset: Offer.sizeOf(headers["upload-offset"]),
  length: Offer.sizeOf(headers["upload-length"])
})

/** Removes an upload, if it exists and the server supports removal. */
export const remove = (server: Server, path: string): Effect.Effect<void, UploadError> =>
  !server.offer.extensions.includes("termination")
    ? Effect.void
    : Effect.flatMap(
      server.ask({ method: "DELETE", path }),
      (answer) =>
        isSuccess(answer) || isMissing(answer) || answer.status === 405 || answer.status === 501
          ? Effect.void
          : server.refused(answer, path)
    )

/** Removes an unwanted upload, within bounds; if that fails, the next upload tries again. */
export const discard = (server: Server, path: string): Effect.Effect<void> =>
  Effect.matchEffect(withDeadline(removedSurely(server, path), besidesMillis), {
    onFailure: () => Effect.sync(() => server.left.add(path)),
    onSuccess: () => Effect.sync(() => server.left.delete(path))
  })

/** Removes a session's uploads: its own, or those of its parts. */
export const abort = (
  server: Server,
  { parts = [], uploadId }: Session,
  more: Iterable<string> = []
): Effect.Effect<void, UploadError> =>
  Effect.forEach(
    new Set([uploadId, ...parts.flatMap(({ etag }) => etag ?? []), ...more].filter(isPath)),
    (path) => remove(server, path),
    { concurrency, discard: true }
  )

/** Abandons a session that was begun with a different way of sending parts from the one used now. */
export const giveUp = (server: Server, session: Session): Effect.Effect<never, UploadError> =>
  Effect.zipRight(Effect.ignore(abort(server, session)), Effect.fail(gone(server, session.key)))

export const gone = ({ name }: Server, key: string) =>
  new SessionGone({ detail: `${name} no longer has this upload of ${key}.` })

export const sizeless = (name: string) =>
  new Rejected({ reason: "Unsupported", detail: `${name} must know the size of an upload beforehand.` })

export const silent = (name: string, key: string) =>
  new Rejected({ reason: "Unexpected", detail: `${name} does not report how much of ${key} it has.` })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const removing = Schedule.exponential("200 millis")

const removedSurely = (server: Server, path: string): Effect.Effect<void, UploadError> =>
  Effect.retry(remove(server, path), { schedule: removing, times: 2, while: isRetryable })

const created = (server: Server, answer: Answer): Effect.Effect<string, UploadError> =>
  isSuccess(answer) ? server.pathOf(answer.headers["location"]) : server.refused(answer)

/** A created upload, and the number of bytes it has, if known. */
interface Created {
  readonly path: string
  readonly offset: number | undefined
}

/** Creates an upload and sends bytes with it. */
const createWith = (
  server: Server,
  body: Body,
  headers: Readonly<Record<string, string>>
): Effect.Effect<Created, UploadError> =>
  Effect.flatMap(
    server.ask({ method: "POST", headers: { ...headers, "content-type": contentType }, body }),
    (answer) =>
      Effect.map(created(server, answer), (path) => ({ path, offset: Offer.sizeOf(answer.headers["upload-offset"]) }))
  )

const storedLess = ({ name }: Server, key: string, persisted: number, end: number) =>
  new Transient({
    reason: "Unavailable",
    detail: `${name} has stored ${persisted} bytes of ${key}, but was sent ${end}.`
  })

/** Uses an upload and removes it unless that succeeds. */
const removedOtherwise = <A>(
  server: Server,
  creating: Effect.Effect<Created, UploadError>,
  use: (created: Created) => Effect.Effect<A, UploadError>
): Effect.Effect<string, UploadError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(creating), (created) => {
      const { path } = created
      return restore(use(created)).pipe(
        Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : discard(server, path)),
        Effect.as(path)
      )
    })
  )

const removeLeft = (server: Server): Effect.Effect<void> =>
  server.left.size === 0
    ? Effect.void
    : Effect.forEach(Array.from(server.left), (path) => discard(server, path), { concurrency, discard: true })
