/**
 * Large files on a tus server with concatenation: every part is its own upload, and at the end one more upload is made
 * from them. Before that the server does not know the session. The session's id holds the metadata, and the etags of
 * its parts are their paths.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type {
  CompleteRequest,
  CreateRequest,
  Multipart,
  PartLimits,
  PartRequest,
  Session,
  Stored,
  StoredPart
} from "../../../Destination.js"
import { withDeadline } from "../../../internal/calls/deadline.js"
import { isSuccess, wrongSize } from "../../../internal/transport/answers.js"
import { Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Metadata from "./metadata.js"
import { isPath } from "./server.js"
import type { Server } from "./server.js"
import * as Uploads from "./uploads.js"

/** The paths of all parts go into one header, and few servers accept headers of more than 8 KiB. */
const maxCount = 100

export const limits = ({ offer: { maxSize } }: Server): PartLimits => ({
  minSize: 1,
  maxSize: 64 * 1024 ** 3,
  multiple: 1,
  maxCount,
  maxObjectSize: Math.min(maxSize ?? Infinity, maxCount * 64 * 1024 ** 3),
  inOrder: false
})

/** What this process knows about a session. */
interface Known {
  /** The paths of parts, by number. */
  readonly parts: Map<number, string>
  /** The path of the concatenated upload. */
  whole: string | undefined
  /** When waiting for it began, in milliseconds since the epoch. */
  since: number | undefined
}

