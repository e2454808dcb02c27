/**
 * OpenStack Swift, which speaks S3, and Swift's own API to look at what is there: no line of the S3 driver has a part
 * in it.
 */
import * as S3 from "@sluice/core/destinations/S3"
import { Context, Effect, Layer, Redacted } from "effect"

/** A bucket of its own. */
export interface Bucket {
  readonly name: string
  readonly endpoint: string
  readonly objects: Effect.Effect<ReadonlyArray<string>>
  readonly read: (key: string) => Effect.Effect<Uint8Array | undefined>
  readonly headers: (key: string) => Effect.Effect<Headers>
  /** Leftovers of multipart uploads that have not become objects: their markers and parts. */
  readonly unfinished: Effect.Effect<ReadonlyArray<string>>
}

export class SwiftBucket extends Context.Tag("@sluice/core/test/SwiftBucket")<SwiftBucket, Bucket>() {}

interface Account {
  readonly url: string
  readonly token: string
}

const call = (url: string, init: RequestInit = {}): Effect.Effect<Response> => Effect.promise(() => fetch(url, init))

const logIn = (endpoint: string): Effect.Effect<Account> =>
  Effect.map(
    call(`${endpoint}/auth/v1.0`, { headers: { "x-auth-user": "test:tester", "x-auth-key": "testing" } }),
    ({ headers }) => ({ url: headers.get("x-storage-url") ?? "", token: headers.get("x-auth-token") ?? "" })
  )

const encode = (key: string): string => key.split("/").map(encodeURIComponent).join("/")

let made = 0

/** A new bucket. `port` is for objects: a different one if there is a proxy in front. */
export const bucket = (port: number): Effect.Effect<Bucket> =>
  Effect.gen(function*() {
    const endpoint = `http://127.0.0.1:${port}`
    const { token, url } = yield* logIn(endpoint)
    made += 1
    const name = `bucket-${process.pid}-${made}`
    const ask = (path: string, init: RequestInit = {}) =>
      call(`${url}/${path}`, { ...init, headers: { "x-auth-token": token } })
    yield* ask(name, { method: "PUT" })
    yield* ask(`${name}+segments`, { method: "PUT" })

    const listed = (container: string, marker = ""): Effect.Effect<ReadonlyArray<string>> =>
      Effect.gen(function*() {
        const answer = yield* ask(`${encode(container)}?format=json&marker=${encodeURIComponent(marker)}`)
        if (answer.status !== 200) return []
        const page = (yield* Effect.promise(() => answer.json())) as ReadonlyArray<{ readonly name: string }>
        const names = page.map((object) => object.name)
        const last = names.at(-1)
        return last === undefined ? [] : [...names, ...yield* listed(container, last)]
      })
    const read = (key: string) =>
      Effect.gen(function*() {
        const answer = yield* ask(`${name}/${encode(key)}`)
        const bytes = new Uint8Array(yield* Effect.promise(() => answer.arrayBuffer()))
        return answer.status === 200 ? bytes : undefined
      })
    return {
      name,
      endpoint,
      objects: listed(name),
      read,
      headers: (key) => Effect.map(ask(`${name}/${encode(key)}`, { method: "HEAD" }), ({ headers }) => headers),
      unfinished: Effect.gen(function*() {
        const [objects, segments] = [new Set(yield* listed(name)), yield* listed(`${name}+segments`)]
        // A marker is `key/uploadId`, a part `key/uploadId/number`. A part of an object that is there is in use.
        return segments.filter((segment) => {
          const [, key] = /^(.*)\/[^/]+\/\d+$/s.exec(segment) ?? []
          return key === undefined || !objects.has(key)
        })
      })
    }
  })

/** The options of the driver for a bucket, with a different port if there is a proxy in front. */
export const options = (target: Bucket, port?: number): S3.Options => ({
  bucket: target.name,
  endpoint: port === undefined ? target.endpoint : `http://127.0.0.1:${port}`,
  region: "us-east-1",
  provider: "swift",
  credentials: Effect.succeed({ accessKeyId: "test:tester", secretAccessKey: Redacted.make("testing") })
})

/** A new bucket as a destination. */
export const layer = (port: number, options_: Partial<S3.Options> = {}) =>
  Layer.unwrapEffect(
    Effect.map(SwiftBucket, (target) => S3.layer({ ...options(target), ...options_ }))
  ).pipe(Layer.provideMerge(Layer.effect(SwiftBucket, bucket(port))))
