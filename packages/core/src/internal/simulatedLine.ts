/**
 * The connections of a simulated network: how long bytes take, and where on their way they are lost.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type * as Bandwidth from "../Bandwidth.js"
import * as ByteSource from "../ByteSource.js"
import type { Body } from "../Destination.js"
import { Transient } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"

export interface Options {
  readonly perByteMillis: number
  /** What all connections have together. */
  readonly shared: Bandwidth.Bandwidth | undefined
  readonly failureRate: number
  readonly random: Random.Random | undefined
  /** Whether the bytes that came through are asked for. */
  readonly keepsBytes: boolean
}

export interface SimulatedLine {
  /** Sends a body, or as much of it as comes before the failure, and has what came through stored. */
  readonly send: <A>(
    body: Body,
    failsAfter: number,
    store: (size: number, bytes: Uint8Array | undefined) => A
  ) => Effect.Effect<A, UploadError>
  /** After how many bytes a request fails; `Infinity` where it does not. */
  readonly failurePoint: (size: number | undefined) => Effect.Effect<number>
  /** Runs what has a part in the shared bandwidth; `undefined` where there is none. */
  readonly whileSharing: (<A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>) | undefined
}

export const make = ({ failureRate, keepsBytes, perByteMillis, random, shared }: Options): SimulatedLine => {
  let sharing = 0

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

  const send = <A>(
    body: Body,
    failsAfter: number,
    store: (size: number, bytes: Uint8Array | undefined) => A
  ): Effect.Effect<A, UploadError> => {
    const transmit = connect()
    if (inOnePiece(body)) {
      return Effect.flatMap(body.bytes, (bytes): Effect.Effect<A, UploadError> => {
        if (failsAfter < Infinity) {
          return Effect.zipRight(transmit(failsAfter), Effect.fail(brokenConnection(failsAfter)))
        }
        const sent = transmit(bytes.length)
        return Effect.map(sent, () => {
          const stored = store(bytes.length, keepsBytes ? bytes.slice() : undefined)
          body.release()
          return stored
        })
      })
    }
    let sent = 0
    const blocks: Array<Uint8Array> = []
    return Stream.runForEach(body.stream({ blockSize: blockSize(), lent: true }), (block) => {
      if (sent + block.length > failsAfter || failsAfter === 0) {
        return Effect.zipRight(transmit(failsAfter - sent), Effect.fail(brokenConnection(failsAfter)))
      }
      sent += block.length
      if (keepsBytes) blocks.push(block.slice())
      return transmit(block.length)
    }).pipe(
      Effect.zipRight(
        Effect.suspend(() => sent < failsAfter ? Effect.void : Effect.fail(brokenConnection(failsAfter)))
      ),
      Effect.map(() => {
        body.release()
        return store(sent, keepsBytes ? ByteSource.concat(blocks) : undefined)
      })
    )
  }

  const failurePoint = (size: number | undefined): Effect.Effect<number> => {
    if (failureRate === 0) return noFailure
    const draw = Effect.map(
      Random.next,
      (chance) => chance >= failureRate ? Infinity : Math.floor((chance / failureRate) * (size ?? 1))
    )
    return random === undefined ? draw : Effect.withRandom(draw, random)
  }

  return { send, failurePoint, whileSharing: shared === undefined ? undefined : whileSharing }
}

const defaultBlockSize = 64 * 1024

const longestBlockMillis = 1_000

const longestPutMillis = 10_000

/** How long it may take until all who share a bandwidth have had their turn. */
const roundSeconds = 5

const noFailure = Effect.succeed(Infinity)

export const sleep = (millis: number): Effect.Effect<void> => millis > 0 ? Effect.sleep(millis) : Effect.void

/** Runs an effect, and waits until `millis` have gone by since its start. */
const atLeast = (millis: number, effect: Effect.Effect<void>): Effect.Effect<void> =>
  millis === 0
    ? effect
    : Effect.flatMap(Clock.currentTimeMillis, (start) =>
      Effect.zipRight(
        effect,
        Effect.flatMap(Clock.currentTimeMillis, (now) => sleep(start + millis - now))
      ))

export const brokenConnection = (bytes: number) =>
  new Transient({ reason: "Connection", detail: `The simulated network broke the connection after ${bytes} bytes.` })
