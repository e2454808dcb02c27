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
 *        │       ／ ↑                             settling   at the knee that the last steps show, and 10 % more
 *        │    ／    knee + 10 %                   resting    a while there, and watching the pace
 *        │ ／   down ●  ● up                      probing    25 % up and 13 % down, twice each, in random order:
 *        └──────────────────── in flight                     where the two meet, there is the knee now
 * ```
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
 * last change does not count. How different sizes are compared is in `internal/adaptiveWindow`. Two of these on one link
 * cannot see each other, and each gains by having more: so there is a ceiling, and one controller for each uploader.
 *
 * {@link step} is all of the thinking, as a pure function; {@link controller} applies it to a running uploader.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Measure from "./internal/adaptiveWindow.js"
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
export const defaults = {
  min: 1,
  max: 64,
  initial: 4,
  /** Completions in a window, at least, and in one of the beginning. */
  completions: 10,
  firstCompletions: 8,
  /** How long a window lasts at least once the beginning is over, in milliseconds. */
  windowMillis: 200,
  /** How far above the knee it stays. */
  headroom: 1.1,
  /** How many times as many a probe up tries, and how many times fewer a probe down, which costs some throughput. */
  probeUp: 1.25,
  probeDown: 1.15,
  /** Windows of rest between probes, and where the last probes have led elsewhere. */
  restWindows: 12,
  shortRestWindows: 2,
  /** The share of its own that a doubling must bring to be worth it. */
  worthwhile: 0.35,
  /** The share from which every upload more is taken to count in full. */
  linear: 0.85,
  /** What it comes down to where the destination throttles, and how long it stays below, in windows. */
  backOff: 0.7,
  ceiling: 0.9,
  heldWindows: 30,
  mostHeldWindows: 240,
  ceilingGrowth: 1.02,
  /** What counts as a change: so much, and so many times what the pace varies, in so many windows on end. */
  change: 0.3,
  changeDeviations: 3,
  changeWindows: 3
} as const

/**
 * What the attempts of a while have shown, all under one limit.
 *
 * @since 0.1.0
 * @category models
 */
export type Window = Measure.Window

/**
 * What the controller is at.
 *
 * @since 0.1.0
 * @category models
 */
export type Phase =
  | {
    readonly _tag: "Doubling"
    /** The window before the doubling, and the last one in which every upload counted in full. */
    readonly before: Window | undefined
    readonly anchor: Window | undefined
    /** Whether nothing is known of fewer than that. */
    readonly isFirst: boolean
  }
  | { readonly _tag: "Halving"; readonly above: Window }
  | { readonly _tag: "Resting"; readonly left: number }
  | {
    readonly _tag: "Probing"
    /** What is to be tried after this, and what was seen so far. */
    readonly next: ReadonlyArray<"up" | "down">
    readonly current: "up" | "down"
    readonly up: Window | undefined
    readonly down: Window | undefined
  }

/**
 * All that the controller knows: immutable, and nothing else decides.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly min: number
  readonly max: number
  /** What somebody else allows at most. */
  readonly allowed: number
  readonly phase: Phase
  /** How many are held to be right, not rounded. */
  readonly concurrency: number
  /** How many may be in flight now: that, or a probe. */
  readonly limit: number
  /** Why, in a few plain words. */
  readonly reason: string
  /** Windows so far. */
  readonly windows: number
  /** What requests have cost lately. */
  readonly moments: Measure.Moments
  /** The pace of the rest windows lately, and how far single ones are off, as a logarithm. */
  readonly usual: Window | undefined
  readonly deviation: number
  /** Rest windows on end that were far off: above, or below where negative. */
  readonly streak: number
  /** Probes on end that found nothing lost with fewer. */
  readonly flat: number
  /** What throttling has taught, and for how many windows it holds. */
  readonly ceiling: { readonly at: number; readonly left: number; readonly held: number } | undefined
  readonly random: number
}

/**
 * Where it begins.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial = (options: Options = {}): State => {
  const min = Math.max(1, Math.floor(options.min ?? defaults.min))
  const max = Math.max(min, Math.floor(options.max ?? defaults.max))
  const concurrency = Math.min(max, Math.max(min, Math.floor(options.initial ?? defaults.initial)))
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
  Measure.open({ limit: state.limit, now, since, scale: Math.max(1, meanSize(state.moments)) })

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
export const isFull = ({ phase }: State, window: Window, now: number): boolean => {
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
  const next = decide(
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
      let window = openWindow(state, since, since)
      const apply = ({ changed, state, window }: Decided) =>
        (changed ? limits.set({ concurrency: state.limit }, state.reason) : Effect.void).pipe(
          Effect.zipRight(Effect.suspend(() => {
            applied = state
            return options.onWindow?.(window, state) ?? Effect.void
          }))
        )
      yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(decided), apply)))
      return (observation) => {
        const now = clock.unsafeCurrentTimeMillis()
        if (observation.retryAfterMillis !== undefined) {
          limits.rate.unsafeHold(clock, Math.min(observation.retryAfterMillis, longestHoldMillis))
        }
        window = gather(window, observation, now)
        if (!isFull(state, window, now)) return
        // Other strategies and other hands turn the same knob.
        const before = applied === state ? overruled(state, limits.inFlight.limit) : state
        const closed = { ...window, limit: before.limit }
        state = step(before, closed)[0]
        const changed = state.limit !== before.limit
        if (changed) since = now
        window = openWindow(state, now, since)
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

const decide = (state: State, window: Window): State => {
  if (window.throttledAt > 0) return throttled(state, window)
  const relaxed = relax(state)
  if (Measure.meanLanes(window) < window.limit / 2) return idle(relaxed)
  const { phase } = relaxed
  switch (phase._tag) {
    case "Doubling":
      return doubled(relaxed, phase, window)
    case "Halving":
      return halved(relaxed, phase, window)
    case "Resting":
      return rested(relaxed, phase, window)
    case "Probing":
      return probed(relaxed, phase, window)
  }
}

const doubled = (state: State, phase: Extract<Phase, { _tag: "Doubling" }>, window: Window): State => {
  const { anchor = window, before, isFirst } = phase
  const gain = before === undefined ? 1 : elasticity(state, before, window)
  if (gain >= defaults.worthwhile) {
    const reached = gain >= defaults.linear ? window : anchor
    if (window.limit < most(state)) return doubling(state, window, reached, isFirst)
    return settled(state, Math.max(reached.limit * ratio(state, reached, window), reached.limit))
  }
  const best = before === undefined ? 1 : Math.max(ratio(state, anchor, window), ratio(state, anchor, before))
  if (isFirst && anchor === before && ratio(state, before, window) < stillFlat && before.limit > state.min) {
    return halving(state, before)
  }
  return settled(state, anchor.limit * Math.max(1, best))
}

const halved = (state: State, { above }: Extract<Phase, { _tag: "Halving" }>, window: Window): State => {
  const lost = ratio(state, window, above)
  return lost < stillFlat && window.limit > state.min
    ? halving(state, window)
    : settled(state, Math.min(above.limit, window.limit * Math.max(1, lost)))
}

const rested = (state: State, phase: Extract<Phase, { _tag: "Resting" }>, window: Window): State => {
  const { usual } = state
  if (usual === undefined) return rest({ ...state, usual: window, streak: 0 }, phase.left - 1)
  const change = Math.log(ratio(state, usual, window))
  const isFar = Math.abs(change) > Math.max(Math.log(1 + defaults.change), defaults.changeDeviations * state.deviation)
  const streak = isFar ? (Math.sign(state.streak) === Math.sign(change) ? state.streak : 0) + Math.sign(change) : 0
  const next: State = {
    ...state,
    streak,
    usual: streak === 0 ? Measure.mixed(usual, window, usualKept) : usual,
    deviation: state.deviation * usualKept + Math.min(Math.abs(change), 1) * (1 - usualKept)
  }
  if (Math.abs(streak) < defaults.changeWindows) return rest(next, phase.left - 1)
  if (change > 0) return doubling({ ...next, usual: undefined, streak: 0 }, window, window, false, "faster: doubling")
  const concurrency = state.concurrency * Math.max(leastLeft, Math.exp(change)) * afterFall
  return rest(
    { ...next, concurrency, usual: undefined, streak: 0, flat: 0, reason: "slower: shrinking" },
    defaults.shortRestWindows
  )
}

const probed = (state: State, phase: Extract<Phase, { _tag: "Probing" }>, window: Window): State => {
  const seen = { ...phase, [phase.current]: Measure.together(phase[phase.current], window) }
  const [current, ...next] = phase.next
  if (current !== undefined) return probing(state, { ...seen, current, next })
  const { down, up } = seen
  if (up === undefined || down === undefined || up.limit <= down.limit) return rest(state, defaults.restWindows)
  const gain = elasticity(state, down, up)
  if (gain >= defaults.linear && up.limit < most(state)) {
    return doubling(state, up, up, false, "every upload more counts: doubling")
  }
  const isFlat = ratio(state, down, up) < stillFlat / 2 + 0.5
  const flat = isFlat ? state.flat + 1 : 0
  const knee = down.limit * Math.max(1, ratio(state, down, up)) * defaults.headroom
  const target = flat > 1 ? down.limit : Math.min(up.limit, Math.max(down.limit, knee))
  const concurrency = within(state, target)
  const moved = Math.abs(Math.log(concurrency / state.concurrency))
  return rest({
    ...state,
    flat,
    concurrency,
    reason: Math.round(concurrency) === Math.round(state.concurrency)
      ? "settled"
      : concurrency > state.concurrency
      ? "more is faster"
      : "fewer are as fast"
  }, moved > hasMoved ? defaults.shortRestWindows : defaults.restWindows)
}

/** The destination has had enough: down, and not up there again for a while; for longer where it is the same again. */
const throttled = (state: State, window: Window): State => {
  const at = Math.min(window.limit, Math.max(window.throttledAt, 1))
  const { ceiling } = state
  const isSame = ceiling !== undefined && Math.abs(Math.log(at * defaults.ceiling / ceiling.at)) < Math.log(1.3)
  const held = isSame ? Math.min(ceiling.held * 2, defaults.mostHeldWindows) : defaults.heldWindows
  return rest({
    ...state,
    ceiling: { at: Math.max(state.min, at * defaults.ceiling), left: held, held },
    concurrency: at * defaults.backOff,
    usual: undefined,
    streak: 0,
    flat: 0,
    reason: "throttled: backing off"
  }, defaults.restWindows)
}

/** What throttling has taught holds for a while, and then is forgotten little by little. */
const relax = (state: State): State => {
  const { ceiling } = state
  if (ceiling === undefined) return state
  if (ceiling.left > 0) return { ...state, ceiling: { ...ceiling, left: ceiling.left - 1 } }
  const at = ceiling.at * defaults.ceilingGrowth
  return { ...state, ceiling: at >= state.max ? undefined : { ...ceiling, at } }
}

/** Too little to do to learn anything from it. */
const idle = (state: State): State =>
  state.phase._tag === "Probing"
    ? rest({ ...state, reason: "too few uploads to tell" }, defaults.restWindows)
    : { ...state, reason: "too few uploads to tell" }

const doubling = (state: State, before: Window, anchor: Window, isFirst: boolean, reason = "doubling"): State => {
  const limit = within(state, before.limit * 2)
  return {
    ...state,
    phase: { _tag: "Doubling", before, anchor, isFirst },
    concurrency: limit,
    limit: Math.floor(limit),
    flat: 0,
    reason
  }
}

const halving = (state: State, above: Window): State => {
  const limit = within(state, Math.floor(above.limit / 2))
  return { ...state, phase: { _tag: "Halving", above }, concurrency: limit, limit, reason: "halving" }
}

const settled = (state: State, knee: number): State =>
  rest({ ...state, concurrency: knee * defaults.headroom, usual: undefined, reason: "settled" }, defaults.restWindows)

/** Stays where it is for some windows, or goes on to probes where these are over. */
const rest = (state: State, left: number): State => {
  const concurrency = within(state, state.concurrency)
  if (left > 0) {
    return { ...state, phase: { _tag: "Resting", left }, concurrency, limit: Math.round(concurrency) }
  }
  const random = nextRandom(state.random)
  const [current, ...next] = orders[(random >>> 8) % orders.length]!
  return probing({ ...state, concurrency, random }, {
    _tag: "Probing",
    current: current!,
    next,
    up: undefined,
    down: undefined
  })
}

const probing = (state: State, phase: Extract<Phase, { _tag: "Probing" }>): State => {
  const { concurrency } = state
  const limit = phase.current === "up"
    ? Math.floor(within(state, Math.max(Math.ceil(concurrency * defaults.probeUp), Math.round(concurrency) + 1)))
    : Math.floor(within(state, Math.min(Math.floor(concurrency / defaults.probeDown), Math.round(concurrency) - 1)))
  return { ...state, phase, limit, reason: `probing ${phase.current}` }
}

/** How much faster the second is. */
const ratio = (state: State, first: Window, second: Window): number => {
  const cost = Measure.cost(state.moments)
  const before = Measure.pace(first, cost)
  const after = Measure.pace(second, cost)
  return Math.min(farthest, Math.max(1 / farthest, before > 0 ? after / before : after > 0 ? farthest : 1))
}

/** How much of what more uploads could bring they do bring: 1 is all of it, 0 nothing. */
const elasticity = (state: State, fewer: Window, more: Window): number =>
  Math.log(ratio(state, fewer, more)) / Math.log(more.limit / fewer.limit)

const most = ({ allowed, ceiling, max, min }: State): number =>
  Math.min(allowed, Math.max(min, Math.floor(Math.min(max, ceiling?.at ?? Infinity))))

const within = (state: State, concurrency: number): number =>
  Math.min(most(state), Math.max(state.min, concurrency))

const meanSize = ({ size, weight }: Measure.Moments): number => weight === 0 ? defaultScale : size / weight

/** A full period of all 32 bit numbers. */
const nextRandom = (random: number): number => (Math.imul(random, 1664525) + 1013904223) | 0

const orders = [
  ["up", "up", "down", "down"],
  ["up", "down", "up", "down"],
  ["up", "down", "down", "up"],
  ["down", "up", "up", "down"],
  ["down", "up", "down", "up"],
  ["down", "down", "up", "up"]
] as const

/** What stays of what was learned with each window. */
const kept = 0.9
const usualKept = 0.8

/** The farthest that two windows are taken to be apart. */
const farthest = 20

/** What a doubling or halving changes at most where it changes nothing. */
const stillFlat = 1.15

/** What is left of the concurrency at least after the pace fell, and how much more than the pace says. */
const leastLeft = 0.2
const afterFall = 1.15

/** From which change on the next probes come soon, as a logarithm. */
const hasMoved = 0.08

const defaultScale = 1_000_000

/** Durations in whole milliseconds are off by half a millisecond each: 5 % for a window. */
const grain = 8
const grainMillis = 2_000

const longestHoldMillis = 60_000
