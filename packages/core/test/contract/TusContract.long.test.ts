import { vi } from "@effect/vitest"
import * as Tus from "@sluice/core/destinations/Tus"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer } from "effect"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import * as TusHttp from "../support/TusHttp.js"
import * as TusModel from "../support/TusModel.js"
import * as TusReference from "../support/TusReference.js"
import { destinationContract } from "./DestinationContract.js"

// Some cases make thousands of requests.
vi.setConfig({ testTimeout: 120_000 })

/** The type and the metadata of the last upload of a key. */
const detailsOf = (
  { filename: _, filetype, ...metadata }: Readonly<Record<string, string>> = {}
) => ({ contentType: filetype, metadata })

const atReference = Layer.unwrapScoped(
  Effect.map(
    Effect.flatMap(TemporaryDirectory.TemporaryDirectory, (directory) => TusReference.serve({ directory })),
    ({ url }) => Tus.layer({ url })
  )
).pipe(Layer.provideMerge(TemporaryDirectory.layer))

destinationContract({
  name: "Tus at @tus/server",
  layer: Layer.provide(atReference, TransportNode.layer()),
  readBack: (key) =>
    Effect.map(TemporaryDirectory.TemporaryDirectory, (directory) => TusReference.read(directory, key)),
  list: Effect.map(TemporaryDirectory.TemporaryDirectory, TusReference.list),
  details: (key) =>
    Effect.map(
      TemporaryDirectory.TemporaryDirectory,
      (directory) => detailsOf(TusReference.uploads(directory).find((upload) => upload.key === key)?.metadata)
    ),
  keeps: ["contentType", "metadata"],
  maxOpenFiles: 0,
  parts: {
    partSize: 64 * 1024,
    unfinished: Effect.map(
      TemporaryDirectory.TemporaryDirectory,
      (directory) => TusReference.uploads(directory).filter(({ isWhole }) => !isWhole).map(({ key }) => key)
    )
  },
  http: {
    layer: atReference,
    stageOf: ({ headers, method }) =>
      method === "PATCH"
        ? "part"
        : method === "HEAD"
        ? "complete"
        : method === "POST"
        ? headers["content-type"] === undefined ? "create" : "put"
        : undefined,
    means: { 412: ["Rejected", "Unsupported"] }
  }
})

destinationContract({
  name: "Tus with checksums and parts at once",
  layer: Layer.unwrapEffect(Effect.map(TusHttp.TusHttp, ({ url }) => Tus.layer({ url }))).pipe(
    Layer.provide(TransportNode.layer()),
    Layer.provideMerge(TusHttp.layer())
  ),
  readBack: (key) => Effect.map(TusHttp.TusHttp, ({ model }) => model.whole().get(key)),
  list: Effect.flatMap(TusHttp.TusHttp, ({ idle, model }) =>
    Effect.map(idle, () => [
      ...model.whole().keys(),
      ...Array.from(model.uploads)
        .filter(([, { bytes, concat, length }]) => concat === "partial" || bytes.length !== length)
        .map(([path]) => `incomplete upload ${path}`)
    ])),
  details: (key) =>
    Effect.map(TusHttp.TusHttp, ({ model }) => {
      const all = Array.from(model.uploads.values(), ({ metadata }) => TusModel.metadataOf(metadata ?? ""))
      return detailsOf(Object.fromEntries(all.find((metadata) => metadata?.get("filename") === key) ?? []))
    }),
  keeps: ["contentType", "metadata"],
  maxOpenFiles: 0,
  parts: {
    partSize: 64 * 1024,
    unfinished: Effect.map(TusHttp.TusHttp, ({ model }) =>
      Array.from(model.uploads)
        .filter(([, { bytes, concat, length }]) => concat === "partial" || bytes.length !== length)
        .map(([path]) => path))
  }
})
