/**
 * A simulated network: latency, bandwidth, failures and throttling to order, all on `Clock` and `Random`.
 *
 * A put takes `requestLatency`, then the time of its bytes: `latencyPerByte` for each, no faster than
 * `bytesPerSecond` on its connection and, together with all other connections, than `sharedBytesPerSecond`. It fails
 * with the probability `failureRate`, at a random point of its bytes. With `maxInFlight`, what is above that is
 * throttled. With a seed and a virtual clock the same uploads have the same history, whatever the time of day.
 *
 * Bytes are read from the source, checked by the engine and thrown away, or kept where `observe` asks for it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as Bandwidth from "../Bandwidth.js"
import * as ByteSize from "../ByteSize.js"
import * as ByteSource from "../ByteSource.js"
import { Destination } from "../Destination.js"
import type { Body, PutRequest, Stored } from "../Destination.js"
import { Throttled, Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What a request costs before its first byte. Defaults to nothing. */
  readonly requestLatency?: Duration.DurationInput | undefined
  /** What each byte costs. Defaults to nothing. */
  readonly latencyPerByte?: Duration.DurationInput | undefined
  /** Bytes per second of one connection. Defaults to no limit. */
  readonly bytesPerSecond?: ByteSize.ByteSizeInput | undefined
  /** Bytes per second of all connections together. Defaults to no limit. */
  readonly sharedBytesPerSecond?: ByteSize.ByteSizeInput | undefined
  /** The part of attempts that fail, from 0 to 1. Defaults to 0. */
  readonly failureRate?: number | undefined
  /** Requests in flight above this are throttled. Defaults to no limit. */
  readonly maxInFlight?: number | undefined
  /** What a throttled request is told to wait. Defaults to nothing said. */
  readonly retryAfter?: Duration.DurationInput | undefined
  /** Makes failures the same in every run. Without it they follow the `Random` of the context. */
  readonly seed?: number | string | undefined
  /** Keeps the stored objects in memory and counts requests, for {@link Network}. Defaults to `false`. */
  readonly observe?: boolean | undefined
}

/**
 * Named networks: `slow` takes 1 ms a byte; `flaky` fails 5 % of attempts and `broken` 30 %.
 *
 * @since 0.1.0
 * @category presets
 */
export const presets = {
  slow: { latencyPerByte: "1 millis" },
  flaky: { requestLatency: "20 millis", failureRate: 0.05 },
  broken: { requestLatency: "20 millis", failureRate: 0.3 }
} as const satisfies Record<string, Options>

/**
 * What can be seen of a simulated network from outside, where `observe` is set.
 *
 * @since 0.1.0
 * @category models
 */
export class Network extends Context.Tag("@sluice/core/destinations/Simulated/Network")<Network, {
  /** The objects stored, by key. */
  readonly objects: ReadonlyMap<string, StoredObject>
  /** Requests in flight at this moment. */
  readonly inFlight: Effect.Effect<number>
  /** The most requests that were ever in flight at once. */
  readonly peakInFlight: Effect.Effect<number>
}>() {}

