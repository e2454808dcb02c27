/**
 * Who was in flight when: the attempts of a run, put together from its events, packed into lanes and counted.
 *
 * Times are milliseconds on the run's clock. An attempt that has not ended is not part of the timeline.
 */
import type { UploadEvent } from "@sluice/core/UploadEvent"
import * as Effect from "effect/Effect"

export interface Attempt {
  readonly key: string
  /** From 1. */
  readonly attempt: number
  readonly startedAt: number
  readonly endedAt: number
  readonly outcome: "Stored" | "Failed" | "Interrupted"
}

/** Puts attempts together from a run's events. */
export interface Recorder {
  /** For `onEvent` of a run. */
  readonly onEvent: (event: UploadEvent) => Effect.Effect<void>
  /** The attempts that have ended, in the order of their ends. */
  readonly attempts: ReadonlyArray<Attempt>
}

export const makeRecorder = (): Recorder => {
  const underWay = new Map<string, { readonly attempt: number; readonly startedAt: number }>()
  const attempts: Array<Attempt> = []
  const ended = (key: string, endedAt: number, outcome: Attempt["outcome"]) => {
    const start = underWay.get(key)
    // A file in a backoff ends without an attempt under way.
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
 * Attempts in lanes, as few as will do: those of a lane follow each other and never overlap. Each takes the lowest lane
 * that is free; of those that start together the longest takes the lowest, after those that end at once.
 */
export const lanes = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<ReadonlyArray<Attempt>> => {
  const packed: Array<Array<Attempt>> = []
  /** Lanes that nothing is in, the lowest one last. */
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

/** How many attempts were in flight from an instant on. */
export interface Level {
  readonly at: number
  readonly count: number
}

/** The number in flight as it rises and falls: one level for each instant at which it changes. */
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
