/**
 * A transport with answers of S3, chosen by the test.
 */
import { Destination, RetryPolicy, Strategy, Transport, Uploader, UploadFile } from "@sluice/core"
import type { UploadError } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import { Effect, Layer, Redacted, Stream } from "effect"

/** A request as the server sees it, without what a signature adds. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export type Respond = (request: Seen, index: number) => Partial<Transport.Answer> | string

export const text = (body: string) => new TextEncoder().encode(body)

/** What every success of a `PUT` has, unless a test says otherwise: without an etag it would be none. */
const etagFor = ({ method }: Transport.Request, { headers, status = 200 }: Partial<Transport.Answer>) =>
  method === "PUT" && status < 300 ? { headers: { etag: "\"e\"", ...headers } } : {}

/** A transport with given answers, which records its requests. */
export const answering = (respond: Respond) => {
  const seen: Array<Seen> = []
  const send = (request: Transport.Request): Effect.Effect<Transport.Answer, UploadError.UploadError> =>
    Effect.gen(function*() {
      const body = request.body === undefined
        ? new Uint8Array()
        : request.body instanceof Uint8Array
        ? request.body
        : yield* request.body.bytes
      const { headers, method, url } = request
      seen.push({ method, url, headers, body: body.slice() })
      const answer = respond(seen.at(-1)!, seen.length)
      return {
        status: 200,
        headers: {},
        body: new Uint8Array(),
        ...(typeof answer === "string" ? { body: text(answer) } : { ...answer, ...etagFor(request, answer) })
      }
    })
  const layer = Layer.succeed(Transport.Transport, {
    send,
    open: (request) =>
      Effect.map(send(request), ({ body, headers, status }) => ({ status, headers, stream: Stream.succeed(body) }))
  })
  return { layer, seen }
}

export const credentials: S3.Credentials = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: Redacted.make("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
}

export const bucket: S3.Options = { bucket: "examplebucket", credentials: Effect.succeed(credentials) }

export const error = (code: string, more = "") =>
  text(`<?xml version="1.0"?><Error><Code>${code}</Code>${more}</Error>`)

/** Uploads a file to a bucket with given answers. */
export const upload = (
  respond: Respond,
  options: Partial<S3.Options> = {},
  file = UploadFile.fromText("notes/a b.txt", "hello", { contentType: "text/plain", modifiedAt: 1_500 }),
  uploader: Uploader.Options = {}
) =>
  Effect.gen(function*() {
    const { layer, seen } = answering(respond)
    const retry = RetryPolicy.make({ base: 0, throttledBase: 0, secondRound: false, attempts: 3 })
    const result = yield* Effect.either(Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(file))).pipe(
      Effect.provide(
        Uploader.layer({ strategy: Strategy.workerPool({ workers: 1 }), retry, ...uploader }).pipe(
          Layer.provide(S3.layer({ ...bucket, ...options })),
          Layer.provide(layer)
        )
      )
    )
    return { result, seen }
  })

export const failure = (outcome: { readonly result: { readonly _tag: string } }) => {
  const { result } = outcome as { readonly result: { readonly left?: UploadError.UploadError } }
  const left = result.left
  return left === undefined ? "none" : "reason" in left ? `${left._tag} ${left.reason}` : left._tag
}

/** Uses a bucket with given answers. */
export const using = <A, E>(
  respond: Respond,
  use: (destination: Destination.Destination["Type"]) => Effect.Effect<A, E>,
  options: Partial<S3.Options> = {}
) => {
  const { layer, seen } = answering(respond)
  return Effect.flatMap(Destination.Destination, use).pipe(
    Effect.provide(Layer.provide(S3.layer({ ...bucket, ...options }), layer)),
    Effect.either,
    Effect.map((result) => ({ result, seen }))
  )
}
