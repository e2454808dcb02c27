import { vi } from "@effect/vitest"
import * as Http from "@sluice/core/destinations/Http"
import { Context, Effect, Layer } from "effect"
import * as PartsServer from "../support/PartsServer.js"
import { toxicsMatrix } from "./ToxicsMatrix.js"

vi.setConfig({ testTimeout: 60_000 })

class Server extends Context.Tag("@sluice/core/test/Toxics/Server")<Server, PartsServer.PartsServer>() {}

toxicsMatrix({
  name: "Http",
  server: Layer.scoped(Server, PartsServer.serve()),
  port: Effect.map(Server, ({ port }) => port),
  destination: (port) => Http.layer({ url: `http://127.0.0.1:${port}/files/`, parts: "contentRange" }),
  readBack: (key) => Effect.map(Server, ({ object }) => object(key)),
  unfinished: Effect.map(Server, ({ sessions }) => sessions().map(({ key }) => key)),
  partSize: 256 * 1024
})
