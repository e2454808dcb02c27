import { Effect } from "effect"
import type { Scope } from "effect"
import * as http from "node:http"

export interface Received {
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface FileServer {
  readonly url: string
  /** What was stored, by key. */
  readonly stored: Map<string, Received>
  /** How many connections were opened. */
  readonly connections: () => number
  /** Waits until so many requests have come in, whole. */
  readonly hasReceived: (count: number) => Effect.Effect<void>
  /** From now on, requests are answered at once; those that wait, now. */
  readonly release: Effect.Effect<void>
}

/** A server that takes files by PUT. `answer` gives the status for a key; with `held`, answers wait for `release`. */
export const start = (
  options: { readonly answer?: (key: string) => number; readonly held?: boolean } = {}
): Effect.Effect<FileServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const stored = new Map<string, Received>()
    const waiting: Array<() => void> = []
    const watchers = new Set<() => void>()
    let held = options.held ?? false
    let received = 0
    let connections = 0
    const server = http.createServer((request, response) => {
      const blocks: Array<Buffer> = []
      request.on("data", (block: Buffer) => blocks.push(block))
      request.on("end", () => {
        const key = decodeURIComponent(new URL(request.url ?? "", "http://host").pathname.slice(1))
        const status = options.answer?.(key) ?? 201
        received += 1
        for (const watch of watchers) watch()
        const answer = () => {
          if (status < 300) stored.set(key, { headers: request.headers, body: Buffer.concat(blocks).toString() })
          response.writeHead(status).end()
        }
        if (held) waiting.push(answer)
        else answer()
      })
    })
    server.on("connection", () => connections += 1)
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
      () =>
        Effect.promise(() => {
          server.closeAllConnections()
          return new Promise((resolve) => server.close(resolve))
        })
    )
    const address = server.address()
    return {
      url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
      stored,
      connections: () => connections,
      hasReceived: (count) =>
        Effect.async<void>((resume) => {
          const watch = () => {
            if (received < count) return
            watchers.delete(watch)
            resume(Effect.void)
          }
          watchers.add(watch)
          watch()
        }),
      release: Effect.sync(() => {
        held = false
        for (const answer of waiting.splice(0)) answer()
      })
    }
  })
