/**
 * Uploads by the HTTP driver to a server of the test.
 */
import { ByteSource, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer, TestClock } from "effect"
import type { Fiber, Scope } from "effect"
import type * as http from "node:http"
import { readBody } from "./PutServer.js"
import type { Handler } from "./PutServer.js"

const kib = 1024
const mib = 1024 * kib

export interface Settings {
  readonly strategy?: Strategy.Strategy
  readonly retry?: RetryPolicy.RetryPolicy
  readonly transport?: TransportNode.Options
}

/** An uploader to a server, without retries unless asked for. */
export const to = (
  options: Http.Options,
  settings: Settings = {}
): Effect.Effect<Uploader.Uploader["Type"], never, Scope.Scope> => {
  const { retry = RetryPolicy.none, strategy = Strategy.unlimited, transport = { connections: 300 } } = settings
  const destination = Layer.provide(Http.layer(options), TransportNode.layer(transport))
  return Effect.flatMap(
    Layer.build(destination),
    (context) => Effect.provide(Uploader.make({ strategy, retry }), context)
  )
}

export const upload = (options: Http.Options, file: UploadFile.UploadFile, settings?: Settings) =>
  Effect.scoped(Effect.flatMap(to(options, settings), (uploader) => uploader.upload(file)))

export const failure = (options: Http.Options, file: UploadFile.UploadFile, settings?: Settings) =>
  Effect.flip(upload(options, file, settings))

export const small = UploadFile.fromText("small", "content")

export const large = UploadFile.make("large", ByteSource.generate(32 * mib))

/** Takes the whole body, and then answers. */
export const after =
  (answer: (request: http.IncomingMessage, response: http.ServerResponse) => void): Handler => (request, response) =>
    readBody(request, (body) => body === undefined ? undefined : answer(request, response))

export const answering = (status: number, headers: http.OutgoingHttpHeaders = {}, text = "") =>
  after((_request, response) => response.writeHead(status, headers).end(text))

/** Moves the clock on until a fiber has ended: for what waits for a server and for the clock by turns. */
export const advanceUntil = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, step: "100 millis" | "1 second") =>
  Effect.repeat(Effect.zipRight(TestClock.adjust(step), fiber.poll), { until: (exit) => exit._tag === "Some" })
