/**
 * How long a workload would take under a strategy: the real engine over the simulated network, in virtual time.
 *
 * A workload of many requests is simulated in two samples. The difference between their times shows how long files take
 * once an upload is under way; the time of the remaining files is extrapolated from that.
 */
import * as ByteSource from "@sluice/core/ByteSource"
import * as Simulated from "@sluice/core/destinations/Simulated"
import type * as Strategy from "@sluice/core/Strategy"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import * as Uploader from "@sluice/core/Uploader"
import * as UploadFile from "@sluice/core/UploadFile"
import type { UploadReport } from "@sluice/core/UploadReport"
import type { UploadRun } from "@sluice/core/UploadRun"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Workload from "./Workload.js"

/** The capacity of all connections together, from an instant on. */
export interface Capacity {
  /** Milliseconds from the start. */
  readonly at: number
  readonly bytesPerSecond: number
}

/** The assumed network and server. */
export interface Network {
  /** The first one starts at 0. */
  readonly link: ReadonlyArray<Capacity>
  /** The speed of one connection. */
  readonly bytesPerSecond: number
  readonly roundTripMillis: number
  /** The time that the server takes for each request, in addition to its bytes. */
  readonly requestMillis: number
  /** The share of requests that fail, from 0 to 1. */
  readonly errors: number
  /** The number of requests in flight above which the server refuses more; `undefined` for no limit. */
  readonly throttleAbove: number | undefined
  /** The wait that the server asks for when it refuses a request, if any. */
  readonly retryAfterMillis: number | undefined
}

/** A strategy to try. */
export interface Candidate {
  readonly name: string
  readonly detail: string
  /** The flags of `sluice upload` for it. */
  readonly flags: ReadonlyArray<string>
  readonly strategy: Strategy.Strategy
}

export interface Settings {
  readonly network: Network
  /** Files larger than this are uploaded in parts of this size. */
  readonly partSize: number
  readonly seed: string
  /** The maximum number of requests to simulate per strategy. Defaults to {@link mostRequests}. */
  readonly mostRequests?: number | undefined
}

/** The maximum number of requests to simulate per strategy; larger workloads are sampled. */
export const mostRequests = 10_000

/** The default size of parts, and the size above which files are uploaded in parts: as in `sluice upload`. */
export const defaultPartSize = 8 * 1024 ** 2

/** The state of an upload at an instant. */
export interface Moment {
  readonly at: number
  /** The bytes sent so far. */
  readonly bytes: number
  readonly inFlight: number
  /** The limit on uploads in flight, if there was one. */
  readonly limit: number | undefined
  readonly reason: string | undefined
}

export interface Forecast extends Omit<Candidate, "strategy"> {
  readonly millis: number
  readonly bytesPerSecond: number
  readonly peakInFlight: number
  readonly retries: number
  readonly failed: number
  /** The number of simulated files. */
  readonly simulated: number
  /** The course of the simulated upload. */
  readonly moments: ReadonlyArray<Moment>
  /** When the last of them was stored. */
  readonly simulatedMillis: number
}

/** The time of requests without competing traffic. */
export const termsOf = ({ network, partSize }: Settings): Workload.Terms => ({
  partSize,
  requestMillis: network.roundTripMillis + network.requestMillis,
  bytesPerSecond: Math.min(network.bytesPerSecond, network.link[0]?.bytesPerSecond ?? Infinity)
})

/** Simulates a workload under a strategy. */
export const run = Effect.fnUntraced(
  function*(
    workload: Workload.Workload,
    { strategy, ...candidate }: Candidate,
    settings: Settings
  ): Effect.fn.Return<Forecast> {
    const terms = termsOf(settings)
    const whole = Workload.all(workload, terms)
    const samples = Workload.samples(workload, terms, settings.mostRequests ?? mostRequests)
    const sample = samples?.[1] ?? whole
    const half = samples === undefined ? undefined : yield* simulate(samples[0], strategy, settings)
    const { moments, report } = yield* simulate(sample, strategy, settings)
    const taken = report.durationMillis
    const slope = samples === undefined || half === undefined
      ? 0
      : between(0, (taken - half.report.durationMillis) / (sample.work - samples[0].work), taken / sample.work)
    const stored = report.bytes.total === 0 ? 0 : report.bytes.uploaded / report.bytes.total
    const drawnOut = taken + (slope || 0) * (whole.work - sample.work)
    const millis = samples === undefined
      ? taken
      : Math.max(drawnOut, leastMillis(workload.bytes * stored, settings.network.link))
    const share = workload.sizes.length / Math.max(1, sample.sizes.length)
    const failed = Math.round(report.files.failed * share)
    return {
      ...candidate,
      millis,
      bytesPerSecond: millis === 0
        ? 0
        : (workload.bytes * stored * 1_000) / millis,
      peakInFlight: report.peakInFlight,
      retries: Math.round(report.retries * share),
      failed,
      simulated: sample.sizes.length,
      moments,
      simulatedMillis: taken
    }
  }
)

