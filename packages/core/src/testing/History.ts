/**
 * A history of runs, and a check of an uploader's promises against it.
 *
 * {@link make} returns a history that wrappers record. The wrapper around the destination of a process records what the
 * engine requests and is told; the one around the storage itself, beneath any scripted fault, records what is really
 * done. The history also takes the events, results and progress of the runs. {@link check} then looks for broken
 * promises: each key holds exactly one version of its source, or nothing; files reported as uploaded are there; nothing
 * is committed and then aborted; no multipart upload is left over; limits hold at every instant; permits, memory and
 * open sources come back; progress is never wrong.
 *
 * @since 0.1.0
 */
import type { Destination } from "../Destination.js"
import * as historyBounds from "./internal/history/bounds.js"
import * as historyObjects from "./internal/history/objects.js"
import * as historyProcess from "./internal/history/process.js"
import type { Recorder } from "./internal/history/process.js"
import type { Ending, Operation, Process, Recorded, Violation } from "./internal/history/record.js"
import * as historySessions from "./internal/history/sessions.js"

export type {
  /**
   * The state at the end.
   *
   * @since 0.1.0
   * @category models
   */
  Ending,
  /**
   * One request with its virtual times.
   *
   * @since 0.1.0
   * @category models
   */
  Operation,
  /**
   * One process and its run.
   *
   * @since 0.1.0
   * @category models
   */
  Process,
  /**
   * Records one process: hand its members to an `Uploader` and to its run.
   *
   * @since 0.1.0
   * @category models
   */
  Recorder,
  /**
   * A broken promise, with a human-readable message.
   *
   * @since 0.1.0
   * @category models
   */
  Violation
}

/**
 * A recorded history.
 *
 * @since 0.1.0
 * @category models
 */
export interface History extends Recorded {}

/**
 * A history while it is being recorded.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recording extends History {
  /** Begins another process. `ownIds` says that upload ids are the engine's own tokens. */
  readonly begin: (options?: {
    readonly journal?: boolean | undefined
    readonly ownIds?: boolean | undefined
  }) => Recorder
  /** Wraps the storage itself, beneath all faults. */
  readonly beneath: (destination: Destination["Type"]) => Destination["Type"]
  /** Declares what a key may hold: every version that its source has had. */
  readonly source: (key: string, versions: ReadonlyArray<Uint8Array>) => void
  /** Declares the state at the end. */
  readonly end: (ending: Ending) => void
}

/**
 * The promises that a history breaks; empty if there are none. The final state is checked if `end` declared it.
 *
 * @since 0.1.0
 * @category guards
 */
export const check = (history: History): ReadonlyArray<Violation> => [
  ...historyObjects.check(history),
  ...historySessions.check(history),
  ...historyBounds.check(history)
]

/**
 * Makes an empty history.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Destination, UploadFile, Uploader } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import * as History from "@sluice/core/testing/History"
 * import * as VirtualClock from "@sluice/core/testing/VirtualClock"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const { destination, network } = yield* Simulated.make({ observe: true })
 *   const history = History.make()
 *   const { destination: recorded, onEvent, onResult } = history.begin()
 *   const uploader = yield* Uploader.make().pipe(
 *     Effect.provideService(Destination.Destination, recorded(history.beneath(destination)))
 *   )
 *   history.source("a.txt", [new TextEncoder().encode("first")])
 *   yield* uploader.uploadAll([UploadFile.fromText("a.txt", "first")], { onEvent, onResult })
 *   const objects = new Map(Array.from(network.objects, ([key, { bytes }]) => [key, bytes]))
 *   history.end({ objects, sessions: yield* network.sessions, journal: [] })
 *   assert.deepStrictEqual(History.check(history), [])
 * })
 *
 * Effect.runPromise(VirtualClock.run(Effect.scoped(program)))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): Recording => {
  const processes: Array<Process> = []
  const storage: Array<Operation> = []
  const sources = new Map<string, ReadonlyArray<Uint8Array>>()
  let ending: Ending | undefined
  let order = 0
  const next = () => order++
  return {
    processes,
    storage,
    sources,
    get ending() {
      return ending
    },
    begin: ({ journal = false, ownIds = false } = {}) => {
      const process = historyProcess.empty(processes.length + 1, journal, ownIds)
      processes.push(process)
      return historyProcess.recorder(process, next)
    },
    beneath: (destination) => historyProcess.recording(destination, { operations: storage, next }),
    source: (key, versions) => void sources.set(key, versions),
    end: (now) => {
      ending = now
    }
  }
}
