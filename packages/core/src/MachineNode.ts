/**
 * The machine's capacity, for `Strategy.optimalWorkerCount`, and a heap that stays near a budget. For Node.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as os from "node:os"
import * as v8 from "node:v8"
import * as ByteSize from "./ByteSize.js"
import * as Descriptors from "./internal/disk/descriptorsNode.js"

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
 * The machine that this process runs on. The number of open files is the soft limit that Linux reports; elsewhere 1,024
 * is assumed.
 *
 * @since 0.1.0
 * @category getters
 */
export const machine: Effect.Effect<Machine> = Effect.sync(() => ({
  cpus: os.availableParallelism(),
  openFiles: Descriptors.mostOpen()
}))

/**
 * How many more files and connections this process may open now, for programs that share them out between sources,
 * connections and files to write.
 *
 * @since 0.1.0
 * @category getters
 */
export const openFilesLeft: Effect.Effect<number> = Effect.sync(Descriptors.leftToOpen)

/**
 * Keeps V8's heap close to what is in use, for a process whose uploads may hold `memory` bytes. Without it the heap
 * grows to several times that before V8 collects garbage. From 256 MiB on it costs no measurable CPU time; below that,
 * about a fifth more. It applies to the whole process and cannot be undone, so programs call it at their start, and
 * this library never does.
 *
 * @since 0.1.0
 * @category memory
 */
export const keepHeapSmall = (memory: ByteSize.ByteSizeInput): Effect.Effect<void> =>
  Effect.sync(() => {
    const tight = ByteSize.decode(memory) < ByteSize.decode("256 MiB")
    v8.setFlagsFromString(`--heap-growing-percent=${tight ? 20 : 50}`)
    if (tight) v8.setFlagsFromString("--semi-space-growth-factor=1")
  })
