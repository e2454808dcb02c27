import { Effect } from "effect"
import type { Scope } from "effect"
import * as http from "node:http"
import { listening } from "./Listening.js"

export interface Received {
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface FileServer {
  readonly url: string
  /** The stored files, by key. */
  readonly stored: Map<string, Received>
  /** The stored parts of incomplete files, by key. */
  readonly unfinished: Map<string, Buffer>
  /** How many requests to store something came for a key. */
  readonly requests: (key: string) => number
  /** How many connections were opened. */
  readonly connections: () => number
  /** Waits until so many requests have come in, whole. */
  readonly hasReceived: (count: number) => Effect.Effect<void>
  /** From now on, requests are answered at once; those that wait, now. */
  readonly release: Effect.Effect<void>
}

export interface Options {
  /** The status for a key and a method. Defaults to 201. */
  readonly answer?: ((key: string, method: string) => number) | undefined
  /** Whether answers wait for `release`. */
  readonly held?: boolean | undefined
  /** Whether files are taken in parts, by Content-Range. */
  readonly parts?: boolean | undefined
}

/** A server that takes files by PUT, and gives them back. */
export const start = (
  options: Options = {}
): Effect.Effect<FileServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const stored = new Map<string, Received>()
    const unfinished = new Map<string, Buffer>()
    const puts = new Map<string, number>()
    const takePart = (key: string, range: string, body: Buffer, response: http.ServerResponse) => {
      const [, from, total] = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(range) ?? []
      const there = from === "0" ? Buffer.alloc(0) : unfinished.get(key)
      if (there === undefined) return response.writeHead(stored.has(key) ? 200 : 404).end()
      const now = from === undefined || Number(from) !== there.length ? there : Buffer.concat([there, body])
      unfinished.set(key, now)
      if (String(now.length) !== total) {
        return response.writeHead(308, now.length === 0 ? {} : { range: `bytes=0-${now.length - 1}` }).end()
      }
      unfinished.delete(key)
      stored.set(key, { headers: {}, body: now.toString("latin1") })
      return response.writeHead(200).end()
    }
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
        const method = request.method ?? ""
        const status = options.answer?.(key, method) ?? 201
        received += 1
        if (method === "PUT") puts.set(key, (puts.get(key) ?? 0) + 1)
        for (const watch of watchers) watch()
        const range = request.headers["content-range"]
        const answer = () => {
          if (status < 300 && (method === "GET" || method === "HEAD")) {
            const body = stored.get(key)?.body
            return body === undefined ? response.writeHead(404).end() : response.writeHead(200, {
              "content-length": Buffer.byteLength(body)
            }).end(method === "GET" ? body : undefined)
          }
          if (status < 300 && options.parts === true && range !== undefined) {
            return takePart(key, range, Buffer.concat(blocks), response)
          }
          if (status < 300 && method === "DELETE") {
            return response.writeHead(unfinished.delete(key) ? 204 : stored.delete(key) ? 200 : 404).end()
          }
          if (status < 300) stored.set(key, { headers: request.headers, body: Buffer.concat(blocks).toString() })
          return response.writeHead(status).end()
        }
        if (held) waiting.push(answer)
        else answer()
      })
    })
    server.on("connection", () => connections += 1)
    const port = yield* listening(server)
    return {
      url: `http://127.0.0.1:${port}`,
      stored,
      unfinished,
      requests: (key) => puts.get(key) ?? 0,
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
