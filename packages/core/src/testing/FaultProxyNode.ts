/**
 * A TCP proxy for tests on Node. It stands in front of a real server and degrades the connection in ways that the test
 * chooses, called toxics.
 *
 * A toxic strikes the bytes of one direction: `up`, from the client to the server, or `down`. Whether it strikes a
 * connection is decided at random; with a seed, the n-th connection has the same fate in every run. Toxics can
 * be changed while connections are open. Each counts the connections that it has struck: a test should check
 * that `missed` of {@link FaultProxy} is empty, so that it does not pass merely because no fault occurred.
 *
 * All waits use `Clock`. The proxy listens on 127.0.0.1 only; its sockets are closed with the scope.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import type * as ByteSize from "../ByteSize.js"
import * as Decode from "../internal/values/decode.js"
import * as FaultConnection from "./internal/faults/connectionNode.js"

/**
 * Options that all toxics share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  /** The name it is counted under. Defaults to its kind: `latency`, `reset` and so on. */
  readonly name?: string | undefined
  /** The bytes that it strikes: those to the server or those from it. Defaults to `up`. */
  readonly direction?: "up" | "down" | undefined
  /** The fraction of connections that it strikes, from 0 to 1. Defaults to 1. */
  readonly probability?: number | undefined
  /** The most connections that it strikes; later ones are spared. Defaults to all. */
  readonly times?: number | undefined
}

/**
 * One way to degrade a connection.
 *
 * @since 0.1.0
 * @category models
 */
export type Toxic = FaultConnection.Toxic

/**
 * Delays every block of bytes. Blocks keep their order and are not slowed down further: the line is long, not narrow.
 * `delay` defaults to 0; `jitter`, the upper bound of a random extra delay, defaults to 0.
 *
 * @since 0.1.0
 * @category toxics
 */
export const latency = (
  options: Target & {
    readonly delay?: Duration.DurationInput | undefined
    readonly jitter?: Duration.DurationInput | undefined
  }
): Toxic =>
  make("latency", options, {
    _tag: "Latency",
    delayMillis: millis("delay", options.delay ?? 0),
    jitterMillis: millis("jitter", options.jitter ?? 0)
  })

/**
 * Limits each connection to a number of bytes a second.
 *
 * @since 0.1.0
 * @category toxics
 */
export const bandwidth = (options: Target & { readonly bytesPerSecond: ByteSize.ByteSizeInput }): Toxic =>
  make("bandwidth", options, {
    _tag: "Bandwidth",
    bytesPerSecond: Decode.size("bytesPerSecond", options.bytesPerSecond)
  })

/**
 * Limits all connections together to a number of bytes a second, which they share equally: each connection with bytes
 * to pass takes turns with up to 16 KiB.
 *
 * @since 0.1.0
 * @category toxics
 */
export const sharedBandwidth = (options: Target & { readonly bytesPerSecond: ByteSize.ByteSizeInput }): Toxic =>
  make("sharedBandwidth", options, {
    _tag: "SharedBandwidth",
    bytesPerSecond: Decode.size("bytesPerSecond", options.bytesPerSecond)
  })

/**
 * Delays the end of one side's stream.
 *
 * @since 0.1.0
 * @category toxics
 */
export const slowClose = (options: Target & { readonly delay: Duration.DurationInput }): Toxic =>
  make("slowClose", options, { _tag: "SlowClose", delayMillis: millis("delay", options.delay) })

/**
 * Swallows all bytes after the first `after`, which defaults to 0.
 *
 * @since 0.1.0
 * @category toxics
 */
export const timeout = (options: Target & { readonly after?: ByteSize.ByteSizeInput | undefined } = {}): Toxic =>
  make("timeout", options, { _tag: "Timeout", afterBytes: Decode.size("after", options.after ?? 0, 0) })

/**
 * Sends both sides a TCP reset after `after` bytes, which defaults to 0.
 *
 * @since 0.1.0
 * @category toxics
 */
