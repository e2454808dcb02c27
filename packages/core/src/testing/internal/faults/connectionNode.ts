/**
 * One connection through the fault proxy: two pumps, and the toxics that strike them.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Random from "effect/Random"
import * as net from "node:net"

/** One way to degrade a connection. */
export interface Toxic {
  readonly name: string
  readonly direction: "up" | "down"
  /** The fraction of connections that it strikes, from 0 to 1. */
  readonly probability: number
  /** The most connections that it strikes. */
  readonly times: number
  readonly kind:
    | { readonly _tag: "Latency"; readonly delayMillis: number; readonly jitterMillis: number }
    | { readonly _tag: "Bandwidth"; readonly bytesPerSecond: number }
    | { readonly _tag: "SharedBandwidth"; readonly bytesPerSecond: number }
    | { readonly _tag: "SlowClose"; readonly delayMillis: number }
    | { readonly _tag: "Timeout"; readonly afterBytes: number }
    | { readonly _tag: "Reset"; readonly afterBytes: number }
    | { readonly _tag: "Slice"; readonly bytes: number; readonly delayMillis: number }
    | { readonly _tag: "Limit"; readonly bytes: number }
    | { readonly _tag: "Down" }
}

/** A link that connections share: the clock time in milliseconds at which everything handed to it has passed. */
export interface Link {
  freeAt: number
}

/** A toxic on one connection. */
export interface ActiveToxic {
  readonly toxic: Toxic
  readonly random: Random.Random
  /** Whether it strikes this connection: by its random draw, and while it has not used up its strikes. */
  readonly applies: () => boolean
  /** Records that it has struck. */
  readonly strike: () => void
}

export interface Setting {
  readonly client: net.Socket
  /** The server's port. */
  readonly port: number
  readonly clock: Clock.Clock
  readonly passed: { up: number; down: number }
  readonly toxics: () => ReadonlyArray<Toxic>
  /** The link shared by all connections that a toxic strikes. */
  readonly linkOf: (toxic: Toxic) => Link
  readonly activate: (toxic: Toxic) => Effect.Effect<ActiveToxic>
}

type Kind<Tag extends Toxic["kind"]["_tag"]> = Extract<Toxic["kind"], { readonly _tag: Tag }>

/** How a connection ends before both sides have ended. */
type End = "reset" | "limit" | "gone"

/** A block that was read, and when; the last one says that the side has ended. */
interface Arrived {
  readonly block: Uint8Array | undefined
  readonly at: number
}

/** The most that a connection passes at a time over a shared link. */
const shareBytes = 16 * 1024

/** How late a timer may be, in milliseconds. */
const latestMillis = 250

export class Connection {
  private readonly setting: Setting
  private readonly active = new Map<Toxic, ActiveToxic>()
  private readonly over = Deferred.unsafeMake<End>(FiberId.none)
  private server: net.Socket | undefined = undefined

  constructor(setting: Setting) {
    this.setting = setting
  }

  /** Passes bytes on until both sides have ended or a toxic ends the connection, and then closes its sockets. */
  get run(): Effect.Effect<void> {
    const { client, port } = this.setting
    return Effect.gen(this, function*() {
      yield* this.toxicsChanged
      const server = (yield* Deferred.isDone(this.over)) ? undefined : yield* connected(port)
      this.server = server
      if (server === undefined) {
        client.resetAndDestroy()
        return
      }
      if (client.destroyed) return
      for (const socket of [client, server]) socket.once("close", (failed) => this.end(failed ? "reset" : "gone"))
      const pumps = Effect.all([this.pump("up", client, server), this.pump("down", server, client)], {
        concurrency: "unbounded",
        discard: true
      })
      const end = yield* Effect.raceFirst(Effect.as(pumps, "gone" as End), Deferred.await(this.over))
      if (end === "reset") {
        client.resetAndDestroy()
        server.resetAndDestroy()
      }
      if (end === "limit") yield* inGoodOrder([client, server])
    }).pipe(
      Effect.ensuring(Effect.suspend(() => Effect.forEach([client, this.server], closed, { discard: true })))
    )
  }

