import { Effect } from "effect"
import type { Scope } from "effect"
import * as http from "node:http"
import type { AddressInfo } from "node:net"

export interface WebDavServer {
  readonly url: string
  /** The requests in order, each with the status of its answer. */
  readonly log: ReadonlyArray<string>
  readonly files: ReadonlyMap<string, string>
}

/**
 * Just enough of WebDAV (RFC 4918) for an example, on 127.0.0.1. `fault` may answer a request, which is then not carried
 * out.
 */
export const serve = (
  authorization: string,
  fault: (line: string, time: number) => { readonly status: number; readonly text: string } | undefined
): Effect.Effect<WebDavServer, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<WebDavServer & { readonly server: http.Server }>((resume) => {
        const log: Array<string> = []
        const files = new Map<string, string>()
        const collections = new Set(["/dav/"])
        const times = new Map<string, number>()
        const statusOf = (method: string, path: string, body: string): number => {
          const parent = path.replace(/[^/]*\/?$/, "")
          if (method === "HEAD") return files.has(path) ? 200 : 404
          if (method === "MKCOL" && collections.has(path)) return 405
          if (!collections.has(parent)) return 409
          if (method === "MKCOL") collections.add(path)
          else if (method === "PUT") files.set(path, body)
          else return 405
          return 201
        }
        const server = http.createServer((request, response) => {
          let body = ""
          request.on("data", (block: Buffer) => body += block.toString())
          request.on("end", () => {
            const { headers, method = "", url = "" } = request
            const line = `${method} ${url}`
            const time = (times.get(line) ?? 0) + 1
            times.set(line, time)
            const failed = headers.authorization === authorization ? fault(line, time) : { status: 401, text: "" }
            const status = failed?.status ?? statusOf(method, url, body)
            log.push(`${line} ${status}`)
            response.writeHead(status, failed === undefined ? { etag: "\"e\"" } : { "retry-after": "0" })
              .end(failed?.text)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resume(Effect.succeed({ server, url: `http://127.0.0.1:${port}/dav`, log, files }))
        })
      }),
      ({ server }) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    (running): WebDavServer => running
  )
