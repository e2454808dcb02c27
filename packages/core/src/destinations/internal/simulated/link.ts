/**
 * A link that connections share equally, each no faster than its own line: processor sharing.
 *
 * All connections on the link receive the same service, in bytes, at the same time. So the link keeps one number, the
 * service that each has received since the beginning, and a transfer ends when that number reaches a certain value: a
 * heap of these values gives the next one, and joining and leaving cost only a heap operation.
 *
 * A connection that is woken late, by a clock of whole milliseconds or a busy machine, has been served in the meantime:
 * that counts towards what it sends next.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Heap } from "../../../internal/limits/heap.js"

/** The capacity of the link, from this many milliseconds after it was made. */
export interface Capacity {
  readonly atMillis: number
  readonly bytesPerSecond: number
}

export interface Options {
  /** The capacities in order of time; the first holds from the beginning. */
  readonly capacities: ReadonlyArray<Capacity>
  /** The most bytes per millisecond on one connection. */
  readonly fastest: number
  /** When it is made, as a clock time in milliseconds. */
  readonly now: number
}

/** A connection that shares the link. */
export class Connection {
  /** The service value at which its transfer is complete. */
  endsAt: number
  resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined

  constructor(endsAt: number) {
    this.endsAt = endsAt
  }
}

export class Link {
  private readonly options: Options
  private readonly sending = new Heap<Connection>((a, b) => a.endsAt < b.endsAt)
  private connections = 0
  /** The bytes that each connection has received since the beginning, up to `at`. */
  private service = 0
  private at: number
  /** The bytes per millisecond of all connections together at `at`, and until when they apply. */
  private capacity = 0
  private changesAt = Infinity
  private wakesAt = Infinity

  constructor(options: Options) {
    this.options = options
    this.at = options.now
    this.seek()
  }

  /** The bytes per second that each connection has now. */
  get share(): number {
    return this.speed * 1_000
  }

  /** Runs an effect that shares the link from its beginning to its end. */
  readonly whileOn = <A, E>(use: (connection: Connection) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.clockWith((clock) => {
      this.advance(clock)
      this.connections += 1
      const connection = new Connection(this.service)
      return Effect.ensuring(use(connection), this.leave(clock, connection))
    })

  /** Waits until this many more bytes have come through. */
  carry(connection: Connection, bytes: number): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      this.advance(clock)
      connection.endsAt += bytes
      const at = this.reaches(connection.endsAt)
      if (at <= this.at) return Effect.void
      const carried = Effect.async<void>((resume) => {
        connection.resume = resume
        this.sending.push(connection)
      })
      return at < this.wakesAt ? Effect.zipRight(this.wakeAt(clock, at), carried) : carried
    })
  }

  private leave(clock: Clock.Clock, connection: Connection): Effect.Effect<unknown> {
    return Effect.suspend(() => {
      this.advance(clock)
      this.connections -= 1
      connection.resume = undefined
      if (this.connections === 0) this.wakesAt = Infinity
      const { first } = this.sending
      const at = first === undefined ? Infinity : this.reaches(first.endsAt)
      return at < this.wakesAt ? this.wakeAt(clock, at) : Effect.void
    })
  }

  /** Sets an alarm earlier than the current one. */
  private wakeAt(clock: Clock.Clock, at: number): Effect.Effect<unknown> {
    return Effect.forkDaemon(Effect.interruptible(this.alarm(clock, at)))
  }

  private alarm(clock: Clock.Clock, at: number): Effect.Effect<void> {
    this.wakesAt = at
    return Effect.flatMap(clock.sleep(Duration.millis(at - this.at)), () => this.wake(clock, at))
  }

  /** Ends transfers that are complete, and waits for the next one. */
  private wake(clock: Clock.Clock, at: number): Effect.Effect<void> {
    // An earlier alarm has taken over, or the link is empty.
    if (this.wakesAt !== at) return Effect.void
    this.advance(clock)
    let isNews = false
    for (let { first } = this.sending; first !== undefined; first = this.sending.first) {
      const { resume } = first
      const next = resume === undefined ? this.at : this.reaches(first.endsAt)
      // In the same fiber: a chain of forks would carry the fiber refs of every generation along.
      if (next > this.at) return isNews ? this.wakeAgain(clock, at) : this.alarm(clock, next)
      this.sending.pop()
      if (resume === undefined) continue
      isNews = true
      first.resume = undefined
      resume(Effect.void)
    }
    if (isNews) return this.wakeAgain(clock, at)
    this.wakesAt = Infinity
    return Effect.void
  }

  /** Resumes connections whose transfers are complete: they may send more, or leave, which makes the others faster. */
  private wakeAgain(clock: Clock.Clock, at: number): Effect.Effect<void> {
    return Effect.flatMap(Effect.yieldNow(), () => this.wake(clock, at))
  }

  /**
   * When the service reaches a value, or the capacity changes before that: in whole milliseconds, and never too early.
   */
  private reaches(service: number): number {
    return Math.min(this.changesAt, Math.ceil(this.at + Math.max(0, service - this.service) / this.speed - tolerance))
  }

  private advance(clock: Clock.Clock): void {
    const now = clock.unsafeCurrentTimeMillis()
    if (now < this.at) {
      // A different clock, whose time has started over.
      this.at = now
      this.seek()
    }
    while (this.at < now) {
      const to = Math.min(now, this.changesAt)
      this.service += this.speed * (to - this.at)
      this.at = to
      if (to === this.changesAt) this.seek()
    }
  }

  /** Looks up the link's current capacity. */
  private seek(): void {
    const { capacities, now } = this.options
    const next = capacities.findIndex(({ atMillis }) => now + atMillis > this.at)
    const current = capacities[(next < 0 ? capacities.length : next) - 1]
    this.capacity = (current?.bytesPerSecond ?? 0) / 1_000
    this.changesAt = next < 0 ? Infinity : now + capacities[next]!.atMillis
  }

  /** The bytes per millisecond of each connection at `at`. */
  private get speed(): number {
    return Math.min(this.options.fastest, this.capacity / Math.max(1, this.connections))
  }
}

/** The error of summed fractions, in milliseconds. */
const tolerance = 1e-3
