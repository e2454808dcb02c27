/**
 * What happens to a request to a destination when a fault strikes it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Body, Destination, Head, Multipart, Stored, StoredPart } from "../../../Destination.js"
import { AuthExpired, IntegrityMismatch, Rejected, SessionGone, Throttled, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as faultBodies from "./bodies.js"
import { never } from "./life.js"
import type { Life } from "./life.js"
import type { Change } from "./sources.js"

export type Verb = "put" | "create" | "uploadPart" | "listParts" | "complete" | "abort" | "head"

export type Point = Verb | "source" | "process"

export interface Call {
  readonly verb: Point
  readonly key: string | undefined
  /** The part number, from 1. */
  readonly part: number | undefined
}

export type Kind =
  /** The connection is refused. */
  | { readonly _tag: "ConnectionRefused" }
  /** The connection breaks before the first byte of the body. */
  | { readonly _tag: "ResetBeforeBody" }
  /** The connection breaks within the body, after a fraction of it from 0 to 1. */
  | { readonly _tag: "ResetInsideBody"; readonly after: number }
  /** The connection breaks after the whole body is sent; nothing is done. */
  | { readonly _tag: "ResetAfterBody" }
  /** The request is carried out, and the connection breaks before the answer. */
  | { readonly _tag: "AnswerLost" }
  /** No answer arrives; the request is carried out `millis` later, whether or not anything still waits for it. */
  | { readonly _tag: "AnswerLate"; readonly millis: number }
  /** No answer arrives, and nothing is done. */
  | { readonly _tag: "NoAnswer" }
  /** The server answers 5xx and has done nothing. */
  | { readonly _tag: "ServerError"; readonly status: number }
  /** The server answers 429 or 503; with `retryAfterMillis`, it says how long to wait. */
  | { readonly _tag: "SlowDown"; readonly status: 429 | 503; readonly retryAfterMillis?: number | undefined }
  /** The server answers 200 with an error in its body and has done nothing. */
  | { readonly _tag: "ErrorBody" }
  /**
   * Only a beginning of a part, from 0 to 1, is stored; then the connection breaks. For other requests, nothing is
   * stored.
   */
  | { readonly _tag: "PartialPersistence"; readonly part: number }
  /** The request is carried out, and the answer has a wrong etag. */
  | { readonly _tag: "WrongEtag" }
  /** A bit is flipped in transit. The checksum reveals it; if none is sent, the server notices. */
  | { readonly _tag: "BitFlipped" }
  /** The credentials have expired. */
  | { readonly _tag: "CredentialsExpired" }
  /** The destination's disk is full. */
  | { readonly _tag: "DiskFull" }
  /** The server forgets the multipart upload and says so. */
  | { readonly _tag: "SessionLost" }
  /** The driver has a defect. */
  | { readonly _tag: "DriverDies" }
  /** A change of a source, in the middle of a read. */
  | Change
  /**
   * The process is killed. At a verb: before the request reaches the destination, or with `applied` before its answer
   * arrives.
   */
  | { readonly _tag: "Killed"; readonly applied?: boolean | undefined }
  /**
   * The process is killed in a write of its journal, which is lost; of earlier notes, a fraction from 0 to 1 is
   * written.
   */
  | { readonly _tag: "JournalTorn"; readonly part: number }

export interface Strikes {
  readonly life: Life | undefined
  readonly strike: (call: Call, clock: Clock.Clock) => Kind | undefined
  /** A moment at which the process may be killed; returns whether it is. */
  readonly moment: (life: Life | undefined, call: Call, clock: Clock.Clock) => boolean
}

interface Request<A> {
  readonly verb: Verb
  readonly key: string
  readonly part?: number | undefined
  readonly body?: Body | undefined
  readonly run: (body: Body | undefined) => Effect.Effect<A, UploadError>
  readonly withWrongEtag?: ((answer: A) => A) | undefined
  readonly forget?: Effect.Effect<void, UploadError> | undefined
}