export const multipart = (server: Server): Multipart => {
  const { name } = server
  const sessions = new Map<string, Known>()

  const knownOf = ({ parts = [], uploadId }: Session): Known => {
    const known = sessions.get(uploadId) ?? { parts: new Map(), whole: undefined, since: undefined }
    sessions.set(uploadId, known)
    for (const { etag, number } of parts) {
      if (etag !== undefined && !known.parts.has(number)) known.parts.set(number, etag)
    }
    return known
  }

  // No request is made for it: the first part shows whether the server answers, unless it already has.
  const create = (request: CreateRequest): Effect.Effect<string, UploadError> =>
    Effect.as(server.reached, `${prefix}${request.token} ${Metadata.encode(server.keyName, request)}`)

  const uploadPart = Effect.fnUntraced(function*(request: PartRequest): Effect.fn.Return<StoredPart, UploadError> {
    const { body, key, number } = request
    const { parts } = knownOf(request)
    const path = yield* Uploads.send(server, key, body, { "upload-concat": "partial" }, false)
    const former = parts.get(number)
    parts.set(number, path)
    if (former !== undefined) yield* Uploads.discard(server, former)
    return { number, size: body.size ?? 0, etag: path }
  })

  /** The parts that the server has completely. */
  const wholeOf = (key: string, parts: ReadonlyArray<StoredPart>) =>
    Effect.map(
      Effect.forEach(parts, (part) =>
        part.etag === undefined || !isPath(part.etag)
          ? Effect.succeedNone
          : Effect.map(Uploads.head(server, part.etag, key), ({ length, offset }) =>
            offset === part.size && (length === undefined || length === part.size)
              ? Option.some(part)
              : Option.none()).pipe(Effect.catchTag("SessionGone", () => Effect.succeedNone)), {
        concurrency: Uploads.concurrency
      }),
      (found) => found.flatMap(Option.toArray)
    )

  const listParts = (session: Session): Effect.Effect<ReadonlyArray<StoredPart> | undefined, UploadError> => {
    const { key, parts, uploadId } = session
    if (metadataOf(uploadId) === undefined) return Uploads.giveUp(server, session)
    knownOf(session)
    return parts === undefined ? Effect.succeed(undefined) : wholeOf(key, parts)
  }

  /** Concatenates the parts and returns the path of the new upload. */
  const concatenate = Effect.fnUntraced(
    function*({ key, parts, uploadId }: CompleteRequest): Effect.fn.Return<string, UploadError> {
      const metadata = metadataOf(uploadId)
      const paths = parts.flatMap(({ etag }) => etag !== undefined && isPath(etag) ? [etag] : [])
      if (metadata === undefined || paths.length < parts.length) return yield* Effect.fail(Uploads.gone(server, key))
      const answer = yield* server.ask({
        method: "POST",
        headers: { "upload-concat": `final;${paths.join(" ")}`, "upload-metadata": metadata },
        body: new Uint8Array(0)
      })
      if (isSuccess(answer)) return yield* server.pathOf(answer.headers["location"])
      // Servers have many ways to say that a part is missing.
      if (mayMiss(answer.status) && (yield* wholeOf(key, parts)).length < parts.length) {
        return yield* Effect.fail(Uploads.gone(server, key))
      }
      return yield* server.refused(answer)
    }
  )

  /**
   * The server's state of the whole once it is assembled. Until then the server reports no offset, one that still
   * grows, or that the upload is locked. If it has put the upload away, there is nothing to report.
   */
  const assembled = (
    known: Known,
    path: string,
    { key, size }: CompleteRequest
  ): Effect.Effect<Uploads.State, UploadError> => {
    const look = Uploads.head(server, path, key).pipe(
      Effect.catchTag("SessionGone", () => Effect.succeed(putAway)),
      Effect.filterOrFail(
        (state) => state === putAway || (state.offset ?? -1) >= size || (state.length ?? size) !== size,
        () => unfinished(name, key)
      )
    )
    const again = (pause: number): Effect.Effect<Uploads.State, UploadError> =>
      Effect.catchTag(look, "Transient", (error) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          known.since ??= now
          return error.reason !== "Unavailable" || now - known.since >= assemblyMillis
            ? Effect.fail(error)
            : Effect.zipRight(Effect.sleep(pause), again(Math.min(pauses.most, 2 * pause)))
        }))
    return again(pauses.least)
  }

  const complete = Effect.fnUntraced(function*(request: CompleteRequest): Effect.fn.Return<Stored, UploadError> {
    const { key, size, uploadId } = request
    const known = knownOf(request)
    const path = known.whole ?? (yield* concatenate(request))
    known.whole = path
    const { length, offset } = yield* assembled(known, path, request)
    if ((length ?? size) !== size || (offset ?? size) !== size) {
      yield* Uploads.discard(server, path)
      known.whole = undefined
      known.since = undefined
      return yield* Effect.fail(wrongSize(name, key, size, offset ?? length))
    }
    sessions.delete(uploadId)
    // The whole is there with the right size: its parts are no longer needed.
    if (offset === size) yield* Effect.ignore(withDeadline(Uploads.abort(server, request), Uploads.besidesMillis))
    yield* server.stored(key, path, size)
    return { size, location: path }
  })

  return {
    limits: limits(server),
    ownIds: false,
    becomesObject: false,
    create,
    uploadPart,
    listParts,
    complete,
    abort: (session) =>
      Effect.suspend(() => {
        const { parts, whole } = knownOf(session)
        const others = whole === undefined ? parts.values() : [...parts.values(), whole]
        return Effect.tap(Uploads.abort(server, session, others), () => sessions.delete(session.uploadId))
      })
  }
}

const prefix = "parts:"

/** How long the server may take to concatenate parts, in milliseconds: nearly all of the time that a completion has. */
const assemblyMillis = 590_000

/** The pauses between looks at it, in milliseconds. */
const pauses = { least: 250, most: 10_000 }

/** The state of an upload that existed and is no longer visible. */
const putAway: Uploads.State = { length: undefined, offset: undefined }

/** The metadata in a session's id; `undefined` if the id is not ours. */
const metadataOf = (uploadId: string): string | undefined =>
  uploadId.startsWith(prefix) ? /^\S* ([\x21-\x7e ]*)$/.exec(uploadId)?.[1] : undefined

/** Whether an answer may mean that a part is missing or incomplete. */
const mayMiss = (status: number): boolean => status === 400 || (status >= 403 && status < 412) || status === 422

const unfinished = (name: string, key: string) =>
  new Transient({ reason: "Unavailable", detail: `${name} has not finished concatenating ${key}.` })
