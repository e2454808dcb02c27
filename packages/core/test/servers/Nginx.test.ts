import { assert, describe, it, vi } from "@effect/vitest"
import { RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"
import { pattern } from "../support/TestSource.js"

vi.setConfig({ testTimeout: 60_000 })

const mib = 1024 ** 2

/** 200 small files, and two that are uploaded in parts. */
const sizes = [5 * mib + 1, 12 * mib, ...Array.from({ length: 200 }, (_, i) => (i * 97) % 20_000)]

/** What goes wrong, of which requests that change something; and whether these have to be made again. */
const faults: ReadonlyArray<readonly [name: string, query: string, retries: boolean]> = [
  ["takes its time", "delay_ms=20", false],
  ["is overloaded, and says so when all has been sent", "n=30&status=503", true],
  ["is overloaded, and says so before anything is read", "n=30&status=503&early=1&retry_after=0", true],
  ["breaks, and says so", "n=30&status=500", true],
  ["resets connections in the middle of what is sent", "n=30&cut=1000", true],
  ["does what it is told, and never says so", "n=30&lost=1", true]
]

const server = inject("nginx")

describe("nginx, as an S3 server that goes wrong", () => {
  if ("skipped" in server) return it.skip(`skipped: ${server.skipped}`, () => {})
  const endpoint = `http://127.0.0.1:${server.port}`
  for (const [index, [name, query, retries]] of faults.entries()) {
    it.live(`has every file, whole, where it ${name}`, () =>
      Effect.gen(function*() {
        const bucket = `bucket-${index}`
        const ask = (path: string, init: RequestInit = {}) => Effect.promise(() => fetch(`${endpoint}${path}`, init))
        const files = sizes.map((size, i) => UploadFile.fromBytes(`folder ${i % 5}/ü ${i}`, pattern(size, i + 1)))
        yield* ask(`/__fault?${query}`)
        const report = yield* Effect.flatMap(Uploader.Uploader, (uploader) => uploader.uploadAll(files)).pipe(
          Effect.provide(
            Uploader.layer({
              strategy: Strategy.workerPool({ workers: 16 }),
              retry: RetryPolicy.make({ base: "5 millis", throttledBase: "5 millis", attempts: 8 }),
              partSize: 5 * mib,
              multipartThreshold: 5 * mib
            }).pipe(
              Layer.provide(S3.layer({
                bucket,
                endpoint,
                region: "us-east-1",
                credentials: Effect.succeed({ accessKeyId: "anybody", secretAccessKey: Redacted.make("secret") })
              })),
              Layer.provide(TransportNode.layer({ connections: 16 }))
            )
          )
        )
        yield* ask("/__fault?reset=1")
        assert.deepStrictEqual([report.failures, report.files.uploaded], [[], files.length])
        assert.strictEqual(report.retries > 0, retries, `${report.retries} retries`)
        const stored = yield* Effect.forEach(files, ({ key }) =>
          Effect.map(
            ask(`/${bucket}/${key.split("/").map(encodeURIComponent).join("/")}`, { method: "HEAD" }),
            ({ headers }) => Number(headers.get("content-length"))
          ), { concurrency: 16 })
        assert.deepStrictEqual(stored, sizes)
      }))
  }
})
