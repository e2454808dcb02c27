/**
 * Records a process, with wrappers around what the engine uses.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Body, CreateRequest, Destination, PartRequest, Session } from "../../../Destination.js"
import * as EngineLimits from "../../../internal/limits/engineLimits.js"
import type { Journal } from "../../../Journal.js"
import type { Limits } from "../../../Limits.js"
import type { Progress } from "../../../Progress.js"
import type { UploadError } from "../../../UploadError.js"
import type { UploadEvent } from "../../../UploadEvent.js"
import type { UploadResult } from "../../../UploadResult.js"
import * as faultBodies from "../faults/bodies.js"
import type { Operation, Process, Verb, Violation } from "./record.js"

export interface Recorder {
  readonly process: Process
  /** Wraps the destination for the engine. */
  readonly destination: (destination: Destination["Type"]) => Destination["Type"]
  /** Wraps the journal for the engine. */
  readonly journal: (journal: Journal["Type"]) => Journal["Type"]
  /** Goes with the run's options. */
  readonly onEvent: (event: UploadEvent) => Effect.Effect<void>
  /** Goes with the run's options. */
  readonly onResult: (result: UploadResult) => Effect.Effect<void>
  /** Checks the limits, the memory and the progress whenever something happens. Call it before the first file. */
  readonly watch: (watched: {
    readonly limits: Limits
    readonly progress: Effect.Effect<Progress>
    /** The bytes that may be in memory, that are, and the takes that wait for some. */
    readonly memory?: { readonly limit: number; readonly taken: number; readonly waiting: number } | undefined
    /** The object under a key at this moment: checked when a file is reported as uploaded. */
    readonly object?: ((key: string) => Uint8Array | undefined) | undefined
  }) => Effect.Effect<void>
  /**
   * Checks what must be back when the run is over: permits, memory, and the named `counts`; each must be 0.
   */
  readonly returned: (counts?: Readonly<Record<string, number>>) => Effect.Effect<void>
  /** The process was killed: what it held is gone, and what it reports is ignored. */
  readonly killed: Effect.Effect<void>
}

export const empty = (number: number, hasJournal: boolean, ownIds: boolean): Process => ({
  number,
  operations: [],
  written: [],
  events: [],
  results: [],
  reported: [],
  progress: [],
  bytes: [],
  hasJournal,
  ownIds,
  loosest: { concurrency: Infinity, uploadsPerSecond: Infinity, bytesPerSecond: Infinity },
  memoryLimit: Infinity,
  killed: false,
  seen: []
})

interface Book {
  readonly operations: Array<Operation>
  /** The next position in the history. */
  readonly next: () => number
  readonly onStart?: ((operation: Operation) => void) | undefined
  readonly onEnd?: ((operation: Operation) => void) | undefined
  readonly onBytes?: ((at: number, bytes: number) => void) | undefined
}

/** A destination whose requests are recorded. */
export const recording = (inner: Destination["Type"], book: Book): Destination["Type"] => {
  const operation = <A>(
    name: Pick<Operation, "key" | "verb"> & Partial<Pick<Operation, "part" | "size" | "token" | "uploadId">>,
    run: (clock: Clock.Clock) => Effect.Effect<A, UploadError>,
    answered: (answer: A, operation: Operation) => void = () => {}
  ): Effect.Effect<A, UploadError> =>
    Clock.clockWith((clock) => {
      const entry: Operation = {
        part: undefined,
        uploadId: undefined,
        token: undefined,
        size: undefined,
        ...name,
        at: clock.unsafeCurrentTimeMillis(),
        began: book.next(),
        ended: undefined,
        endedAt: undefined,
        outcome: undefined,
        error: undefined
      }
      book.operations.push(entry)
      book.onStart?.(entry)
      return Effect.onExit(Effect.suspend(() => run(clock)), (exit) =>
        Effect.sync(() => {
          entry.ended = book.next()
          entry.endedAt = clock.unsafeCurrentTimeMillis()
          if (Exit.isSuccess(exit)) {
            entry.outcome = "Succeeded"
            answered(exit.value, entry)
          } else {
            entry.outcome = Cause.isInterrupted(exit.cause) ? "Interrupted" : "Failed"
            entry.error = Option.match(Cause.failureOption(exit.cause), {
              onNone: () => entry.outcome === "Failed" ? "Died" : undefined,
              onSome: ({ _tag }) => _tag
            })
          }
          book.onEnd?.(entry)
        }))
    })
  const heard = (body: Body, clock: Clock.Clock): Body => {
    const { onBytes } = book
    return onBytes === undefined ? body : faultBodies.passing(body, (block) => {
      onBytes(clock.unsafeCurrentTimeMillis(), block.length)
      return Effect.succeed(block)
    })
  }
  const of = (verb: Verb, { key, uploadId }: Session) => ({ verb, key, uploadId })
  const { head, multipart } = inner
  return {
    ...inner,
    put: (request) =>
      operation(
        { verb: "put", key: request.key, size: request.body.size },
        (clock) => inner.put({ ...request, body: heard(request.body, clock) })
      ),
    ...(head !== undefined && { head: (key: string) => operation({ verb: "head", key }, () => head(key)) }),
    ...(multipart !== undefined && {
      multipart: {
        ...multipart,
        create: (request: CreateRequest) =>
          operation(
            { verb: "create", key: request.key, token: request.token },
            () => multipart.create(request),
            (uploadId, entry) => {
              entry.uploadId = uploadId
            }
          ),
        uploadPart: (request: PartRequest) =>
          operation(
            { ...of("uploadPart", request), part: request.number, size: request.body.size },
            (clock) => multipart.uploadPart({ ...request, body: heard(request.body, clock) })
          ),
        listParts: (session) => operation(of("listParts", session), () => multipart.listParts(session)),
        complete: (request) => operation(of("complete", request), () => multipart.complete(request)),
        abort: (session) => operation(of("abort", session), () => multipart.abort(session))
      }
    })
  }
}

