import { assert, describe, it } from "@effect/vitest"
import * as FaultProxy from "@sluice/core/testing/FaultProxyNode"
import { Effect, Exit, Fiber, Scope, TestClock } from "effect"
import * as net from "node:net"
import { pattern, sameBytes } from "../support/TestSource.js"

/** One side of a connection, and what becomes of it. */
interface Side {
  readonly socket: net.Socket
  readonly received: () => Buffer
  /** The sizes of the blocks as they came. */
  readonly blocks: () => ReadonlyArray<number>
  /** Waits for so many bytes. */
  readonly bytes: (count: number) => Effect.Effect<Buffer>
  /** Waits for the other side's end: in good order, or by a reset. */
  readonly ended: Effect.Effect<"end" | "reset">
  readonly write: (bytes: Uint8Array) => Effect.Effect<void>
}

const side = (socket: net.Socket): Side => {
  const blocks: Array<Buffer> = []
  const watchers = new Set<() => void>()
  let end: "end" | "reset" | undefined = undefined
  const changed = () => {
    for (const watcher of watchers) watcher()
  }
  const over = (how: "end" | "reset") => {
    end ??= how
    changed()
  }
  socket.on("data", (block: Buffer) => {
    blocks.push(block)
    changed()
  })
  socket.on("error", () => over("reset"))
  socket.on("end", () => over("end"))
  const until = <A>(get: () => A | undefined) =>
    Effect.async<A>((resume) => {
      const look = () => {
        const value = get()
        if (value === undefined) return
        watchers.delete(look)
        resume(Effect.succeed(value))
      }
      watchers.add(look)
      look()
    })
  const received = () => Buffer.concat(blocks)
  return {
    socket,
    received,
    blocks: () => blocks.map((block) => block.length),
    bytes: (count) => until(() => received().length >= count ? received() : undefined),
    ended: until(() => end),
    write: (bytes) => Effect.async((resume) => void socket.write(bytes, () => resume(Effect.void)))
  }
}

