/**
 * Servers whose objects cannot be looked at by their keys are waited for all the same while they are away: it is enough
 * that they answer.
 */
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, Transport, Uploader, UploadError, UploadFile } from "@sluice/core"
import type { Destination } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as Tus from "@sluice/core/destinations/Tus"
import { Clock, Effect, Fiber, Layer, Redacted, Stream, TestClock } from "effect"
import * as TusModel from "../support/TusModel.js"

const origin = "https://files.example.org"

/** A server that takes everything, and nothing reaches from the first second to the hundredth. */
const away = (server: Transport.Transport["Type"]) => {
  const asked: Array<readonly [at: number, request: Transport.Request]> = []
  const send = (request: Transport.Request): Effect.Effect<Transport.Answer, UploadError.UploadError> =>
    Effect.gen(function*() {
      const at = yield* Clock.currentTimeMillis
      asked.push([at, request])
      yield* Effect.sleep(100)
      return yield* at >= 1_000 && at < 100_000
        ? Effect.fail(new UploadError.Transient({ reason: "Connection", detail: "connect ECONNREFUSED" }))
        : server.send(request)
    })
  return { asked, transport: Transport.Transport.of({ ...server, send }) }
}

const taking: Transport.Transport["Type"] = {
  send: ({ body }) =>
    Effect.as(
      body === undefined || body instanceof Uint8Array ? Effect.void : Stream.runDrain(body.stream()),
      { status: 201, headers: { etag: "\"a\"" }, body: new Uint8Array(0) }
    ),
  open: () => Effect.dieMessage("nothing is read")
}

/** Uploads files one after the other, and returns the results. */
const uploading = (destination: Layer.Layer<Destination.Destination, never, Transport.Transport>, server = taking) =>
  Effect.gen(function*() {
    const { asked, transport } = away(server)
    const fiber = yield* Effect.fork(
      Effect.flatMap(
        Uploader.Uploader,
        (uploader) => uploader.uploadAll(Array.from({ length: 20 }, (_, i) => UploadFile.fromText(`${i}.txt`, "hello")))
      ).pipe(
        Effect.provide(
          Uploader.layer({
            strategy: Strategy.workerPool({ workers: 1 }),
            retry: RetryPolicy.make({ attempts: 4, secondRound: false })
          }).pipe(Layer.provide(destination), Layer.provide(Layer.succeed(Transport.Transport, transport)))
        )
      )
    )
    yield* TestClock.adjust("5 minutes")
    const { files } = yield* Fiber.join(fiber)
    const looks = asked.filter(([at, { method }]) => at >= 1_000 && at < 100_000 && /^(?:HEAD|OPTIONS)$/.test(method))
    return { files, looks: looks.map(([, request]) => request), asked }
  })

const signed = (key: string) => Effect.succeed(`${origin}/bucket/${key}?X-Amz-Signature=s3cr3t`)

describe("a server that is away", () => {
  const destinations: ReadonlyArray<
    readonly [
      name: string,
      look: string,
      layer: Layer.Layer<Destination.Destination, never, Transport.Transport>,
      server?: Transport.Transport["Type"]
    ]
  > = [
    [
      "of tus",
      `OPTIONS ${TusModel.url}`,
      Tus.layer({ url: TusModel.url }),
      TusModel.transport(new TusModel.Model())
    ],
    ["of signed addresses", `HEAD ${origin}/`, Http.layerPresigned({ urls: signed })],
    [
      "of forms",
      `HEAD ${origin}/`,
      Http.layer({ url: `${origin}/upload?key={key}`, form: {}, credentials: Http.bearer(Redacted.make("s3cr3t")) })
    ]
  ]
  for (const [name, look, layer, server] of destinations) {
    it.effect(`is waited for by looks that change nothing, and no file is lost: one ${name}`, () =>
      Effect.gen(function*() {
        const { files, looks } = yield* uploading(layer, server)
        assert.deepInclude(files, { uploaded: 20, failed: 0 })
        assert.isAbove(looks.length, 10)
        assert.isBelow(looks.length, 60)
        for (const { headers, method, url } of looks) {
          assert.strictEqual(`${method} ${url}`, look)
          assert.notInclude(JSON.stringify(headers), "s3cr3t")
        }
      }))
  }
})
