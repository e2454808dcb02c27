import { Effect } from "effect"
import type { Scope } from "effect"
import * as http from "node:http"
import type { AddressInfo } from "node:net"

/** Just enough of a tus server for an example, on 127.0.0.1. It keeps sizes and forgets bytes. */
export const serve: Effect.Effect<
  { readonly url: string; readonly log: ReadonlyArray<string> },
  never,
  Scope.Scope
> = Effect.acquireRelease(
  Effect.async<{ readonly server: http.Server; readonly url: string; readonly log: Array<string> }>((resume) => {
    const log: Array<string> = []
    const uploads = new Map<string, { readonly length: number; offset: number }>()
    const server = http.createServer((request, response) => {
      let size = 0
      request.on("data", (block: Buffer) => size += block.length)
      request.on("end", () => {
        const { headers, method, url = "" } = request
        log.push(`${method} ${url} ${size}`)
        response.setHeader("Tus-Resumable", "1.0.0")
        if (method === "OPTIONS") {
          response.writeHead(204, { "Tus-Version": "1.0.0", "Tus-Extension": "creation,creation-with-upload" }).end()
          return
        }
        const path = method === "POST" ? `/files/${uploads.size + 1}` : url
        const upload = uploads.get(path) ?? { length: Number(headers["upload-length"]), offset: 0 }
        uploads.set(path, upload)
        upload.offset += size
        response.writeHead(method === "POST" ? 201 : method === "HEAD" ? 200 : 204, {
          Location: path,
          "Upload-Length": upload.length,
          "Upload-Offset": upload.offset
        }).end()
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ server, url: `http://127.0.0.1:${port}/files/`, log }))
    })
  }),
  ({ server }) =>
    Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
)
