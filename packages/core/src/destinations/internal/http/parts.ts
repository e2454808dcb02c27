/**
 * Multipart uploads with `Content-Range`: parts go one after the other to the address of the object itself, and the
 * server keeps count. This is the wire format of Google Cloud Storage's resumable sessions.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type {
  CompleteRequest,
  CreateRequest,
  Head,
  Multipart,
  PartLimits,
  PartRequest,
  Session,
  Stored,
  StoredPart
} from "../../../Destination.js"
import * as PartRecords from "../../../internal/calls/partRecords.js"
import type * as InFlight from "../../../internal/limits/inFlight.js"
import { isMissing, isSuccess, withBeginning, wrongSize } from "../../../internal/transport/answers.js"
import * as Etag from "../../../internal/values/etag.js"
import type * as Transport from "../../../Transport.js"
import { Conflict, isRetryable, Rejected, SessionGone, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as HttpPages from "./pages.js"

/** The parts of a request that differ between requests. */
export type WireRequest = Pick<Transport.Request, "body" | "method"> & {
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** A server, with everything that its requests share. */
export interface Wire {
  readonly name: string
  readonly requests: InFlight.InFlight
  /** Sends a request to the address of a key. */
  readonly ask: (key: string, request: WireRequest) => Effect.Effect<Transport.Answer, UploadError>
  /**
   * Sends a request without a body and returns its answer while the answer's body is still arriving; the scope closes
   * it.
   */
  readonly open: (
    key: string,
    request: Omit<WireRequest, "body">
  ) => Effect.Effect<Transport.OpenAnswer, UploadError, Scope.Scope>
  /** The failure for an unexpected answer. */
  readonly refused: (answer: Transport.Answer) => Effect.Effect<never, UploadError>
}

export const contentTypeOf = (contentType: string | undefined): string => contentType ?? "application/octet-stream"

/** Looks at an object with `HEAD` or, if that does not tell its size, by requesting its first byte. */
export const head = (wire: Wire, key: string): Effect.Effect<Option.Option<Head>, UploadError> =>
  Effect.flatMap(
    wire.requests.withPermits(1)(wire.ask(key, { method: "HEAD" })),
    (answer): Effect.Effect<Option.Option<Head>, UploadError> => {
      if (isMissing(answer)) return Effect.succeed(Option.none())
      if (!isSuccess(answer)) return wire.refused(answer)
      const found = (size: number) => Option.some({ size, etag: answer.headers["etag"] })
      const size = digits(answer.headers["content-length"])
      return size !== undefined ? Effect.succeed(found(size)) : Effect.flatMap(
        answer.status === 200 ? sizeByRange(wire, key) : Effect.succeed(undefined),
        (size) =>
          size === undefined
            ? Effect.fail(unexpected(wire.name, answer, "does not report the size of the object"))
            : Effect.succeed(found(size))
      )
    }
  )

/** Reads an object, and holds a permit for it until it has been read. */
export const read = (wire: Wire, key: string): Stream.Stream<Uint8Array, UploadError> =>
  Stream.unwrapScoped(
    Effect.gen(function*() {
      yield* holdPermit(wire.requests)
      const answer = yield* wire.open(key, { method: "GET" })
      return isSuccess(answer)
        ? answer.stream
        : Stream.fromEffect(Effect.flatMap(withBeginning(answer), wire.refused))
    })
  )

/** Takes a permit for a request in flight, until the scope ends. */
const holdPermit = (requests: InFlight.InFlight): Effect.Effect<void, never, Scope.Scope> =>
  Effect.suspend(() => {
    let held = false
    return Effect.zipRight(
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (held) requests.unsafeRelease(1)
        })
      ),
      requests.take(1, () => held = true)
    )
  })

const digits = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined

/** The size of an object, from the answer to a request for its first byte. */
const sizeByRange = (wire: Wire, key: string): Effect.Effect<number | undefined, UploadError> =>
  wire.requests.withPermits(1)(
    Effect.scoped(Effect.map(
      wire.open(key, { method: "GET", headers: { range: "bytes=0-0" } }),
      ({ headers, status }) =>
        status === 206 || status === 416
          ? digits(/\/(\d+)\s*$/.exec(headers["content-range"] ?? "")?.[1])
          : status === 200
          ? digits(headers["content-length"])
          : undefined
    ))
  )

