/**
 * Large files on a tus server: one upload, whose parts are sent one after the other. The upload id is its path.
 */
import * as Effect from "effect/Effect"
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
import * as PartRecords from "../../../internal/calls/partRecords.js"
import { wrongSize } from "../../../internal/transport/answers.js"
import type { UploadError } from "../../../UploadError.js"
import * as Metadata from "./metadata.js"
import { isPath } from "./server.js"
import type { Server } from "./server.js"
import * as Uploads from "./uploads.js"

export const limits = ({ offer: { maxSize } }: Server): PartLimits => ({
  minSize: 1,
  maxSize: 2 ** 52,
  multiple: 1,
  maxCount: 1_000_000,
  maxObjectSize: maxSize ?? Number.MAX_SAFE_INTEGER,
  inOrder: true
})

/** What this process knows about an upload. */
interface Known {
  /** The total number of bytes; `undefined` if it is not known yet. */
  readonly length: number | undefined
  /** Whether the server learns the length only at the end. */
  readonly deferred: boolean
  /** The end of everything ever sent: more than that cannot have come from this process. */
  sent: number
  /** The offset that the server has confirmed, below which it must not fall. */
  stored: number
}

export const multipart = (server: Server): Multipart => {
  const { name } = server
  const known = new Map<string, Known>()

  const create = Effect.fnUntraced(function*(request: CreateRequest): Effect.fn.Return<string, UploadError> {
    const { size } = request
    if (size === undefined && !server.offer.extensions.includes("creation-defer-length")) {
      return yield* Effect.fail(Uploads.sizeless(name))
    }
    const path = yield* Uploads.create(server, {
      ...(size === undefined ? { "upload-defer-length": "1" } : { "upload-length": String(size) }),
      "upload-metadata": Metadata.encode(server.keyName, request)
    })
    known.set(path, { length: size, deferred: size === undefined, sent: 0, stored: 0 })
    return path
  })

  const uploadPart = Effect.fnUntraced(function*(request: PartRequest): Effect.fn.Return<StoredPart, UploadError> {
    const { body, key, number, offset, total, uploadId } = request
    const { size } = body
    if (size === undefined) return yield* Effect.fail(Uploads.sizeless(name))
    const path = yield* pathOf(request)
    const upload = known.get(path)
    if (upload?.length !== undefined && total !== undefined && upload.length !== total) {
      return yield* Effect.fail(Uploads.gone(server, key))
    }
    const { checksum, sent } = yield* Uploads.summed(server, body)
    const end = offset + size
    if (upload !== undefined) upload.sent = Math.max(upload.sent, end)
    if (size === 0) yield* sent.bytes
    else yield* Uploads.patch(server, { path: uploadId, key, offset, size, body: sent, headers: checksum })
    if (upload !== undefined) upload.stored = end
    return { number, size, checksum: sent.checksum }
  })

  /** The offset of the upload. Fails with `SessionGone` if that cannot be the result of what was sent. */
  const look = Effect.fnUntraced(function*({ key, uploadId: path }: Session) {
    const { length, offset } = yield* Uploads.head(server, path, key)
    if (offset === undefined) return yield* Effect.fail(Uploads.silent(name, key))
    const upload = known.get(path) ?? { length, deferred: false, sent: offset, stored: 0 }
    known.set(path, upload)
    return offset > upload.sent || offset < upload.stored || offset > (length ?? Infinity) ||
        (length !== undefined && upload.length !== undefined && length !== upload.length)
      ? yield* Effect.fail(Uploads.gone(server, key))
      : { length, offset }
  })

  const listParts = Effect.fnUntraced(
    function*(session: Session): Effect.fn.Return<ReadonlyArray<StoredPart>, UploadError> {
      if (!isPath(session.uploadId)) return yield* Uploads.giveUp(server, session)
      const { offset } = yield* look(session)
      return PartRecords.listed(offset)
    }
  )

  const complete = Effect.fnUntraced(function*(request: CompleteRequest): Effect.fn.Return<Stored, UploadError> {
    const { key, size } = request
    const path = yield* pathOf(request)
    const stored = known.get(path)?.stored
    const { length, offset } = yield* look(request).pipe(
      // Some servers put away complete uploads.
      Effect.catchTag("SessionGone", (error) =>
        stored === size && known.get(path)?.length === size
          ? Effect.succeed({ length: size, offset: size })
          : Effect.fail(error))
    )
    if (offset !== size || (length !== undefined && length !== size)) {
      return yield* Effect.fail(wrongSize(name, key, size, offset))
    }
    if (length === undefined && known.get(path)?.deferred === true) {
      const headers = { "upload-length": String(size) }
      yield* Uploads.patch(server, { path, key, offset, size: 0, body: new Uint8Array(0), headers })
    }
    known.delete(path)
    yield* server.stored(key, path, size)
    return { size, location: path }
  })

  /** The path of an upload begun here, or by an earlier process in the same way. */
  const pathOf = ({ key, uploadId }: Session): Effect.Effect<string, UploadError> =>
    isPath(uploadId) ? Effect.succeed(uploadId) : Effect.fail(Uploads.gone(server, key))

  return {
    limits: limits(server),
    ownIds: false,
    becomesObject: true,
    create,
    uploadPart,
    listParts,
    complete,
    abort: (session) => Effect.tap(Uploads.abort(server, session), () => known.delete(session.uploadId))
  }
}
