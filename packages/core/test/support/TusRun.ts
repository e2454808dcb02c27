/**
 * Uploads to a tus server in memory, and what a test wants to know of them.
 */
import { Destination, Journal, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { UploadError, UploadEvent, UploadRun } from "@sluice/core"
import * as Tus from "@sluice/core/destinations/Tus"
import { Effect, Layer } from "effect"
import { errorName } from "./ErrorName.js"
import * as LargeRun from "./LargeRun.js"
import * as TusModel from "./TusModel.js"

export interface Setup {
  /** A server, or what to make one of. */
  readonly model?: TusModel.Model | TusModel.Options | undefined
  readonly options?: Partial<Tus.Options> | undefined
  readonly uploader?: Uploader.Options | undefined
  readonly file?: UploadFile.UploadFile | undefined
  readonly journal?: Journal.Journal["Type"] | undefined
  readonly run?: UploadRun.Options | undefined
}

const hello = UploadFile.fromText("notes/a b.txt", "hello", { contentType: "text/plain" })

export const mib = 1024 ** 2

/** More than goes in one piece. */
export const medium = UploadFile.fromBytes("medium", new Uint8Array(mib + 1).fill(7))

export const filmBytes = LargeRun.bytesOf(25)

/** A file of three parts. */
export const film = { ...LargeRun.onDisk("film", 25), contentType: "video/mp4" }

/** Uploads a file. There is no backoff. */
export const upload = ({ file = hello, journal, model: modelOptions, options, run, uploader }: Setup = {}) =>
  Effect.gen(function*() {
    const model = modelOptions instanceof TusModel.Model ? modelOptions : new TusModel.Model(modelOptions)
    const before = model.log.length
    const retry = RetryPolicy.make({ base: 0, throttledBase: 0, secondRound: false, attempts: 3 })
    const events: Array<UploadEvent.UploadEvent> = []
    let outcome = "nothing"
    let error: UploadError.UploadError | undefined = undefined
    const settings: Uploader.Options = {
      strategy: Strategy.workerPool({ workers: 1 }),
      retry,
      ...(file !== hello && file !== medium && { multipartThreshold: 10, partSize: 10 }),
      ...uploader
    }
    const report = yield* Effect.flatMap(Uploader.Uploader, (uploader) =>
      uploader.uploadAll([file], {
        ...run,
        onEvent: (event) => Effect.sync(() => void events.push(event)),
        onResult: (result) =>
          Effect.sync(() => {
            if (result._tag === "Failed") error = result.error
            outcome = result._tag === "Uploaded"
              ? "stored"
              : result._tag === "Failed"
              ? errorName(result.error)
              : result._tag
          })
      })).pipe(
        Effect.provide(
          Uploader.layer(settings).pipe(
            Layer.provide(Tus.layer({ url: TusModel.url, ...options })),
            Layer.provide(TusModel.layer(model)),
            Layer.provide(journal === undefined ? Layer.empty : Layer.succeed(Journal.Journal, journal))
          )
        )
      )
    return {
      model,
      report,
      outcome,
      error: error as UploadError.UploadError | undefined,
      events: events.map(({ _tag }) => _tag),
      // The first request asks what the server can do.
      history: model.log.slice(model.log[before]?.startsWith("OPTIONS") === true ? before + 1 : before)
    }
  })

/** The driver by itself. */
export const driver = (model: TusModel.Model, options: Partial<Tus.Options> = {}) =>
  Effect.map(
    Effect.provide(
      Destination.Destination,
      Layer.provide(Tus.layer({ url: TusModel.url, ...options }), TusModel.layer(model))
    ),
    (destination) => ({ ...destination, multipart: destination.multipart! })
  )

/** A fault of the nth request of a method. */
export const nth =
  (method: string, fault: TusModel.Fault, from = 1, to = from): TusModel.Options["fault"] => (request, n) =>
    request.method === method && n >= from && n <= to ? fault : undefined

export const status = (code: number, headers: Record<string, string> = {}, body = ""): TusModel.Fault => ({
  answer: { status: code, headers, body }
})

export const saying = (headers: Record<string, string>): TusModel.Fault => ({
  alter: (answer) => ({ ...answer, headers: { ...answer.headers, ...headers } })
})