  /** What to do at once when the toxics have changed. */
  get toxicsChanged(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      for (const toxic of this.setting.toxics()) {
        if (!this.active.has(toxic)) this.active.set(toxic, yield* this.setting.activate(toxic))
      }
      const [struck] = this.all("Down")
      if (struck === undefined) return
      struck.strike()
      this.end("reset")
    })
  }

  private end(end: End): void {
    Deferred.unsafeDone(this.over, Effect.succeed(end))
  }

  private all<Tag extends Toxic["kind"]["_tag"]>(
    tag: Tag,
    direction?: "up" | "down"
  ): ReadonlyArray<ActiveToxic & { readonly kind: Kind<Tag> }> {
    const isOfTag = (kind: Toxic["kind"]): kind is Kind<Tag> => kind._tag === tag
    return this.setting.toxics().flatMap((toxic) => {
      const { kind } = toxic
      const active = this.active.get(toxic)
      return active !== undefined && isOfTag(kind) && (direction ?? toxic.direction) === toxic.direction &&
          active.applies()
        ? [{ ...active, kind }]
        : []
    })
  }

  // ---------------------------------------------------------------------------
  // one direction
  // ---------------------------------------------------------------------------

  private pump(direction: "up" | "down", from: net.Socket, to: net.Socket): Effect.Effect<void> {
    const { clock, linkOf, passed } = this.setting
    let total = 0
    let swallowed = false
    /** The connection's own link: when it is free again, by its own bandwidth. */
    const own: Link = { freeAt: 0 }

    const sleepUntil = (millis: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const wait = millis - clock.unsafeCurrentTimeMillis()
        return wait > 0 ? clock.sleep(Duration.millis(wait)) : Effect.void
      })

    /** Passes bytes on at their due time: a late timer costs no bandwidth. */
    const pass = (bytes: Uint8Array, due: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const start = Math.max(due, own.freeAt, clock.unsafeCurrentTimeMillis() - latestMillis)
        own.freeAt = start
        // Bytes occupy the connection and the link at the same time, so the slower one decides.
        for (const { kind, strike } of this.all("Bandwidth", direction)) {
          strike()
          own.freeAt = Math.max(own.freeAt, start + bytes.length * 1000 / kind.bytesPerSecond)
        }
        for (const { kind, strike, toxic } of this.all("SharedBandwidth", direction)) {
          strike()
          const link = linkOf(toxic)
          link.freeAt = Math.max(link.freeAt, start) + bytes.length * 1000 / kind.bytesPerSecond
          own.freeAt = Math.max(own.freeAt, link.freeAt)
        }
        return Effect.map(Effect.zipRight(sleepUntil(own.freeAt), written(to, bytes)), () => {
          total += bytes.length
          passed[direction] += bytes.length
        })
      })

    /** The size of the pieces in which a block is passed on, and the time before each. */
    const cut = (size: number) => {
      let [most, delay] = [size, 0]
      // Ten steps a second, so that a narrow line moves evenly.
      for (const { kind } of this.all("Bandwidth", direction)) {
        most = Math.min(most, Math.max(1, Math.floor(kind.bytesPerSecond / 10)))
      }
      for (const { kind } of this.all("SharedBandwidth", direction)) {
        most = Math.min(most, shareBytes, Math.max(1, Math.floor(kind.bytesPerSecond / 10)))
      }
      for (const { kind, strike } of this.all("Slice", direction)) {
        if (kind.bytes < size) strike()
        most = Math.min(most, kind.bytes)
        delay = Math.max(delay, kind.delayMillis)
      }
      return { most, delay }
    }

    /** How many bytes may still pass, and what happens then. */
    const bound = () => {
      const nothing = () => false
      let [room, next]: [number, () => boolean] = [Infinity, nothing]
      const narrow = (after: number, { applies, strike }: ActiveToxic, end: () => void) => {
        if (after - total >= room) return
        room = Math.max(0, after - total)
        next = () => {
          if (!applies()) return false
          strike()
          end()
          return true
        }
      }
      for (const active of this.all("Reset", direction)) {
        narrow(active.kind.afterBytes, active, () => this.end("reset"))
      }
      for (const active of this.all("Limit", direction)) {
        narrow(active.kind.bytes, active, () => this.end("limit"))
      }
      for (const active of this.all("Timeout", direction)) {
        narrow(active.kind.afterBytes, active, () => {
          swallowed = true
        })
      }
      return { room, next }
    }

    const passBlock = ({ at, block }: { readonly at: number; readonly block: Uint8Array }): Effect.Effect<void> =>
      Effect.gen(this, function*() {
        let due = at
        for (const { kind, random, strike } of this.all("Latency", direction)) {
          strike()
          due = Math.max(due, at + kind.delayMillis + Math.round((yield* random.next) * kind.jitterMillis))
          yield* sleepUntil(due)
        }
        for (let rest = block; rest.length > 0;) {
          const { next, room } = bound()
          const { delay, most } = cut(rest.length)
          const bytes = rest.subarray(0, Math.min(room, most))
          if (bytes.length > 0) {
            if (delay > 0) yield* clock.sleep(Duration.millis(delay))
            yield* pass(bytes, due)
            rest = rest.subarray(bytes.length)
          }
          if (bytes.length < room) continue
          if (!next()) continue
          if (!swallowed) return yield* Effect.never
          rest = rest.subarray(rest.length)
        }
      })

    const end = Effect.gen(this, function*() {
      if (swallowed) return this.end("reset")
      for (const { kind, strike } of this.all("SlowClose", direction)) {
        strike()
        yield* clock.sleep(Duration.millis(kind.delayMillis))
      }
      yield* Effect.sync(() => to.end())
    })

    return Effect.gen(this, function*() {
      // Blocks in transit on a long line; reading more has to wait.
      const line = yield* Queue.bounded<Arrived>(64)
      const read: Effect.Effect<void> = Effect.gen(function*() {
        const block = Option.getOrUndefined(yield* nextBlock(from))
        yield* Queue.offer(line, { block, at: clock.unsafeCurrentTimeMillis() })
        if (block !== undefined) yield* read
      })
      const write: Effect.Effect<void> = Effect.flatMap(
        Queue.take(line),
        ({ at, block }) => block === undefined ? end : Effect.zipRight(passBlock({ at, block }), write)
      )
      const reader = yield* Effect.fork(read)
      yield* write
      yield* Fiber.join(reader)
    })
  }
}