type Watched = Parameters<Recorder["watch"]>[0] & { readonly limits: EngineLimits.EngineLimits }

export const recorder = (process: Process, next: () => number): Recorder => {
  let inFlight = 0
  let watched: Watched | undefined
  let endedAt: number | undefined
  const saw = (promise: Violation["promise"], message: string) => {
    process.seen.push({ promise, message: `${message} (process ${process.number})` })
  }
  const look = (at: number) => {
    if (watched === undefined || process.killed) return
    process.progress.push(Effect.runSync(watched.progress))
    const { memory } = watched
    if (memory !== undefined && memory.taken < 0) saw("bounds", `${memory.taken} bytes of memory are taken at ${at} ms`)
  }
  const loosen = ({ limits }: Watched) => {
    const { loosest } = process
    process.loosest = {
      concurrency: Math.max(loosest.concurrency, limits.inFlight.limit),
      uploadsPerSecond: Math.max(loosest.uploadsPerSecond, limits.rate.uploadsPerSecond),
      bytesPerSecond: Math.max(loosest.bytesPerSecond, limits.bandwidth.bytesPerSecond)
    }
  }
  const book: Book = {
    operations: process.operations,
    next,
    onStart: (operation) => {
      inFlight += 1
      if (endedAt !== undefined) saw("leaked", `${operation.verb} ${operation.key} began after the run was over`)
      if (watched === undefined) return
      loosen(watched)
      const permits = watched.limits.inFlight.taken
      if (inFlight > permits) {
        saw("bounds", `${inFlight} requests in flight have ${permits} permits at ${operation.at} ms`)
      }
    },
    onEnd: ({ at }) => {
      inFlight -= 1
      look(at)
    },
    onBytes: (at, bytes) => {
      if (process.loosest.bytesPerSecond < Infinity) process.bytes.push([at, bytes])
    }
  }

  /**
   * In the middle of a backoff nothing moves: every held permit belongs to a request in flight, or to one waiting to
   * start.
   */
  const lookInBackoff = (key: string, millis: number): Effect.Effect<void> =>
    Effect.flatMap(
      Effect.clock,
      (clock) =>
        Effect.asVoid(Effect.forkDaemon(Effect.map(clock.sleep(Duration.millis(millis * 0.37 + 0.013)), () => {
          if (watched === undefined || process.killed || endedAt !== undefined) return
          const { limits } = watched
          if (limits.inFlight.taken <= inFlight + limits.rate.waiting) return
          saw(
            "bounds",
            `in a backoff of ${key}, ${limits.inFlight.taken} permits are held for ${inFlight} requests in flight`
          )
        })))
    )

  return {
    process,
    destination: (inner) => recording(inner, book),
    journal: (inner) => ({
      ...inner,
      begin: (intent) =>
        Effect.map(inner.begin(intent), () => {
          const { key, token } = intent
          process.written.push({ what: "begin", key, token, uploadId: undefined, order: next() })
        }),
      created: (key, uploadId) =>
        Effect.map(inner.created(key, uploadId), () => {
          process.written.push({ what: "created", key, token: undefined, uploadId, order: next() })
        })
    }),
    onEvent: (event) =>
      Effect.suspend(() => {
        if (process.killed) return Effect.void
        process.events.push(event)
        look(event.at)
        if (event._tag !== "UploadRetrying" || event.delayMillis < 1) return Effect.void
        return lookInBackoff(event.key, event.delayMillis)
      }),
    onResult: (result) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        if (process.killed) return
        process.results.push({ at, result })
        const { key } = result.file
        if (result._tag !== "Uploaded" || watched?.object === undefined) return
        process.reported.push({ key, object: watched.object(key) })
      }),
    watch: (what) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        watched = { ...what, limits: EngineLimits.of(what.limits) }
        process.memoryLimit = what.memory?.limit ?? Infinity
        process.loosest = { concurrency: 0, uploadsPerSecond: 0, bytesPerSecond: 0 }
        loosen(watched)
        look(at)
      }),
    returned: (counts = {}) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        look(at)
        endedAt = at
        const back: Record<string, number> = { "requests in flight": inFlight, ...counts }
        if (watched !== undefined) {
          back["permits"] = watched.limits.inFlight.taken
          back["takes of a permit that wait"] = watched.limits.inFlight.waiting
          back["bytes of memory"] = watched.memory?.taken ?? 0
          back["takes of memory that wait"] = watched.memory?.waiting ?? 0
        }
        for (const [what, count] of Object.entries(back)) {
          if (count !== 0) saw("leaked", `${count} ${what} are left when the run is over`)
        }
      }),
    killed: Effect.sync(() => {
      process.killed = true
    })
  }
}
