/**
 * The algorithm of `AdaptiveConcurrency`, as a pure machine: measurements go in, the state and the limit it asks for
 * come out. It has no clock, no fiber and no uploader, so anything can feed it: a simulation, a test, or one process
 * that decides for many.
 *
 * ```
 *   observation ──gather──▶ Window ──isFull?──▶ step ──▶ State, limit ──openWindow──▶ the next Window
 *                             ▲ merge
 *               windows of other machines
 * ```
 *
 * A {@link Window} gathers the attempts that ran under one limit. When it {@link isFull}, {@link step} evaluates it.
 * Whoever applies the limit opens the next window then, and tells it from when attempts count: those that began under
 * the old limit say nothing about the new one. A change of the limit by somebody else goes in with {@link overruled}.
 *
 * Machines that share a destination must not each tune themselves, because each gains by taking from the others.
 * Instead, each gathers a window under its share of the limit and sends it to one of them, which {@link merge}s them
 * into one window and steps the one state that decides for all.
 *
 * Unstable: the functions and their values change with the algorithm, in any release.
 *
 * @since 0.1.0
 */
import * as Steps from "../internal/limits/adaptiveSteps.js"
import * as Measure from "../internal/limits/adaptiveWindow.js"
import * as Decode from "../internal/values/decode.js"
import type { Observation } from "../Limits.js"
import type { State, Window } from "./AdaptiveState.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The fewest uploads in flight, at least 1. Defaults to 1. */
  readonly min?: number | undefined
  /** The most uploads in flight. Defaults to 64. */
  readonly max?: number | undefined
  /** The number of uploads in flight to begin with. Defaults to 4. */
  readonly initial?: number | undefined
  /** The seed for the order of probes. Defaults to 1. */
  readonly seed?: number | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { min: 1, max: 64, initial: 4, seed: 1 } as const satisfies Options

/**
 * The initial state. Throws a `RangeError` if `min`, `max` or `initial` is not at least 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial = (options: Options = {}): State => {
  const min = Decode.count("min", options.min ?? defaults.min)
  const max = Math.max(min, Decode.count("max", options.max ?? defaults.max))
  const concurrency = Math.min(max, Math.max(min, Decode.count("initial", options.initial ?? defaults.initial)))
  return {
    min,
    max,
    allowed: Infinity,
    phase: { _tag: "Doubling", before: undefined, anchor: undefined, isFirst: true },
    concurrency,
    limit: concurrency,
    reason: "starting",
    windows: 0,
    moments: Measure.noMoments,
    usual: undefined,
    deviation: 0.05,
    streak: 0,
    flat: 0,
    ceiling: undefined,
    random: (options.seed ?? defaults.seed) | 0
  }
}

/**
 * An empty window under a state's limit, from `now`, a clock time in milliseconds. Attempts that began before `since`
 * will not count.
 *
 * @since 0.1.0
 * @category windows
 */
export const openWindow = (state: State, now: number, since: number): Window =>
  Measure.open(Measure.openingOf(state, now, since))

/**
 * Adds an observation of an attempt that ended at `now`, a clock time in milliseconds, to a window.
 *
 * @since 0.1.0
 * @category windows
 */
export const gather = (window: Window, observation: Observation, now: number): Window =>
  Measure.gather(window, observation, now)

/**
 * One window out of those that several machines gathered at the same time, each under its share of the limit. The limit
 * and the times are those of `total`, a window that was opened for all of them: whoever merges compares times of its
 * own clock only. Its own observations count, too.
 *
 * @since 0.1.0
 * @category windows
 */
export const merge = (total: Window, shares: ReadonlyArray<Window>): Window => Measure.allTogether(total, shares)

/**
 * Whether a window has seen enough at `now`, a clock time in milliseconds: at once if the destination throttled;
 * otherwise after enough completions, whose durations add up to more than the error of a clock with whole milliseconds.
 *
 * @since 0.1.0
 * @category windows
 */
export const isFull = (
  { phase }: State,
  window: Pick<Window, "busyMillis" | "ended" | "limit" | "openedAt" | "throttledAt">,
  now: number
): boolean => {
  const { busyMillis, ended, limit, openedAt, throttledAt } = window
  if (throttledAt > 0) return true
  const { completions, firstCompletions, windowMillis } = Steps.constants
  const isEarly = phase._tag === "Doubling" || phase._tag === "Halving"
  if (ended < Math.max(limit, isEarly ? firstCompletions : completions)) return false
  const lasted = now - openedAt
  return (isEarly || lasted >= windowMillis) && (busyMillis >= grain * Math.sqrt(ended) || lasted >= grainMillis)
}

/**
 * Evaluates a window: gives the next state and the limit it asks for.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import * as AdaptiveMachine from "@sluice/core/unstable/AdaptiveMachine"
 * import type { Window } from "@sluice/core/unstable/AdaptiveState"
 *
 * // Two machines have half of the limit each. Their attempts take 100 ms, however many there are: more would be faster.
 * const state = AdaptiveMachine.initial({ initial: 8 })
 * const attempt = { outcome: "Succeeded", durationMillis: 100, bytes: 1_000, inFlight: 4 } as const
 * const share = Array.from({ length: 8 }).reduce<Window>(
 *   (window) => AdaptiveMachine.gather(window, attempt, 100),
 *   AdaptiveMachine.openWindow(state, 0, 0)
 * )
 *
 * const window = AdaptiveMachine.merge(AdaptiveMachine.openWindow(state, 0, 0), [share, share])
 * assert.ok(AdaptiveMachine.isFull(state, window, 200))
 * const [next, limit] = AdaptiveMachine.step(state, window)
 * assert.deepStrictEqual([limit, next.reason], [16, "doubling"])
 * ```
 *
 * @since 0.1.0
 * @category transitions
 */
export const step = (state: State, window: Window): readonly [state: State, limit: number] => {
  const next = Steps.decide(
    {
      ...state,
      windows: state.windows + 1,
      moments: Measure.addMoments(state.moments, window.moments, kept)
    },
    window
  )
  return [next, next.limit]
}

/**
 * The state after somebody else changed the limit in force. A lower limit is taken as the most that is allowed until
 * the limit is raised; the machine then continues from the higher one.
 *
 * @since 0.1.0
 * @category transitions
 */
export const overruled = (state: State, limit: number): State => {
  if (limit === state.limit) return state
  if (limit < state.limit) return { ...state, allowed: limit, limit, concurrency: Math.min(state.concurrency, limit) }
  const concurrency = Math.min(limit, state.max)
  return { ...state, allowed: Infinity, limit, concurrency }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The share of the learned costs that each window keeps. */
const kept = 0.9

/** Durations in whole milliseconds are off by half a millisecond each: 5 % for a window. */
const grain = 8
const grainMillis = 2_000
