import { ByteSource, Destination, Uploader } from "@sluice/core"
import type { UploadError, UploadEvent, UploadList, UploadReport, UploadResult, UploadRun } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Cause, Clock, Effect, Exit, Option, Stream } from "effect"
import type { Scope } from "effect"

/** One request as a destination sees it. */
export interface Put extends Destination.PutRequest {
  /** How often this key was put before, and now. */
  readonly attempt: number
}

/** When, in milliseconds of virtual time, and what. */
export type Entry = readonly [at: number, event: string]

/** A destination that records what happens to it, and answers as configured. */
export interface Recording {
  readonly destination: Destination.Destination["Type"]
  /** `put`, then `stored`, `interrupted` or the error's name, each with the key. */
  readonly history: Array<Entry>
  /** The instants at which attempts started. */
  readonly starts: Array<number>
  readonly objects: Map<string, Uint8Array>
  readonly inFlight: () => number
  readonly peak: () => number
}

/** Takes all bytes at once. */
export const takeAll = ({ body }: Pick<Put, "body">): Effect.Effect<Uint8Array, UploadError.UploadError> => body.bytes

/** Takes all bytes at once, `millis` after the request came. */
export const takeAfter =
  (millis: number) => ({ body }: Pick<Put, "body">): Effect.Effect<Uint8Array, UploadError.UploadError> =>
    Effect.zipRight(Effect.sleep(millis), body.bytes)

/** Takes all bytes block by block. */
export const takeStream = ({ body }: Pick<Put, "body">): Effect.Effect<Uint8Array, UploadError.UploadError> =>
  Effect.map(Stream.runCollect(body.stream()), (blocks) => ByteSource.concat(Array.from(blocks)))

export const make = (
  respond: (put: Put) => Effect.Effect<Uint8Array | void, UploadError.UploadError> = takeAll,
  capabilities: Partial<Destination.Capabilities> = {}
): Recording => {
  const history: Array<Entry> = []
  const starts: Array<number> = []
  const objects = new Map<string, Uint8Array>()
  const attempts = new Map<string, number>()
  let inFlight = 0
  let peak = 0
  const put = (request: Destination.PutRequest): Effect.Effect<Destination.Stored, UploadError.UploadError> =>
    Clock.clockWith((clock) => {
      const note = (event: string) => {
        history.push([clock.unsafeCurrentTimeMillis(), `${event} ${request.key}`])
      }
      const attempt = (attempts.get(request.key) ?? 0) + 1
      attempts.set(request.key, attempt)
      inFlight += 1
      peak = Math.max(peak, inFlight)
      starts.push(clock.unsafeCurrentTimeMillis())
      note("put")
      return respond({ ...request, attempt }).pipe(
        Effect.tap((bytes) => {
          objects.set(request.key, bytes ?? new Uint8Array())
        }),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            inFlight -= 1
            note(
              Exit.isSuccess(exit)
                ? "stored"
                : Cause.isInterrupted(exit.cause)
                ? "interrupted"
                : Option.match(Cause.failureOption(exit.cause), { onNone: () => "died", onSome: ({ _tag }) => _tag })
            )
          })
        ),
        Effect.as({})
      )
    })
  return {
    destination: Destination.Destination.of({
      name: "recording:",
      capabilities: { maxPutSize: Infinity, unknownSize: true, ...capabilities },
      put
    }),
    history,
    starts,
    objects,
    inFlight: () => inFlight,
    peak: () => peak
  }
}

/** An uploader to a recording destination. */
export const uploader = (
  recording: Recording,
  options: Uploader.Options = {}
): Effect.Effect<Uploader.Uploader["Type"], never, Scope.Scope> =>
  Uploader.make(options).pipe(Effect.provideService(Destination.Destination, recording.destination))

/** Runs a scoped program under virtual time. */
export const virtual = <A, E>(program: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<VirtualClock.Outcome<A>, E> =>
  VirtualClock.run(Effect.scoped(program))

/** What a run came to and told, and how long it took by virtual time. */
export interface Run {
  readonly report: UploadReport.UploadReport
  readonly results: ReadonlyArray<UploadResult.UploadResult>
  readonly events: ReadonlyArray<UploadEvent.UploadEvent>
  readonly millis: number
}

/** Uploads a list to a recording destination under virtual time. */
export const uploadAll = <E = never>(
  recording: Recording,
  files: UploadList.UploadList<E>,
  options: Uploader.Options & { readonly run?: UploadRun.Options | undefined } = {}
): Effect.Effect<Run, E> =>
  Effect.gen(function*() {
    const results: Array<UploadResult.UploadResult> = []
    const events: Array<UploadEvent.UploadEvent> = []
    const { millis, value } = yield* virtual(
      Effect.flatMap(uploader(recording, options), (uploader) =>
        uploader.uploadAll(files, {
          onResult: (result) => Effect.sync(() => results.push(result)),
          onEvent: (event) => Effect.sync(() => events.push(event)),
          ...options.run
        }))
    )
    return { report: value, results, events, millis }
  })

/** A result in a few words. */
export const summary = (result: UploadResult.UploadResult): string => `${result._tag} ${result.file.key}`

/** An event in a few words, with its time. */
export const told = (event: UploadEvent.UploadEvent): Entry => {
  switch (event._tag) {
    case "UploadStarted":
      return [event.at, `started ${event.key} #${event.attempt}`]
    case "UploadRetrying":
      return [
        event.at,
        `retrying ${event.key}${event.part === undefined ? "" : ` part ${event.part}`} ` +
        `#${event.attempt} of ${event.attempts} after ${event.delayMillis}`
      ]
    case "UploadDeferred":
      return [event.at, `deferred ${event.key} #${event.attempts}`]
    case "UploadFinished":
      return [event.at, `${event.outcome} ${event.key} #${event.attempts}`]
    case "UploadResumed":
      return [event.at, `resumed ${event.key} with ${event.parts} parts of ${event.bytes} bytes`]
    case "UploadRestarted":
      return [event.at, `restarted ${event.key}: ${event.reason}`]
    case "AbortFailed":
      return [event.at, `abort failed ${event.key}`]
    case "ListingFinished":
      return [event.at, `listed ${event.files}`]
    case "RunChanged":
      return [event.at, event.state]
    case "OutageChanged":
      return [event.at, `${event.state} since ${event.since}`]
    case "LimitsChanged": {
      const { bytesPerSecond = Infinity, concurrency = Infinity, reason, uploadsPerSecond = Infinity } = event
      return [event.at, `limits ${concurrency}, ${uploadsPerSecond}/s, ${bytesPerSecond} B/s: ${reason ?? "no reason"}`]
    }
  }
}
