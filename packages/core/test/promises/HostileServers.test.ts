/**
 * Servers that want to lead astray, to fill memory or to hold up: on real connections, to each driver that speaks HTTP.
 * Each is refused or bounded, and what is said of it is compared.
 */
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { Destination, Transport, UploadResult } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as S3 from "@sluice/core/destinations/S3"
import * as Tus from "@sluice/core/destinations/Tus"
import * as TransportNode from "@sluice/core/TransportNode"
import { Deferred, Effect, Fiber, Layer, Redacted } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { elapse } from "../support/Elapse.js"
import * as PutServer from "../support/PutServer.js"

interface Driver {
  readonly name: string
  readonly destination: (origin: string) => Layer.Layer<Destination.Destination, never, Transport.Transport>
  /** The server, as messages name it. */
  readonly named: (origin: string) => string
}

const drivers: ReadonlyArray<Driver> = [
  {
    name: "S3",
    destination: (endpoint) =>
      S3.layer({
        bucket: "bucket",
        endpoint,
        region: "us-east-1",
        credentials: Effect.succeed({ accessKeyId: "anybody", secretAccessKey: Redacted.make("secret") })
      }),
    named: () => "s3://bucket"
  },
  {
    name: "tus",
    destination: (origin) => Tus.layer({ url: `${origin}/files/`, offer: { extensions: ["creation"] } }),
    named: (origin) => `${origin}/files/`
  },
  {
    name: "HTTP",
    destination: (origin) => Http.layer({ url: `${origin}/files/` }),
    named: (origin) => `${origin}/files/`
  }
]

/** Uploads a small file, in one attempt unless there are to be more. */
const upload = (
  { destination }: Driver,
  origin: string,
  retry = RetryPolicy.none,
  options: Uploader.Options = {}
) =>
  Effect.gen(function*() {
    const results: Array<UploadResult.UploadResult> = []
    const uploader = yield* Uploader.Uploader
    const report = yield* uploader.uploadAll([UploadFile.fromText("key", "content")], {
      onResult: (result) => Effect.sync(() => results.push(result))
    })
    const [result] = results
    return { result, retries: report.retries, message: result?._tag === "Failed" ? result.error.message : result?._tag }
  }).pipe(
    Effect.provide(
      Uploader.layer({ strategy: Strategy.workerPool({ workers: 1 }), retry, ...options }).pipe(
        Layer.provide(destination(origin)),
        Layer.provide(TransportNode.layer({ connections: 2 }))
      )
    )
  )

/** A server that has taken the whole request before it answers. */
const answering = (answer: (request: IncomingMessage, response: ServerResponse) => void) =>
  PutServer.serve((request, response) => {
    request.resume()
    request.on("end", () => answer(request, response))
  })

/** Another host, which counts the requests it receives. */
const bystander = Effect.suspend(() => {
  let heard = 0
  return Effect.map(
    answering((_, response) => {
      heard += 1
      response.writeHead(200).end()
    }),
    ({ url }) => ({ url, heard: () => heard })
  )
})

const gib = 1024 ** 3

const documentType = "<!DOCTYPE Error [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>"

/** The shown beginning of an endless error. */
const excerpt = "no ".repeat(200).slice(0, 512).trimEnd()