const multiple = 256 * 1024

export const limits: PartLimits = {
  minSize: multiple,
  maxSize: 2 ** 52,
  multiple,
  maxCount: 1_000_000,
  maxObjectSize: Number.MAX_SAFE_INTEGER,
  inOrder: true
}

export const contentRange = (wire: Wire): Multipart => {
  const { name } = wire
  // The server begins an upload with its first part. The upload id records what is under the key before that, so that
  // it can be told later whether the object there came from this upload. A server that cannot be reached has begun
  // nothing.
  const create = ({ key, token }: CreateRequest): Effect.Effect<string, UploadError> =>
    Effect.matchEffect(head(wire, key), {
      onFailure: (error) => isRetryable(error) ? Effect.fail(error) : Effect.succeed(token),
      onSuccess: (found) =>
        Effect.succeed(`${token}:${Option.getOrElse(Option.flatMapNullable(found, ({ etag }) => etag), () => "")}`)
    })

  /** The object that an upload produced, if that can be told. */
  const resultOf = ({ key, uploadId }: Session): Effect.Effect<Option.Option<Head>, UploadError> => {
    const [, before] = uploadId.split(/:(.*)/s)
    return before === undefined
      ? Effect.succeedNone
      : Effect.map(
        head(wire, key),
        Option.filter(({ etag }) => etag !== undefined && Etag.read(etag) !== Etag.read(before))
      )
  }

  const uploadPart = (request: PartRequest): Effect.Effect<StoredPart, UploadError> => {
    const { body, contentType, key, number, offset, total } = request
    const { size } = body
    if (size === undefined) return Effect.fail(unknownSize(key, number))
    const end = offset + size
    const storedPart = (etag: string | undefined): StoredPart => ({ number, size, etag, checksum: body.checksum })
    const read = (response: Transport.Answer): Effect.Effect<StoredPart, UploadError> => {
      if (isMissing(response)) return Effect.fail(sessionGone(request))
      if (wantsMore(response)) {
        const persisted = persistedBy(response)
        return persisted === undefined
          ? Effect.fail(unexpected(name, response, "does not report a range of bytes from 0"))
          : total !== undefined && persisted > total
          ? Effect.fail(wrongSize(name, key, total, persisted))
          : persisted >= end
          ? Effect.succeed(storedPart(undefined))
          : persisted < offset
          ? Effect.fail(sessionGone(request))
          : sendRest(persisted)
      }
      if (!isSuccess(response)) return wire.refused(response)
      return Effect.flatMap(
        HttpPages.stored(name, response, { size: total, look: head(wire, key) }),
        ({ etag }) =>
          total === end
            ? Effect.succeed(storedPart(etag))
            : Effect.fail(unexpected(name, response, `treated part ${number} of ${key} as the whole object`))
      )
    }
    // A server that stores part of the bytes and says so is sent the rest next, as long as it stores any.
    const sendRest = (persisted: number): Effect.Effect<StoredPart, UploadError> => {
      const rest = persisted > offset ? body.rest?.(persisted - offset) : undefined
      return rest === undefined
        ? Effect.fail(persistedLess(name, number, persisted, end))
        : Effect.map(uploadPart({ ...request, offset: persisted, body: rest }), (part) => ({
          ...part,
          size,
          checksum: body.checksum
        }))
    }
    // An empty object of unknown size: there is nothing to send, and `complete` says that there will be nothing.
    if (size === 0 && total === undefined) return Effect.as(body.bytes, storedPart(undefined))
    const range = size === 0 ? "*" : `${offset}-${end - 1}`
    const headers = { "content-type": contentTypeOf(contentType), "content-range": `bytes ${range}/${total ?? "*"}` }
    return Effect.flatMap(
      wire.requests.withPermits(1, (turn) => body.unwatched(turn))(wire.ask(key, { method: "PUT", headers, body })),
      read
    )
  }

  /** Asks how far the upload is. With the size of the object, it also says that nothing more will come. */
  const ask = ({ key }: Session, size: number | undefined): Effect.Effect<Transport.Answer, UploadError> =>
    wire.requests.withPermits(1)(
      wire.ask(key, { method: "PUT", headers: { "content-range": `bytes */${size ?? "*"}` } })
    )

  const listParts = (session: Session): Effect.Effect<ReadonlyArray<StoredPart>, UploadError> =>
    Effect.flatMap(ask(session, undefined), (response): Effect.Effect<number | undefined, UploadError> => {
      if (isMissing(response)) return Effect.fail(sessionGone(session))
      if (!wantsMore(response)) return isSuccess(response) ? Effect.succeed(undefined) : wire.refused(response)
      const persisted = persistedBy(response)
      return persisted === undefined
        ? Effect.fail(unexpected(name, response, "does not report a range of bytes from 0"))
        : Effect.succeed(persisted)
    }).pipe(
      Effect.flatMap((persisted) =>
        persisted !== undefined ? Effect.succeed(PartRecords.listed(persisted)) : Effect.flatMap(
          resultOf(session),
          Option.match({
            onNone: () => Effect.fail(sessionGone(session)),
            onSome: ({ size }) => Effect.succeed(PartRecords.listed(size))
          })
        )
      )
    )

  const complete = (request: CompleteRequest): Effect.Effect<Stored, UploadError> =>
    Effect.flatMap(ask(request, request.size), (response): Effect.Effect<Stored, UploadError> => {
      if (isMissing(response)) return Effect.fail(sessionGone(request))
      if (wantsMore(response)) return Effect.fail(wrongSize(name, request.key, request.size, persistedBy(response)))
      if (!isSuccess(response)) return wire.refused(response)
      const { key, parts, size } = request
      const last = parts.at(-1)?.etag
      return Effect.flatMap(
        HttpPages.stored(name, response, { size, look: head(wire, key) }),
        // A proxy may have weakened either.
        ({ etag }) =>
          etag !== undefined && last !== undefined && Etag.read(etag) !== Etag.read(last)
            ? Effect.fail(new Conflict({ detail: `Another client has written ${key} to ${name} meanwhile.` }))
            : Effect.succeed({ etag: etag ?? last })
      )
    })

  const abort = (session: Session): Effect.Effect<void, UploadError> =>
    Effect.flatMap(
      wire.requests.withPermits(1)(wire.ask(session.key, { method: "DELETE" })),
      (answer) => isSuccess(answer) || endings.has(answer.status) ? Effect.void : wire.refused(answer)
    )

  return { limits, ownIds: false, becomesObject: true, create, uploadPart, listParts, complete, abort }
}