export const reset = (options: Target & { readonly after?: ByteSize.ByteSizeInput | undefined } = {}): Toxic =>
  make("reset", options, { _tag: "Reset", afterBytes: Decode.size("after", options.after ?? 0, 0) })

/**
 * Passes bytes on in segments of limited size, each after a delay that defaults to 0.
 *
 * @since 0.1.0
 * @category toxics
 */
export const slice = (
  options: Target & { readonly bytes: ByteSize.ByteSizeInput; readonly delay?: Duration.DurationInput | undefined }
): Toxic =>
  make("slice", options, {
    _tag: "Slice",
    bytes: Decode.size("bytes", options.bytes),
    delayMillis: millis("delay", options.delay ?? 0)
  })

/**
 * Closes the connection gracefully on both sides after a number of bytes.
 *
 * @since 0.1.0
 * @category toxics
 */
export const limit = (options: Target & { readonly bytes: ByteSize.ByteSizeInput }): Toxic =>
  make("limit", options, { _tag: "Limit", bytes: Decode.size("bytes", options.bytes, 0) })

/**
 * Resets new connections as soon as they are made, and open ones at once. New ones never reach the server.
 *
 * @since 0.1.0
 * @category toxics
 */
export const down = (options: Omit<Target, "direction"> = {}): Toxic => make("down", options, { _tag: "Down" })

/**
 * Whether a toxic strikes the n-th connection, from 1, of a proxy with this seed.
 *
 * @since 0.1.0
 * @category guards
 */
export const strikes = (
  toxic: Toxic,
  options: { readonly seed: number | string; readonly connection: number }
): Effect.Effect<boolean> => Effect.map(diceOf(toxic, options).next, (drawn) => drawn < toxic.probability)

/**
 * A running proxy.
 *
 * @since 0.1.0
 * @category tags
 */
export class FaultProxy extends Context.Tag("@sluice/core/testing/FaultProxyNode/FaultProxy")<FaultProxy, {
  /** The port on which it listens, on 127.0.0.1. */
  readonly port: number
  /** The seed that decides which connections are struck. */
  readonly seed: number | string
  /** Replaces the toxics, also for open connections. */
  readonly set: (...toxics: ReadonlyArray<Toxic>) => Effect.Effect<void>
  /** The number of connections that the toxic of this name has ever struck. */
  readonly struck: (name: string) => Effect.Effect<number>
  /** The names of toxics that were ever in place and have struck no connection. */
  readonly missed: Effect.Effect<ReadonlyArray<string>>
  /** The number of connections ever made. */
  readonly accepted: Effect.Effect<number>
  /** The number of open connections. */
  readonly open: Effect.Effect<number>
  /** The number of bytes passed on, by direction. */
  readonly passed: Effect.Effect<{ readonly up: number; readonly down: number }>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The port of the server on 127.0.0.1. */
  readonly port: number
  /** The toxics at the start. Defaults to none. */
  readonly toxics?: ReadonlyArray<Toxic> | undefined
  /** The seed that decides which connections are struck, and how hard. Defaults to a number from `Random`. */
  readonly seed?: number | string | undefined
}

