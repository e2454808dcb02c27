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

/** One way in which the line is bad. */
export interface Toxic {
  readonly name: string
  readonly direction: "up" | "down"
  /** The part of connections that it strikes, from 0 to 1. */
  readonly probability: number
  /** How many connections it strikes at most. */
  readonly times: number
  readonly kind:
    | { readonly _tag: "Latency"; readonly delayMillis: number; readonly jitterMillis: number }
    | { readonly _tag: "Bandwidth"; readonly bytesPerSecond: number }
    | { readonly _tag: "SlowClose"; readonly delayMillis: number }
    | { readonly _tag: "Timeout"; readonly afterBytes: number }
    | { readonly _tag: "Reset"; readonly afterBytes: number }
    | { readonly _tag: "Slice"; readonly bytes: number; readonly delayMillis: number }
    | { readonly _tag: "Limit"; readonly bytes: number }
    | { readonly _tag: "Down" }
}

/** A toxic as it is for one connection. */
export interface ActiveToxic {
  readonly toxic: Toxic
  readonly random: Random.Random
  /** Whether it strikes this connection: by its dice, and as long as it has not struck as often as it may. */
  readonly applies: () => boolean
  /** It has struck. */
  readonly strike: () => void
}

export interface Setting {
  readonly client: net.Socket
  /** The server's port. */
  readonly port: number
  readonly clock: Clock.Clock
  readonly passed: { up: number; down: number }
  readonly toxics: () => ReadonlyArray<Toxic>
  readonly activate: (toxic: Toxic) => Effect.Effect<ActiveToxic>
}

type Kind<Tag extends Toxic["kind"]["_tag"]> = Extract<Toxic["kind"], { readonly _tag: Tag }>

/** How a connection ends before both sides have. */
type End = "reset" | "limit" | "gone"

/** What has been read, and when; the last says that the side has ended. */
interface Arrived {
  readonly block: Uint8Array | undefined
  readonly at: number
}

export class Connection {
  private readonly setting: Setting
  private readonly active = new Map<Toxic, ActiveToxic>()
  private readonly over = Deferred.unsafeMake<End>(FiberId.none)
  private server: net.Socket | undefined = undefined

  constructor(setting: Setting) {
    this.setting = setting
  }

  /** Passes bytes on until both sides have ended, or a toxic ends it. Its sockets are closed then. */
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

  /** What to do at once where the toxics are others now. */
  get toxicsChanged(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const [struck] = yield* this.all("Down")
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
  ): Effect.Effect<ReadonlyArray<ActiveToxic & { readonly kind: Kind<Tag> }>> {
    const isOfTag = (kind: Toxic["kind"]): kind is Kind<Tag> => kind._tag === tag
    return Effect.gen(this, function*() {
      const found: Array<ActiveToxic & { readonly kind: Kind<Tag> }> = []
      for (const toxic of this.setting.toxics()) {
        const { kind } = toxic
        if (!isOfTag(kind) || (direction !== undefined && toxic.direction !== direction)) continue
        const active = this.active.get(toxic) ?? (yield* this.setting.activate(toxic))
        this.active.set(toxic, active)
        if (active.applies()) found.push({ ...active, kind })
      }
      return found
    })
  }

  // ---------------------------------------------------------------------------
  // one direction
  // ---------------------------------------------------------------------------

  private pump(direction: "up" | "down", from: net.Socket, to: net.Socket): Effect.Effect<void> {
    const { clock, passed } = this.setting
    let total = 0
    let swallowed = false
    /** When the line is free again, by its bandwidth. */
    let freeAt = 0

    const sleepUntil = (millis: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const wait = millis - clock.unsafeCurrentTimeMillis()
        return wait > 0 ? clock.sleep(Duration.millis(wait)) : Effect.void
      })

    const pass = (bytes: Uint8Array) =>
      Effect.gen(this, function*() {
        for (const { kind, strike } of yield* this.all("Bandwidth", direction)) {
          strike()
          freeAt = Math.max(freeAt, clock.unsafeCurrentTimeMillis()) + bytes.length * 1000 / kind.bytesPerSecond
          yield* sleepUntil(freeAt)
        }
        yield* written(to, bytes)
        total += bytes.length
        passed[direction] += bytes.length
      })

    /** The size of the pieces that a block is passed on in, and the time before each. */
    const cut = (size: number) =>
      Effect.gen(this, function*() {
        let [most, delay] = [size, 0]
        // Ten steps a second, so that a narrow line moves evenly.
        for (const { kind } of yield* this.all("Bandwidth", direction)) {
          most = Math.min(most, Math.max(1, Math.floor(kind.bytesPerSecond / 10)))
        }
        for (const { kind, strike } of yield* this.all("Slice", direction)) {
          if (kind.bytes < size) strike()
          most = Math.min(most, kind.bytes)
          delay = Math.max(delay, kind.delayMillis)
        }
        return { most, delay }
      })

    /** How many bytes may still pass, and what comes then. */
    const bound = Effect.gen(this, function*() {
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
      for (const active of yield* this.all("Reset", direction)) {
        narrow(active.kind.afterBytes, active, () => this.end("reset"))
      }
      for (const active of yield* this.all("Limit", direction)) {
        narrow(active.kind.bytes, active, () => this.end("limit"))
      }
      for (const active of yield* this.all("Timeout", direction)) {
        narrow(active.kind.afterBytes, active, () => {
          swallowed = true
        })
      }
      return { room, next }
    })

    const passBlock = ({ at, block }: { readonly at: number; readonly block: Uint8Array }): Effect.Effect<void> =>
      Effect.gen(this, function*() {
        for (const { kind, random, strike } of yield* this.all("Latency", direction)) {
          strike()
          yield* sleepUntil(at + kind.delayMillis + Math.round((yield* random.next) * kind.jitterMillis))
        }
        for (let rest = block; rest.length > 0;) {
          const { next, room } = yield* bound
          const { delay, most } = yield* cut(rest.length)
          const bytes = rest.subarray(0, Math.min(room, most))
          if (bytes.length > 0) {
            if (delay > 0) yield* clock.sleep(Duration.millis(delay))
            yield* pass(bytes)
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
      for (const { kind, strike } of yield* this.all("SlowClose", direction)) {
        strike()
        yield* clock.sleep(Duration.millis(kind.delayMillis))
      }
      yield* Effect.sync(() => to.end())
    })

    return Effect.gen(this, function*() {
      // What is under way on a long line; who reads more has to wait.
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

/** A connection to the server; `undefined` where there is none. */
const connected = (port: number): Effect.Effect<net.Socket | undefined> =>
  Effect.async((resume) => {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true })
    socket.on("error", () => resume(Effect.succeed(undefined)))
    socket.once("connect", () => resume(Effect.succeed(socket)))
    return closed(socket)
  })

/** What has come, however much that is; none when the side has ended. One that is broken gives nothing any more. */
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

/** Returns when the system has the bytes, or the connection is gone. */
const written = (socket: net.Socket, bytes: Uint8Array): Effect.Effect<void> =>
  Effect.async((resume) => {
    socket.write(bytes, () => resume(Effect.void))
  })

/** Tells both sides that the other has ended, and waits until they have gone. */
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