/**
 * The recommended forecast: the first of those that fail the fewest files and take little longer than the fastest.
 * Forecasts are in order of preference: adaptive strategies first, then those with the lowest load on the server.
 */
export const best = (forecasts: ReadonlyArray<Forecast>): Forecast | undefined => {
  const fewest = Math.min(...forecasts.map(({ failed }) => failed))
  const sound = forecasts.filter(({ failed }) => failed === fewest)
  const quickest = Math.min(...sound.map(({ millis }) => millis))
  return sound.find(({ millis, name }) =>
    millis <= Math.max(quickest + noMatter, quickest * (name === adaptive ? 1.1 : 1.05))
  )
}

/** The name of the adaptive strategy. */
export const adaptive = "adaptive"

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** A difference in milliseconds that is not worth a flag. */
const noMatter = 2_000

const between = (least: number, value: number, most: number): number => Math.max(least, Math.min(value, most))

/** The time of bytes over a link that is always full. */
const leastMillis = (bytes: number, link: ReadonlyArray<Capacity>): number => {
  let left = bytes
  for (const [i, { at, bytesPerSecond }] of link.entries()) {
    const until = link[i + 1]?.at ?? Infinity
    const sent = ((until - at) * bytesPerSecond) / 1_000
    if (sent >= left) return at + (left * 1_000) / bytesPerSecond
    left -= sent
  }
  return 0
}

const simulate = (
  sample: Workload.Sample,
  strategy: Strategy.Strategy,
  { network, partSize, seed }: Settings
): Effect.Effect<{ readonly report: UploadReport; readonly moments: ReadonlyArray<Moment> }> => {
  const scale = Workload.scaleOf(sample)
  const scaled = (bytes: number) => Math.max(1, Math.round(bytes / scale))
  const files = sample.sizes.map((size, i) =>
    UploadFile.make(`file ${i + 1}`, ByteSource.generate(size === 0 ? 0 : scaled(size)))
  )
  const destination = Simulated.layer({
    sharedBytesPerSecond: network.link.map(({ at, bytesPerSecond }) => ({
      at,
      bytesPerSecond: scaled(bytesPerSecond)
    })),
    bytesPerSecond: network.bytesPerSecond === Infinity ? undefined : scaled(network.bytesPerSecond),
    roundTrip: network.roundTripMillis,
    requestLatency: network.requestMillis,
    failureRate: network.errors,
    maxInFlight: network.throttleAbove,
    retryAfter: network.retryAfterMillis,
    seed
  })
  const uploader = Uploader.layer({
    strategy,
    partSize: scaled(partSize),
    multipartThreshold: scaled(partSize)
  })
  return Effect.gen(function*() {
    const { start } = yield* Uploader.Uploader
    const run = yield* start(files)
    const watcher = new Watcher(run, scale)
    yield* Effect.forkScoped(watcher.watch)
    const report = yield* run.report
    return { report, moments: yield* watcher.end }
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.provide(uploader, destination)),
    VirtualClock.run,
    Effect.withRandom(Random.make(seed)),
    Effect.map(({ value }) => value)
  )
}

/** Samples a run from time to time: the longer it takes, the less often. */
class Watcher {
  private readonly run: UploadRun
  private readonly scale: number
  private moments: ReadonlyArray<Moment> = []
  private millis = 50

  constructor(run: UploadRun, scale: number) {
    this.run = run
    this.scale = scale
  }

  readonly watch: Effect.Effect<void> = Effect.suspend(() => {
    if (this.moments.length >= mostMoments) {
      this.moments = this.moments.filter((_, i) => i % 2 === 0)
      this.millis *= 2
    }
    return Effect.zipRight(this.look, Effect.sleep(this.millis))
  }).pipe(Effect.forever)

  get end(): Effect.Effect<ReadonlyArray<Moment>> {
    return Effect.map(this.look, () => this.moments)
  }

  private get look(): Effect.Effect<void> {
    const { currentProgress, limits } = this.run
    return Effect.map(
      Effect.all([
        currentProgress,
        limits.current,
        limits.inUse,
        limits.reason,
        Effect.clockWith((clock) => clock.currentTimeMillis)
      ]),
      ([
        { bytesInFlight, bytesUploaded },
        { concurrency: limit },
        inUse,
        reason,
        at
      ]) => {
        this.moments = [...this.moments, {
          at,
          bytes: (bytesUploaded + bytesInFlight) * this.scale,
          inFlight: inUse,
          limit: Number.isFinite(limit) ? limit : undefined,
          reason
        }]
      }
    )
  }
}

const mostMoments = 480
