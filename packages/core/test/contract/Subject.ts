/**
 * A destination to be tested, what applies to it, and a way around it to what it has stored.
 */
import { Journal, RetryPolicy, Strategy, Uploader } from "@sluice/core"
import type { Destination, Transport, UploadError, UploadFile, UploadResult } from "@sluice/core"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer, Stream } from "effect"
import * as FlakyTransport from "./FlakyTransport.js"
import * as Stages from "./Stages.js"

export interface Subject<R> {
  readonly name: string
  /** A destination of its own for every case, empty at first. */
  readonly layer: Layer.Layer<Destination.Destination | R, unknown>
  /** The content stored under a key. */
  readonly readBack: (key: string) => Effect.Effect<Uint8Array | undefined, never, R>
  /** Everything that is there, temporary leftovers and what lies outside of the root included. */
  readonly list: Effect.Effect<ReadonlyArray<string>, never, R>
  /** What the destination keeps of a file's details. */
  readonly details?: ((key: string) => Effect.Effect<UploadFile.Details, never, R>) | undefined
  readonly keeps?: ReadonlyArray<"contentType" | "metadata" | "modifiedAt"> | undefined
  /** How many files the destination has open at once, at most. */
  readonly maxOpenFiles: number
  /** Whether a name is stored as it is; others have to be refused. Defaults to all names. */
  readonly takesKey?: ((key: string) => boolean) | undefined
  /** Whether its server can report its objects. Defaults to `true`. */
  readonly tells?: boolean | undefined
  /** Present if large objects are uploaded in parts. */
  readonly parts?: {
    /** The smallest size of parts that it takes, in bytes. */
    readonly partSize: number
    /** Multipart uploads that have neither become objects nor been aborted. */
    readonly unfinished: Effect.Effect<ReadonlyArray<string>, never, R>
    /** Whether the last part makes the object, and not `complete`. Defaults to `false`. */
    readonly lastPartCompletes?: boolean | undefined
    /** Whether it can be without a size. Defaults to `true`. */
    readonly unknownSize?: boolean | undefined
  } | undefined
  /** Where it speaks HTTP. */
  readonly http?: {
    /** The same destination over the transport in the context. */
    readonly layer: Layer.Layer<Destination.Destination | R, unknown, Transport.Transport>
    /** What a request is for: `put`, `create`, `part`, `complete`; others have no name. */
    readonly stageOf: (request: Omit<Transport.Request, "body">) => string | undefined
    /** What its server answers when credentials have expired, where the driver then asks for others. */
    readonly expired?: Omit<Extract<FlakyTransport.Fault, { readonly _tag: "Answers" }>, "_tag"> | undefined
    /** Statuses that pass here, and do not elsewhere. Defaults to none. */
    readonly passing?: ReadonlyArray<number> | undefined
    /** Where a status means something else than elsewhere. */
    readonly means?: Readonly<Record<number, readonly [tag: string, reason: string]>> | undefined
  } | undefined
}

/** Retries at once, so that no test waits for a backoff. */
export const retry = RetryPolicy.make({ attempts: 4, base: 1, throttledBase: 1, budget: false, secondRound: false })

export const uploaderOptions = <R>({ parts }: Subject<R>, options: Uploader.Options = {}): Uploader.Options => ({
  strategy: Strategy.workerPool({ workers: 8 }),
  retry,
  ...(parts !== undefined && { partSize: parts.partSize, multipartThreshold: 1 }),
  ...options
})

/** An uploader whose destination's verbs are in hand. */
export const staged = <R>(subject: Subject<R>, options: Uploader.Options = {}) =>
  Uploader.layer(uploaderOptions(subject, options)).pipe(
    Layer.provideMerge(Stages.around(Layer.orDie(subject.layer)))
  )

/** The same, with a journal in memory that outlives the runs of a case. */
export const journaled = <R>(subject: Subject<R>, options: Uploader.Options = {}) =>
  Uploader.layer(uploaderOptions(subject, options)).pipe(
    Layer.provideMerge(Stages.around(Layer.orDie(subject.layer))),
    Layer.provideMerge(Journal.layerMemory)
  )

/** An uploader whose destination's transport is flaky. */
export const flaky = <R>(http: NonNullable<Subject<R>["http"]>, options: Uploader.Options) =>
  Uploader.layer(options).pipe(
    Layer.provideMerge(Layer.orDie(http.layer)),
    Layer.provideMerge(FlakyTransport.around(TransportNode.layer({ connections: 16 }), http.stageOf))
  )

/** Uploads one file, and gives its result whatever it is, with the errors of the attempts before. */
export const uploadOne = (
  file: UploadFile.UploadFile,
  options: Parameters<Uploader.Uploader["Type"]["uploadAll"]>[1] = {}
) =>
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const results: Array<UploadResult.UploadResult> = []
    const retried: Array<string> = []
    yield* uploader.uploadAll([file], {
      ...options,
      onResult: (result) => Effect.sync(() => results.push(result)),
      onEvent: (event) =>
        Effect.sync(() => {
          if (event._tag === "UploadRetrying") retried.push(event.error._tag)
        })
    })
    return { result: results[0], retried }
  })

/** An error in two words. */
export const named = (error: UploadError.UploadError): readonly [tag: string, reason: string] => [
  error._tag,
  "reason" in error ? error.reason : ""
]

/** A result in a few words, for comparison. */
export const told = (result: UploadResult.UploadResult | undefined): string =>
  result === undefined ? "none" : result._tag === "Failed" ? `Failed: ${named(result.error).join(" ")}` : result._tag

/** Blocks of bytes, as a stream that can be read once. */
export const blocksOf = (bytes: Uint8Array, size: number): Stream.Stream<Uint8Array> =>
  Stream.fromIterable(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
  )
