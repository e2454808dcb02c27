import { UploadError } from "@sluice/core"
import type { Destination } from "@sluice/core"
import { Duration, Effect, Stream } from "effect"
import type { Clock } from "effect"
import * as Draws from "./Draws.js"

/**
 * The network of the study behind the controller, made for thousands of runs: a link that all connections share in
 * equal parts, none of which is faster than its lane. A request costs two wake-ups, whatever its size; a part of a
 * multipart upload comes in blocks, which cost one each.
 */
export interface Options {
  /** Bytes a second of the link: from each instant on, in milliseconds. */
  readonly link: ReadonlyArray<readonly [at: number, bytesPerSecond: number]>
  /** The deviation of a log-normal factor, of mean 1, on what each request takes. Defaults to 0.05. */
  readonly noise?: number | undefined
  /** Requests above so many are throttled. */
  readonly maxInFlight?: number | undefined
  readonly retryAfterMillis?: number | undefined
  /** Everything is throttled between these instants. */
  readonly closed?: readonly [from: number, to: number] | undefined
  readonly seed: number
}

/** A byte here stands for 10 kB: nothing depends on the scale, and memory has other uses. */
export const unit = 10_000

/** Bytes a second of one connection, milliseconds before a request's first byte, and bytes of a file or part. */
export const lane = 1_000
export const overheadMillis = 50
export const fileSize = 800

/** How long an upload takes that has the network to itself, in milliseconds. */
export const aloneMillis = overheadMillis + fileSize / lane * 1_000

/** Bytes a second that so many lanes bring. */
export const throughput = (lanes: number, link: number): number =>
  Math.min(link, lanes * fileSize / (overheadMillis / 1_000 + fileSize / Math.min(lane, link)))

/** The fewest lanes that fill a link. */
export const knee = (link: number): number => Math.ceil(link / throughput(1, link))

/** The links whose knees are those of the study. */
export const links = { 1: 800, 3: 2_500, 11: 10_000, 43: 40_000, 101: 95_000 } as const

interface Transfer {
  /** The service, in bytes by each connection, at which it ends. */
  readonly endsAt: number
  readonly done: () => void
}

export class Network {
  readonly starts: Array<number> = []
  readonly stored = new Map<string, number>()
  throttled = 0
  /** Requests that broke off. */
  brokenOff = 0
  inFlight = 0
  peak = 0
  private readonly options: Options
  private readonly dice: Draws.Draws
  private readonly transfers: Array<Transfer> = []
  /** Bytes that every connection has got since the beginning, and all together. */
  private service = 0
  private carriedBytes = 0
  private at = 0
  private wakesAt = Infinity

  constructor(options: Options) {
    this.options = options
    this.dice = Draws.make(options.seed)
  }

  /** Bytes that the link has carried until now. */
  carried(now: number): number {
    this.advance(now)
    return this.carriedBytes
  }

  readonly destination: Destination.Destination["Type"] = {
    name: "study:",
    capabilities: { maxPutSize: Infinity, unknownSize: true },
    put: ({ body, key }) =>
      this.request(
        key,
        (clock, factor) =>
          Effect.flatMap(body.bytes, ({ length }) => Effect.as(this.transfer(clock, length * factor), length))
      ).pipe(
        Effect.as({})
      ),
    multipart: {
      limits: { minSize: 1, maxSize: 1e9, multiple: 1, maxCount: 10_000, maxObjectSize: 1e12, inOrder: false },
      ownIds: true,
      becomesObject: false,
      create: ({ token }) => Effect.as(this.roundTrip, token),
      uploadPart: ({ body, key, number }) =>
        this.request(key, (clock, factor) =>
          Effect.as(
            Stream.runForEach(
              body.stream({ blockSize }),
              ({ length }) => Effect.suspend(() => this.transfer(clock, length * factor))
            ),
            body.size!
          )).pipe(Effect.map((size) => ({ number, size }))),
      listParts: () => Effect.succeed(undefined),
      complete: () => Effect.as(this.roundTrip, {}),
      abort: () => this.roundTrip
    }
  }

  private readonly roundTrip = Effect.clockWith((clock) => clock.sleep(millis(overheadMillis)))

