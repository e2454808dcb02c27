/** What went through a limit, in each window of time. */
import { burst } from "../../src/internal/limits/bandwidth.js"

/** Of all windows of whole milliseconds up to `longest`, the one with the most starts above `rate` × window. */
export const worstWindow = (starts: ReadonlyArray<number>, rate: number, longest = 1_000, slackMillis = 0) => {
  let worst = { millis: 0, from: 0, starts: 0, excess: 0 }
  for (let first = 0; first < starts.length; first++) {
    const from = starts[first]!
    if (starts[first - 1] === from) continue
    for (let last = first; last < starts.length; last++) {
      const millis = starts[last]! - from + 1
      if (millis > longest) break
      const excess = last - first + 1 - Math.ceil((rate * (millis + slackMillis)) / 1000 - 1e-9)
      if (excess > worst.excess) worst = { millis, from, starts: last - first + 1, excess }
    }
  }
  return worst
}

export const within = { millis: 0, from: 0, starts: 0, excess: 0 }

/** When, and how many bytes. */
export type Grant = readonly [at: number, bytes: number]

/** Of all windows of whole milliseconds up to `longest`, the most bytes above rate × window + burst. */
export const worstExcess = (grants: ReadonlyArray<Grant>, rate: number, longest = 1_000) => {
  let worst = 0
  for (let first = 0; first < grants.length; first++) {
    let bytes = 0
    for (let last = first; last < grants.length; last++) {
      const millis = grants[last]![0] - grants[first]![0] + 1
      if (millis > longest) break
      bytes += grants[last]![1]
      worst = Math.max(worst, bytes - (rate * millis) / 1000 - burst(rate))
    }
  }
  return worst
}
