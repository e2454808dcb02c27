/**
 * Limits in use: the budgets and pacers behind the numbers of the public `Limits`.
 *
 * Limits can be within others. What they grant is then granted by the others, too, in one instant and never by one of
 * them alone, so that nothing is held while it waits, and no order of taking has to be kept.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Decode from "../values/decode.js"
import * as Bandwidth from "./bandwidth.js"
import * as InFlight from "./inFlight.js"
import * as RateLimit from "./rateLimit.js"

/** The values of the limits, as in `Limits.Settings`. */
export interface Values {
  readonly concurrency: number
  readonly uploadsPerSecond: number
  readonly bytesPerSecond: number
}

export interface LiveLimits<Observation> {
  readonly current: Effect.Effect<Values>
  readonly inUse: Effect.Effect<number>
  readonly set: (values: Partial<Values>, reason?: string) => Effect.Effect<void>
  readonly reason: Effect.Effect<string | undefined>
  /** The budget of uploads in flight. */
  readonly inFlight: InFlight.InFlight
  /** The limit on starts. */
  readonly rate: RateLimit.RateLimit
  /** The limit on bytes. */
  readonly bandwidth: Bandwidth.Bandwidth
  /** The budget of bytes in memory. */
  readonly memory: InFlight.InFlight
  /** What these limits are within. */
  readonly whole: LiveLimits<Observation> | undefined
  /** Told of each attempt under these limits, or under limits within them. */
  readonly observers: Array<(observation: Observation) => void>
}

export interface MakeOptions<Observation> {
  readonly values: Values
  /** The most bytes in memory. Defaults to no limit. */
  readonly memory?: number | undefined
  readonly whole?: LiveLimits<Observation> | undefined
  /** Asked before each start. If it fails, that is a defect, and so is it to interrupt itself, which would be silent. */
  readonly gate?: Effect.Effect<void> | undefined
  /** Called after each change. */
  readonly changed?: ((values: Values, reason: string | undefined) => void) | undefined
}

/** Throws a `RangeError` for an invalid limit. The answer is a plain object: controllers get copies with another `set`. */
export const make = <Observation>(options: MakeOptions<Observation>): LiveLimits<Observation> => {
  const { changed, gate, memory = Infinity, values, whole } = options
  const inFlight = InFlight.make(values.concurrency, whole?.inFlight)
  const rate = RateLimit.make(values.uploadsPerSecond, {
    whole: whole?.rate,
    gate: gate && Effect.catchAllCause(gate, (cause) => Effect.die(Cause.squash(cause)))
  })
  const bandwidth = Bandwidth.make(values.bytesPerSecond, whole?.bandwidth)
  const current = (): Values => ({
    concurrency: inFlight.limit,
    uploadsPerSecond: rate.uploadsPerSecond,
    bytesPerSecond: bandwidth.bytesPerSecond
  })
  let lastReason: string | undefined = undefined
  return {
    inFlight,
    rate,
    bandwidth,
    memory: InFlight.make(memory, whole?.memory),
    whole,
    observers: [],
    current: Effect.sync(current),
    inUse: Effect.sync(() => inFlight.taken),
    reason: Effect.sync(() => lastReason),
    set: (wanted, reason) =>
      Effect.flatMap(Effect.sync(() => decode(wanted)), (changes) =>
        Effect.all([
          changes.concurrency === undefined ? Effect.void : inFlight.resize(changes.concurrency),
          changes.uploadsPerSecond === undefined ? Effect.void : rate.setRate(changes.uploadsPerSecond),
          changes.bytesPerSecond === undefined ? Effect.void : bandwidth.setRate(changes.bytesPerSecond),
          Effect.sync(() => {
            lastReason = reason
            changed?.(current(), reason)
          })
        ], { discard: true }))
  }
}

/** The limits of a strategy. Throws a `RangeError` for one made by hand with an invalid limit. */
export const valuesOf = ({ bytesPerSecond, concurrency, uploadsPerSecond }: Values): Values => ({
  concurrency: Decode.count("concurrency", concurrency),
  uploadsPerSecond: Decode.rate("uploadsPerSecond", uploadsPerSecond),
  bytesPerSecond: Decode.rate("bytesPerSecond", bytesPerSecond)
})

const decode = ({ bytesPerSecond, concurrency, uploadsPerSecond }: Partial<Values>): Partial<Values> => ({
  ...(concurrency !== undefined && { concurrency: wholeOrPaused(Decode.adjusted("concurrency", concurrency)) }),
  ...(uploadsPerSecond !== undefined && { uploadsPerSecond: Decode.adjusted("uploadsPerSecond", uploadsPerSecond) }),
  ...(bytesPerSecond !== undefined && { bytesPerSecond: Decode.adjusted("bytesPerSecond", bytesPerSecond) })
})

const wholeOrPaused = (concurrency: number): number => concurrency === 0 ? 0 : Math.max(1, Math.floor(concurrency))