  /** A request; `send` reports how many bytes it has sent. */
  private request(
    key: string,
    send: (clock: Clock.Clock, factor: number) => Effect.Effect<number, UploadError.UploadError>
  ): Effect.Effect<number, UploadError.UploadError> {
    return Effect.clockWith((clock) => {
      const { closed, maxInFlight = Infinity, noise = 0.05, retryAfterMillis } = this.options
      const now = clock.unsafeCurrentTimeMillis()
      this.starts.push(now)
      if (this.inFlight >= maxInFlight || (closed !== undefined && now >= closed[0] && now < closed[1])) {
        this.throttled += 1
        const asked = retryAfterMillis === undefined ? {} : { retryAfterMillis }
        const throttled = Effect.fail(new UploadError.Throttled({ detail: "Too many requests.", ...asked }))
        return Effect.zipRight(this.roundTrip, throttled)
      }
      this.inFlight += 1
      this.peak = Math.max(this.peak, this.inFlight)
      const factor = Math.exp(noise * this.dice.normal() - noise * noise / 2)
      return clock.sleep(millis(overheadMillis)).pipe(
        Effect.zipRight(Effect.suspend(() => send(clock, factor))),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            this.inFlight -= 1
            if (exit._tag === "Failure") this.brokenOff += 1
            else this.stored.set(key[0]!, (this.stored.get(key[0]!) ?? 0) + exit.value)
          })
        )
      )
    })
  }

  private transfer(clock: Clock.Clock, bytes: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.advance(clock.unsafeCurrentTimeMillis())
      const join = Effect.async<void>((resume) => {
        const transfer = { endsAt: this.service + bytes, done: () => resume(Effect.void) }
        this.transfers.push(transfer)
        return Effect.sync(() => {
          this.advance(clock.unsafeCurrentTimeMillis())
          const i = this.transfers.indexOf(transfer)
          if (i >= 0) this.transfers.splice(i, 1)
        })
      })
      const first = Math.min(this.firstEnd, this.service + bytes)
      const isWatched = this.at + (first - this.service) / this.speed(this.transfers.length + 1) >= this.wakesAt
      return isWatched ? join : Effect.zipRight(Effect.forkDaemon(this.watch(clock)), join)
    })
  }

  /** Ends what has come to its end, and waits for the next. */
  private watch(clock: Clock.Clock): Effect.Effect<void> {
    return Effect.suspend(() => {
      const now = clock.unsafeCurrentTimeMillis()
      this.advance(now)
      for (let i = this.transfers.length - 1; i >= 0; i--) {
        const transfer = this.transfers[i]!
        if (transfer.endsAt > this.service + 1e-6) continue
        this.transfers.splice(i, 1)
        transfer.done()
      }
      const { length } = this.transfers
      const wakesAt = length === 0
        ? Infinity
        : Math.min(this.nextChange, now + (this.firstEnd - this.service) / this.speed(length))
      this.wakesAt = wakesAt
      return wakesAt === Infinity ?
        Effect.void :
        Effect.flatMap(
          clock.sleep(millis(wakesAt - now)),
          () => this.wakesAt === wakesAt ? this.watch(clock) : Effect.void
        )
    })
  }

  private advance(now: number): void {
    while (this.at < now) {
      const { length } = this.transfers
      const to = Math.min(now, this.nextChange)
      if (length > 0) {
        const got = this.speed(length) * (to - this.at)
        this.service += got
        this.carriedBytes += got * length
      }
      this.at = to
    }
  }

  private get firstEnd(): number {
    return this.transfers.reduce((first, { endsAt }) => Math.min(first, endsAt), Infinity)
  }

  private get nextChange(): number {
    return this.options.link.find(([from]) => from > this.at)?.[0] ?? Infinity
  }

  /** Bytes a millisecond of one of so many connections. */
  private speed(connections: number): number {
    const link = this.options.link.reduce((current, [from, rate]) => from <= this.at ? rate : current, 0)
    return Math.min(lane, link / connections) / 1_000
  }
}

/** A quarter of a part. */
const blockSize = fileSize / 4

const millis = (value: number) => Duration.millis(Math.max(0, value))
