/**
 * What the machine offers, for `Strategy.optimalWorkerCount`. For Node.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"

/**
 * @since 0.1.0
 * @category models
 */
export interface Machine {
  /** How many CPUs this process may use. */
  readonly cpus: number
  /** How many files and connections this process may have open at once. */
  readonly openFiles: number
}

/**
 * The machine that this process runs on. The number of open files is the soft limit that Linux tells of; elsewhere it
 * is taken to be 1,024.
 *
 * @since 0.1.0
 * @category getters
 */
export const machine: Effect.Effect<Machine> = Effect.map(
  Effect.option(Effect.try(() => fs.readFileSync("/proc/self/limits", "utf8"))),
  (limits) => ({
    cpus: os.availableParallelism(),
    openFiles: limits._tag === "None" ? assumedOpenFiles : softLimit(limits.value)
  })
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const assumedOpenFiles = 1024

const softLimit = (limits: string): number => {
  const found = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1]
  return found === undefined ? assumedOpenFiles : found === "unlimited" ? Infinity : Number(found)
}
