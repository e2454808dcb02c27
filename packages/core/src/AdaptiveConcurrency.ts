/**
 * Concurrency that tunes itself: enough uploads in flight to make the whole run faster, and hardly more.
 *
 * While each upload is bounded by its own connection, one more upload adds to the total pace. Once the uploads saturate
 * something they share (a link, a disk, a server), one more adds nothing but waiting. The number at which this changes
 * is the knee. No error marks it, and response times reveal it only to somebody who knows what they would otherwise be.
 * The controller therefore finds it by trying more uploads and trying fewer.
 *
 * ```
 *   pace │          ┌───────────────  full        doubling   4 → 8 → 16 → 32, while it pays
 *        │       ／ ↑                             settling   at the knee that the last steps show, plus a margin
 *        │    ／    knee + margin                 resting    for a while, watching the pace
 *        │ ／   down ●  ● up                      probing    25 % up and 13 % down, twice each, in random order:
 *        └──────────────────── in flight                     where the two lines meet is the knee now
 * ```
 *
 * The margin is a tenth of the knee, or half its square root if that is more. With few uploads, one above the knee
 * costs almost nothing, while one too few costs a large share of the pace. So the controller rounds up, tries one
 * fewer, and gives one up only after five probes in a row have found that it brings nothing.
 *
 * | what happens | what the controller does |
 * |---|---|
 * | the pace falls by over 30 % for 3 windows, and by 3 × its usual deviation | shrinks by as much at once |
 * | the pace rises by as much, or a probe shows that each additional upload counts in full | doubles again |
 * | the destination throttles | × 0.7, and stays below nine tenths of the old limit for at least 30 windows |
 * | the destination says when to come back (`Retry-After`) | starts nothing until then |
 * | fewer than half of the slots are used | nothing: there is nothing to learn |
 *
 * Windows count completions, not time, because a round of tiny files is over in milliseconds. Attempts that began
 * before the last change do not count. `internal/limits/adaptiveWindow` describes how different sizes are compared. Two
 * controllers on one link cannot see each other, and each gains by using more: hence the ceiling, and one controller
 * for each uploader.
 *
 * The algorithm is a pure machine, `unstable/AdaptiveMachine`; {@link controller} applies it to a running uploader.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Measure from "./internal/limits/adaptiveWindow.js"
import * as EngineLimits from "./internal/limits/engineLimits.js"
import type { Controller } from "./Limits.js"
import * as Machine from "./unstable/AdaptiveMachine.js"
import type { State, Window } from "./unstable/AdaptiveState.js"

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
  /** The seed for the order of probes. Defaults to a number from `Random`. */
  readonly seed?: number | undefined
  /** Called after each window with its measurements and the resulting state; for plots and tests. */
  readonly onWindow?: ((window: Window, state: State) => Effect.Effect<void>) | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  min: Machine.defaults.min,
  max: Machine.defaults.max,
  initial: Machine.defaults.initial
} as const satisfies Options

/**
 * A controller of the number of uploads in flight, for a strategy: `Strategy.adaptive` has it. Its `start` dies with a
 * `RangeError` if `min`, `max` or `initial` is not at least 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const controller = (options: Options = {}): Controller => ({
  name: "adaptive",
  start: (limits) =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      const { inFlight, rate } = EngineLimits.of(limits)
      const decided = yield* Queue.unbounded<Decided>()
      let state = Machine.initial({ ...options, seed: options.seed ?? (yield* Random.nextInt) })
      let applied = state
      let since = clock.unsafeCurrentTimeMillis()
      yield* limits.set({ concurrency: state.limit }, state.reason)
      let gathering = new Measure.Gathering(Measure.openingOf(state, since, since))
      const apply = ({ changed, state, window }: Decided) =>
        (changed ? limits.set({ concurrency: state.limit }, state.reason) : Effect.void).pipe(
          Effect.zipRight(Effect.suspend(() => {
            applied = state
            return options.onWindow?.(window, state) ?? Effect.void
          }))
        )
      yield* Effect.forkScoped(Effect.interruptible(Effect.forever(Effect.flatMap(Queue.take(decided), apply))))
      return (observation) => {
        // The uploader is paused: attempts that end now say nothing about a limit.
        if (inFlight.limit === 0) return
        const now = clock.unsafeCurrentTimeMillis()
        if (observation.retryAfterMillis !== undefined) {
          rate.unsafeHold(clock, Math.min(observation.retryAfterMillis, longestHoldMillis))
        }
        gathering.add(observation, now)
        if (!Machine.isFull(state, gathering, now)) return
        // Other strategies and callers change the same limit.
        const before = applied === state ? Machine.overruled(state, inFlight.limit) : state
        const closed = gathering.close(before.limit)
        state = Machine.step(before, closed)[0]
        const changed = state.limit !== before.limit
        // An attempt that begins in the instant the limit falls ran under the old one: one of eight would count as one
        // of two.
        if (changed) since = state.limit < before.limit ? now + grainOfClock : now
        gathering = new Measure.Gathering(Measure.openingOf(state, now, since))
        decided.unsafeOffer({ window: closed, state, changed: changed || state.reason !== before.reason })
      }
    })
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The outcome of a window, and whether to announce it. */
interface Decided {
  readonly window: Window
  readonly state: State
  readonly changed: boolean
}

/** Half the clock's resolution, in milliseconds. */
const grainOfClock = 0.5

const longestHoldMillis = 60_000
