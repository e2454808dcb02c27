/**
 * Concurrency that finds itself: as many uploads in flight as make the whole faster, and hardly more.
 *
 * While every upload goes at its own pace, bounded by its connection, one more of them adds to the whole. Once they
 * share what is full, a link, a disk, a server, one more adds nothing but waiting. The number at which the one turns into
 * the other is the knee. No error marks it, and response times tell it only to somebody who knows what they would be
 * otherwise: what tells it is trying more and trying fewer.
 *
 * ```
 *   pace │          ┌───────────────  full        doubling   4 → 8 → 16 → 32, while it pays
 *        │       ／ ↑                             settling   at the knee that the last steps show, and a bit more
 *        │    ／    knee + a bit                  resting    a while there, and watching the pace
 *        │ ／   down ●  ● up                      probing    25 % up and 13 % down, twice each, in random order:
 *        └──────────────────── in flight                     where the two meet, there is the knee now
 * ```
 *
 * The bit is a tenth, or half the knee's root where that is more. Of few uploads the one above the knee costs nearly
 * nothing and one too few a good part of the pace: so it rounds up, tries one fewer, and gives one up only when five
 * probes on end have found it to bring nothing.
 *
 * | what happens | what it does |
 * |---|---|
 * | the pace falls by over 30 % for 3 windows, and by 3 × what it varies | shrinks by as much at once |
 * | the pace rises as much, or a probe shows that every upload more counts in full | doubles again |
 * | the destination throttles | × 0.7, and stays below nine tenths of where it was for 30 windows or more |
 * | it says when to come back (`Retry-After`) | nothing starts until then |
 * | fewer than half of the slots are used | nothing: there is nothing to be learned |
 *
 * It thinks in windows of completions, not of time: a round of tiny files is over in milliseconds. What began before the
 * last change does not count. How different sizes are compared is in `internal/limits/adaptiveWindow`. Two of these on one link
 * cannot see each other, and each gains by having more: so there is a ceiling, and one controller for each uploader.
 *
 * {@link step} is all of the thinking, as a pure function; {@link controller} applies it to a running uploader.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Steps from "./internal/limits/adaptiveSteps.js"
import * as Measure from "./internal/limits/adaptiveWindow.js"
import * as Decode from "./internal/values/decode.js"
import type { Controller, Observation } from "./Limits.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The fewest uploads in flight; at least 1, which is the default. */
  readonly min?: number | undefined
  /** The most uploads in flight. Defaults to 64. */
  readonly max?: number | undefined
  /** How many to begin with. Defaults to 4. */
  readonly initial?: number | undefined
  /** Decides the order of probes. Defaults to a number that `Random` gives. */
  readonly seed?: number | undefined
  /** Runs after each window, with what was measured and what came of it: for pictures and tests. */
  readonly onWindow?: ((window: Window, state: State) => Effect.Effect<void>) | undefined
}

/**
 * The options' defaults, and what the controller goes by.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults: typeof Steps.defaults = Steps.defaults

/**
 * What the attempts of a while have shown, all under one limit.
 *
 * @since 0.1.0
 * @category models
 */
export type Window = Measure.Window

/**
 * What the controller is at: `Doubling` and `Halving` in the beginning, then `Resting` and `Probing`.
 *
 * @since 0.1.0
 * @category models
 */
export type Phase = Steps.Phase

/**
 * All that the controller knows: immutable, and nothing else decides.
 *
 * @since 0.1.0
 * @category models
 */
export type State = Steps.State

/**
 * Where it begins. Throws a `RangeError` where `min`, `max` or `initial` is not at least 1.
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
    random: (options.seed ?? 1) | 0
  }
}

/**
 * An empty window under the limit of a state. What began before `since` will not count in it.
 *
 * @since 0.1.0
 * @category windows
 */
export const openWindow = (state: State, now: number, since: number): Window =>
  Measure.open(openingOf(state, now, since))

/**
 * A window with one observation more.
 *
 * @since 0.1.0
 * @category windows
 */
export const gather: (window: Window, observation: Observation, now: number) => Window = Measure.gather

/**
 * Whether a window has seen enough: throttling at once; else so many completions, of durations that add up to more than
 * a clock of whole milliseconds is off by.
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
  const isEarly = phase._tag === "Doubling" || phase._tag === "Halving"
  if (ended < Math.max(limit, isEarly ? defaults.firstCompletions : defaults.completions)) return false
  const lasted = now - openedAt
  return (isEarly || lasted >= defaults.windowMillis) &&
    (busyMillis >= grain * Math.sqrt(ended) || lasted >= grainMillis)
}

/**
 * What comes of a window: the next state, and the limit that it asks for.
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
 * A state under which another limit is in force than it asked for: a lower one is taken for all that is allowed, until
 * there is a higher one, which is gone on from.
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

/**
 * Applies {@link step} to an uploader's limit while it runs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const controller = (options: Options = {}): Controller => ({
  name: "adaptive",
  start: (limits) =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      const decided = yield* Queue.unbounded<Decided>()
      let state = initial({ ...options, seed: options.seed ?? (yield* Random.nextInt) })
      let applied = state
      let since = clock.unsafeCurrentTimeMillis()
      yield* limits.set({ concurrency: state.limit }, state.reason)
      let gathering = new Measure.Gathering(openingOf(state, since, since))
      const apply = ({ changed, state, window }: Decided) =>
        (changed ? limits.set({ concurrency: state.limit }, state.reason) : Effect.void).pipe(
          Effect.zipRight(Effect.suspend(() => {
            applied = state
            return options.onWindow?.(window, state) ?? Effect.void
          }))
        )
      yield* Effect.forkScoped(Effect.interruptible(Effect.forever(Effect.flatMap(Queue.take(decided), apply))))
      return (observation) => {
        // Somebody has paused: what ends now says nothing of what a limit brings.
        if (limits.inFlight.limit === 0) return
        const now = clock.unsafeCurrentTimeMillis()
        if (observation.retryAfterMillis !== undefined) {
          limits.rate.unsafeHold(clock, Math.min(observation.retryAfterMillis, longestHoldMillis))
        }
        gathering.add(observation, now)
        if (!isFull(state, gathering, now)) return
        // Other strategies and other hands turn the same knob.
        const before = applied === state ? overruled(state, limits.inFlight.limit) : state
        const closed = gathering.close(before.limit)
        state = step(before, closed)[0]
        const changed = state.limit !== before.limit
        // What began in the instant in which the limit falls began before: one of eight would be taken for one of two.
        if (changed) since = state.limit < before.limit ? now + grainOfClock : now
        gathering = new Measure.Gathering(openingOf(state, now, since))
        decided.unsafeOffer({ window: closed, state, changed: changed || state.reason !== before.reason })
      }
    })
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** What came of a window, and whether that is to be told. */
interface Decided {
  readonly window: Window
  readonly state: State
  readonly changed: boolean
}

const openingOf = ({ limit, moments }: State, now: number, since: number): Measure.Opening => ({
  limit,
  now,
  since,
  scale: Math.max(1, meanSize(moments))
})

const meanSize = ({ size, weight }: Measure.Moments): number => weight === 0 ? defaultScale : size / weight

/** What stays of the costs that were learned with each window. */
const kept = 0.9

const defaultScale = 1_000_000

/** Durations in whole milliseconds are off by half a millisecond each: 5 % for a window. */
const grain = 8
const grainMillis = 2_000

/** Half of what a clock tells apart, in milliseconds. */
const grainOfClock = 0.5

const longestHoldMillis = 60_000