/**
 * Answers of servers that no longer have the upload, that do not support ending one, or that have ended it (499:
 * Google).
 */
const endings: ReadonlySet<number> = new Set([404, 405, 410, 499, 501])

/** Whether the server expects more bytes. With an address it would be a redirect. */
const wantsMore = ({ headers, status }: Transport.Head): boolean =>
  status === 202 || (status === 308 && (headers["location"] === undefined || headers["range"] !== undefined))

/** The number of leading bytes that the server has; `undefined` if that cannot be determined. */
const persistedBy = ({ headers }: Transport.Head): number | undefined => {
  const range = headers["range"]
  if (range === undefined) return 0
  const last = /^bytes=0-(\d{1,16})$/.exec(range)?.[1]
  return last === undefined ? undefined : Number(last) + 1
}

const sessionGone = ({ key, uploadId }: Session) =>
  new SessionGone({ detail: `The server no longer has the upload ${uploadId} of ${key}.` })

const unexpected = (name: string, { status }: Transport.Head, problem: string) =>
  new Rejected({ reason: "Unexpected", detail: `${name} answered ${status} and ${problem}.` })

const unknownSize = (key: string, number: number) =>
  new Rejected({ reason: "Unsupported", detail: `Part ${number} of ${key} cannot be sent: its size is not known.` })

const persistedLess = (name: string, number: number, persisted: number, end: number) =>
  new Transient({
    reason: "Unavailable",
    detail: `${name} has stored ${persisted} bytes, but should have ${end} after part ${number}.`
  })
