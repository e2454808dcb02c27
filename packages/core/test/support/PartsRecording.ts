import { ByteSource, Checksum, Destination, UploadError } from "@sluice/core"
import { Cause, Clock, Effect, Encoding, Exit, Option, Stream } from "effect"
import type { Entry } from "./Recording.js"

/** The verbs of a destination. */
export type Verb = "put" | "create" | "part" | "list" | "complete" | "abort" | "head"

/** One request, as a script sees it. */
export interface Request {
  readonly verb: Verb
  readonly key: string
  /** Of a part. */
  readonly number: number | undefined
  /** How often just this was asked for, and now. */
  readonly attempt: number
}

/**
 * What becomes of a request: it fails and nothing is done; it is done, and its answer is lost; it is done late,
 * whatever has become of who asked; another part is stored than was sent; it never answers; its driver dies; it answers
 * before it has taken a byte; a beginning of a part is stored, where parts come in order, and then it fails; or it is
 * done, and something else is told of it.
 */
export type Fault =
  | { readonly _tag: "Refused"; readonly error: UploadError.UploadError }
  | { readonly _tag: "AnswerLost"; readonly error: UploadError.UploadError }
  | { readonly _tag: "Late"; readonly millis: number }
  | { readonly _tag: "BitFlipped" }
  | { readonly _tag: "Hangs" }
  | { readonly _tag: "Dies" }
  | { readonly _tag: "Early" }
  | { readonly _tag: "Partial"; readonly bytes: number }
  | { readonly _tag: "Tells"; readonly stored: Destination.Stored }

export const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

export const refused = (error: UploadError.UploadError = broken): Fault => ({ _tag: "Refused", error })

export const answerLost: Fault = { _tag: "AnswerLost", error: broken }

export interface Options {
  readonly limits?: Partial<Destination.PartLimits> | undefined
  readonly capabilities?: Partial<Destination.Capabilities> | undefined
  /** Whether the token is the upload id. */
  readonly ownIds?: boolean | undefined
  /** Whether it can list its parts. */
  readonly tellsParts?: boolean | undefined
  /** What `head` returns besides the size; answers to `put` also contain an etag. Defaults to nothing. */
  readonly headTells?: "etag" | "modifiedAt" | undefined
  /** Milliseconds that a request takes; half of it is over when it is done. Defaults to 10. */
  readonly latency?: ((request: Request) => number) | undefined
  readonly fault?: ((request: Request) => Fault | undefined) | undefined
}

interface Session {
  readonly key: string
  readonly parts: Map<number, { readonly bytes: Uint8Array; readonly etag: string }>
  readonly modifiedAt: number | undefined
  /** What came, where parts come in order. */
  inOrder: Uint8Array
}

/** A destination in memory that takes parts, does what a script says, and writes down what happens to it. */
export interface PartsRecording {
  readonly destination: Destination.Destination["Type"]
  /** When a request arrived: `create a`, `part a 1`; and how it ended, if it failed. */
  readonly history: Array<Entry>
  readonly objects: Map<string, Uint8Array>
  readonly sessions: Map<string, Session>
  /** How each session that has ended did so. */
  readonly ends: Map<string, ReadonlyArray<"completed" | "aborted">>
  readonly inFlight: () => number
  readonly peak: () => number
  /** The most bytes of parts and objects that were ever in flight at once. */
  readonly peakBytes: () => number
  /** How many bytes of parts were taken. */
  readonly bytesTaken: () => number
}

