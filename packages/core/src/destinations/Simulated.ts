/**
 * A simulated network with configurable latency, bandwidth, failures and throttling, all on `Clock` and `Random`.
 *
 * A put takes `roundTrip` and `requestLatency`, then the time of its bytes: `latencyPerByte` for each, no faster than
 * `bytesPerSecond` on its connection, and no faster than its share of `sharedBytesPerSecond`, which all sending
 * connections divide equally. It fails with the probability `failureRate`, or stalls with `stallRate`, at a random
 * point of its bytes. With `maxInFlight`, requests above that number are throttled. With a seed and a virtual clock the
 * same uploads have the same history, whatever the time of day.
 *
 * A part of a multipart upload is a request like a put; create, complete, abort and listing parts are requests without
 * bytes. A failed request has changed nothing.
 *
 * Bytes are read from the source, checked by the engine and discarded, or kept if `observe` is set. Kept objects can be
 * looked at, read and listed, and report their checksums.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type * as ByteSize from "../ByteSize.js"
import * as Checksum from "../Checksum.js"
import { Destination } from "../Destination.js"
import type { Head, PartLimits, PutRequest, Session, Stored, StoredPart } from "../Destination.js"
import * as Decode from "../internal/values/decode.js"
import { Rejected, Throttled } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import * as simulatedConnection from "./internal/simulated/connection.js"
import { Link } from "./internal/simulated/link.js"
import type { Capacity as LinkCapacity } from "./internal/simulated/link.js"
import * as simulatedParts from "./internal/simulated/parts.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The time the server takes for a request before its first byte. Defaults to nothing. */
  readonly requestLatency?: Duration.DurationInput | undefined
  /** The round-trip time, which each request waits for once before its first byte. Defaults to nothing. */
  readonly roundTrip?: Duration.DurationInput | undefined
  /** The time each byte takes. Defaults to nothing. */
  readonly latencyPerByte?: Duration.DurationInput | undefined
  /** Bytes per second on one connection. Defaults to no limit. */
  readonly bytesPerSecond?: ByteSize.ByteSizeInput | undefined
  /**
   * Bytes per second of all connections together, or a list of capacities, each from a time on, counted from when the
   * network is made. Defaults to no limit.
   */
  readonly sharedBytesPerSecond?: ByteSize.ByteSizeInput | ReadonlyArray<Capacity> | undefined
  /**
   * How much the duration of requests varies: the deviation of its logarithm, so that 0.05 is about 5 %. The mean stays
   * the same. Defaults to 0.
   */
  readonly noise?: number | undefined
  /** The fraction of attempts that fail, from 0 to 1. Defaults to 0. */
  readonly failureRate?: number | undefined
  /** The fraction of attempts that stall forever, from 0 to 1. Defaults to 0. */
  readonly stallRate?: number | undefined
  /** Requests in flight above this are throttled. Defaults to no limit. */
  readonly maxInFlight?: number | undefined
  /** How long a throttled request is told to wait. Defaults to not saying. */
  readonly retryAfter?: Duration.DurationInput | undefined
  /** Makes failures the same in every run. Without it they use the `Random` in the context. */
  readonly seed?: number | string | undefined
  /** Keeps the stored objects in memory and counts requests, for {@link Network}. Defaults to `false`. */
  readonly observe?: boolean | undefined
  /** Its limits on parts, where they differ from {@link defaultParts}; `false` for a network that takes no parts. */
  readonly parts?: Partial<PartLimits> | false | undefined
  /**
   * Whether to flip a bit of a stored part or, without a number, of an object stored in one request. It has an effect
   * only with `observe`. Defaults to never.
   */
  readonly corrupt?: ((request: { readonly key: string; readonly number: number | undefined }) => boolean) | undefined
}

/**
 * The capacity of a link from a certain time on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Capacity {
  /** The time, counted from when the network is made. The first capacity also holds before its time. */
  readonly at: Duration.DurationInput
  readonly bytesPerSecond: ByteSize.ByteSizeInput
}

/**
 * The limits on parts of a simulated network by default: much the same as S3, except for the smallest part, which is 1
 * byte.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaultParts: PartLimits = simulatedParts.limits

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
 * Observations of a simulated network, if `observe` is set.
 *
 * @since 0.1.0
 * @category models
 */