/**
 * An object as the simulated network keeps it.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredObject {
  readonly bytes: Uint8Array
  readonly contentType: string | undefined
  readonly metadata: Readonly<Record<string, string>> | undefined
}

/**
 * A simulated network as a destination, and what can be seen of it from outside.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import { Layer } from "effect"
 *
 * const FlakyUploader = Uploader.layer().pipe(
 *   Layer.provide(Simulated.layer({ ...Simulated.presets.flaky, seed: 1 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Destination | Network> =>
  Layer.effectContext(
    Effect.map(make(options), ({ destination, network }) =>
      Context.make(Destination, destination).pipe(Context.add(Network, network)))
  )

/**
 * Makes a simulated network.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<{ readonly destination: Destination["Type"]; readonly network: Network["Type"] }> =>
  Effect.sync(() => {
    const requestMillis = Duration.toMillis(options.requestLatency ?? 0)
    const perByteMillis = Duration.toMillis(options.latencyPerByte ?? 0) +
      (options.bytesPerSecond === undefined ? 0 : 1000 / ByteSize.decode(options.bytesPerSecond))
    const shared = options.sharedBytesPerSecond === undefined
      ? undefined
      : Bandwidth.make(ByteSize.decode(options.sharedBytesPerSecond))
    let sharing = 0
    const failureRate = options.failureRate ?? 0
    const maxInFlight = options.maxInFlight ?? Infinity
    const observe = options.observe ?? false
    const random = options.seed === undefined ? undefined : Random.make(options.seed)
    const objects = new Map<string, StoredObject>()
    let inFlight = 0
    let peakInFlight = 0

    /** One connection: what its bytes cost is slept in whole milliseconds, the rest is carried over. */
    const connect = () => {
      let owed = 0
      return (bytes: number): Effect.Effect<void> => {
        owed += bytes * perByteMillis
        const millis = Math.floor(owed)
        owed -= millis
        return shared === undefined ? sleep(millis) : atLeast(millis, shared.take(bytes))
      }
    }

    // Blocks take no more than a second, so that a slow network still moves bytes.
    const ownBlockSize = perByteMillis === 0
      ? defaultBlockSize
      : Math.max(1, Math.min(defaultBlockSize, Math.floor(longestBlockMillis / perByteMillis)))

    // Where bandwidth is shared everybody waits for everybody's block: the more there are, the smaller they are.
    const blockSize = (): number =>
      shared === undefined
        ? ownBlockSize
        : Math.max(1, Math.min(ownBlockSize, shared.unit, Math.floor(shared.bytesPerSecond * roundSeconds / sharing)))

    const inOnePiece = ({ inOnePiece, size }: Body): boolean =>
      inOnePiece && size! * perByteMillis <= longestPutMillis && (shared === undefined || size! <= blockSize())

    const whileSharing = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        sharing += 1
        return Effect.ensuring(
          effect,
          Effect.sync(() => {
            sharing -= 1
          })
        )
      })

    /** Sends the body, or as much of it as comes before the failure, and has what came through stored. */
    const send = (
      body: Body,
      failsAfter: number,
      store: (bytes: Uint8Array) => Stored
    ): Effect.Effect<Stored, UploadError> => {
      const transmit = connect()
      if (inOnePiece(body)) {
        return Effect.flatMap(body.bytes, (bytes): Effect.Effect<Stored, UploadError> => {
          if (failsAfter < Infinity) {
            return Effect.zipRight(transmit(failsAfter), Effect.fail(brokenConnection(failsAfter)))
          }
          const sent = transmit(bytes.length)
          return observe ? Effect.map(sent, () => store(bytes.slice())) : Effect.as(sent, stored)
        })
      }
      let sent = 0
      const blocks: Array<Uint8Array> = []
      return Stream.runForEach(body.stream({ blockSize: blockSize() }), (block) => {
        if (sent + block.length > failsAfter || failsAfter === 0) {
          return Effect.zipRight(transmit(failsAfter - sent), Effect.fail(brokenConnection(failsAfter)))
        }
        sent += block.length
        if (observe) blocks.push(block.slice())
        return transmit(block.length)
      }).pipe(
        Effect.zipRight(
          Effect.suspend(() => sent < failsAfter ? Effect.void : Effect.fail(brokenConnection(failsAfter)))
        ),
        Effect.map(() => store(ByteSource.concat(blocks)))
      )
    }

    const failurePoint = (body: Body): Effect.Effect<number> => {
      if (failureRate === 0) return noFailure
      const draw = Effect.map(
        Random.next,
        (chance) => chance >= failureRate ? Infinity : Math.floor((chance / failureRate) * (body.size ?? 1))
      )
      return random === undefined ? draw : Effect.withRandom(draw, random)
    }

    // Little waits on the stack here: under `unlimited`, a hundred thousand uploads in flight each hold all of it.
    const request = ({ body, contentType, key, metadata }: PutRequest): Effect.Effect<Stored, UploadError> => {
      const store = (bytes: Uint8Array): Stored => {
        objects.set(key, { bytes, contentType, metadata })
        return stored
      }
      const done = failureRate === 0
        ? send(body, Infinity, observe ? store : ignore)
        : Effect.flatMap(failurePoint(body), (failsAfter) => send(body, failsAfter, observe ? store : ignore))
      return requestMillis === 0 ? done : Effect.zipRight(sleep(requestMillis), done)
    }

    const put = shared === undefined ? request : (putRequest: PutRequest) => whileSharing(request(putRequest))

    const throttled = new Throttled({
      detail: `The simulated network takes ${maxInFlight} requests at once.`,
      ...(options.retryAfter !== undefined && { retryAfterMillis: Duration.toMillis(options.retryAfter) })
    })

    const counted = (putRequest: PutRequest) =>
      Effect.suspend(() => {
        if (inFlight >= maxInFlight) return Effect.fail(throttled)
        inFlight += 1
        peakInFlight = Math.max(peakInFlight, inFlight)
        return Effect.ensuring(
          put(putRequest),
          Effect.sync(() => {
            inFlight -= 1
          })
        )
      })

    return {
      destination: Destination.of({
        name: "sim:",
        capabilities: { maxPutSize: Infinity, unknownSize: true },
        put: observe || maxInFlight < Infinity ? counted : put
      }),
      network: Network.of({
        objects,
        inFlight: Effect.sync(() => inFlight),
        peakInFlight: Effect.sync(() => peakInFlight)
      })
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const defaultBlockSize = 64 * 1024

const longestBlockMillis = 1_000

const longestPutMillis = 10_000

/** How long it may take until all who share a bandwidth have had their turn. */
const roundSeconds = 5

const stored: Stored = {}

const ignore = (): Stored => stored

const noFailure = Effect.succeed(Infinity)

const sleep = (millis: number): Effect.Effect<void> => millis > 0 ? Effect.sleep(millis) : Effect.void

/** Runs an effect, and waits until `millis` have gone by since its start. */
const atLeast = (millis: number, effect: Effect.Effect<void>): Effect.Effect<void> =>
  millis === 0
    ? effect
    : Effect.flatMap(Clock.currentTimeMillis, (start) =>
      Effect.zipRight(
        effect,
        Effect.flatMap(Clock.currentTimeMillis, (now) => sleep(start + millis - now))
      ))

const brokenConnection = (bytes: number) =>
  new Transient({ reason: "Connection", detail: `The simulated network broke the connection after ${bytes} bytes.` })
