/**
 * The decisions of the adaptive machine after a window: see `unstable/AdaptiveMachine`.
 */
import type { Phase, State, Window } from "../../unstable/AdaptiveState.js"
import * as Measure from "./adaptiveWindow.js"

export const constants = {
  /** The fewest completions in a window, and in a window of the initial phases. */
  completions: 10,
  firstCompletions: 8,
  /** The shortest window after the initial phases, in milliseconds. */
  windowMillis: 200,
  /** How far above the knee it stays: a factor of the knee, and at least a multiple of its square root more. */
  headroom: 1.1,
  rootHeadroom: 0.5,
  /** The factor by which a probe up raises the limit, and a probe down, which costs some throughput, lowers it. */
  probeUp: 1.25,
  probeDown: 1.15,
  /** Windows of rest between probes, and when the last probes led to a change. */
  restWindows: 12,
  shortRestWindows: 2,
  /** Below this number, one fewer costs a large share of the pace and one more almost nothing: it rounds up. */
  few: 5,
  /**
   * How close to the pace fewer uploads must come to count as equally fast, and in how many probes in a row; the same
   * for few.
   */
  flat: 1.075,
  flatProbes: 2,
  flatOfFew: 1.02,
  flatProbesOfFew: 5,
  /** The share of its own increase that a doubling must bring to be worth it. */
  worthwhile: 0.35,
  /** The share from which each additional upload is taken to count in full. */
  linear: 0.85,
  /** The factor applied when the destination throttles, and how long the limit stays below, in windows. */
  backOff: 0.7,
  ceiling: 0.9,
  heldWindows: 30,
  mostHeldWindows: 240,
  ceilingGrowth: 1.02,
  /** What counts as a change: a size, and a multiple of the pace's deviation, in a number of windows in a row. */
  change: 0.3,
  changeDeviations: 3,
  changeWindows: 3
} as const

/** The state after a window, whose costs are already in `moments`. */
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
  // Somebody else has lowered the limit in the meantime.
  if (before !== undefined && window.limit <= before.limit) return settled(state, window.limit)
  const gain = before === undefined ? 1 : elasticity(state, before, window)
  if (gain >= constants.worthwhile) {
    const reached = gain >= constants.linear ? window : anchor
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
  if (Math.abs(streak) < constants.changeWindows) return rest(next, phase.left - 1)
  if (change > 0) return doubling({ ...next, usual: undefined, streak: 0 }, window, window, false, "faster: doubling")
  const concurrency = state.concurrency * Math.max(leastLeft, Math.exp(change)) * afterFall
  return rest(
    { ...next, concurrency, usual: undefined, streak: 0, flat: 0, reason: "slower: shrinking" },
    constants.shortRestWindows
  )
}

/** The change from which a pace counts as unusual, as a logarithm. */
const unusual = ({ deviation }: State): number =>
  Math.max(Math.log(1 + constants.change), constants.changeDeviations * deviation)

const probed = (state: State, phase: Extract<Phase, { _tag: "Probing" }>, window: Window): State => {
  const { usual } = state
  // A change during probes would be attributed to them.
  if (usual !== undefined) {
    const explained = Math.abs(Math.log(window.limit / usual.limit))
    if (Math.abs(Math.log(ratio(state, usual, window))) > explained + unusual(state)) {
      return rest({ ...state, reason: "watching a change" }, constants.restWindows)
    }
  }
  const seen = { ...phase, [phase.current]: Measure.together(phase[phase.current], window) }
  const [current, ...next] = phase.next
  if (current !== undefined) return probing(state, { ...seen, current, next })
  const { down, up } = seen
  if (up === undefined || down === undefined || up.limit <= down.limit) return rest(state, constants.restWindows)
  const gain = elasticity(state, down, up)
  if (gain >= constants.linear && up.limit < most(state)) {
    return doubling(state, up, up, false, "every upload more counts: doubling")
  }
  const gained = ratio(state, down, up)
  const isFew = state.concurrency < constants.few
  const flat = gained < (isFew ? constants.flatOfFew : constants.flat) ? state.flat + 1 : 0
  const isBeyond = flat >= (isFew ? constants.flatProbesOfFew : constants.flatProbes)
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
    moved > hasMoved ? constants.shortRestWindows : constants.restWindows
  )
}

