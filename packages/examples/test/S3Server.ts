import { Effect } from "effect"
import type { Scope } from "effect"
import * as http from "node:http"
import type { AddressInfo } from "node:net"

/** Just enough of S3 for an example, on 127.0.0.1. It keeps sizes and forgets bytes. */
export const serve: Effect.Effect<
  { readonly url: string; readonly log: ReadonlyArray<string> },
  never,
  Scope.Scope
> = Effect.acquireRelease(
  Effect.async<{ readonly server: http.Server; readonly url: string; readonly log: Array<string> }>((resume) => {
    const log: Array<string> = []
    const server = http.createServer((request, response) => {
      let size = 0
      request.on("data", (block: Buffer) => size += block.length)
      request.on("end", () => {
        const { headers, method, url = "" } = request
        const isSigned = headers.authorization?.startsWith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") === true
        log.push(`${method} ${url}${method === "PUT" ? ` ${size}` : ""}${isSigned ? "" : " not signed"}`)
        response.setHeader("ETag", "\"e\"")
        response.writeHead(200).end(
          method !== "POST"
            ? ""
            : url.endsWith("?uploads=")
            ? "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
            : "<CompleteMultipartUploadResult><ETag>\"e-3\"</ETag></CompleteMultipartUploadResult>"
        )
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ server, url: `http://127.0.0.1:${port}`, log }))
    })
  }),
  ({ server }) =>
    Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
)
