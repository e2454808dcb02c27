import { vi } from "@effect/vitest"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer } from "effect"
import { describe, inject, it } from "vitest"
import { destinationContract } from "../contract/DestinationContract.js"
import * as Swift from "./Swift.js"

vi.setConfig({ testTimeout: 60_000 })

const swift = inject("swift")

if ("skipped" in swift) {
  describe("S3 at Swift", () => {
    it.skip(`skipped: ${swift.skipped}`, () => {})
  })
} else {
  const layer = Swift.layer(swift.port)
  const { SwiftBucket } = Swift

  destinationContract({
    name: "S3 at Swift",
    layer: Layer.provide(layer, TransportNode.layer({ connections: 64 })),
    readBack: (key) => Effect.flatMap(SwiftBucket, ({ read }) => read(key)),
    list: Effect.flatMap(SwiftBucket, ({ objects }) => objects),
    details: (key) =>
      Effect.flatMap(SwiftBucket, ({ headers }) =>
        Effect.map(headers(key), (kept) => ({
          contentType: kept.get("content-type") ?? undefined,
          metadata: { author: kept.get("x-object-meta-author") ?? "" },
          modifiedAt: Number(kept.get("x-object-meta-mtime")) * 1000
        }))),
    keeps: ["contentType", "metadata", "modifiedAt"],
    maxOpenFiles: 0,
    parts: {
      partSize: 5 * 1024 * 1024,
      unfinished: Effect.flatMap(SwiftBucket, ({ unfinished }) => unfinished)
    },
    http: {
      layer,
      stageOf: ({ method, url }) => {
        const { searchParams } = new URL(url)
        if (method === "PUT") return searchParams.has("partNumber") ? "part" : "put"
        if (method !== "POST") return undefined
        return searchParams.has("uploads") ? "create" : searchParams.has("uploadId") ? "complete" : undefined
      },
      expired: {
        status: 400,
        body: "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
      }
    }
  })
}