export class Network extends Context.Tag("@sluice/core/destinations/Simulated/Network")<Network, {
  /** The objects stored, by key. */
  readonly objects: ReadonlyMap<string, StoredObject>
  /** Requests in flight now. */
  readonly inFlight: Effect.Effect<number>
  /** The most requests that were ever in flight at once. */
  readonly peakInFlight: Effect.Effect<number>
  /** The multipart uploads that are neither completed nor aborted, in the order of their creation. */
  readonly sessions: Effect.Effect<ReadonlyArray<OpenSession>>
  /** The number of multipart uploads completed. */
  readonly completed: Effect.Effect<number>
  /** The number of multipart uploads aborted. */
  readonly aborted: Effect.Effect<number>
}>() {}

/**
 * A multipart upload that is neither completed nor aborted.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenSession extends Session {
  /** The parts that are stored, by number. */
  readonly parts: ReadonlyArray<StoredPart>
}

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
  readonly etag: string
  /** The checksum that was requested. */
  readonly checksum: Checksum.Checksum | undefined
  /** When the content last changed, in milliseconds since the epoch, if given. */
  readonly modifiedAt: number | undefined
}

/**
 * A simulated network as a destination, and its observations.
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
  Effect.clockWith((clock) =>
    Effect.sync(() => {
      const maxInFlight = Decode.count("maxInFlight", options.maxInFlight ?? Infinity)
      const observe = options.observe ?? false
      const time = (name: "latencyPerByte" | "requestLatency" | "roundTrip"): number =>
        Decode.millis(name, options[name] ?? 0, { orNone: true })
      const perByteMillis = time("latencyPerByte") +
        (options.bytesPerSecond === undefined ? 0 : 1000 / Decode.size("bytesPerSecond", options.bytesPerSecond))
      const line = simulatedConnection.make({
        requestMillis: time("requestLatency") + time("roundTrip"),
        perByteMillis,
        link: options.sharedBytesPerSecond === undefined ? undefined : new Link({
          capacities: capacitiesOf(options.sharedBytesPerSecond),
          fastest: perByteMillis === 0 ? Infinity : 1 / perByteMillis,
          now: clock.unsafeCurrentTimeMillis()
        }),
        failureRate: Decode.between("failureRate", options.failureRate ?? 0, 0, 1),
        stallRate: Decode.between("stallRate", options.stallRate ?? 0, 0, 1),
        noise: Decode.between("noise", options.noise ?? 0, 0, Infinity),
        random: options.seed === undefined ? undefined : Random.make(options.seed),
        keepsBytes: observe
      })
      const objects = new Map<string, StoredObject>()
      const sessions = new simulatedParts.Sessions()
      let kept = 0
      let inFlight = 0
      let peakInFlight = 0

      const keep: simulatedParts.Line["keep"] = ({ bytes, size }, name, algorithm) => {
        const stored = bytes !== undefined && options.corrupt?.(name) === true ? flipped(bytes) : bytes
        kept += 1
        return {
          size,
          bytes: stored,
          etag: `"${name.number === undefined ? "object" : "part"}-${kept}"`,
          checksum: stored === undefined || algorithm === undefined ? undefined : Checksum.of(algorithm, stored)
        }
      }

      const show = ({ bytes, checksum, contentType, etag, key, metadata, modifiedAt }: simulatedParts.Whole): void => {
        if (bytes !== undefined) objects.set(key, { bytes, contentType, metadata, etag, checksum, modifiedAt })
      }

      const storeOf = ({ body, contentType, key, metadata, modifiedAt }: PutRequest) => {
        return (size: number, bytes: Uint8Array | undefined): Stored => {
          const whole = keep({ size, bytes }, { key, number: undefined }, body.checksum?.algorithm)
          show({ ...whole, key, contentType, metadata, modifiedAt })
          return { etag: whole.etag, checksum: whole.checksum, size }
        }
      }

      // Little is held here: under `unlimited`, a hundred thousand uploads are in flight at once.
      const put = (putRequest: PutRequest): Effect.Effect<Stored, UploadError> => {
        const { body } = putRequest
        const store = observe ? storeOf(putRequest) : ignore
        return line.isPlain ?
          line.send(body, simulatedConnection.fine, store) :
          Effect.flatMap(
            line.fate(body.size),
            (fate) => Effect.zipRight(line.begin(fate), line.send(body, fate, store))
          )
      }

      const throttled = new Throttled({
        detail: `The simulated network accepts ${maxInFlight} requests at once.`,
        ...(options.retryAfter !== undefined && {
          retryAfterMillis: Decode.millis("retryAfter", options.retryAfter, { orNone: true })
        })
      })

      const counted = <A>(effect: Effect.Effect<A, UploadError>): Effect.Effect<A, UploadError> =>
        Effect.suspend(() => {
          if (inFlight >= maxInFlight) return Effect.fail(throttled)
          inFlight += 1
          peakInFlight = Math.max(peakInFlight, inFlight)
          return Effect.ensuring(
            effect,
            Effect.sync(() => {
              inFlight -= 1
            })
          )
        })

      /** A request without bytes. */
      const ask = <A>(answer: Effect.Effect<A, UploadError>): Effect.Effect<A, UploadError> =>
        counted(
          Effect.flatMap(
            line.fate(0),
            (fate) => Effect.zipRight(line.begin(fate), fate.after < Infinity ? simulatedConnection.lose(fate) : answer)
          )
        )

      const receive: simulatedParts.Line["receive"] = (body, admit) =>
        counted(Effect.flatMap(line.fate(body.size), (fate) =>
          line.begin(fate).pipe(
            Effect.zipRight(admit),
            Effect.zipRight(line.send(body, fate, (size, bytes) => ({ size, bytes })))
          )))

      const capabilities = { maxPutSize: Infinity, unknownSize: true, emptySegments: true }

      return {
        destination: Destination.of({
          name: "sim:",
          capabilities: observe ? { ...capabilities, checksums } : capabilities,
          put: observe || maxInFlight < Infinity
            ? (putRequest) => counted(put(putRequest))
            : put,
          ...(options.parts !== false && {
            multipart: simulatedParts.multipart(sessions, { ...defaultParts, ...options.parts }, {
              request: ask,
              receive,
              keep,
              show
            })
          }),
          ...(observe && {
            head: (key) => ask(Effect.sync(() => Option.map(Option.fromNullable(objects.get(key)), headOf))),
            read: (key) =>
              Stream.fromEffect(ask(Effect.suspend(() => {
                const object = objects.get(key)
                return object === undefined ? Effect.fail(notFound(key)) : Effect.succeed(object.bytes.slice())
              }))),
            list: Stream.suspend(() => Stream.fromIterable([...objects.keys()].sort())).pipe(
              Stream.filterMap((key) =>
                Option.map(Option.fromNullable(objects.get(key)), (object) => ({ key, ...headOf(object) }))
              )
            )
          })
        }),
        network: Network.of({
          objects,
          inFlight: Effect.sync(() => inFlight),
          peakInFlight: Effect.sync(() => peakInFlight),
          sessions: Effect.sync(() =>
            Array.from(sessions.open.values(), (session) => ({
              key: session.key,
              uploadId: session.uploadId,
              parts: simulatedParts.partsOf(session)
            }))
          ),
          completed: Effect.sync(() => sessions.completed),
          aborted: Effect.sync(() => sessions.aborted)
        })
      }
    })
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isSchedule = (
  shared: ByteSize.ByteSizeInput | ReadonlyArray<Capacity>
): shared is ReadonlyArray<Capacity> => Array.isArray(shared)

