/**
 * The work of all contestants: take files from a lazy list and pass the bytes of each to a destination that is done at
 * the next microtask. It exists as a promise, as an effect and as a `Destination`.
 */
import * as ByteSource from "@sluice/core/ByteSource"
import * as Destination from "@sluice/core/Destination"
import * as UploadFile from "@sluice/core/UploadFile"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as assert from "node:assert"
import type * as Contest from "./Contest.js"

/** The number of uploads in flight, if it is bounded. */
export const concurrency = 64

const fileSize = 100

const zeros = new Uint8Array(fileSize)

/**
 * A million of these are never in memory together: each is created on demand. Keys are not decimal numbers, since V8
 * caches the last thousands of those that it converted, which would count as the contestant's memory.
 */
export function* files(count: number): Generator<UploadFile.UploadFile> {
  for (let i = 0; i < count; i++) yield UploadFile.make(`file-${i.toString(36)}`, ByteSource.generate(fileSize, block))
}

/** The same list as an async iterable. */
export async function* filesAsync(count: number): AsyncGenerator<UploadFile.UploadFile> {
  yield* files(count)
}

/** The sizes of a list in which every size from 100 to 1,100 bytes comes equally often. */
export function* sizes(count: number): Generator<number> {
  for (let i = 0; i < count; i++) yield 100 + (i * 7919) % 1001
}

const block = (_offset: number, length: number): Uint8Array => zeros.subarray(0, length)

let bytesStored = 0

const store = (bytes: Uint8Array): void => {
  bytesStored += bytes.length
}

/** A contestant that dies unless every byte of its list is stored when it says it is done. */
export const everythingStored = (contestant: Contest.Contestant): Contest.Contestant => ({
  ...contestant,
  upload: (count) =>
    Effect.tap(contestant.upload(count), () => Effect.sync(() => assert.strictEqual(bytesStored, count * fileSize)))
})

/** Uploads a file as a program without Effect would. */
export const putPromise = (file: UploadFile.UploadFile): Promise<void> =>
  new Promise((resolve) => {
    store(block(0, file.size!))
    queueMicrotask(resolve)
  })

/** Uploads a file as an effect. */
export const putEffect = (file: UploadFile.UploadFile): Effect.Effect<void> =>
  Effect.async((resume) => {
    store(block(0, file.size!))
    queueMicrotask(() => resume(Effect.void))
  })

/** A destination that is done at the next microtask after it has read the body. */
export const instant: Layer.Layer<Destination.Destination> = Layer.succeed(Destination.Destination, {
  name: "instant",
  capabilities: { maxPutSize: Infinity, unknownSize: true },
  put: ({ body }) =>
    Effect.flatMap(body.bytes, (bytes) =>
      Effect.async((resume) => {
        store(bytes)
        queueMicrotask(() => resume(stored))
      }))
})

const stored = Effect.succeed<Destination.Stored>({})