for (const driver of drivers) {
  const isS3 = driver.name === "S3"
  const said = (origin: string, status: number, text: string = "") =>
    `${driver.named(origin)} answered ${status}${text === "" || isS3 ? "" : `: ${text}`}`

  describe(`a hostile server, to ${driver.name}`, () => {
    it.scopedLive("redirects to another host, which receives nothing", () =>
      Effect.gen(function*() {
        const other = yield* bystander
        const { url } = yield* answering((_, response) => {
          response.writeHead(307, { location: `${other.url}/path?secret=1` }).end()
        })
        const { message } = yield* upload(driver, url)
        assert.strictEqual(
          message,
          `${said(url, 307)} (redirects are not followed; this one leads to ${other.url}/path)`
        )
        assert.strictEqual(other.heard(), 0)
      }))

    it.scopedLive("says that the upload is at another host, which receives nothing", () =>
      Effect.gen(function*() {
        const other = yield* bystander
        const { url } = yield* answering((_, response) => {
          response.writeHead(201, { location: `${other.url}/path?secret=1`, "tus-resumable": "1.0.0" }).end()
        })
        const { message } = yield* upload(driver, url)
        assert.strictEqual(
          message,
          driver.name === "tus"
            ? `${
              driver.named(url)
            } says that the upload is at ${other.url}: only its own origin is trusted. A server ` +
              "behind a proxy may need its public address in its configuration."
            : isS3
            ? "s3://bucket returned no etag: its answer cannot be read."
            : "Uploaded"
        )
        assert.strictEqual(other.heard(), 0)
      }))

    it.scopedLive("answers with an error of a gigabyte: a little of it is read", () =>
      Effect.gen(function*() {
        let sent = 0
        const closed = yield* Deferred.make<void>()
        const block = Buffer.alloc(63 * 1024, "no ")
        const { url } = yield* answering((_, response) => {
          response.writeHead(403, { "content-length": gib })
          const write = () => {
            while (sent < gib && !response.destroyed) {
              sent += block.length
              if (!response.write(block)) return
            }
          }
          response.on("drain", write)
          response.on("close", () => Effect.runSync(Deferred.succeed(closed, undefined)))
          write()
        })
        const { message } = yield* upload(driver, url)
        assert.strictEqual(message, said(url, 403, excerpt))
        yield* Deferred.await(closed)
        // What sockets hold on the way is some megabytes.
        assert.isBelow(sent, gib / 16)
      }))

    it.scoped("never ends its answer: it is listened to for some seconds", () =>
      Effect.gen(function*() {
        const responses: Array<ServerResponse> = []
        const { url } = yield* answering((_, response) => {
          response.writeHead(403).write("because")
          responses.push(response)
        })
        const fiber = yield* Effect.fork(upload(driver, url))
        const seconds = yield* elapse(
          fiber,
          Effect.sync(() => {
            for (const response of responses) response.write(".")
          })
        )
        const { message = "" } = yield* Fiber.join(fiber)
        assert.strictEqual(message.replace(/\.+$/, ""), said(url, 403, "because"))
        // The test's clock is off by decades, which S3 puts right and asks once more.
        assert.isAtMost(seconds, isS3 ? 21 : 11)
      }))

    it.scopedLive("asks for three thousand years: it is waited for no longer than the policy allows", () =>
      Effect.gen(function*() {
        let asked = 0
        const { url } = yield* answering((_, response) => {
          asked += 1
          response.writeHead(429, { "retry-after": "99999999999" }).end()
        })
        const { message, result, retries } = yield* upload(
          driver,
          url,
          RetryPolicy.make({ attempts: 3, base: 1, throttledBase: 1, retryAfterCap: 5, secondRound: false })
        )
        assert.deepStrictEqual([message, retries, asked], [said(url, 429), 2, 3])
        assert.isTrue(result?._tag === "Failed" && result.error._tag === "Throttled")
      }))

    it.scopedLive("answers with XML that has a document type: it is not read", () =>
      Effect.gen(function*() {
        const { url } = yield* answering((_, response) => {
          response.writeHead(403).end(`${documentType}<Error><Code>SlowDown</Code><Message>&e;</Message></Error>`)
        })
        assert.strictEqual((yield* upload(driver, url)).message, said(url, 403, "SlowDown &e;"))
      }))
  })
}

describe("a hostile server, to S3 in parts", () => {
  const [s3] = drivers
  const parts = { partSize: "5 MiB", multipartThreshold: 1 }

  it.scopedLive("creates uploads in XML that has a document type: it is not read", () =>
    Effect.gen(function*() {
      const { url } = yield* answering((_, response) => {
        response.writeHead(200).end(
          `${documentType}<InitiateMultipartUploadResult><UploadId>&e;</UploadId></InitiateMultipartUploadResult>`
        )
      })
      const { message } = yield* upload(s3!, url, RetryPolicy.none, parts)
      assert.strictEqual(message, "s3://bucket sent an answer that cannot be read.")
    }))

  it.scoped("takes five minutes to assemble an object, and sends spaces in the meantime", () =>
    Effect.gen(function*() {
      let completing: ServerResponse | undefined = undefined
      let asked = 0
      const { url } = yield* answering(({ method, url }, response) => {
        if (method === "PUT") response.writeHead(200, { etag: "\"1\"" }).end()
        else if (url?.endsWith("uploads=")) {
          response.writeHead(200).end(
            "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
          )
        } else {
          asked += 1
          completing = response.writeHead(200)
        }
      })
      const fiber = yield* Effect.fork(upload(s3!, url, RetryPolicy.none, parts))
      let seconds = 0
      yield* elapse(
        fiber,
        Effect.sync(() => {
          if (completing === undefined) return
          seconds += 1
          if (seconds < 300) completing.write(" ")
          else completing.end("<CompleteMultipartUploadResult><ETag>\"1-1\"</ETag></CompleteMultipartUploadResult>")
        })
      )
      assert.deepStrictEqual([(yield* Fiber.join(fiber)).message, asked], ["Uploaded", 1])
      assert.isAtLeast(seconds, 300)
    }))
})
