import { NodeContext } from "@effect/platform-node"
import { vi } from "@effect/vitest"
import * as Http from "@sluice/core/destinations/Http"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as TransportNode from "@sluice/core/TransportNode"
import { Context, Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as PartsServer from "../support/PartsServer.js"
import * as PutServer from "../support/PutServer.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import { destinationContract } from "./DestinationContract.js"

vi.setConfig({ testTimeout: 30_000 })

const localDirectory = (options: Partial<LocalDirectory.Options>) =>
  Layer.unwrapEffect(
    Effect.map(TemporaryDirectory.TemporaryDirectory, (temporary) =>
      LocalDirectory.layer({ root: path.join(temporary, "root"), ...options }))
  ).pipe(
    Layer.provide(NodeContext.layer),
    Layer.provideMerge(TemporaryDirectory.layer)
  )

const rootOf = Effect.map(TemporaryDirectory.TemporaryDirectory, (temporary) => path.join(temporary, "root"))

for (const fsync of [false, true]) {
  destinationContract({
    name: fsync ? "LocalDirectory with fsync" : "LocalDirectory",
    layer: localDirectory({ fsync }),
    readBack: (key) =>
      Effect.map(rootOf, (root) => {
        const file = path.join(root, key)
        return fs.existsSync(file) ? fs.readFileSync(file) : undefined
      }),
    // The whole temporary directory, so that files written next to the root are seen too.
    list: Effect.map(
      TemporaryDirectory.TemporaryDirectory,
      (temporary) => TemporaryDirectory.filesBelow(temporary).map((file) => path.posix.relative("root", file))
    ),
    details: (key) =>
      Effect.map(
        rootOf,
        (root) => ({ modifiedAt: Number(fs.statSync(path.join(root, key), { bigint: true }).mtimeMs) })
      ),
    keeps: ["modifiedAt"],
    maxOpenFiles: LocalDirectory.defaults.maxOpenFiles,
    parts: {
      partSize: 64 * 1024,
      unfinished: Effect.map(
        TemporaryDirectory.TemporaryDirectory,
        (temporary) => TemporaryDirectory.filesBelow(temporary).filter((file) => file.endsWith(".parts"))
      )
    }
  })
}

const http = Layer.unwrapEffect(
  Effect.map(PutServer.PutServer, ({ url }) => Http.layer({ url: `${url}/files/` }))
).pipe(Layer.provideMerge(PutServer.layer))

const transport = TransportNode.layer({ connections: 256 })

destinationContract({
  name: "Http",
  layer: Layer.provide(http, transport),
  readBack: (key) => Effect.map(PutServer.PutServer, ({ objects }) => objects.get(key)?.bytes),
  // A request in progress is like a temporary file in a directory: the server must see it end.
  list: Effect.flatMap(PutServer.PutServer, ({ idle, objects }) => Effect.map(idle, () => [...objects.keys()])),
  details: (key) =>
    Effect.map(PutServer.PutServer, ({ objects }) => ({ contentType: objects.get(key)?.headers["content-type"] })),
  keeps: ["contentType"],
  maxOpenFiles: 0,
  tells: false,
  // This server has nothing that could be in conflict, and its directory is there.
  http: { layer: http, stageOf: ({ method }) => method === "PUT" ? "put" : undefined, passing: [409] }
})

class Parts extends Context.Tag("@sluice/core/test/PartsServer")<Parts, PartsServer.PartsServer>() {}

const httpParts = Layer.unwrapEffect(
  Effect.map(Parts, ({ url }) => Http.layer({ url, parts: "contentRange" }))
).pipe(Layer.provideMerge(Layer.scoped(Parts, PartsServer.serve())))

destinationContract({
  name: "Http in parts",
  layer: Layer.provide(httpParts, transport),
  readBack: (key) => Effect.map(Parts, ({ object }) => object(key)),
  list: Effect.map(Parts, ({ objects }) => objects()),
  maxOpenFiles: 0,
  parts: {
    partSize: 256 * 1024,
    lastPartCompletes: true,
    unfinished: Effect.map(Parts, ({ sessions }) => sessions().map(({ key }) => key))
  },
  http: {
    layer: httpParts,
    stageOf: ({ headers, method }) => {
      if (method !== "PUT") return undefined
      const range = headers["content-range"]
      if (range === undefined) return "put"
      return /^bytes \d/.test(range) ? "part" : range === "bytes */*" ? "list" : "complete"
    }
  }
})

destinationContract({
  name: "Simulated",
  layer: Simulated.layer({ observe: true }),
  readBack: (key) => Effect.map(Simulated.Network, ({ objects }) => objects.get(key)?.bytes),
  list: Effect.flatMap(Simulated.Network, ({ inFlight, objects }) =>
    Effect.map(inFlight, (requests) => [
      ...objects.keys(),
      ...Array.from({ length: requests }, (_, i) => `request in flight ${i}`)
    ])),
  details: (key) => Effect.map(Simulated.Network, ({ objects }) => objects.get(key) ?? {}),
  keeps: ["contentType", "metadata"],
  maxOpenFiles: 0,
  parts: {
    partSize: 64 * 1024,
    unfinished: Effect.flatMap(
      Simulated.Network,
      ({ sessions }) => Effect.map(sessions, (open) => open.map(({ key }) => key))
    )
  }
})
