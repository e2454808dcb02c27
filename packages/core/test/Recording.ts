import { Destination, Uploader } from "@sluice/core"
import type { RetryPolicy, Strategy, UploadError } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Cause, Clock, Effect, Exit, Option } from "effect"
import type { Scope } from "effect"

/** One request as a destination sees it. */
export interface Put extends Destination.PutRequest {
  /** How often this key was put before, and now. */
  readonly attempt: number
}

/** When, in milliseconds of virtual time, and what. */
export type Entry = readonly [at: number, event: string]

/** A destination that writes down what happens to it, and answers as it is told. */
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
export const takeAll = ({ body }: Put): Effect.Effect<Uint8Array, UploadError.UploadError> => body.bytes

/** Takes all bytes at once, `millis` after the request came. */
export const takeAfter =
  (millis: number) => ({ body }: Put): Effect.Effect<Uint8Array, UploadError.UploadError> =>
    Effect.zipRight(Effect.sleep(millis), body.bytes)

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

/** An uploader to a recording destination: by default with no limit and no retries. */
export const uploader = (
  recording: Recording,
  options: {
    readonly strategy?: Strategy.Strategy | undefined
    readonly retry?: RetryPolicy.RetryPolicy | undefined
  } = {}
): Effect.Effect<Uploader.Uploader["Type"], never, Scope.Scope> =>
  Uploader.make(options).pipe(Effect.provideService(Destination.Destination, recording.destination))

/** Runs a scoped program under virtual time. */
export const virtual = <A, E>(program: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<VirtualClock.Outcome<A>, E> =>
  VirtualClock.run(Effect.scoped(program))
