/**
 * The sizes of the files to upload, which is all that a forecast needs.
 *
 * In a simulation, each request is expensive and each byte is cheap. So a workload of many requests is simulated in two
 * samples, one about half as large as the other, and their times are extrapolated to the whole. Bytes, the network's
 * speed and the size of parts are scaled down together, which leaves all times unchanged.
 */
import * as UploadList from "@sluice/core/UploadList"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Items } from "../sources/Remainder.js"

/** The files to upload. */
export interface Workload {
  /** The size of each file in bytes, in the order of the list. */
  readonly sizes: ReadonlyArray<number>
  readonly bytes: number
  /** The number of listed items that are not uploaded: they cannot be read, or are not files. */
  readonly leftOut: number
}

/** How files become requests, and how long a request takes without competing traffic. */
export interface Terms {
  /** Files larger than this are uploaded in parts of this size. */
  readonly partSize: number
  /** The milliseconds before the first byte of a request. */
  readonly requestMillis: number
  /** The speed of one connection. */
  readonly bytesPerSecond: number
}

/** Some files of a workload, in the order of its list. */
export interface Sample {
  readonly sizes: ReadonlyArray<number>
  /** The milliseconds that its requests would take one after the other. */
  readonly work: number
}

export const make = (sizes: ReadonlyArray<number>, leftOut: number = 0): Workload => ({
  sizes,
  bytes: sizes.reduce((sum, size) => sum + size, 0),
  leftOut
})

/** Reads a list to its end. Files of unknown size are not part of the forecast. */
export const fromItems = (items: Items): Effect.Effect<Workload> =>
  Effect.suspend(() => {
    const sizes: Array<number> = []
    let leftOut = 0
    const stream = Stream.StreamTypeId in items ? items : Stream.fromIterable(items)
    return Effect.map(
      Stream.runForEachChunk(stream, (chunk) =>
        Effect.sync(() => {
          for (const item of chunk) {
            if (UploadList.isFile(item) && item.size !== undefined) sizes.push(item.size)
            else leftOut += 1
          }
        })),
      () => make(sizes, leftOut)
    )
  })

/** The number of requests that upload a file: one, or those of a multipart upload. */
export const requestsOf = (size: number, { partSize }: Terms): number =>
  size <= partSize ? 1 : Math.min(mostParts, Math.ceil(size / partSize)) + 2

/** The whole workload, as a sample. */
export const all = ({ sizes }: Workload, terms: Terms): Sample => sampleOf(sizes, terms)

/**
 * Two samples, of about `most` and half as many requests; `undefined` if the whole workload has no more. They take
 * every nth file in order of size, so their sizes are representative.
 */
export const samples = (
  { sizes }: Workload,
  terms: Terms,
  most: number
): readonly [half: Sample, full: Sample] | undefined => {
  const requests = sizes.reduce((sum, size) => sum + requestsOf(size, terms), 0)
  if (requests <= most) return undefined
  const order = Uint32Array.from(sizes, (_, i) => i).sort((a, b) => sizes[a]! - sizes[b]! || a - b)
  const every = Math.min(Math.ceil(requests / most), order.length)
  const take = (every: number): Sample => {
    const taken = new Uint8Array(sizes.length)
    for (let i = every >> 1; i < order.length; i += every) taken[order[i]!] = 1
    return sampleOf(sizes.filter((_, i) => taken[i] === 1), terms)
  }
  return [take(every * 2), take(every)]
}

/** The factor to divide bytes by, so that they do not slow down a simulation. */
export const scaleOf = ({ sizes }: Sample): number => {
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return 2 ** Math.max(0, Math.ceil(Math.log2(bytes / mostBytes)))
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The largest number of parts that destinations accept for one file. */
const mostParts = 10_000

/** A number of bytes that a simulation moves quickly. */
const mostBytes = 256 * 1024 ** 2

const sampleOf = (sizes: ReadonlyArray<number>, terms: Terms): Sample => ({
  sizes,
  work: sizes.reduce(
    (sum, size) => sum + requestsOf(size, terms) * terms.requestMillis + (size * 1_000) / terms.bytesPerSecond,
    0
  )
})
