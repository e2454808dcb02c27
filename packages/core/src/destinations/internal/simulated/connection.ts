/**
 * The connections of a simulated network: how long requests and their bytes take, and what happens to them.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as ByteSource from "../../../ByteSource.js"
import type { Body } from "../../../Destination.js"
import { Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import type { Connection, Link } from "./link.js"

export interface Options {
  /** The time of a request, without its bytes. */
  readonly requestMillis: number
  readonly perByteMillis: number
  /** The link that all connections share. */
  readonly link: Link | undefined
  readonly failureRate: number
  readonly stallRate: number
  /** The deviation of the logarithm of request durations. */
  readonly noise: number
  readonly random: Random.Random | undefined
  /** Whether received bytes are kept. */
  readonly keepsBytes: boolean
}

/**
 * The number of bytes after which a request is lost, whether it fails or stalls, and how much longer it takes than
 * others.
 */
export interface Fate {
  readonly after: number
  readonly stalls: boolean
  readonly factor: number
}

export interface SimulatedConnection {
  /** Whether a request consists of nothing but its bytes. */
  readonly isPlain: boolean
  /** The fate of a request with this many bytes. */
  readonly fate: (size: number | undefined) => Effect.Effect<Fate>
  /** The time of a request before its first byte. */
  readonly begin: (fate: Fate) => Effect.Effect<void>
  /** Sends a body, or as much of it as gets through, and stores that. */
  readonly send: <A>(
    body: Body,
    fate: Fate,
    store: (size: number, bytes: Uint8Array | undefined) => A
  ) => Effect.Effect<A, UploadError>
}

/** The fate of a request to which nothing happens. */
export const fine: Fate = { after: Infinity, stalls: false, factor: 1 }

