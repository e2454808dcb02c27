/**
 * Choices that are the same for the same seed.
 */

export interface Dice {
  /** From 0 to below 1. */
  readonly fraction: () => number
  /** A whole number, both ends included. */
  readonly between: (from: number, to: number) => number
  readonly one: <A>(of: ReadonlyArray<A>) => A
  readonly chance: (probability: number) => boolean
}

/** By mulberry32. */
export const make = (seed: number): Dice => {
  let state = (seed * 0x9e3779b1) >>> 0
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (from: number, to: number) => from + Math.floor(fraction() * (to - from + 1))
  return {
    fraction,
    between,
    one: (of) => of[between(0, of.length - 1)]!,
    chance: (probability) => fraction() < probability
  }
}
