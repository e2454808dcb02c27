import { ByteSource, Destination, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { AdaptiveConcurrency, RetryPolicy, UploadRun } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import type { State, Window } from "@sluice/core/unstable/AdaptiveState"
import { Clock, Deferred, Effect } from "effect"
import * as EngineLimits from "../../src/internal/limits/engineLimits.js"
import * as Network from "./Network.js"

/** A window as the controller closed it, and what the network did meanwhile. */
export interface Seen {
  readonly limit: number
  readonly next: number
  readonly reason: string
  readonly isThrottled: boolean
  readonly openedAt: number
  readonly closedAt: number
  /** Bytes a second that the link carried. */
  readonly throughput: number
  /** How long an attempt took on average. */
  readonly meanMillis: number
}

export interface Options extends Network.Options {
  readonly adaptive?: AdaptiveConcurrency.Options | undefined
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  /** How many windows the run lasts. */
  readonly windows: number
  /** Ends it sooner. */
  readonly until?: ((seen: ReadonlyArray<Seen>) => boolean) | undefined
}

export interface Outcome {
  readonly seen: ReadonlyArray<Seen>
  readonly network: Network.Network
  readonly millis: number
  /** Permits that are taken, and requests in flight, in the instant in which the run is over. */
  readonly left: number
  /** Milliseconds from the interruption to that. */
  readonly endedWithin: number
}

const source = ByteSource.fromBytes(new Uint8Array(Network.fileSize))

/** Files without end. */
export function* files(owner = "a"): Generator<UploadFile.UploadFile> {
  for (let i = 0;; i++) yield UploadFile.make(`${owner}${i}`, source)
}

/** Uploads through the engine under virtual time until so many windows have been seen, and interrupts it then. */
export const run = (options: Options): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    const network = new Network.Network(options)
    const seen: Array<Seen> = []
    let at = 0
    let carried = 0
    const program = Effect.gen(function*() {
      const enough = yield* Deferred.make<void>()
      const onWindow = (window: Window, state: State) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const total = network.carried(now)
          seen.push({
            limit: window.limit,
            next: state.limit,
            reason: state.reason,
            isThrottled: window.throttledAt > 0,
            openedAt: at,
            closedAt: now,
            throughput: now > at ? (total - carried) * 1_000 / (now - at) : 0,
            meanMillis: window.busyMillis / Math.max(1, window.ended)
          })
          at = now
          carried = total
          return seen.length >= options.windows || options.until?.(seen) === true
            ? Deferred.succeed(enough, undefined)
            : Effect.void
        })
      const uploader = yield* Uploader.make({
        strategy: Strategy.adaptive({ max: 512, seed: options.seed, ...options.adaptive, onWindow }),
        retry: options.retry
      })
      const run: UploadRun.UploadRun = yield* uploader.start(files())
      yield* Effect.raceFirst(Deferred.await(enough), Effect.sleep("10 days"))
      const asked = yield* Clock.currentTimeMillis
      yield* run.interrupt
      yield* run.report
      const endedWithin = (yield* Clock.currentTimeMillis) - asked
      return {
        endedWithin,
        left: EngineLimits.of(uploader.limits).inFlight.taken + EngineLimits.of(uploader.limits).inFlight.waiting +
          network.inFlight
      }
    }).pipe(Effect.scoped, Effect.provideService(Destination.Destination, network.destination))
    return Effect.map(VirtualClock.run(program), ({ millis, value }) => ({ ...value, seen, network, millis }))
  })

/** The number of the first window, from 1 and after `from`, whose limit brings so much of the link. */
export const windowsTo = (share: number, link: number, seen: ReadonlyArray<Seen>, from = 0): number => {
  const at = seen.findIndex(({ limit }, i) => i >= from && Network.throughput(limit, link) >= share * link)
  return at < 0 ? Infinity : at + 1 - from
}
