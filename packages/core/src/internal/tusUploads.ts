/**
 * Single uploads at a tus server: begun, sent, looked at and removed.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type { Body, PutRequest, Session, Stored } from "../Destination.js"
import type { Answer } from "../Transport.js"
import { isRetryable, Rejected, SessionGone, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import { bounded } from "./bounded.js"
import { isMissing, isSuccess, wrongSize } from "./httpAnswers.js"
import * as Metadata from "./tusMetadata.js"
import * as Offer from "./tusOffer.js"
import { isPath } from "./tusServer.js"
import type { Server } from "./tusServer.js"

/** How long may be waited for what is done besides, in all attempts, in milliseconds. */
export const besidesMillis = 5_000

/** How many requests without bytes are made at once. */
export const concurrency = 8

const contentType = "application/offset+octet-stream"

const nothing = new Uint8Array(0)

/** Puts a file into an upload of its own. */
export const put = (server: Server, request: PutRequest): Effect.Effect<Stored, UploadError> =>
  Effect.gen(function*() {
    const { body, key } = request
    const metadata = Metadata.encode(server.keyName, request)
    const path = yield* send(server, key, body, { "upload-metadata": metadata }, server.takesBytesAtOnce)
    yield* server.stored(key, path, body.size ?? 0)
    return {}
  })

/**
 * Creates an upload, sends all of it, and gives its path. What becomes of it otherwise is removed; where that fails, it
 * is when the next one is sent. Of one that is sent `atOnce` with its creation nobody knows the path before the answer.
 */
export const send = (
  server: Server,
  key: string,
  body: Body,
  headers: Readonly<Record<string, string>>,
  atOnce: boolean
): Effect.Effect<string, UploadError> =>
  Effect.gen(function*() {
    const { size } = body
    if (size === undefined) return yield* Effect.fail(sizeless(server.name))
    yield* removeLeft(server)
    const { checksum, sent } = yield* summed(server, body)
    const creating = { ...headers, "upload-length": String(size) }
    if (size === 0) {
      // The source has to prove empty.
      yield* sent.bytes
      return yield* create(server, creating)
    }
    if (sent.inOnePiece && atOnce) {
      return yield* sendAtOnce(server, key, sent, size, { ...creating, ...checksum })
    }
    return yield* removedOtherwise(server, create(server, creating), (path) =>
      Effect.catchTag(
        patch(server, { path, key, offset: 0, size, body: sent, headers: checksum }),
        "Transient",
        (error) =>
          Effect.matchEffect(bounded(head(server, path, key), besidesMillis), {
            onFailure: () => Effect.fail(error),
            onSuccess: ({ offset }) => offset === size ? Effect.void : Effect.fail(error)
          })
      ))
  })

/** A body to send, with what says of it in the header what it has to be. */
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

/** Creates an upload, and gives its path. */
export const create = (
  server: Server,
  headers: Readonly<Record<string, string>>
): Effect.Effect<string, UploadError> =>
  Effect.flatMap(server.ask({ method: "POST", headers, body: nothing }), (answer) => created(server, answer))

/** Sends bytes to an upload, after those that it has. Succeeds when the server says that it has them all. */
export const patch = (server: Server, request: {
  readonly path: string
  readonly key: string
  readonly offset: number
  readonly size: number
  readonly body: Body | Uint8Array
  readonly headers?: Readonly<Record<string, string>> | undefined
}): Effect.Effect<void, UploadError> =>
  Effect.gen(function*() {
    const { body, headers, key, offset, path, size } = request
    const answer = yield* server.ask({
      method: "PATCH",
      path,
      headers: { ...headers, "content-type": contentType, "upload-offset": String(offset) },
      body
    })
    if (isMissing(answer)) return yield* Effect.fail(gone(server, key))
    if (!isSuccess(answer)) return yield* server.refused(answer, path)
    const said = Offer.sizeOf(answer.headers["upload-offset"])
    const persisted = said ?? (yield* head(server, path, key)).offset
    const end = offset + size
    if (persisted === end) return
    return yield* Effect.fail(
      persisted !== undefined && persisted >= offset && persisted < end
        ? new Transient({
          reason: "Unavailable",
          detail: `${server.name} has stored ${persisted} bytes of ${key}, and was sent ${end}.`
        })
        : wrongSize(server.name, key, end, persisted)
    )
  })