export const make = (options: Options = {}): PartsRecording => {
  const history: Array<Entry> = []
  const objects = new Map<string, Uint8Array>()
  const times = new Map<string, number | undefined>()
  const sessions = new Map<string, Session>()
  const ends = new Map<string, Array<"completed" | "aborted">>()
  const asked = new Map<string, number>()
  const requests = { inFlight: 0, peak: 0, bytes: 0, peakBytes: 0, taken: 0 }
  let created = 0

  /** A request: half of its time, then what it does, then the rest of its time. */
  const request = <A>(
    verb: Verb,
    key: string,
    number: number | undefined,
    size: number,
    act: (fault: Fault | undefined) => Effect.Effect<A, UploadError.UploadError>
  ): Effect.Effect<A, UploadError.UploadError> =>
    Clock.clockWith((clock) =>
      Effect.uninterruptibleMask((restore) => {
        const name = `${verb} ${key}${number === undefined ? "" : ` ${number}`}`
        const note = (event: string) => {
          history.push([clock.unsafeCurrentTimeMillis(), event])
        }
        const attempt = (asked.get(name) ?? 0) + 1
        asked.set(name, attempt)
        requests.inFlight += 1
        requests.peak = Math.max(requests.peak, requests.inFlight)
        requests.bytes += size
        requests.peakBytes = Math.max(requests.peakBytes, requests.bytes)
        note(name)
        const millis = (options.latency ?? (() => 10))({ verb, key, number, attempt })
        const fault = options.fault?.({ verb, key, number, attempt })
        const half = Effect.sleep(millis / 2)
        const answered = Effect.gen(function*() {
          yield* half
          if (fault?._tag === "Hangs") return yield* Effect.zipRight(Effect.sleep("1 hour"), Effect.fail(broken))
          if (fault?._tag === "Dies") return yield* Effect.die(new Error("The driver has a bug."))
          if (fault?._tag === "Refused") return yield* Effect.fail(fault.error)
          if (fault?._tag === "Late") {
            yield* Effect.forkDaemon(Effect.zipRight(Effect.sleep(fault.millis), Effect.ignore(act(undefined))))
            return yield* Effect.zipRight(Effect.sleep("1 hour"), Effect.fail(broken))
          }
          const value = yield* act(fault)
          yield* half
          return fault?._tag === "AnswerLost" ? yield* Effect.fail(fault.error) : value
        })
        return Effect.onExit(restore(answered), (exit) =>
          Effect.sync(() => {
            requests.inFlight -= 1
            requests.bytes -= size
            if (Exit.isSuccess(exit)) return
            note(`${name}: ${
              Cause.isInterrupted(exit.cause)
                ? "interrupted"
                : Option.match(Cause.failureOption(exit.cause), { onNone: () => "died", onSome: ({ _tag }) => _tag })
            }`)
          }))
      })
    )

  const gone = new UploadError.SessionGone({ detail: "There is no such session." })
  const sessionOf = (uploadId: string) =>
    Effect.suspend(() => {
      const session = sessions.get(uploadId)
      return session === undefined ? Effect.fail(gone) : Effect.succeed(session)
    })
  const end = (uploadId: string, how: "completed" | "aborted") => {
    sessions.delete(uploadId)
    ends.set(uploadId, [...ends.get(uploadId) ?? [], how])
  }
  const take = (body: Destination.Body) =>
    options.capabilities?.wholeBodies === true
      ? Effect.flatMap(body.whole, (whole) => whole.bytes)
      : Effect.map(Stream.runCollect(body.stream()), (blocks) => ByteSource.concat(Array.from(blocks)))
  const etagOf = (bytes: Uint8Array) => `"${Encoding.encodeHex(Checksum.digestOf(Checksum.of("md5", bytes))!)}"`

  const multipart: Destination.Multipart = {
    limits: {
      minSize: 1,
      maxSize: 1_000_000,
      multiple: 1,
      maxCount: 10_000,
      maxObjectSize: Number.MAX_SAFE_INTEGER,
      inOrder: false,
      ...options.limits
    },
    ownIds: options.ownIds ?? false,
    becomesObject: false,
    create: ({ key, modifiedAt, token }) =>
      request("create", key, undefined, 0, () =>
        Effect.sync(() => {
          const uploadId = options.ownIds === true ? token : `upload-${created += 1}`
          if (!sessions.has(uploadId)) {
            sessions.set(uploadId, { key, parts: new Map(), modifiedAt, inOrder: new Uint8Array() })
          }
          return uploadId
        })),
    uploadPart: ({ body, key, number, offset, uploadId }) =>
      request("part", key, number, body.size ?? 0, (fault) =>
        Effect.gen(function*() {
          const session = yield* sessionOf(uploadId)
          if (fault?._tag === "Early") return { number, size: body.size ?? 0 }
          if (options.limits?.inOrder === true) {
            if (offset !== session.inOrder.length) {
              return yield* new UploadError.Conflict({ detail: `at ${offset}, not ${session.inOrder.length}` })
            }
            const sent = yield* take(body)
            const kept = fault?._tag === "Partial" ? sent.subarray(0, fault.bytes) : sent
            requests.taken += kept.length
            session.inOrder = ByteSource.concat([new Uint8Array(), session.inOrder, kept])
            return kept === sent ? { number, size: sent.length } : yield* broken
          }
          const bytes = (yield* take(body)).slice()
          requests.taken += bytes.length
          if (fault?._tag === "BitFlipped") bytes[0]! ^= 1
          session.parts.set(number, { bytes, etag: etagOf(bytes) })
          const algorithm = body.checksum?.algorithm
          return {
            number,
            size: bytes.length,
            etag: etagOf(bytes),
            ...(algorithm !== undefined && { checksum: Checksum.of(algorithm, bytes) })
          }
        })),
    listParts: ({ key, uploadId }) =>
      request(
        "list",
        key,
        undefined,
        0,
        () =>
          Effect.map(sessionOf(uploadId), ({ inOrder, parts }) =>
            options.tellsParts === false
              ? undefined
              : options.limits?.inOrder === true
              ? [{ number: 1, size: inOrder.length }]
              : Array.from(parts, ([number, { bytes, etag }]) => ({ number, size: bytes.length, etag }))
                .sort((a, b) => a.number - b.number))
      ),
    complete: ({ checksum, key, parts, uploadId }) =>
      request("complete", key, undefined, 0, (fault) =>
        Effect.map(sessionOf(uploadId), (session) => {
          const bytes = ByteSource.concat([
            new Uint8Array(),
            session.inOrder,
            ...parts.map(({ number }) => session.parts.get(number)?.bytes ?? new Uint8Array())
          ])
          objects.set(key, bytes)
          times.set(key, session.modifiedAt)
          end(uploadId, "completed")
          if (fault?._tag === "Tells") return fault.stored
          return {
            etag: etagOf(bytes),
            size: bytes.length,
            ...(checksum !== undefined && { checksum: Checksum.of(checksum.algorithm, bytes) })
          }
        })),
    abort: ({ key, uploadId }) =>
      request("abort", key, undefined, 0, () =>
        Effect.sync(() => {
          if (sessions.has(uploadId)) end(uploadId, "aborted")
        }))
  }

  return {
    destination: Destination.Destination.of({
      name: "parts:",
      capabilities: { maxPutSize: Infinity, unknownSize: false, ...options.capabilities },
      put: ({ body, key, modifiedAt }) =>
        request("put", key, undefined, body.size ?? 0, () =>
          Effect.map(take(body), (bytes) => {
            objects.set(key, bytes)
            times.set(key, modifiedAt)
            return options.headTells === "etag" ? { etag: etagOf(bytes) } : {}
          })),
      multipart,
      head: (key) =>
        request(
          "head",
          key,
          undefined,
          0,
          () =>
            Effect.sync(() =>
              Option.map(Option.fromNullable(objects.get(key)), (bytes) => ({
                size: bytes.length,
                ...(options.headTells === "etag" && { etag: etagOf(bytes) }),
                ...(options.headTells === "modifiedAt" && { modifiedAt: times.get(key) })
              }))
            )
        )
    }),
    history,
    objects,
    sessions,
    ends,
    inFlight: () => requests.inFlight,
    peak: () => requests.peak,
    peakBytes: () => requests.peakBytes,
    bytesTaken: () => requests.taken
  }
}
