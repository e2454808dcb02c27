/**
 * A destination that accepts everything, whole or in parts, and keeps nothing. It holds what it has received as long as
 * a network would, since memory matters while bytes are waited for.
 */
import * as Destination from "@sluice/core/Destination"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as assert from "node:assert"
import { crc32 } from "node:zlib"

export interface Options {
  /** Whether bodies are taken whole, as for a checksum in a header. */
  readonly wholeBodies: boolean
  /** Whether every byte is read. */
  readonly reads: boolean
  /** How long a body that was taken whole is held, in milliseconds. */
  readonly holdMillis: number
}

/** The total number of bytes received. */
export const taken = { bytes: 0 }

const take = (body: Destination.Body, { holdMillis, reads, wholeBodies }: Options) => {
  const see = (block: Uint8Array): void => {
    taken.bytes += block.length
    if (reads) crc32(block)
  }
  const seeAll = (bytes: Uint8Array): void => {
    see(bytes)
    body.release()
  }
  if (wholeBodies) {
    return body.whole.pipe(
      Effect.flatMap((whole) => whole.bytes),
      Effect.tap(holdMillis > 0 ? Effect.sleep(holdMillis) : Effect.void),
      Effect.map(seeAll)
    )
  }
  if (body.inOnePiece) {
    return Effect.map(
      Effect.tap(body.bytes, holdMillis > 0 ? Effect.sleep(holdMillis) : Effect.void),
      seeAll
    )
  }
  return Stream.runForEach(
    body.stream({ lent: true }),
    (block) => Effect.map(holdMillis > 0 ? immediate : Effect.void, () => see(block))
  ).pipe(Effect.map(() => body.release()))
}

export const layer = (options: Options): Layer.Layer<Destination.Destination> =>
  Layer.succeed(Destination.Destination, {
    name: "nowhere",
    capabilities: { maxPutSize: Infinity, unknownSize: true, wholeBodies: options.wholeBodies },
    put: ({ body }) => Effect.as(take(body, options), {}),
    multipart: {
      limits: {
        minSize: 1,
        maxSize: 2 ** 32,
        multiple: 1,
        maxCount: 10_000,
        maxObjectSize: Number.MAX_SAFE_INTEGER,
        inOrder: false
      },
      ownIds: true,
      becomesObject: false,
      create: ({ token }) => Effect.succeed(token),
      uploadPart: ({ body, number }) =>
        Effect.map(take(body, options), () => ({ number, size: body.size!, checksum: body.checksum })),
      listParts: () => Effect.succeed([]),
      complete: ({ parts, size }) =>
        Effect.sync(() => {
          assert.strictEqual(parts.reduce((sum, part) => sum + part.size, 0), size)
          return { size }
        }),
      abort: () => Effect.void
    }
  })

/** Waits for the next turn of the event loop, as when a socket takes a block. */
const immediate = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})