// -----------------------------------------------------------------------------
// sockets
// -----------------------------------------------------------------------------

/** A connection to the server; `undefined` if it fails. */
const connected = (port: number): Effect.Effect<net.Socket | undefined> =>
  Effect.async((resume) => {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true })
    socket.on("error", () => resume(Effect.succeed(undefined)))
    socket.once("connect", () => resume(Effect.succeed(socket)))
    return closed(socket)
  })

/** The bytes that have arrived; `None` when the side has ended or is broken. */
const nextBlock = (socket: net.Socket): Effect.Effect<Option.Option<Uint8Array>> =>
  Effect.async((resume) => {
    const stop = () => {
      socket.off("readable", take)
      socket.off("end", ended)
    }
    const ended = () => {
      stop()
      resume(Effect.succeedNone)
    }
    const take = () => {
      const block: unknown = socket.read()
      if (!(block instanceof Uint8Array)) return
      stop()
      resume(Effect.succeed(Option.some(block)))
    }
    if (socket.readableEnded) return ended()
    socket.on("readable", take)
    socket.on("end", ended)
    take()
    return Effect.sync(stop)
  })

/** Returns when the system has taken the bytes, or the connection is gone. */
const written = (socket: net.Socket, bytes: Uint8Array): Effect.Effect<void> =>
  Effect.async((resume) => {
    socket.write(bytes, () => resume(Effect.void))
  })

/** Closes both sides gracefully and waits until they are gone. */
const inGoodOrder = (sockets: ReadonlyArray<net.Socket>): Effect.Effect<void> =>
  Effect.forEach(sockets, (socket) =>
    Effect.async<void>((resume) => {
      if (socket.closed) return resume(Effect.void)
      socket.once("close", () => resume(Effect.void))
      socket.end()
      socket.resume()
    }), { concurrency: "unbounded", discard: true })

const closed = (socket: net.Socket | undefined): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (socket === undefined || socket.closed) return resume(Effect.void)
    socket.once("close", () => resume(Effect.void))
    socket.destroy()
  })
