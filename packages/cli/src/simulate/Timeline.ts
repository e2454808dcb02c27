/**
 * Shows which uploads were in flight when: it builds the attempts of a run from its events, packs them into lanes and
 * counts them.
 *
 * Times are milliseconds on the run's clock. An attempt that has not ended is not part of the timeline.
 */
import type { UploadEvent } from "@sluice/core/UploadEvent"
import * as Effect from "effect/Effect"

export interface Attempt {
  readonly key: string
  /** The number of the attempt, from 1. */
  readonly attempt: number
  readonly startedAt: number
  readonly endedAt: number
  readonly outcome: "Stored" | "Failed" | "Interrupted"
}

/** Builds attempts from a run's events. */
export interface Recorder {
  /** Receives the events of a run: pass it as `onEvent`. */
  readonly onEvent: (event: UploadEvent) => Effect.Effect<void>
  /** The attempts that have ended, in the order in which they ended. */
  readonly attempts: ReadonlyArray<Attempt>
}

export const makeRecorder = (): Recorder => {
  const underWay = new Map<string, { readonly attempt: number; readonly startedAt: number }>()
  const attempts: Array<Attempt> = []
  const ended = (key: string, endedAt: number, outcome: Attempt["outcome"]) => {
    const start = underWay.get(key)
    // A file that ends during a backoff has no attempt in flight.
    if (start === undefined) return
    underWay.delete(key)
    attempts.push({ key, ...start, endedAt, outcome })
  }
  const record = (event: UploadEvent): void => {
    switch (event._tag) {
      case "UploadStarted":
        underWay.set(event.key, { attempt: event.attempt, startedAt: event.at })
        break
      case "UploadRetrying":
      case "UploadDeferred":
        ended(event.key, event.at, "Failed")
        break
      case "UploadFinished":
        ended(
          event.key,
          event.at,
          event.outcome === "Uploaded" || event.outcome === "Skipped" ? "Stored" : event.outcome
        )
        break
    }
  }
  return { attempts, onEvent: (event) => Effect.sync(() => record(event)) }
}

/**
 * Packs attempts into as few lanes as possible: those in a lane never overlap. Each attempt takes the lowest free lane;
 * of those that start at the same time, the ones that end at once come first, then the longest.
 */
export const lanes = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<ReadonlyArray<Attempt>> => {
  const packed: Array<Array<Attempt>> = []
  /** The free lanes, the lowest one last. */
  const free: Array<number> = []
  const release = (lane: number) => {
    let low = 0
    let high = free.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (free[middle]! > lane) low = middle + 1
      else high = middle
    }
    free.splice(low, 0, lane)
  }
  const laneOf = new Map<Attempt, number>()
  const byEnd = attempts.filter(lasts).sort((a, b) => a.endedAt - b.endedAt)
  let next = 0
  for (const attempt of attempts.toSorted(byStart)) {
    while (next < byEnd.length && byEnd[next]!.endedAt <= attempt.startedAt) release(laneOf.get(byEnd[next++]!)!)
    const lane = free.pop() ?? packed.push([]) - 1
    packed[lane]!.push(attempt)
    if (lasts(attempt)) laneOf.set(attempt, lane)
    else release(lane)
  }
  return packed
}

/** The number of attempts in flight from an instant on. */
export interface Level {
  readonly at: number
  readonly count: number
}

/** The number in flight over time: one level for each instant at which it changes. */
export const levels = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<Level> => {
  const changes = attempts
    .flatMap(({ endedAt, startedAt }) => [{ at: startedAt, by: 1 }, { at: endedAt, by: -1 }])
    .sort((a, b) => a.at - b.at)
  const found: Array<Level> = []
  let count = 0
  for (let i = 0; i < changes.length; i++) {
    const { at, by } = changes[i]!
    count += by
    if (changes[i + 1]?.at !== at && count !== (found.at(-1)?.count ?? 0)) found.push({ at, count })
  }
  return found
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const byStart = (a: Attempt, b: Attempt): number =>
  a.startedAt - b.startedAt || Number(lasts(a)) - Number(lasts(b)) || b.endedAt - a.endedAt

const lasts = ({ endedAt, startedAt }: Attempt): boolean => endedAt > startedAt
