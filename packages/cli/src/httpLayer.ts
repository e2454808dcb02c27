/**
 * HTTP destinations, over a pool of kept-alive connections. Loaded only when one is used.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type { Destination } from "@sluice/core/Destination"
import * as Http from "@sluice/core/destinations/Http"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Agent } from "undici"
import type { HttpCredentials } from "./layers.js"

export const layer = (options: {
  readonly url: string
  readonly credentials: Option.Option<HttpCredentials>
  /** How many connections there may be. */
  readonly connections: number
  readonly contentRange: boolean
}): Layer.Layer<Destination> =>
  Http.layer({
    url: options.url,
    credentials: Option.getOrUndefined(Option.map(options.credentials, render)),
    parts: options.contentRange ? "contentRange" : undefined
  }).pipe(
    Layer.provide(NodeHttpClient.layerUndiciWithoutDispatcher),
    Layer.provide(dispatcher(options.connections))
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const render = (credentials: HttpCredentials): Http.Credentials =>
  credentials._tag === "Bearer"
    ? Http.bearer(credentials.token)
    : Http.basic(credentials.user, credentials.password)

// The engine watches for stalls, by bytes moved: the agent's own times would cut slow uploads that are well.
const dispatcher = (connections: number): Layer.Layer<NodeHttpClient.Dispatcher> =>
  Layer.scoped(
    NodeHttpClient.Dispatcher,
    Effect.acquireRelease(
      Effect.sync(() => new Agent({ connections, headersTimeout: 0, bodyTimeout: 0 })),
      (agent) => Effect.promise(() => agent.destroy())
    )
  )