/**
 * A proxy as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<FaultProxy> => Layer.scoped(FaultProxy, serve(options))

/**
 * Serves until the scope ends, which closes all of its sockets.
 *
 * @example
 * ```ts
 * import * as FaultProxy from "@sluice/core/testing/FaultProxyNode"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const proxy = yield* FaultProxy.serve({ port: 9000, seed: 1 })
 *   yield* proxy.set(FaultProxy.reset({ after: "1 MiB", probability: 0.5 }))
 *   // … upload to http://127.0.0.1:${proxy.port}
 *   return yield* proxy.missed
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const serve = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<FaultProxy["Type"], never, Scope.Scope> {
    const seed = options.seed ?? (yield* Random.nextInt)
    const clock = yield* Effect.clock
    const counts = new Map<string, number>()
    const links = new Map<Toxic, FaultConnection.Link>()
    const passed = { up: 0, down: 0 }
    const connections = new Set<FaultConnection.Connection>()
    let accepted = 0
    let toxics: ReadonlyArray<Toxic> = []

    const put = (next: ReadonlyArray<Toxic>): Effect.Effect<void> =>
      Effect.suspend(() => {
        toxics = next
        for (const { name } of next) counts.set(name, counts.get(name) ?? 0)
        return Effect.forEach([...connections], (connection) => connection.toxicsChanged, { discard: true })
      })
    yield* put(options.toxics ?? [])

    const linkOf = (toxic: Toxic): FaultConnection.Link => {
      const link = links.get(toxic) ?? { freeAt: 0 }
      links.set(toxic, link)
      return link
    }

    const waiting = yield* Queue.unbounded<net.Socket>()
    const server = yield* listening(waiting)
    const address = server.address()
    const port = address !== null && typeof address === "object" ? address.port : 0

    const meet = (client: net.Socket): Effect.Effect<void> =>
      Effect.suspend(() => {
        accepted += 1
        const number = accepted
        const connection = new FaultConnection.Connection({
          client,
          port: options.port,
          clock,
          passed,
          toxics: () => toxics,
          linkOf,
          activate: (toxic) => activate(toxic, { seed, connection: number }, counts)
        })
        connections.add(connection)
        return Effect.ensuring(connection.run, Effect.sync(() => connections.delete(connection)))
      })
    yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(waiting), (client) => Effect.fork(meet(client)))))

    return FaultProxy.of({
      port,
      seed,
      set: (...next) => put(next),
      struck: (name) => Effect.sync(() => counts.get(name) ?? 0),
      missed: Effect.sync(() => [...counts].flatMap(([name, count]) => count === 0 ? [name] : [])),
      accepted: Effect.sync(() => accepted),
      open: Effect.sync(() => connections.size),
      passed: Effect.sync(() => ({ ...passed }))
    })
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const millis = (name: string, value: Duration.DurationInput): number => Decode.millis(name, value, { orNone: true })

const make = (name: string, target: Target, kind: Toxic["kind"]): Toxic => ({
  name: target.name ?? name,
  direction: target.direction ?? "up",
  probability: Decode.between("probability", target.probability ?? 1, 0, 1),
  times: Decode.count("times", target.times ?? Infinity, 0),
  kind
})

/** The random numbers for one connection, independent of everything else. */
const diceOf = (
  { name }: Toxic,
  { connection, seed }: { readonly seed: number | string; readonly connection: number }
): Random.Random => Random.make(`${seed}:${connection}:${name}`)

const activate = (
  toxic: Toxic,
  options: { readonly seed: number | string; readonly connection: number },
  counts: Map<string, number>
): Effect.Effect<FaultConnection.ActiveToxic> => {
  let struck = false
  const countOf = () => counts.get(toxic.name) ?? 0
  return Effect.map(strikes(toxic, options), (drawn) => ({
    toxic,
    random: diceOf({ ...toxic, name: `${toxic.name}:jitter` }, options),
    applies: () => drawn && (struck || countOf() < toxic.times),
    strike: () => {
      if (!struck) counts.set(toxic.name, countOf() + 1)
      struck = true
    }
  }))
}

/** A server whose connections end with the scope. Either side of a connection may end before the other. */
const listening = (waiting: Queue.Enqueue<net.Socket>): Effect.Effect<net.Server, never, Scope.Scope> => {
  const sockets = new Set<net.Socket>()
  const listen = Effect.async<net.Server>((resume) => {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.once("close", () => sockets.delete(socket))
      waiting.unsafeOffer(socket)
    })
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  })
  return Effect.acquireRelease(listen, (server) =>
    Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      for (const socket of sockets) socket.destroy()
    }))
}
