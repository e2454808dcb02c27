/**
 * Ctrl-C and its kin, read by the command instead of ending the process: once means finish what is in flight, but for
 * large files that the same command can go on with; twice or SIGTERM means stop now, and once more after that leaves at
 * once. SIGHUP stops where a terminal is there, which has been closed. Elsewhere, as under `nohup`, it means nothing.
 */
import type { Transfer, UploadRun } from "@sluice/core/UploadRun"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Format from "./Format.js"
import * as Kept from "./Kept.js"

export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP"

/** Signals as they come, until the scope closes. */
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
 * Has SIGHUP mean nothing where nobody watches. Node undoes what `nohup` has said of it, so it would end the process
 * there.
 */
export const surviveHangup: Effect.Effect<void> = Effect.sync(() => {
  if (!isWatched()) process.on("SIGHUP", () => {})
})

/** How a run can be steered, and who is told. */
export interface Steered {
  readonly run: Pick<UploadRun<never>, "drainToJournal" | "inFlight" | "throughput">
  /**
   * Whether what is uploaded comes through a pipe: Ctrl-C ends its left side, too, and what has come by then is not all of
   * it. To finish that would replace a whole object by a part of one.
   */
  readonly isPiped: boolean
  /** How many bytes are stored of a file that is kept. */
  readonly storedOf: (key: string) => number
  /** Interrupts everything. */
  readonly stop: Effect.Effect<void>
  readonly say: (line: string) => Effect.Effect<void>
  /** Leaves without waiting for anything. */
  readonly leave: Effect.Effect<void>
}

/** Steers a run by signals, until it is interrupted. */
export const steer = (received: Queue.Dequeue<Signal>, steered: Steered): Effect.Effect<void> =>
  Effect.gen(function*() {
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
    yield* say(isPiped ? "Stopping at once: what standard input gave by now is not stored." : "Stopping at once.")
    yield* Effect.forkDaemon(stop)
    yield* received.take
    yield* leave
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Whether somebody sees what happens. Whatever `nohup` runs has its output elsewhere. */
const isWatched = (): boolean => process.stdout.isTTY === true || process.stderr.isTTY === true

/** What is still to be done, and for how long. */
const finishing = (transfers: ReadonlyArray<Transfer>, bytesPerSecond: number): string => {
  if (transfers.length === 0) return "nothing more is started"
  const sizes = Option.all(transfers.map(({ sent, size }) => Option.map(Option.fromNullable(size), (it) => it - sent)))
  const bytes = Option.map(sizes, (all) => all.reduce((sum, size) => sum + Math.max(0, size), 0))
  const facts = Option.match(bytes, {
    onNone: () => ["nobody knows how large"],
    onSome: (bytes) =>
      bytes === 0 ? ["all is sent and not answered yet"] : [
        `${Format.bytes(bytes)} to go`,
        ...(bytesPerSecond > 0 ? [`about ${Format.duration((bytes * 1000) / bytesPerSecond)}`] : [])
      ]
  })
  return `finishing ${Format.counted(transfers.length, "upload")} in flight, ${facts.join(", ")}`
}