export const make = (options: Options): SimulatedConnection => {
  const { failureRate, keepsBytes, link, noise, perByteMillis, random, requestMillis, stallRate } = options

  // A block takes at most a second, so that a slow network still shows movement.
  const ownBlockSize = perByteMillis === 0
    ? defaultBlockSize
    : Math.max(1, Math.min(defaultBlockSize, Math.floor(longestBlockMillis / perByteMillis)))

  // On a shared link, more connections mean smaller blocks.
  const blockSize = (): number =>
    link === undefined ? ownBlockSize : Math.max(1, Math.min(ownBlockSize, Math.floor(link.share * sharedBlockSeconds)))

  const inOnePiece = ({ inOnePiece, size }: Body): boolean =>
    inOnePiece && size! * perByteMillis <= longestPutMillis &&
    (link === undefined || size! <= link.share * longestPutMillis / 1_000)

  /** The time of bytes on an unshared line is slept in whole milliseconds; the rest is carried over. */
  const ownLine = (factor: number) => {
    let owed = 0
    return (bytes: number): Effect.Effect<void> => {
      owed += bytes * perByteMillis * factor
      const millis = Math.floor(owed)
      owed -= millis
      return sleep(millis)
    }
  }

  // On a shared link bytes move all the time, however slowly: waiting for one's own is not a stall.
  const connected = <A>(
    body: Body,
    fate: Fate,
    use: (transmit: (bytes: number) => Effect.Effect<void>) => Effect.Effect<A, UploadError>
  ): Effect.Effect<A, UploadError> =>
    link === undefined
      ? use(ownLine(fate.factor))
      : link.whileOn((connection: Connection) =>
        use((bytes) => body.unwatched(link.carry(connection, bytes * fate.factor)))
      )

  const send = <A>(
    body: Body,
    fate: Fate,
    store: (size: number, bytes: Uint8Array | undefined) => A
  ): Effect.Effect<A, UploadError> =>
    link === undefined && fate === fine && inOnePiece(body) ? sendAtOnce(body, store) : sendBlocks(body, fate, store)

  /** The same for a body in one piece that nothing happens to. It holds little while the bytes are on their way. */
  const sendAtOnce = <A>(
    body: Body,
    store: (size: number, bytes: Uint8Array | undefined) => A
  ): Effect.Effect<A, UploadError> =>
    Effect.flatMap(body.bytes, (bytes) =>
      Effect.flatMap(sleep(Math.floor(bytes.length * perByteMillis)), () => {
        const stored = store(bytes.length, keepsBytes ? bytes.slice() : undefined)
        body.release()
        return Effect.succeed(stored)
      }))

  const sendBlocks = <A>(
    body: Body,
    fate: Fate,
    store: (size: number, bytes: Uint8Array | undefined) => A
  ): Effect.Effect<A, UploadError> =>
    connected(body, fate, (transmit) => {
      const lost = (sent: number) => Effect.zipRight(transmit(fate.after - sent), lose(fate))
      if (inOnePiece(body)) {
        return Effect.flatMap(body.bytes, (bytes): Effect.Effect<A, UploadError> =>
          fate.after < Infinity ? lost(0) : Effect.map(transmit(bytes.length), () => {
            const stored = store(bytes.length, keepsBytes ? bytes.slice() : undefined)
            body.release()
            return stored
          }))
      }
      let sent = 0
      const blocks: Array<Uint8Array> = []
      const each = (block: Uint8Array): Effect.Effect<void, UploadError> => {
        if (sent + block.length > fate.after || fate.after === 0) {
          return lost(sent)
        }
        sent += block.length
        if (keepsBytes) {
          blocks.push(block.slice())
        }
        return transmit(block.length)
      }
      const ended = Effect.suspend(() =>
        sent < fate.after ? Effect.void : lose(fate)
      )
      return Effect.flatMap(body.blocks({ blockSize: blockSize(), lent: true }), (next) => {
        const all: Effect.Effect<void, UploadError> = Effect.matchEffect(next, {
          onFailure: Option.match({ onNone: () => ended, onSome: Effect.fail }),
          onSuccess: (block) => Effect.zipRight(each(block), all)
        })
        return all
      }).pipe(
        Effect.scoped,
        Effect.map(() => {
          body.release()
          return store(sent, keepsBytes ? ByteSource.concat(blocks) : undefined)
        })
      )
    })

  const withRandom = random === undefined ? identity : Effect.withRandom(random)

  const draw = (size: number | undefined): Effect.Effect<Fate> =>
    Effect.map(Random.next, (chance) => {
      const at = (chance: number, rate: number) => Math.floor((chance / rate) * (size ?? 1))
      return chance < failureRate
        ? { ...fine, after: at(chance, failureRate) }
        : chance < failureRate + stallRate
        ? { ...fine, after: at(chance - failureRate, stallRate), stalls: true }
        : fine
    })

  const noisy = (fate: Fate): Effect.Effect<Fate> =>
    Effect.map(normal, (deviation) => ({ ...fate, factor: Math.exp(noise * deviation - noise * noise / 2) }))

  const fateOf = (size: number | undefined): Effect.Effect<Fate> => {
    const drawn = failureRate + stallRate === 0 ? allFine : draw(size)
    return withRandom(noise === 0 ? drawn : Effect.flatMap(drawn, noisy))
  }

  return {
    isPlain: requestMillis + failureRate + stallRate + noise === 0,
    send,
    fate: failureRate + stallRate + noise === 0 ? () => allFine : fateOf,
    begin: noise === 0 ? () => sleep(requestMillis) : ({ factor }) => sleep(Math.round(requestMillis * factor))
  }
}

/** Loses a request: it fails, or stalls forever. */
export const lose = ({ after, stalls }: Fate): Effect.Effect<never, UploadError> =>
  stalls ? Effect.never : Effect.fail(brokenConnection(after))

const defaultBlockSize = 256 * 1024

const longestBlockMillis = 1_000

const longestPutMillis = 10_000

/** The longest time of a block on a shared link. */
const sharedBlockSeconds = 5

const allFine = Effect.succeed(fine)

const sleep = (millis: number): Effect.Effect<void> => millis > 0 ? Effect.sleep(millis) : Effect.void

/** A normally distributed number (Box-Muller). */
const normal: Effect.Effect<number> = Effect.zipWith(
  Random.next,
  Random.next,
  (a, b) => Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b)
)

const brokenConnection = (bytes: number) =>
  new Transient({ reason: "Connection", detail: `The simulated network broke the connection after ${bytes} bytes.` })