/** The destination throttles: lowers the limit and keeps it lower for a while; for longer if the same happens again. */
const throttled = (state: State, window: Window): State => {
  const at = Math.min(window.limit, Math.max(window.throttledAt, 1))
  const { ceiling } = state
  const isSame = ceiling !== undefined && Math.abs(Math.log(at * constants.ceiling / ceiling.at)) < Math.log(1.3)
  const held = isSame ? Math.min(ceiling.held * 2, constants.mostHeldWindows) : constants.heldWindows
  return rest({
    ...state,
    ceiling: { at: Math.max(state.min, at * constants.ceiling), left: held, held },
    concurrency: at * constants.backOff,
    usual: undefined,
    streak: 0,
    flat: 0,
    reason: "throttled: backing off"
  }, constants.restWindows)
}

/** The ceiling learned from throttling holds for a while, and is then forgotten gradually. */
const relax = (state: State): State => {
  const { ceiling } = state
  if (ceiling === undefined) return state
  if (ceiling.left > 0) return { ...state, ceiling: { ...ceiling, left: ceiling.left - 1 } }
  const at = ceiling.at * constants.ceilingGrowth
  return { ...state, ceiling: at >= state.max ? undefined : { ...ceiling, at } }
}

/** There is too little work to learn anything. */
const idle = (state: State): State =>
  state.phase._tag === "Probing"
    ? rest({ ...state, reason: "too few uploads to tell" }, constants.restWindows)
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
  rest({ ...state, concurrency: above(knee), usual: undefined, reason: "settled" }, constants.restWindows)

/** The limit for a given knee: requests do not take turns, so some lanes idle now and then. */
const above = (knee: number): number =>
  Math.max(knee * constants.headroom, knee + constants.rootHeadroom * Math.sqrt(knee))

const whole = (concurrency: number): number =>
  concurrency < constants.few ? Math.ceil(concurrency - 0.1) : Math.round(concurrency)

/** Keeps the limit for some windows, or starts probing when they are over. */
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
    ? Math.floor(within(state, Math.max(Math.round(rested * constants.probeUp), rested + 1)))
    : Math.floor(within(state, Math.min(Math.floor(rested / constants.probeDown), rested - 1)))
  return { ...state, phase, limit, reason: `probing ${phase.current}` }
}

/** How many times faster the second window is. */
const ratio = (state: State, first: Window, second: Window): number => {
  const cost = Measure.cost(state.moments)
  const before = Measure.pace(first, cost)
  const after = Measure.pace(second, cost)
  return Math.min(farthest, Math.max(1 / farthest, before > 0 ? after / before : after > 0 ? farthest : 1))
}

/** The share of the possible gain that more uploads bring: 1 is all of it, 0 is none. */
const elasticity = (state: State, fewer: Window, more: Window): number =>
  Math.log(ratio(state, fewer, more)) / Math.log(more.limit / fewer.limit)

const most = ({ allowed, ceiling, max, min }: State): number =>
  Math.min(allowed, Math.max(min, Math.floor(Math.min(max, ceiling?.at ?? Infinity))))

const within = (state: State, concurrency: number): number => Math.min(most(state), Math.max(state.min, concurrency))

/** A generator with the full period of all 32-bit numbers. */
const nextRandom = (random: number): number => (Math.imul(random, 1664525) + 1013904223) | 0

const orders = [
  ["up", "up", "down", "down"],
  ["up", "down", "up", "down"],
  ["up", "down", "down", "up"],
  ["down", "up", "up", "down"],
  ["down", "up", "down", "up"],
  ["down", "down", "up", "up"]
] as const

/** The share of the usual pace that each window keeps. */
const usualKept = 0.8

/** The largest ratio that two windows are taken to have. */
const farthest = 20

/** The largest change from a doubling or halving that still counts as none. */
const stillFlat = 1.2

/**
 * The smallest share of the concurrency that remains after the pace fell, and the margin over what the pace suggests.
 */
const leastLeft = 0.2
const afterFall = 1.15

/** The change from which the next probes come soon, as a logarithm. */
const hasMoved = 0.08
