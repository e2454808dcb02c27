/**
 * Checks that a history stays within the limits at every instant: requests in flight, starts, bytes and memory.
 */
import * as Bandwidth from "../../../internal/limits/bandwidth.js"
import { isBodied, named } from "./record.js"
import type { Operation, Process, Recorded, Violation } from "./record.js"

/** The most timer lateness that is made up for, in milliseconds; timers fire at whole milliseconds. */
const slackMillis = 21

export const check = ({ processes }: Recorded): ReadonlyArray<Violation> =>
  processes.flatMap((process) => [
    ...process.seen,
    ...inFlight(process),
    ...starts(process),
    ...bytes(process)
  ])

const inFlight = ({ loosest, memoryLimit, number, operations }: Process): Array<Violation> => {
  const moves: Array<readonly [order: number, operation: Operation, by: 1 | -1]> = []
  for (const operation of operations) {
    moves.push([operation.began, operation, 1])
    if (operation.ended !== undefined) moves.push([operation.ended, operation, -1])
  }
  moves.sort(([a], [b]) => a - b)
  let requests = 0
  let memory = 0
  let bodies = 0
  const violations: Array<Violation> = []
  for (const [, operation, by] of moves) {
    const held = isBodied(operation) ? operation.size ?? 0 : 0
    requests += by
    memory += by * held
    if (held > 0) bodies += by
    if (by < 0) continue
    const wrong = (message: string) =>
      violations.push({
        promise: "bounds",
        message: `${message} with ${named(operation)} at ${operation.at} ms (process ${number})`
      })
    if (requests > loosest.concurrency) wrong(`${requests} requests in flight of ${loosest.concurrency}`)
    // A body larger than all of the memory is admitted alone.
    if (memory > memoryLimit && bodies > 1) wrong(`${memory} bytes in memory of ${memoryLimit}`)
  }
  return violations
}

/** A leaky bucket: whether it overflows its capacity. */
const overflows = (
  events: ReadonlyArray<readonly [at: number, units: number]>,
  perSecond: number,
  atMost: number
): number | undefined => {
  if (perSecond === Infinity) return undefined
  let level = 0
  let last = 0
  for (const [at, units] of events) {
    level = Math.max(0, level - (at - last) * perSecond / 1000) + units
    last = at
    if (level > atMost + 1e-6) return at
  }
  return undefined
}

const starts = ({ loosest, number, operations }: Process): Array<Violation> => {
  const rate = loosest.uploadsPerSecond
  // A look belongs to the request it serves: a part that follows right after a look took its start before the look.
  const looks = new Map<string, Operation>()
  const all: Array<readonly [number, number]> = []
  for (const operation of operations) {
    const { at, key, verb } = operation
    const look = looks.get(key)
    if (verb === "listParts") looks.set(key, operation)
    else if (verb !== "head") all.push([verb === "uploadPart" && look?.endedAt === at ? look.at : at, 1])
  }
  all.sort(([a], [b]) => a - b)
  const at = overflows(all, rate, 1 + Math.ceil(rate * slackMillis / 1000))
  return at === undefined
    ? []
    : [{ promise: "bounds", message: `more than ${rate} starts a second at ${at} ms (process ${number})` }]
}

const bytes = ({ bytes, loosest, number }: Process): Array<Violation> => {
  const rate = loosest.bytesPerSecond
  if (rate === Infinity) return []
  const at = overflows(bytes, rate, Bandwidth.burst(rate) + Math.ceil(rate * slackMillis / 1000))
  return at === undefined
    ? []
    : [{ promise: "bounds", message: `more than ${rate} bytes a second at ${at} ms (process ${number})` }]
}