/** The destination as a process sees it. */
export const destination = (inner: Destination["Type"], strikes: Strikes): Destination["Type"] => {
  const call = <A>(request: Request<A>): Effect.Effect<A, UploadError> =>
    Effect.flatMap(Effect.clock, (clock) => {
      const { life, moment, strike } = strikes
      if (life?.isDead === true) return never
      const { key, part, verb } = request
      const name: Call = { verb, key, part }
      if (moment(life, name, clock)) return never
      const kind = strike(name, clock)
      if (kind?._tag === "Killed" && life !== undefined && kind.applied !== true) {
        life.kill()
        return never
      }
      const done = kind === undefined ? Effect.suspend(() => request.run(request.body)) : struck(kind, request)
      if (life === undefined) return done
      return Effect.flatMap(life.call(done), (answer) => {
        if (kind?._tag === "Killed") life.kill()
        return life.isDead || moment(life, name, clock) ? never : Effect.succeed(answer)
      })
    })
  const { head, multipart } = inner
  return {
    ...inner,
    put: (request) =>
      call<Stored>({
        verb: "put",
        key: request.key,
        body: request.body,
        run: (body = request.body) => inner.put({ ...request, body }),
        withWrongEtag: wrong
      }),
    ...(head !== undefined && {
      head: (key: string) =>
        call<Option.Option<Head>>({ verb: "head", key, run: () => head(key), withWrongEtag: Option.map(wrong) })
    }),
    ...(multipart !== undefined && { multipart: parts(multipart, call) })
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const parts = (
  inner: Multipart,
  call: <A>(request: Request<A>) => Effect.Effect<A, UploadError>
): Multipart => ({
  ...inner,
  create: (request) => call({ verb: "create", key: request.key, run: () => inner.create(request) }),
  uploadPart: (request) =>
    call<StoredPart>({
      verb: "uploadPart",
      key: request.key,
      part: request.number,
      body: request.body,
      run: (body = request.body) => inner.uploadPart({ ...request, body }),
      withWrongEtag: wrong,
      forget: inner.abort(request)
    }),
  listParts: (session) =>
    call<ReadonlyArray<StoredPart> | undefined>({
      verb: "listParts",
      key: session.key,
      run: () => inner.listParts(session),
      withWrongEtag: (listed) => listed?.map(wrong),
      forget: inner.abort(session)
    }),
  complete: (request) =>
    call<Stored>({
      verb: "complete",
      key: request.key,
      run: () => inner.complete(request),
      withWrongEtag: wrong,
      forget: inner.abort(request)
    }),
  abort: (session) => call({ verb: "abort", key: session.key, run: () => inner.abort(session) })
})

const wrong = <A extends object>(answer: A): A & { readonly etag: string } => ({ ...answer, etag: "\"wrong\"" })

const struck = <A>(kind: Kind, request: Request<A>): Effect.Effect<A, UploadError> => {
  const { body, key, run, verb } = request
  const drained = body === undefined ? Effect.void : faultBodies.take(body)
  switch (kind._tag) {
    case "ConnectionRefused":
      return Effect.fail(broken("The connection was refused."))
    case "ResetBeforeBody":
      return Effect.fail(broken("The connection was reset before the body."))
    case "ResetInsideBody": {
      const error = broken("The connection was reset inside the body.")
      const after = Math.floor((body?.size ?? 0) * kind.after)
      return body === undefined || body.size === 0 || after === body.size
        ? Effect.zipRight(drained, Effect.fail(error))
        : run(faultBodies.cut(body, after, error))
    }
    case "ResetAfterBody":
      return Effect.zipRight(drained, Effect.fail(broken("The connection was reset after the body.")))
    case "AnswerLost":
      return Effect.zipRight(run(body), Effect.fail(broken("The connection was reset before the answer.")))
    case "AnswerLate":
      return Effect.zipRight(late(request, kind.millis), never)
    case "NoAnswer":
      return never
    case "ServerError":
      return Effect.fail(new Transient({ reason: "Unavailable", detail: `The server answered ${kind.status}.` }))
    case "SlowDown":
      return Effect.fail(slowDown(kind.status, kind.retryAfterMillis))
    case "ErrorBody":
      return Effect.fail(
        new Transient({ reason: "Unavailable", detail: "The server answered 200 with an error: InternalError." })
      )
    case "PartialPersistence":
      return partly(request, kind.part)
    case "WrongEtag":
      return Effect.map(run(body), request.withWrongEtag ?? ((answer) => answer))
    case "BitFlipped":
      return flipped(request)
    case "CredentialsExpired":
      return Effect.fail(new AuthExpired({ detail: "The credentials have expired." }))
    case "DiskFull":
      return Effect.fail(new Rejected({ reason: "NoSpace", detail: "The destination has no space left." }))
    case "SessionLost":
      return Effect.zipRight(
        request.forget ?? Effect.void,
        Effect.fail(new SessionGone({ detail: `The upload of ${key} has expired.` }))
      )
    case "DriverDies":
      return Effect.die(new Error(`The driver has a defect in ${verb}.`))
    // Faults of the process, the journal and the sources are handled elsewhere.
    case "Killed":
    case "JournalTorn":
    case "SourceShrinks":
    case "SourceGrows":
    case "SourceVanishes":
    case "SourceTouched":
    case "SourceRewritten":
    case "SourceFails":
      return run(body)
  }
}

const broken = (detail: string) => new Transient({ reason: "Connection", detail })

const slowDown = (status: 429 | 503, retryAfterMillis: number | undefined): UploadError => {
  const detail = `The server answered ${status}.`
  // A 503 that does not say how long to wait is a server in trouble.
  return status === 503 && retryAfterMillis === undefined
    ? new Transient({ reason: "Unavailable", detail })
    : new Throttled({ detail, ...(retryAfterMillis !== undefined && { retryAfterMillis }) })
}

/** Carries out a request later, with the bytes that it has now. */
const late = <A>({ body, run }: Request<A>, millis: number): Effect.Effect<void, UploadError> => {
  const taken = body === undefined
    ? Effect.succeed(undefined)
    : Effect.map(faultBodies.take(body), (bytes) => faultBodies.ofBytes(bytes, body.checksum))
  return Effect.flatMap(taken, (again) =>
    Effect.asVoid(
      Effect.forkDaemon(Effect.interruptible(Effect.zipRight(Effect.sleep(millis), Effect.exit(run(again)))))
    ))
}

const partly = <A>({ body, run, verb }: Request<A>, part: number): Effect.Effect<A, UploadError> => {
  const error = broken("The connection was reset when a beginning was stored.")
  if (body === undefined) return Effect.fail(error)
  return Effect.flatMap(faultBodies.take(body), (bytes) => {
    const beginning = bytes.subarray(0, Math.floor(bytes.length * part))
    const stored = verb === "uploadPart" && beginning.length > 0
      ? Effect.exit(run(faultBodies.ofBytes(beginning, body.checksum)))
      : Effect.void
    return Effect.zipRight(stored, Effect.fail(error))
  })
}

const flipped = <A>({ body, run, verb }: Request<A>): Effect.Effect<A, UploadError> => {
  const noticed = new IntegrityMismatch({ reason: "Checksum", detail: "The server noticed that a bit was flipped." })
  if (body === undefined) return Effect.fail(noticed)
  return Effect.flatMap(
    faultBodies.take(body),
    (bytes) =>
      body.checksum === undefined || bytes.length === 0 || verb === "put"
        ? Effect.fail(noticed)
        : run(faultBodies.ofBytes(faultBodies.flipped(bytes), body.checksum))
  )
}
