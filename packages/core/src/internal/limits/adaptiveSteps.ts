/**
 * What the adaptive controller decides after a window, and what it remembers for that: see `AdaptiveConcurrency`.
 */
import * as Measure from "./adaptiveWindow.js"
import type { Window } from "./adaptiveWindow.js"

/**
 * The options' defaults, and what the controller goes by.
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
  /** How far above the knee it stays: so many times as many, and at least so many times its root more. */
  headroom: 1.1,
  rootHeadroom: 0.5,
  /** How many times as many a probe up tries, and how many times fewer a probe down, which costs some throughput. */
  probeUp: 1.25,
  probeDown: 1.15,
  /** Windows of rest between probes, and where the last probes have led elsewhere. */
  restWindows: 12,
  shortRestWindows: 2,
  /** Below that, one fewer costs a good part of the pace, and one more nearly nothing: it rounds up. */
  few: 5,
  /** What fewer must leave of the pace to be as fast, and in how many probes on end; the same where there are few. */
  flat: 1.075,
  flatProbes: 2,
  flatOfFew: 1.02,
  flatProbesOfFew: 5,
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
 * What the controller is at.
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

/** The state after a window; what it has to say of costs is in `moments` already. */
export const decide = (state: State, window: Window): State => {
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
  // Somebody else has lowered the limit meanwhile.
  if (before !== undefined && window.limit <= before.limit) return settled(state, window.limit)
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
  if (window.limit >= above.limit) return settled(state, window.limit)
  const lost = ratio(state, window, above)
  return lost < stillFlat && window.limit > state.min
    ? halving(state, window)
    : settled(state, Math.min(above.limit, window.limit * Math.max(1, lost)))
}

const rested = (state: State, phase: Extract<Phase, { _tag: "Resting" }>, window: Window): State => {
  const { usual } = state
  if (usual === undefined) return rest({ ...state, usual: window, streak: 0 }, phase.left - 1)
  const change = Math.log(ratio(state, usual, window))
  const isFar = Math.abs(change) > unusual(state)
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

/** From which change on a pace is not what it usually is, as a logarithm. */
const unusual = ({ deviation }: State): number =>
  Math.max(Math.log(1 + defaults.change), defaults.changeDeviations * deviation)

const probed = (state: State, phase: Extract<Phase, { _tag: "Probing" }>, window: Window): State => {
  const { usual } = state
  // A change in the midst of probes would be laid to them.
  if (usual !== undefined) {
    const explained = Math.abs(Math.log(window.limit / usual.limit))
    if (Math.abs(Math.log(ratio(state, usual, window))) > explained + unusual(state)) {
      return rest({ ...state, reason: "watching a change" }, defaults.restWindows)
    }
  }
  const seen = { ...phase, [phase.current]: Measure.together(phase[phase.current], window) }
  const [current, ...next] = phase.next
  if (current !== undefined) return probing(state, { ...seen, current, next })
  const { down, up } = seen
  if (up === undefined || down === undefined || up.limit <= down.limit) return rest(state, defaults.restWindows)
  const gain = elasticity(state, down, up)
  if (gain >= defaults.linear && up.limit < most(state)) {
    return doubling(state, up, up, false, "every upload more counts: doubling")
  }
  const gained = ratio(state, down, up)
  const isFew = state.concurrency < defaults.few
  const flat = gained < (isFew ? defaults.flatOfFew : defaults.flat) ? state.flat + 1 : 0
  const isBeyond = flat >= (isFew ? defaults.flatProbesOfFew : defaults.flatProbes)
  const target = isBeyond ? down.limit : Math.min(up.limit, above(down.limit * Math.max(1, gained)))
  const concurrency = within(state, target)
  const moved = Math.abs(Math.log(concurrency / state.concurrency))
  return rest(
    {
      ...state,
      flat,
      concurrency,
      reason: whole(concurrency) === whole(state.concurrency)
        ? "settled"
        : concurrency > state.concurrency
        ? "more is faster"
        : "fewer are as fast"
    },
    moved > hasMoved ? defaults.shortRestWindows : defaults.restWindows
  )
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
  rest({ ...state, concurrency: above(knee), usual: undefined, reason: "settled" }, defaults.restWindows)

/** Where it stays when the knee is there: requests do not take turns, so some lanes idle now and then. */
const above = (knee: number): number =>
  Math.max(knee * defaults.headroom, knee + defaults.rootHeadroom * Math.sqrt(knee))

const whole = (concurrency: number): number =>
  concurrency < defaults.few ? Math.ceil(concurrency - 0.1) : Math.round(concurrency)

/** Stays where it is for some windows, or goes on to probes where these are over. */
const rest = (state: State, left: number): State => {
  const concurrency = within(state, state.concurrency)
  if (left > 0) {
    return { ...state, phase: { _tag: "Resting", left }, concurrency, limit: whole(concurrency) }
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
  const rested = whole(state.concurrency)
  const limit = phase.current === "up"
    ? Math.floor(within(state, Math.max(Math.round(rested * defaults.probeUp), rested + 1)))
    : Math.floor(within(state, Math.min(Math.floor(rested / defaults.probeDown), rested - 1)))
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

const within = (state: State, concurrency: number): number => Math.min(most(state), Math.max(state.min, concurrency))

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

/** What stays of the usual pace with each window. */
const usualKept = 0.8

/** The farthest that two windows are taken to be apart. */
const farthest = 20

/** What a doubling or halving changes at most where it changes nothing. */
const stillFlat = 1.2

/** What is left of the concurrency at least after the pace fell, and how much more than the pace says. */
const leastLeft = 0.2
const afterFall = 1.15

/** From which change on the next probes come soon, as a logarithm. */
const hasMoved = 0.08