/** What the server says of an upload. */
export interface State {
  /** How many bytes it has; `undefined` where that is not said, as of what is still put together. */
  readonly offset: number | undefined
  /** How many there are to be, where that is said. */
  readonly length: number | undefined
}

/** Asks how far an upload is. Fails with `SessionGone` where there is none. */
export const head = (server: Server, path: string, key: string): Effect.Effect<State, UploadError> =>
  Effect.flatMap(server.ask({ method: "HEAD", path }), (answer): Effect.Effect<State, UploadError> =>
    // Servers may keep to themselves what there is not.
    isMissing(answer) || answer.status === 403
      ? Effect.fail(gone(server, key))
      : !isSuccess(answer)
      ? server.refused(answer, path)
      : Effect.succeed(stateOf(answer)))

/** What an answer says of an upload. */
export const stateOf = ({ headers }: Pick<Answer, "headers">): State => ({
  offset: Offer.sizeOf(headers["upload-offset"]),
  length: Offer.sizeOf(headers["upload-length"])
})

/** Removes an upload, if there is one, and if the server removes any. */
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

/** Removes an upload that nobody wants, within bounds; where that fails, the next one that is sent sees to it. */
export const discard = (server: Server, path: string): Effect.Effect<void> =>
  Effect.matchEffect(bounded(removedSurely(server, path), besidesMillis), {
    onFailure: () => Effect.sync(() => server.left.add(path)),
    onSuccess: () => Effect.sync(() => server.left.delete(path))
  })

/** Removes what belongs to a session: its upload, or those of its parts. */
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

/** Gives up a session that was begun in another way than parts are sent now. */
export const giveUp = (server: Server, session: Session): Effect.Effect<never, UploadError> =>
  Effect.zipRight(Effect.ignore(abort(server, session)), Effect.fail(gone(server, session.key)))

export const gone = ({ name }: Server, key: string) =>
  new SessionGone({ detail: `${name} has no such upload of ${key} any more.` })

export const sizeless = (name: string) =>
  new Rejected({ reason: "Unsupported", detail: `${name} has to be told the size of an upload beforehand.` })

export const silent = (name: string, key: string) =>
  new Rejected({ reason: "Unexpected", detail: `${name} does not say how much of ${key} it has.` })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const removing = Schedule.exponential("200 millis")

const removedSurely = (server: Server, path: string): Effect.Effect<void, UploadError> =>
  Effect.retry(remove(server, path), { schedule: removing, times: 2, while: isRetryable })

const created = (server: Server, answer: Answer): Effect.Effect<string, UploadError> =>
  isSuccess(answer) ? server.pathOf(answer.headers["location"]) : server.refused(answer)

/** Sends bytes with the creation of their upload. */
const sendAtOnce = (
  server: Server,
  key: string,
  body: Body,
  size: number,
  headers: Readonly<Record<string, string>>
): Effect.Effect<string, UploadError> =>
  Effect.gen(function*() {
    const answer = yield* server.ask({ method: "POST", headers: { ...headers, "content-type": contentType }, body })
    const path = yield* created(server, answer)
    const persisted = Offer.sizeOf(answer.headers["upload-offset"])
    if (persisted === size) return path
    // Where nothing is said of the bytes they were not taken, whatever the server said that it can do.
    if (persisted === undefined) server.takesBytesAtOnce = false
    yield* discard(server, path)
    return yield* Effect.fail(
      persisted === undefined || persisted < size
        ? new Transient({
          reason: "Unavailable",
          detail: `${server.name} has stored ${persisted ?? 0} of the ${size} bytes of ${key}.`
        })
        : wrongSize(server.name, key, size, persisted)
    )
  })

/** Uses an upload, and removes it unless that succeeds. */
const removedOtherwise = <A>(
  server: Server,
  creating: Effect.Effect<string, UploadError>,
  use: (path: string) => Effect.Effect<A, UploadError>
): Effect.Effect<string, UploadError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(creating), (path) =>
      restore(use(path)).pipe(
        Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : discard(server, path)),
        Effect.as(path)
      ))
  )

const removeLeft = (server: Server): Effect.Effect<void> =>
  server.left.size === 0
    ? Effect.void
    : Effect.forEach(Array.from(server.left), (path) => discard(server, path), { concurrency, discard: true })
