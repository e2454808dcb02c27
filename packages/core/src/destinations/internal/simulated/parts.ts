/**
 * The multipart side of a simulated network: what a server keeps of sessions and parts, and what it refuses. The
 * network decides how long a request takes and whether it gets through.
 */
import * as Effect from "effect/Effect"
import * as ByteSource from "../../../ByteSource.js"
import * as Checksum from "../../../Checksum.js"
import type {
  Body,
  CompleteRequest,
  CreateRequest,
  Multipart,
  PartLimits,
  PartRequest,
  Session,
  Stored,
  StoredPart
} from "../../../Destination.js"
import { Conflict, IntegrityMismatch, Rejected, SessionGone } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"

const kib = 1024
const mib = 1024 * kib
const gib = 1024 * mib

export const limits: PartLimits = {
  minSize: 1,
  maxSize: 5 * gib,
  multiple: 1,
  maxCount: 10_000,
  maxObjectSize: 48.8 * 1024 * gib,
  inOrder: false
}

/** The received part of a body, with the bytes only if they are kept. */
export interface Received {
  readonly size: number
  readonly bytes: Uint8Array | undefined
}

/** The stored form of a body. */
export interface Kept extends Received {
  readonly etag: string
  readonly checksum: Checksum.Checksum | undefined
}

/** A whole object. */
export interface Whole extends Kept, Pick<CreateRequest, "contentType" | "key" | "metadata" | "modifiedAt"> {}

/** The network's services for its multipart side. */
export interface Line {
  /** A request without a body, which takes effect when it has got through. */
  readonly request: <A>(answer: Effect.Effect<A, UploadError>) => Effect.Effect<A, UploadError>
  /** A request with a body; `admit` comes before the first byte. */
  readonly receive: (body: Body, admit: Effect.Effect<unknown, UploadError>) => Effect.Effect<Received, UploadError>
  /** Stores received bytes as a part, or as a whole object if there is no number. */
  readonly keep: (
    received: Received,
    name: { readonly key: string; readonly number: number | undefined },
    algorithm: Checksum.Algorithm | undefined
  ) => Kept
  /** Makes an object visible. */
  readonly show: (whole: Whole) => void
}

/** A session as the server has it. */
export interface Open extends Omit<Session, "parts"> {
  readonly request: CreateRequest
  readonly parts: Map<number, Kept>
}

export class Sessions {
  readonly open = new Map<string, Open>()
  created = 0
  completed = 0
  aborted = 0
}

/** The parts that a session has, by number. */
export const partsOf = ({ parts }: Open): Array<StoredPart> =>
  Array.from(parts, ([number, kept]) => partOf(number, kept)).sort((a, b) => a.number - b.number)

const partOf = (number: number, { checksum, etag, size }: Kept): StoredPart => ({ number, size, etag, checksum })