const capacitiesOf = (shared: ByteSize.ByteSizeInput | ReadonlyArray<Capacity>): ReadonlyArray<LinkCapacity> =>
  isSchedule(shared)
    ? shared.map(({ at, bytesPerSecond }, i) => ({
      atMillis: i === 0 ? 0 : Decode.millis("at", at, { orNone: true }),
      bytesPerSecond: Decode.size("sharedBytesPerSecond", bytesPerSecond, 0)
    }))
    : [{ atMillis: 0, bytesPerSecond: Decode.size("sharedBytesPerSecond", shared, 0) }]

const checksums: ReadonlyArray<Checksum.Algorithm> = ["crc32", "crc32c", "crc64nvme", "sha256", "md5"]

const stored: Stored = {}

const ignore = (): Stored => stored

const headOf = ({ bytes, checksum, etag, modifiedAt }: StoredObject): Head => ({
  size: bytes.length,
  etag,
  checksum,
  modifiedAt
})

/** The bytes with one bit in the middle flipped. */
const flipped = (bytes: Uint8Array): Uint8Array => {
  const copy = bytes.slice()
  const middle = copy.length >> 1
  if (middle < copy.length) copy[middle]! ^= 1
  return copy
}

const notFound = (key: string) =>
  new Rejected({ reason: "NotFound", detail: `The simulated network has nothing under ${key}.` })
