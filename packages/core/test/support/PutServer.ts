/**
 * A real HTTP server on 127.0.0.1 that takes files by `PUT`, stores them atomically, and is strict about how bodies are
 * framed: a request without a true `Content-Length`, or with a `Transfer-Encoding`, is refused.
 */
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import * as http from "node:http"
import type { AddressInfo, Socket } from "node:net"

export type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void

export interface Running {
  /** The address, without a slash at its end. */
  readonly url: string
  readonly port: number
  /** How many connections were ever opened. */
  readonly connections: () => number
  /** Waits until no request is being answered: those that the client gave up count until the server has seen it. */
  readonly idle: Effect.Effect<void>
}

/** Serves until the scope ends. */
export const serve = (handler: Handler, server = http.createServer()): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Running>((resume) => {
      let connections = 0
      let active = 0
      let waiting: Array<() => void> = []
      server.on("connection", (socket: Socket) => {
        connections += 1
        socket.on("error", () => {})
      })
      server.on("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
        active += 1
        request.on("error", () => {})
        response.on("error", () => {})
        response.on("close", () => {
          active -= 1
          if (active > 0) return
          for (const wake of waiting) wake()
          waiting = []
        })
        handler(request, response)
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const scheme = "setSecureContext" in server ? "https" : "http"
        resume(Effect.succeed({
          url: `${scheme}://127.0.0.1:${port}`,
          port,
          connections: () => connections,
          idle: Effect.async<void>((woken) => {
            if (active === 0) woken(Effect.void)
            else waiting.push(() => woken(Effect.void))
          })
        }))
      })
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

/** The whole body of a request; `undefined` if it was cut off. */
export const readBody = (request: http.IncomingMessage, done: (body: Buffer | undefined) => void): void => {
  const blocks: Array<Buffer> = []
  request.on("data", (block: Buffer) => blocks.push(block))
  request.on("close", () => done(request.complete ? Buffer.concat(blocks) : undefined))
}

export interface StoredObject {
  readonly bytes: Uint8Array
  readonly headers: http.IncomingHttpHeaders
}

export class PutServer extends Context.Tag("@sluice/core/test/PutServer")<
  PutServer,
  Running & { readonly objects: Map<string, StoredObject> }
>() {}

/** The framing of a request's body, if it is wrong. */
const badFraming = ({ headers }: http.IncomingMessage, body: Buffer): string | undefined =>
  headers["transfer-encoding"] !== undefined
    ? `Transfer-Encoding: ${headers["transfer-encoding"]}`
    : headers["content-length"] === undefined
    ? "no Content-Length"
    : Number(headers["content-length"]) !== body.length
    ? `Content-Length: ${headers["content-length"]} for ${body.length} bytes`
    : undefined

/** The server of the contract: what is put to `/files/<key>` is stored under the key. */
export const layer: Layer.Layer<PutServer> = Layer.scoped(
  PutServer,
  Effect.suspend(() => {
    const objects = new Map<string, StoredObject>()
    const server = serve((request, response) =>
      readBody(request, (body) => {
        if (body === undefined) return
        const problem = badFraming(request, body)
        const { pathname } = new URL(request.url!, "http://localhost")
        if (problem !== undefined) return response.writeHead(411).end(problem)
        if (request.method !== "PUT" || !pathname.startsWith("/files/")) return response.writeHead(405).end()
        const key = pathname.slice("/files/".length).split("/").map(decodeURIComponent).join("/")
        objects.set(key, { bytes: body, headers: request.headers })
        return response.writeHead(201, { etag: `"${body.length}"` }).end()
      })
    )
    return Effect.map(server, (running) => ({ ...running, objects }))
  })
)
