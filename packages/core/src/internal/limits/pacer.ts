/**
 * The pacing algorithm of `RateLimit` and `Bandwidth`: the generic cell rate algorithm, with takes in FIFO order. Only
 * the head of the line sleeps, once, until the instant at which its take conforms; a change of rate wakes it to
 * recalculate, and an interrupted take leaves nothing behind.
 *
 * A pacer can be part of another. A take then conforms to both in one instant: while the head of the line stands in the
 * line of the whole, the others stay behind it, so parts of a whole take turns. What a part could have taken while the
 * whole let others through, it does not make up for later.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
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
  /** What this is part of. */
  readonly whole?: Pacer | undefined
  /** Asked when a take conforms, before it goes; the head of the line waits for it. */
  readonly gate?: Effect.Effect<void> | undefined
}

/** The take of a part, in the line of the whole. */
interface Part {
  /** Whether it still conforms to the part's own rate. */
  readonly isDue: () => boolean
  /** Called in the instant in which the whole lets it through. */
  readonly admitted: () => void
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
    this.heldUntil = -Infinity
    if (this.rate === Infinity) return
    const lateness = waited || now - this.lastAdmission <= continuousMillis ? slackMillis : 0
    this.arrival = Math.max(this.arrival ?? now, now - lateness) + this.millis(units)
    this.lastAdmission = now
  }

  /** How many milliseconds it takes until `units` conform; 0 or less if they do now. */
  private millisLeft(now: number, units: number): number {
    const due = this.rate === Infinity ? now : this.due(now, units)
    return Math.ceil(Math.max(due, this.heldUntil) - now - roundingMillis)
  }

  private now(clock: Clock.Clock): number {
    const nanos = clock.unsafeCurrentTimeNanos()
    this.origin ??= nanos
    return Number(nanos - this.origin) / 1e6
  }

  /** Takes `units` now and returns `true`, or returns `false`. */
  unsafeTake(clock: Clock.Clock, units: number): boolean {
    return this.options.gate === undefined && this.unsafePass(clock, units)
  }

  /** Takes `units` without asking the gate. */
  private unsafePass(clock: Clock.Clock, units: number): boolean {
    const { whole } = this.options
    if (this.rate === Infinity && this.heldUntil === -Infinity) {
      return whole === undefined || (this.waiting === 0 && whole.unsafeTake(clock, units))
    }
    if (this.waiting > 0) return false
    const now = this.now(clock)
    if (this.millisLeft(now, units) > 0 || whole?.unsafeTake(clock, units) === false) return false
    this.admit(now, units, false)
    return true
  }

  /** Waits in line until `units` may go. */
  take(units: number): Effect.Effect<void> {
    return Clock.clockWith((clock) =>
      this.unsafeTake(clock, units) ? Effect.void : Effect.asVoid(this.inLine(clock, units))
    )
  }

  /** Waits in line until `units` may go, and answers `true`; or `false` if they need no longer, as parts of this. */
  private inLine(clock: Clock.Clock, units: number, part?: Part): Effect.Effect<boolean> {
    return Effect.uninterruptibleMask((restore) => {
      const isBehind = this.waiting > 0
      this.waiting += 1
      return Effect.matchCauseEffect(restore(this.line.withPermits(1)(this.waitTurn(clock, units, isBehind, part))), {
        onSuccess: (admitted) => this.waited(Effect.succeed(admitted)),
        onFailure: (cause) => this.waited(Effect.failCause(cause))
      })
    })
  }

  private waited<A>(exit: Effect.Effect<A>): Effect.Effect<A> {
    this.waiting -= 1
    return exit
  }

  private waitTurn(clock: Clock.Clock, units: number, waited: boolean, part: Part | undefined): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (part?.isDue() === false) return Effect.succeed(false)
      const now = this.now(clock)
      const wait = this.millisLeft(now, units)
      if (wait > 0) return Effect.zipRight(this.sleep(clock, wait), this.waitTurn(clock, units, true, part))
      const { gate } = this.options
      if (gate === undefined) return this.pass(clock, units, waited, part)
      return Effect.flatMap(gate, () => {
        // The rate may have changed, and the part may have gone, while the gate was closed.
        if (part?.isDue() === false || this.millisLeft(this.now(clock), units) > 0) {
          return this.waitTurn(clock, units, true, part)
        }
        // It was the gate that was late, not a timer.
        return this.pass(clock, units, waited && this.now(clock) - now <= continuousMillis, part)
      })
    })
  }

  /** Lets a take that conforms through, when the whole does. */
  private pass(clock: Clock.Clock, units: number, waited: boolean, part: Part | undefined): Effect.Effect<boolean> {
    const { gate, whole } = this.options
    if (whole === undefined || whole.unsafeTake(clock, units)) {
      this.admit(this.now(clock), units, waited)
      part?.admitted()
      return Effect.succeed(true)
    }
    const inWhole = whole.inLine(clock, units, {
      isDue: () => part?.isDue() !== false && this.millisLeft(this.now(clock), units) <= 0,
      // It was the whole that was late, not the timer of this.
      admitted: () => {
        this.admit(this.now(clock), units, false)
        part?.admitted()
      }
    })
    return Effect.flatMap(inWhole, (admitted) =>
      admitted
        // The answer of the gate is as old as the wait for the whole.
        ? gate === undefined ? Effect.succeed(true) : Effect.as(gate, true)
        : this.waitTurn(clock, units, false, part))
  }

  /** Waits for this long, or until something has changed. */
  private sleep(clock: Clock.Clock, millis: number): Effect.Effect<void> {
    const { changes } = this
    const sleep = millis === Infinity ? Effect.never : clock.sleep(Duration.millis(millis))
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkDaemon(Effect.interruptible(sleep)), (sleeper) => {
        if (this.changes === changes) this.sleeper = sleeper
        else sleeper.unsafeInterruptAsFork(FiberId.none)
        return ended(sleeper, restore, Fiber.interrupt, () => Effect.void)
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
