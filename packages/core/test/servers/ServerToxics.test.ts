import { vi } from "@effect/vitest"
import * as S3 from "@sluice/core/destinations/S3"
import * as Tus from "@sluice/core/destinations/Tus"
import { Context, Effect, Layer } from "effect"
import * as fs from "node:fs"
import { describe, inject, it } from "vitest"
import { toxicsMatrix } from "../contract/ToxicsMatrix.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import * as TusReference from "../support/TusReference.js"
import * as Swift from "./Swift.js"

vi.setConfig({ testTimeout: 90_000 })

const swift = inject("swift")

if ("skipped" in swift) {
  describe("toxics on the line to S3", () => {
    it.skip(`skipped: ${swift.skipped}`, () => {})
  })
} else {
  const { SwiftBucket } = Swift
  toxicsMatrix({
    name: "S3",
    server: Layer.effect(SwiftBucket, Swift.bucket(swift.port)),
    port: Effect.succeed(swift.port),
    destination: (port) =>
      Layer.unwrapEffect(Effect.map(SwiftBucket, (bucket) => S3.layer(Swift.options(bucket, port)))),
    readBack: (key) => Effect.flatMap(SwiftBucket, ({ read }) => read(key)),
    unfinished: Effect.flatMap(SwiftBucket, ({ unfinished }) => unfinished),
    forgetsCreations: true,
    partSize: 5 * 1024 * 1024,
    stallTimeout: "2 seconds",
    concurrent: false
  })
}

class TusServer extends Context.Tag("@sluice/core/test/servers/TusServer")<
  TusServer,
  { readonly directory: string; readonly port: number }
>() {}

toxicsMatrix({
  name: "tus",
  server: Layer.scoped(
    TusServer,
    Effect.flatMap(
      TemporaryDirectory.make,
      (directory) => Effect.map(TusReference.serve({ directory }), ({ port }) => ({ directory, port }))
    )
  ),
  port: Effect.map(TusServer, ({ port }) => port),
  destination: (port) => Tus.layer({ url: `http://127.0.0.1:${port}/files/` }),
  readBack: (key) => Effect.map(TusServer, ({ directory }) => TusReference.read(directory, key)),
  unfinished: Effect.map(TusServer, ({ directory }) =>
    fs.existsSync(directory)
      ? TusReference.uploads(directory).filter(({ isWhole }) => !isWhole).map(({ key }) => key)
      : []),
  forgetsCreations: true,
  partSize: 256 * 1024
})
