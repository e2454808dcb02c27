/**
 * What is to be uploaded, as far as a forecast needs to know it: sizes.
 *
 * A simulation costs so much for each request, and little for each byte. So a workload of many requests is simulated in
 * two samples, one about half as large as the other, and what they take is drawn out to the whole; and bytes, the
 * network's speed and the size of parts are made smaller together, by which nothing takes another time.
 */
import * as UploadList from "@sluice/core/UploadList"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Items } from "../sources/Remainder.js"

/** The files that there are. */
export interface Workload {
  /** Bytes of each file, in the order of the list. */
  readonly sizes: ReadonlyArray<number>
  readonly bytes: number
  /** What the list has that is not uploaded: it cannot be read, or is no file. */
  readonly leftOut: number
}

/** How files become requests, and what a request takes where nobody else sends. */
export interface Terms {
  /** Files larger than this go up in parts of this size. */
  readonly partSize: number
  /** Milliseconds of a request before its first byte. */
  readonly requestMillis: number
  /** Of one connection. */
  readonly bytesPerSecond: number
}

/** Some files of a workload, in the order of its list. */
export interface Sample {
  readonly sizes: ReadonlyArray<number>
  /** Milliseconds that its requests would take one after the other. */
  readonly work: number
}

export const make = (sizes: ReadonlyArray<number>, leftOut: number = 0): Workload => ({
  sizes,
  bytes: sizes.reduce((sum, size) => sum + size, 0),
  leftOut
})

/** Reads a list to its end. Of a file whose size nobody knows there is nothing to forecast. */
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

/** How many requests upload a file: one, or those of a multipart upload. */
export const requestsOf = (size: number, { partSize }: Terms): number =>
  size <= partSize ? 1 : Math.min(mostParts, Math.ceil(size / partSize)) + 2

/** Everything, as a sample. */
export const all = ({ sizes }: Workload, terms: Terms): Sample => sampleOf(sizes, terms)

/**
 * Two samples of about `most` and half as many requests; `undefined` where the whole has no more. Of the files in the
 * order of their sizes they have one in so many, so sizes are as in the whole.
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

/** By what to divide bytes, so that a simulation of a sample is not slowed down by them. */
export const scaleOf = ({ sizes }: Sample): number => {
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return 2 ** Math.max(0, Math.ceil(Math.log2(bytes / mostBytes)))
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** What destinations take, of one file. */
const mostParts = 10_000

/** Bytes that a simulation moves quickly. */
const mostBytes = 256 * 1024 ** 2

const sampleOf = (sizes: ReadonlyArray<number>, terms: Terms): Sample => ({
  sizes,
  work: sizes.reduce(
    (sum, size) => sum + requestsOf(size, terms) * terms.requestMillis + (size * 1_000) / terms.bytesPerSecond,
    0
  )
})
