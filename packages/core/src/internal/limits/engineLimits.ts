/**
 * What the engine sees of limits: the public `Limits`, and the budgets and pacers behind them.
 */
import * as Limits from "../../Limits.js"
import * as LiveLimits from "./liveLimits.js"

export interface EngineLimits extends Limits.Limits, LiveLimits.LiveLimits<Limits.Observation> {
  readonly current: Limits.Limits["current"]
  readonly set: Limits.Limits["set"]
}

export const make = (options: LiveLimits.MakeOptions<Limits.Observation>): EngineLimits => ({
  ...LiveLimits.make(options),
  [Limits.TypeId]: Limits.TypeId
})

export { valuesOf } from "./liveLimits.js"

/** What is behind limits, all of which are made by `make` or by `Limits`. */
export const of = (limits: Limits.Limits): EngineLimits => limits as EngineLimits

/** Tells the observers of limits, and those of the limits that they are within, of an attempt that has ended. */
export const observing = ({ observers, whole }: LiveLimits.LiveLimits<Limits.Observation>) => {
  const above: Array<LiveLimits.LiveLimits<Limits.Observation>> = []
  for (let next = whole; next !== undefined; next = next.whole) above.push(next)
  if (observers.length === 0 && above.every((limits) => limits.observers.length === 0)) return undefined
  return (observation: Limits.Observation): void => {
    for (const observe of observers) observe(observation)
    for (const { inFlight, observers } of above) {
      if (observers.length === 0) continue
      // The attempt has given its permit back already; whoever waited for it has it now.
      const counted = { ...observation, inFlight: Math.max(1, Math.min(inFlight.limit, inFlight.taken + 1)) }
      for (const observe of observers) observe(counted)
    }
  }
}