/** A server behind a proxy, and a way to connect through it. */
const setup = (options: Omit<FaultProxy.Options, "port"> = {}) =>
  Effect.gen(function*() {
    const arrived: Array<net.Socket> = []
    const waiting: Array<(socket: net.Socket) => void> = []
    const all = new Set<net.Socket>()
    const server = yield* Effect.acquireRelease(
      Effect.async<net.Server>((resume) => {
        const listening = net.createServer({ allowHalfOpen: true }, (socket) => {
          socket.on("error", () => {})
          all.add(socket)
          const next = waiting.shift()
          if (next === undefined) arrived.push(socket)
          else next(socket)
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
      }),
      (listening) =>
        Effect.async<void>((resume) => {
          listening.close(() => resume(Effect.void))
          for (const socket of all) socket.destroy()
        })
    )
    const address = server.address()
    const port = address !== null && typeof address === "object" ? address.port : 0
    const proxy = yield* FaultProxy.serve({ port, seed: 1, ...options })
    const accept = Effect.async<net.Socket>((resume) => {
      const socket = arrived.shift()
      if (socket === undefined) waiting.push((next) => resume(Effect.succeed(next)))
      else resume(Effect.succeed(socket))
    })
    const connect = Effect.acquireRelease(
      Effect.async<Side>((resume) => {
        const socket = net.connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen: true })
        const client = side(socket)
        socket.once("connect", () => resume(Effect.succeed(client)))
        socket.once("error", () => resume(Effect.succeed(client)))
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    )
    const served = Effect.acquireRelease(Effect.map(accept, side), ({ socket }) => Effect.sync(() => socket.destroy()))
    const pair = Effect.all([connect, served], { concurrency: 2 })
    return { proxy, connect, pair, served }
  })

const bytes = pattern(300_000)

describe("FaultProxy", () => {
  it.scoped("passes all bytes on both ways, and each side's end", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup()
      const [client, server] = yield* pair
      yield* client.write(bytes)
      client.socket.end()
      assert.isTrue(sameBytes(yield* server.bytes(bytes.length), bytes))
      assert.strictEqual(yield* server.ended, "end")
      // The client has ended, and may still be answered.
      yield* server.write(bytes.subarray(0, 1000))
      server.socket.end()
      assert.isTrue(sameBytes(yield* client.bytes(1000), bytes.subarray(0, 1000)))
      assert.strictEqual(yield* client.ended, "end")
      assert.deepStrictEqual(yield* proxy.passed, { up: bytes.length, down: 1000 })
      assert.strictEqual(yield* proxy.accepted, 1)
    }))

  it.scoped("informs one side that the other was reset", () =>
    Effect.gen(function*() {
      const { pair } = yield* setup()
      const [client, server] = yield* pair
      client.socket.resetAndDestroy()
      assert.strictEqual(yield* server.ended, "reset")
    }))

  it.scoped("latency: holds every block back by the clock", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup({ toxics: [FaultProxy.latency({ delay: "50 millis" })] })
      const [client, server] = yield* pair
      yield* client.write(bytes.subarray(0, 100))
      // The other direction is not struck: what the server says comes at once, while the client's bytes wait.
      yield* server.write(bytes.subarray(0, 10))
      yield* client.bytes(10)
      yield* untilStruck(proxy, "latency")
      yield* TestClock.adjust("49 millis")
      assert.deepStrictEqual(yield* proxy.passed, { up: 0, down: 10 })
      yield* TestClock.adjust("1 millis")
      assert.isTrue(sameBytes(yield* server.bytes(100), bytes.subarray(0, 100)))
      assert.deepStrictEqual(yield* proxy.missed, [])
    }))

  it.scoped("latency: adds jitter that the seed decides", () =>
    Effect.gen(function*() {
      const delayOf = (seed: number) =>
        Effect.scoped(Effect.gen(function*() {
          const { pair, proxy } = yield* setup({ seed, toxics: [FaultProxy.latency({ jitter: "1 second" })] })
          const [client] = yield* pair
          yield* client.write(bytes.subarray(0, 1))
          yield* untilStruck(proxy, "latency")
          let millis = 0
          // Whether it has passed shows after some turns of the sockets; until then the clock advances in small steps.
          while ((yield* proxy.passed).up === 0) {
            yield* TestClock.adjust("100 millis")
            millis += 100
            yield* Effect.repeatN(turn, 20)
          }
          return millis
        }))
      const delays = yield* Effect.forEach([1, 2, 3, 4, 5], delayOf)
      assert.deepStrictEqual(yield* Effect.forEach([1, 2, 3, 4, 5], delayOf), delays)
      assert.isAbove(new Set(delays).size, 1)
      assert.isAtMost(Math.max(...delays), 1000)
    }))

  it.scoped("bandwidth: passes no more than the clock allows", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup({ toxics: [FaultProxy.bandwidth({ bytesPerSecond: 1000 })] })
      const [client, server] = yield* pair
      yield* client.write(bytes.subarray(0, 1000))
      yield* untilStruck(proxy, "bandwidth")
      for (let tenth = 1; tenth <= 10; tenth++) {
        yield* TestClock.adjust("99 millis")
        assert.strictEqual((yield* proxy.passed).up, (tenth - 1) * 100)
        yield* TestClock.adjust("1 millis")
        yield* server.bytes(tenth * 100)
        yield* turn
      }
      assert.isTrue(sameBytes(server.received(), bytes.subarray(0, 1000)))
    }))

  it.scoped("bandwidth: a line that was idle for a while makes up for nothing", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup({ toxics: [FaultProxy.bandwidth({ bytesPerSecond: 1000 })] })
      const [client, server] = yield* pair
      yield* TestClock.adjust("10 seconds")
      yield* client.write(bytes.subarray(0, 100))
      yield* untilStruck(proxy, "bandwidth")
      yield* TestClock.adjust("99 millis")
      assert.strictEqual((yield* proxy.passed).up, 0)
      yield* TestClock.adjust("1 millis")
      yield* server.bytes(100)
    }))

  it.scoped("sharedBandwidth: passes no more on all connections, in equal parts", () =>
    Effect.gen(function*() {
      const toxics = [FaultProxy.sharedBandwidth({ bytesPerSecond: 1000 })]
      const { pair, proxy } = yield* setup({ toxics })
      const pairs = yield* Effect.all([pair, pair])
      for (const [client] of pairs) yield* client.write(bytes.subarray(0, 500))
      yield* Effect.repeat(turn, { until: () => Effect.map(proxy.struck("sharedBandwidth"), (count) => count === 2) })
      const received = () => pairs.map(([, server]) => server.received().length)
      // A piece of a tenth of a second each, by turns.
      for (let tenth = 1; tenth <= 10; tenth++) {
        yield* TestClock.adjust("99 millis")
        assert.strictEqual((yield* proxy.passed).up, (tenth - 1) * 100)
        yield* TestClock.adjust("1 millis")
        const [one = 0, other = 0] = [Math.ceil(tenth / 2) * 100, Math.floor(tenth / 2) * 100]
        yield* Effect.repeat(turn, { until: () => received()[0]! + received()[1]! >= tenth * 100 })
        assert.deepStrictEqual(received().sort((a, b) => b - a), [one, other])
        yield* Effect.repeatN(turn, 5)
      }
      for (const [, server] of pairs) assert.isTrue(sameBytes(server.received(), bytes.subarray(0, 500)))
    }))

  it.scoped("slice: cuts into small segments, with a delay before each", () =>
    Effect.gen(function*() {
      const toxics = [FaultProxy.slice({ bytes: 100, delay: "10 millis", direction: "down" })]
      const { pair, proxy } = yield* setup({ toxics })
      const [client, server] = yield* pair
      yield* server.write(bytes.subarray(0, 1000))
      yield* untilStruck(proxy, "slice")
      for (let segment = 1; segment <= 10; segment++) {
        yield* TestClock.adjust("9 millis")
        assert.strictEqual((yield* proxy.passed).down, (segment - 1) * 100)
        yield* TestClock.adjust("1 millis")
        yield* client.bytes(segment * 100)
        yield* turn
      }
      assert.deepStrictEqual(client.blocks(), Array.from({ length: 10 }, () => 100))
      assert.isTrue(sameBytes(client.received(), bytes.subarray(0, 1000)))
    }))

  it.scoped("slowClose: passes on late that a side has ended", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup({ toxics: [FaultProxy.slowClose({ delay: "1 second" })] })
      const [client, server] = yield* pair
      yield* client.write(bytes.subarray(0, 100))
      client.socket.end()
      yield* server.bytes(100)
      yield* untilStruck(proxy, "slowClose")
      const ended = yield* Effect.fork(server.ended)
      yield* TestClock.adjust("999 millis")
      yield* Effect.repeatN(turn, 20)
      assert.isNull(yield* Fiber.poll(ended).pipe(Effect.map((polled) => polled._tag === "None" ? null : polled)))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(ended), "end")
    }))

  it.scoped("timeout: swallows all bytes after a number of them", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup({ toxics: [FaultProxy.timeout({ after: 1000 })] })
      const [client, server] = yield* pair
      // More than the buffers of two connections would hold.
      yield* client.write(pattern(20_000_000))
      yield* server.bytes(1000)
      assert.strictEqual((yield* proxy.passed).up, 1000)
      // The other direction is well.
      yield* server.write(bytes.subarray(0, 10))
      yield* client.bytes(10)
      assert.strictEqual(server.received().length, 1000)
      // The server is not told that all is well when the client goes.
      client.socket.end()
      assert.strictEqual(yield* server.ended, "reset")
    }))

  for (const direction of ["up", "down"] as const) {
    it.scoped(`reset: resets both sides after so many bytes ${direction}`, () =>
      Effect.gen(function*() {
        const { pair, proxy } = yield* setup({ toxics: [FaultProxy.reset({ after: 1000, direction })] })
        const [client, server] = yield* pair
        const [from, to] = direction === "up" ? [client, server] : [server, client]
        yield* from.write(bytes.subarray(0, 999))
        yield* to.bytes(999)
        assert.strictEqual(yield* proxy.struck("reset"), 0)
        yield* from.write(bytes.subarray(0, 5000))
        assert.strictEqual(yield* from.ended, "reset")
        // Node takes a reset that comes together with bytes for an end.
        yield* to.ended
        assert.strictEqual((yield* proxy.passed)[direction], 1000)
        assert.isAtMost(to.received().length, 1000)
        assert.strictEqual(yield* proxy.struck("reset"), 1)
      }))
  }

  it.scoped("limit: ends both sides in good order after so many bytes", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup({ toxics: [FaultProxy.limit({ bytes: 1000 })] })
      const [client, server] = yield* pair
      yield* client.write(bytes.subarray(0, 5000))
      assert.deepStrictEqual([yield* client.ended, yield* server.ended], ["end", "end"])
      assert.isTrue(sameBytes(server.received(), bytes.subarray(0, 1000)))
      assert.deepStrictEqual(yield* proxy.passed, { up: 1000, down: 0 })
    }))

  it.scoped("down: resets new connections, which never reach the server", () =>
    Effect.gen(function*() {
      const { connect, pair, proxy } = yield* setup({ toxics: [FaultProxy.down()] })
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* Effect.flatMap(connect, ({ ended }) => ended), "reset")
      assert.strictEqual(yield* proxy.struck("down"), 3)
      yield* proxy.set()
      // The first connection that the server gets is this one.
      const [client, server] = yield* pair
      yield* client.write(bytes.subarray(0, 10))
      assert.isTrue(sameBytes(yield* server.bytes(10), bytes.subarray(0, 10)))
    }))

  it.scoped("resets a client when the server is unreachable", () =>
    Effect.gen(function*() {
      const { proxy } = yield* setup()
      const behind = yield* FaultProxy.serve({ port: yield* freePort, seed: 1 })
      const ended = yield* Effect.async<"end" | "reset">((resume) => {
        const socket = net.connect(behind.port, "127.0.0.1")
        socket.on("error", () => resume(Effect.succeed("reset")))
        socket.on("end", () => resume(Effect.succeed("end")))
        socket.resume()
      })
      assert.strictEqual(ended, "reset")
      assert.strictEqual(yield* proxy.accepted, 0)
    }))

  it.scoped("changes toxics under connections that are open", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup()
      const [client, server] = yield* pair
      yield* client.write(bytes.subarray(0, 500))
      yield* server.bytes(500)
      yield* proxy.set(FaultProxy.latency({ delay: "1 second" }), FaultProxy.limit({ bytes: 700 }))
      yield* client.write(bytes.subarray(500, 1000))
      yield* untilStruck(proxy, "latency")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* server.ended, "end")
      assert.isTrue(sameBytes(server.received(), bytes.subarray(0, 700)))
      // Toxics that end connections at once also strike open ones.
      const [second] = yield* pair
      yield* proxy.set(FaultProxy.down())
      assert.strictEqual(yield* second.ended, "reset")
      assert.deepStrictEqual(yield* proxy.missed, [])
    }))

  it.scoped("strikes the same connections in every run of a seed, and others of another", () =>
    Effect.gen(function*() {
      const fates = (seed: number | string) =>
        Effect.scoped(Effect.gen(function*() {
          const { connect, proxy } = yield* setup({ seed, toxics: [FaultProxy.down({ probability: 0.5 })] })
          let before = 0
          const all: Array<boolean> = []
          for (let i = 0; i < 40; i++) {
            const client = yield* connect
            yield* client.write(bytes.subarray(0, 1))
            yield* until(
              Effect.map(
                Effect.all([proxy.accepted, proxy.open, proxy.struck("down")]),
                ([accepted, open, struck]) => accepted === i + 1 && open + struck === i + 1
              )
            )
            const struck = yield* proxy.struck("down")
            all.push(struck > before)
            before = struck
          }
          return all
        }))
      const first = yield* fates(7)
      assert.deepStrictEqual(yield* fates(7), first)
      const other = yield* fates(8)
      assert.notDeepEqual(other, first)
      for (const all of [first, other]) {
        const count = all.filter((struck) => struck).length
        assert.isTrue(count >= 8 && count <= 32, `${count} of 40`)
      }
    }))

  it.scoped("strikes no more connections than it may", () =>
    Effect.gen(function*() {
      const { pair, proxy } = yield* setup({ toxics: [FaultProxy.limit({ bytes: 5, times: 2 })] })
      for (let i = 0; i < 2; i++) {
        const [client, server] = yield* pair
        yield* client.write(bytes.subarray(0, 10))
        yield* server.ended
        assert.strictEqual(server.received().length, 5)
      }
      const [client, server] = yield* pair
      yield* client.write(bytes.subarray(0, 10))
      assert.isTrue(sameBytes(yield* server.bytes(10), bytes.subarray(0, 10)))
      assert.strictEqual(yield* proxy.struck("limit"), 2)
    }))

  it.scoped("names the toxics that never struck", () =>
    Effect.gen(function*() {
      const toxics = [
        FaultProxy.reset({ after: 1000, name: "cut far" }),
        FaultProxy.slice({ bytes: 10 }),
        FaultProxy.latency({ delay: 0, probability: 0, name: "never" })
      ]
      const { pair, proxy } = yield* setup({ toxics })
      assert.deepStrictEqual([...yield* proxy.missed], ["cut far", "slice", "never"])
      const [client, server] = yield* pair
      yield* client.write(bytes.subarray(0, 100))
      yield* server.bytes(100)
      assert.deepStrictEqual([...yield* proxy.missed], ["cut far", "never"])
      // What has been taken away is not forgotten.
      yield* proxy.set()
      assert.deepStrictEqual([...yield* proxy.missed], ["cut far", "never"])
    }))

  it.effect("closes all sockets with its scope", () =>
    Effect.scoped(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const stalled = FaultProxy.timeout({ name: "stalled", probability: 0.5 })
      const late = FaultProxy.latency({ delay: "1 hour" })
      const { proxy, served } = yield* setup()
      const inner = yield* Scope.extend(FaultProxy.serve({ port: proxy.port, seed: 1, toxics: [stalled, late] }), scope)
      const clients = yield* Effect.forEach(Array.from({ length: 10 }), () =>
        Effect.async<Side>((resume) => {
          const client = side(net.connect(inner.port, "127.0.0.1"))
          client.socket.once("connect", () => resume(Effect.succeed(client)))
        }))
      const servers = yield* Effect.forEach(clients, () => served)
      for (const client of clients) yield* client.write(bytes.subarray(0, 1000))
      yield* until(Effect.map(inner.struck("latency"), (count) => count === 10))
      assert.strictEqual(yield* inner.open, 10)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* inner.open, 0)
      for (const { ended } of [...clients, ...servers]) yield* ended
      for (const { socket } of servers) socket.end()
      // The proxy behind this one has seen all of them go.
      yield* until(Effect.map(proxy.open, (open) => open === 0))
      const refused = yield* Effect.async<string>((resume) => {
        net.connect(inner.port, "127.0.0.1").on("error", (error: NodeJS.ErrnoException) =>
          resume(Effect.succeed(error.code ?? "")))
      })
      assert.strictEqual(refused, "ECONNREFUSED")
    })))
})

const freePort = Effect.async<number>((resume) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = address !== null && typeof address === "object" ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const until = (holds: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.flatMap(holds, (yes) => yes ? Effect.void : Effect.zipRight(turn, until(holds)))

const untilStruck = (proxy: FaultProxy.FaultProxy["Type"], name: string): Effect.Effect<void> =>
  until(Effect.map(proxy.struck(name), (count) => count > 0))

/** Lets the sockets of this process have a turn. */
const turn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))
