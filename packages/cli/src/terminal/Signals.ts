/**
 * Signals that the command handles instead of ending the process. One Ctrl-C means: finish what is in flight, except
 * large files, which the same command can continue. A second one, or SIGTERM, means: stop now; another one after that
 * exits at once. SIGHUP stops the run if there is a terminal, since it has been closed. Otherwise, as under `nohup`, it
 * is ignored.
 */
import type { Transfer, UploadRun } from "@sluice/core/UploadRun"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Format from "./Format.js"
import * as Kept from "./Kept.js"

export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP"

/** The signals that arrive until the scope closes. */
export const listen: Effect.Effect<Queue.Dequeue<Signal>, never, Scope.Scope> = Effect.gen(function*() {
  const received = yield* Queue.unbounded<Signal>()
  const signals: ReadonlyArray<Signal> = isWatched() ? ["SIGINT", "SIGTERM", "SIGHUP"] : ["SIGINT", "SIGTERM"]
  const onSignal = (signal: Signal) => {
    received.unsafeOffer(signal)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => signals.forEach((signal) => process.on(signal, onSignal))),
    () => Effect.sync(() => signals.forEach((signal) => process.off(signal, onSignal)))
  )
  return received
})

/**
 * Ignores SIGHUP if there is no terminal. Node resets the signal handling of `nohup`, so SIGHUP would end the process
 * there.
 */
export const surviveHangup: Effect.Effect<void> = Effect.sync(() => {
  if (!isWatched()) process.on("SIGHUP", () => {})
})

/** The run to steer, and where messages go. */
export interface Steered {
  readonly run: Pick<UploadRun<never>, "drainToJournal" | "inFlight" | "throughput">
  /**
   * Whether the data comes through a pipe: Ctrl-C also ends the program before the pipe, so the data is incomplete.
   * Finishing the upload would replace a complete object with an incomplete one.
   */
  readonly isPiped: boolean
  /** The number of bytes that are stored of a kept file. */
  readonly storedOf: (key: string) => number
  /** Interrupts everything. */
  readonly stop: Effect.Effect<void>
  readonly say: (line: string) => Effect.Effect<void>
  /** Exits without waiting for anything. */
  readonly leave: Effect.Effect<void>
}

/** Steers a run by signals, until it is interrupted. */
export const steer = Effect.fnUntraced(
  function*(received: Queue.Dequeue<Signal>, steered: Steered): Effect.fn.Return<void> {
    const { isPiped, leave, run, say, stop, storedOf } = steered
    const first = yield* received.take
    if (first === "SIGINT" && !isPiped) {
      const transfers = yield* run.inFlight
      const { current } = yield* run.throughput
      const kept = yield* run.drainToJournal
      const sizes = kept.map(storedOf).filter((bytes) => bytes > 0)
      const bytes = sizes.reduce((sum, size) => sum + size, 0)
      if (sizes.length > 0) yield* say(Kept.stored(sizes.length, bytes))
      if (kept.length > sizes.length) yield* say(Kept.nothing(kept.length - sizes.length))
      const left = transfers.filter(({ key }) => !kept.includes(key))
      yield* say(`Stopping: ${finishing(left, current)}; press Ctrl-C again to stop at once.`)
      yield* received.take
    }
    yield* say(isPiped ? "Stopping at once: the data from standard input is not stored." : "Stopping at once.")
    yield* Effect.forkDaemon(stop)
    yield* received.take
    yield* leave
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Whether there is a terminal. Under `nohup` the output goes elsewhere. */
const isWatched = (): boolean => process.stdout.isTTY === true || process.stderr.isTTY === true

/** What remains to be done, and how long it takes. */
const finishing = (transfers: ReadonlyArray<Transfer>, bytesPerSecond: number): string => {
  if (transfers.length === 0) return "no more files are started"
  const sizes = Option.all(transfers.map(({ sent, size }) => Option.map(Option.fromNullable(size), (it) => it - sent)))
  const bytes = Option.map(sizes, (all) => all.reduce((sum, size) => sum + Math.max(0, size), 0))
  const facts = Option.match(bytes, {
    onNone: () => ["of unknown size"],
    onSome: (bytes) =>
      bytes === 0 ? ["all sent, waiting for the answer"] : [
        `${Format.bytes(bytes)} to go`,
        ...(bytesPerSecond > 0 ? [`about ${Format.duration((bytes * 1000) / bytesPerSecond)}`] : [])
      ]
  })
  return `finishing ${Format.counted(transfers.length, "upload")} in flight, ${facts.join(", ")}`
}
