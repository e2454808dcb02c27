/**
 * The pacing machine under `RateLimit` and `Bandwidth`: the generic cell rate algorithm, with takes in the order of
 * asking. Only the head of the line sleeps, once, until the instant at which its take conforms; a change of rate wakes
 * it to reckon again, and an interrupted take leaves nothing behind.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as InFlight from "../InFlight.js"

/** How much lateness of timers is made up for while demand goes on, in milliseconds. */
const slackMillis = 20

/** How long after the last admission a take still counts as the same demand, in milliseconds. */
const continuousMillis = 2

export interface PacerOptions {
  /** Units per second; `Infinity` switches pacing off. */
  readonly rate: number
  /** The most units that may go at once, for a given rate. */
  readonly burst: (rate: number) => number
  /** Whether the burst is there at the start, or must be earned first. */
  readonly startsFull: boolean
}

export class Pacer {
  rate: number
  private readonly options: PacerOptions
  /** The theoretical arrival time of the next unit, in milliseconds on the clock. */
  private arrival: number | undefined = undefined
  private lastAdmission = -Infinity
  private waiting = 0
  private changed = Deferred.unsafeMake<void>(FiberId.none)
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
    this.arrival ??= this.options.startsFull ? now : now + this.tolerance
    return this.arrival + this.millis(units) - this.tolerance
  }

  private admit(now: number, units: number, waited: boolean): void {
    const lateness = waited || now - this.lastAdmission <= continuousMillis ? slackMillis : 0
    this.arrival = Math.max(this.arrival ?? now, now - lateness) + this.millis(units)
    this.lastAdmission = now
  }

  /** Takes `units` now and answers `true`, or answers `false`. */
  unsafeTake(now: number, units: number): boolean {
    if (this.rate === Infinity) return true
    if (this.waiting > 0 || this.due(now, units) > now) return false
    this.admit(now, units, false)
    return true
  }

  /** Waits in line until `units` may go. */
  take(units: number): Effect.Effect<void> {
    return Clock.clockWith((clock) => {
      if (this.unsafeTake(clock.unsafeCurrentTimeMillis(), units)) return Effect.void
      this.waiting += 1
      return this.line.withPermits(1)(this.waitTurn(clock, units)).pipe(
        Effect.ensuring(Effect.sync(() => {
          this.waiting -= 1
        }))
      )
    })
  }

  private waitTurn(clock: Clock.Clock, units: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.rate === Infinity) return Effect.void
      const now = clock.unsafeCurrentTimeMillis()
      const wait = Math.ceil(this.due(now, units) - now)
      if (wait <= 0) {
        this.admit(now, units, true)
        return Effect.void
      }
      const sleep = wait === Infinity ? Effect.never : clock.sleep(Duration.millis(wait))
      return Effect.zipRight(
        Effect.raceFirst(sleep, Deferred.await(this.changed)),
        this.waitTurn(clock, units)
      )
    })
  }

  /** Changes the rate. As many units may go at once afterwards as could before, within the new burst. */
  setRate(rate: number): Effect.Effect<void> {
    return Clock.clockWith((clock) =>
      Effect.suspend(() => {
        const now = clock.unsafeCurrentTimeMillis()
        const { burst } = this.options
        const owed = this.arrival === undefined || this.rate === Infinity
          ? undefined
          : Math.max(0, this.arrival - now) * this.rate / 1000
        const credit = owed === undefined ? undefined : Math.max(0, burst(this.rate) - owed)
        this.rate = rate
        this.arrival = credit === undefined ? undefined : now + this.millis(Math.max(0, burst(rate) - credit))
        const changed = this.changed
        this.changed = Deferred.unsafeMake<void>(FiberId.none)
        return Effect.asVoid(Deferred.succeed(changed, undefined))
      })
    )
  }
}