export const multipart = (sessions: Sessions, limits: PartLimits, line: Line): Multipart => {
  const find = ({ key, uploadId }: Session): Effect.Effect<Open, SessionGone> => {
    const session = sessions.open.get(uploadId)
    return session?.key === key
      ? Effect.succeed(session)
      : Effect.fail(new SessionGone({ detail: `There is no upload ${uploadId} of ${key}.` }))
  }

  const create = (request: CreateRequest): Effect.Effect<string, UploadError> =>
    line.request(Effect.suspend(() => {
      if (request.size !== undefined && request.size > limits.maxObjectSize) return Effect.fail(tooLarge(request.size))
      sessions.created += 1
      const uploadId = `upload-${sessions.created}`
      sessions.open.set(uploadId, { key: request.key, uploadId, request, parts: new Map() })
      return Effect.succeed(uploadId)
    }))

  const admit = (request: PartRequest): Effect.Effect<Open, UploadError> =>
    Effect.filterOrFail(
      Effect.suspend(() => find(request)),
      ({ parts }) => !limits.inOrder || isNext(parts, request),
      () => outOfOrder(request)
    )

  const uploadPart = (request: PartRequest): Effect.Effect<StoredPart, UploadError> => {
    const { body, key, number } = request
    const problem = partProblem(request, limits)
    return Effect.flatMap(
      line.receive(body, problem === undefined ? admit(request) : Effect.fail(problem)),
      (received) =>
        // The session may have ended in the meantime.
        Effect.map(admit(request), (session) => {
          const kept = line.keep(received, { key, number }, body.checksum?.algorithm ?? session.request.checksum)
          session.parts.set(number, kept)
          return partOf(number, kept)
        })
    )
  }

  const listParts = (session: Session): Effect.Effect<ReadonlyArray<StoredPart>, UploadError> =>
    line.request(Effect.suspend(() => Effect.map(find(session), partsOf)))

  const finish = (session: Open, { checksum, key, modifiedAt, parts, size, uploadId }: CompleteRequest): Stored => {
    const kept = parts.flatMap(({ number }) => session.parts.get(number) ?? [])
    const blocks = kept.flatMap(({ bytes }) => bytes ?? [])
    const bytes = blocks.length === kept.length ? ByteSource.concat(blocks) : undefined
    sessions.open.delete(uploadId)
    sessions.completed += 1
    const { contentType, metadata } = session.request
    const whole: Whole = {
      key,
      contentType,
      metadata,
      modifiedAt: modifiedAt ?? session.request.modifiedAt,
      size,
      bytes,
      etag: `"object-${uploadId}"`,
      checksum: checksum === undefined || bytes === undefined
        ? undefined
        : checksum.value.includes("-")
        ? Checksum.composite(checksum.algorithm, kept)
        : Checksum.of(checksum.algorithm, bytes)
    }
    line.show(whole)
    return { etag: whole.etag, checksum: whole.checksum, size }
  }

  const complete = (request: CompleteRequest): Effect.Effect<Stored, UploadError> =>
    line.request(
      Effect.suspend(() =>
        Effect.flatMap(find(request), (session) => {
          const problem = completeProblem(session, request, limits)
          return problem === undefined ? Effect.sync(() => finish(session, request)) : Effect.fail(problem)
        })
      )
    )

  const abort = ({ key, uploadId }: Session): Effect.Effect<void, UploadError> =>
    line.request(
      Effect.sync(() => {
        if (sessions.open.get(uploadId)?.key !== key) return
        sessions.open.delete(uploadId)
        sessions.aborted += 1
      })
    )

  return { limits, ownIds: false, becomesObject: false, create, uploadPart, listParts, complete, abort }
}

/** Whether a part follows the stored parts, or is the last of them again. */
const isNext = (parts: ReadonlyMap<number, Kept>, { number, offset }: PartRequest): boolean => {
  let before = 0
  for (const [earlier, { size }] of parts) if (earlier < number) before += size
  return (number === parts.size + 1 || number === parts.size) && offset === before
}

const outOfOrder = ({ key, number }: PartRequest) =>
  new Conflict({ detail: `Part ${number} of ${key} is out of order.` })

const tooLarge = (size: number) =>
  new Rejected({ reason: "TooLarge", detail: `The simulated network does not accept ${size} bytes.` })

const unsupported = (detail: string) => new Rejected({ reason: "Unsupported", detail })

const partProblem = ({ body, number }: PartRequest, limits: PartLimits): UploadError | undefined =>
  !Number.isInteger(number) || number < 1 || number > limits.maxCount
    ? unsupported(`There is no part ${number}: parts have numbers from 1 to ${limits.maxCount}.`)
    : body.size !== undefined && body.size > limits.maxSize
    ? tooLarge(body.size)
    : undefined

const completeProblem = (
  session: Open,
  { key, parts, size }: CompleteRequest,
  limits: PartLimits
): UploadError | undefined => {
  if (size > limits.maxObjectSize) return tooLarge(size)
  let sum = 0
  for (const [i, { etag, number }] of parts.entries()) {
    const part = session.parts.get(number)
    if (part === undefined || (etag !== undefined && etag !== part.etag)) {
      return new IntegrityMismatch({ reason: "Size", detail: `Part ${number} of ${key} does not exist.` })
    }
    if (i > 0 && number <= parts[i - 1]!.number) return unsupported(`The parts of ${key} are not in order.`)
    if (i < parts.length - 1 && (part.size < limits.minSize || part.size % limits.multiple !== 0)) {
      return unsupported(`Part ${number} of ${key} has ${part.size} bytes, which only the last part may have.`)
    }
    sum += part.size
  }
  return sum === size
    ? undefined
    : new IntegrityMismatch({ reason: "Size", detail: `The parts of ${key} have ${sum} bytes instead of ${size}.` })
}
