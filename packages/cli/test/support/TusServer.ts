import { Effect } from "effect"
import type { Scope } from "effect"
import * as http from "node:http"
import { listening } from "./Listening.js"

/** An upload that a server has. */
export interface Upload {
  readonly metadata: Readonly<Record<string, string>>
  readonly length: number
  body: string
}

export interface TusServer {
  /** As a destination. */
  readonly address: string
  /** By their paths. */
  readonly uploads: Map<string, Upload>
}

export interface Options {
  /** Whether uploads can be read. Defaults to `true`. */
  readonly serves?: boolean | undefined
  /** The part of every path besides a number. Defaults to nothing. */
  readonly secret?: string | undefined
  /** The status of what is asked of an upload, for a method. Defaults to what it should be. */
  readonly refuse?: ((method: string) => number | undefined) | undefined
}

/** A tus server in memory, which can create uploads and remove them; and which repeats what it refuses. */
export const start = (options: Options = {}): Effect.Effect<TusServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const uploads = new Map<string, Upload>()
    let created = 0
    const server = http.createServer((request, response) => {
      const headers = { "tus-resumable": "1.0.0" }
      const { method = "", url = "" } = request
      let body = ""
      request.setEncoding("latin1").on("data", (text: string) => body += text).on("end", () => {
        if (method === "OPTIONS") {
          const extensions = { "tus-version": "1.0.0", "tus-extension": "creation,termination" }
          return response.writeHead(204, { ...headers, ...extensions }).end()
        }
        if (method === "POST") {
          const pairs = String(request.headers["upload-metadata"]).split(",").map((pair) => {
            const [name = "", value = ""] = pair.split(" ")
            return [name, Buffer.from(value, "base64").toString()] as const
          })
          const path = `/files/${options.secret ?? ""}${created++}`
          uploads.set(path, {
            metadata: Object.fromEntries(pairs),
            length: Number(request.headers["upload-length"]),
            body: ""
          })
          return response.writeHead(201, { ...headers, location: path }).end()
        }
        const upload = uploads.get(url)
        const refused = options.refuse?.(method)
        if (refused !== undefined) return response.writeHead(refused, headers).end(`no ${method} ${url}`)
        if (upload === undefined) return response.writeHead(404, headers).end()
        if (method === "GET") {
          return options.serves === false
            ? response.writeHead(405, headers).end()
            : response.writeHead(200, headers).end(upload.body, "latin1")
        }
        if (method === "DELETE") uploads.delete(url)
        if (method === "PATCH") upload.body += body
        const state = { "upload-offset": upload.body.length, "upload-length": upload.length }
        return response.writeHead(method === "HEAD" ? 200 : 204, { ...headers, ...state }).end()
      })
    })
    return { address: `tus+http://127.0.0.1:${yield* listening(server)}/files/`, uploads }
  })
