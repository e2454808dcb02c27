/**
 * The pacing algorithm of `RateLimit` and `Bandwidth`: the generic cell rate algorithm, with takes in FIFO order. Only
 * the head of the line sleeps, once, until the instant at which its take conforms; a change of rate wakes it to
 * recalculate, and an interrupted take leaves nothing behind.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { ended } from "../calls/ended.js"
import * as InFlight from "./inFlight.js"

/** The most timer lateness that is made up for while demand continues, in milliseconds. */
const slackMillis = 20

/**
 * How long after the last admission a take still counts as the same demand, in milliseconds. It is less than one, so
 * that on a clock of whole milliseconds only the very same instant counts.
 */
const continuousMillis = 0.9

/** The error of summed fractions, in milliseconds: an instant that is late by no more than this is not late. */
const roundingMillis = 1e-3

export interface PacerOptions {
  /** Units per second; `Infinity` switches pacing off. */
  readonly rate: number
  /** The most units that may go at once, for a given rate. */
  readonly burst: (rate: number) => number
  /** Whether the burst is available at the start, or must be earned first. */
  readonly startsFull: boolean
}

export class Pacer {
  rate: number
  private readonly options: PacerOptions
  /** Times are milliseconds since this instant, so that sums of small fractions stay exact. */
  private origin: bigint | undefined = undefined
  /** The theoretical arrival time of the next unit, while there is a rate. */
  private arrival: number | undefined = undefined
  /** How many units may go at once when there is a rate again, if known. */
  private frozen: number | undefined = undefined
  private lastAdmission = -Infinity
  /** The instant before which nothing is admitted. */
  private heldUntil = -Infinity
  /** The number of takes waiting. */
  waiting = 0
  /** The fiber in which the first take in line sleeps, until its turn or a change. */
  private sleeper: Fiber.RuntimeFiber<void> | undefined = undefined
  private changes = 0
  private readonly line = InFlight.make(1)

  constructor(options: PacerOptions) {
    this.options = options
    this.rate = options.rate
  }

  private millis(units: number): number {
    return (units * 1000) / this.rate
  }

  private get tolerance(): number {
    return this.millis(this.options.burst(this.rate))
  }

  /** The instant from which a take of `units` conforms. */
  private due(now: number, units: number): number {
    if (this.rate === 0) return Infinity
    this.arrival ??= this.options.startsFull ? now : now + this.tolerance
    return this.arrival + this.millis(units) - this.tolerance
  }

  private admit(now: number, units: number, waited: boolean): void {
    const lateness = waited || now - this.lastAdmission <= continuousMillis ? slackMillis : 0
    this.arrival = Math.max(this.arrival ?? now, now - lateness) + this.millis(units)
    this.lastAdmission = now
  }

  private now(clock: Clock.Clock): number {
    const nanos = clock.unsafeCurrentTimeNanos()
    this.origin ??= nanos
    return Number(nanos - this.origin) / 1e6
  }

  /** Takes `units` now and returns `true`, or returns `false`. */
  unsafeTake(clock: Clock.Clock, units: number): boolean {
    if (this.rate === Infinity && this.heldUntil === -Infinity) return true
    const now = this.now(clock)
    if (now < this.heldUntil - roundingMillis) return false
    this.heldUntil = -Infinity
    if (this.rate === Infinity) return true
    if (this.waiting > 0 || this.due(now, units) > now + roundingMillis) return false
    this.admit(now, units, false)
    return true
  }

  /** Waits in line until `units` may go. */
  take(units: number): Effect.Effect<void> {
    return Clock.clockWith((clock) => {
      if (this.unsafeTake(clock, units)) return Effect.void
      return Effect.uninterruptibleMask((restore) => {
        this.waiting += 1
        return Effect.matchCauseEffect(restore(this.line.withPermits(1)(this.waitTurn(clock, units))), {
          onSuccess: () => this.waited(Effect.void),
          onFailure: (cause) => this.waited(Effect.failCause(cause))
        })
      })
    })
  }

  private waited(exit: Effect.Effect<void>): Effect.Effect<void> {
    this.waiting -= 1
    return exit
  }

  private waitTurn(clock: Clock.Clock, units: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.rate === Infinity && this.heldUntil === -Infinity) return Effect.void
      const now = this.now(clock)
      const due = this.rate === Infinity ? now : this.due(now, units)
      const wait = Math.ceil(Math.max(due, this.heldUntil) - now - roundingMillis)
      if (wait <= 0) {
        this.heldUntil = -Infinity
        if (this.rate < Infinity) this.admit(now, units, true)
        return Effect.void
      }
      return Effect.zipRight(this.sleep(clock, wait), this.waitTurn(clock, units))
    })
  }

  /** Waits for this long, or until something has changed. */
  private sleep(clock: Clock.Clock, millis: number): Effect.Effect<void> {
    const { changes } = this
    const sleep = millis === Infinity ? Effect.never : clock.sleep(Duration.millis(millis))
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkDaemon(Effect.interruptible(sleep)), (sleeper) => {
        if (this.changes === changes) this.sleeper = sleeper
        else sleeper.unsafeInterruptAsFork(FiberId.none)
        return Effect.asVoid(ended(sleeper, restore))
      })
    )
  }

  /** Admits nothing for `millis` from now. Waiting takes notice it when their time has come. */
  unsafeHold(clock: Clock.Clock, millis: number): void {
    this.heldUntil = Math.max(this.heldUntil, this.now(clock) + millis)
  }

  /** How many units may go at once; `undefined` if nothing has been paced yet. */
  private credit(now: number): number | undefined {
    if (this.rate === 0) return this.frozen
    if (this.arrival === undefined || this.rate === Infinity) return undefined
    const owed = Math.max(0, this.arrival - now) * this.rate / 1000
    return Math.max(0, this.options.burst(this.rate) - owed)
  }

  /**
   * Changes the rate; with 0 nothing is admitted until it is raised. Afterwards as many units may go at once as before,
   * within the new burst.
   */
  setRate(rate: number): Effect.Effect<void> {
    return Clock.clockWith((clock) =>
      Effect.suspend(() => {
        const now = this.now(clock)
        const credit = this.credit(now)
        this.rate = rate
        this.frozen = credit
        this.arrival = credit === undefined || rate === 0
          ? undefined
          : now + this.millis(Math.max(0, this.options.burst(rate) - credit))
        this.changes += 1
        this.sleeper?.unsafeInterruptAsFork(FiberId.none)
        return Effect.void
      })
    )
  }
}
