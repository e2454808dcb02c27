/**
 * A link that connections share in equal parts, none of which is faster than its own line: processor sharing.
 *
 * All connections that are on the link get the same service, in bytes, at the same time. So the link keeps one number,
 * the service that each has got since the beginning, and a transfer ends when it has come to a certain value of it: a
 * heap of these values tells who is next, and coming and going cost no more than a place in the heap.
 *
 * A connection that was woken late, by a clock of whole milliseconds or a busy machine, has been served meanwhile: that
 * counts for what it sends next.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Heap } from "./heap.js"

/** What the link takes, from so many milliseconds after it was made. */
export interface Capacity {
  readonly atMillis: number
  readonly bytesPerSecond: number
}

export interface Options {
  /** In the order of time, the first from the beginning. */
  readonly capacities: ReadonlyArray<Capacity>
  /** Bytes a millisecond of one connection, at most. */
  readonly fastest: number
  /** When it is made, in milliseconds. */
  readonly now: number
}

/** One that has a part in the link. */
export interface Connection {
  /** The service at which what it sends has come through. */
  endsAt: number
  done: (() => void) | undefined
}

export class Link {
  private readonly options: Options
  private readonly sending = new Heap<Connection>((a, b) => a.endsAt < b.endsAt)
  private connections = 0
  /** The bytes that each connection has got since the beginning, as of `at`. */
  private service = 0
  private at: number
  private wakesAt = Infinity

  constructor(options: Options) {
    this.options = options
    this.at = options.now
  }

  /** Bytes a second that each connection has now. */
  get share(): number {
    return this.speed * 1_000
  }

  /** Runs what has a part in the link from its beginning to its end. */
  readonly whileOn = <A, E>(use: (connection: Connection) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.clockWith((clock) => {
      this.advance(clock)
      this.connections += 1
      const connection: Connection = { endsAt: this.service, done: undefined }
      return Effect.ensuring(use(connection), this.leave(clock, connection))
    })

  /** Waits until so many bytes more have come through. */
  carry(connection: Connection, bytes: number): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      this.advance(clock)
      connection.endsAt += bytes
      const at = this.reaches(connection.endsAt)
      if (at <= this.at) return Effect.void
      const carried = Effect.async<void>((resume) => {
        connection.done = () => resume(Effect.void)
        this.sending.push(connection)
      })
      return Effect.zipRight(this.wakeAt(clock, at), carried)
    })
  }

  private leave(clock: Clock.Clock, connection: Connection): Effect.Effect<unknown> {
    return Effect.suspend(() => {
      this.advance(clock)
      this.connections -= 1
      connection.done = undefined
      if (this.connections === 0) this.wakesAt = Infinity
      const { first } = this.sending
      return first === undefined ? Effect.void : this.wakeAt(clock, this.reaches(first.endsAt))
    })
  }

  /** Sets an alarm, where none goes off before. */
  private wakeAt(clock: Clock.Clock, at: number): Effect.Effect<unknown> {
    return at < this.wakesAt ? Effect.forkDaemon(this.alarm(clock, at)) : Effect.void
  }

  private alarm(clock: Clock.Clock, at: number): Effect.Effect<void> {
    this.wakesAt = at
    return Effect.zipRight(clock.sleep(Duration.millis(at - this.at)), this.wake(clock, at))
  }

  /** Ends what has come through by now, and waits for the next. */
  private wake(clock: Clock.Clock, at: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      // An earlier alarm has taken over.
      if (this.wakesAt !== at) return Effect.void
      this.wakesAt = Infinity
      this.advance(clock)
      for (let { first } = this.sending; first !== undefined; first = this.sending.first) {
        const at = first.done === undefined ? this.at : this.reaches(first.endsAt)
        // By the same fiber: a chain of forks would carry the fiber refs of every generation along.
        if (at > this.at) return this.alarm(clock, at)
        this.sending.pop()
        first.done?.()
      }
      return Effect.void
    })
  }

  /** When the service comes to a value, or the capacity changes before: in whole milliseconds, and never too early. */
  private reaches(service: number): number {
    return Math.min(this.nextChange, Math.ceil(this.at + Math.max(0, service - this.service) / this.speed - tolerance))
  }

  private advance(clock: Clock.Clock): void {
    const now = clock.unsafeCurrentTimeMillis()
    // Another clock, whose time has begun anew.
    if (now < this.at) this.at = now
    while (this.at < now) {
      const to = Math.min(now, this.nextChange)
      this.service += this.speed * (to - this.at)
      this.at = to
    }
  }

  private get nextChange(): number {
    const { capacities, now } = this.options
    return now + (capacities.find(({ atMillis }) => now + atMillis > this.at)?.atMillis ?? Infinity)
  }

  /** Bytes a millisecond that each connection has, as of `at`. */
  private get speed(): number {
    const { capacities, fastest, now } = this.options
    let current = 0
    for (const { atMillis, bytesPerSecond } of capacities) if (now + atMillis <= this.at) current = bytesPerSecond
    return Math.min(fastest, current / 1_000 / Math.max(1, this.connections))
  }
}

/** What sums of fractions may be off by, in milliseconds. */
const tolerance = 1e-3
