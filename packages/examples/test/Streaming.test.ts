import { HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import * as StreamToS3 from "../src/stream-request-to-s3.js"
import * as Presigned from "../src/upload-to-presigned-urls.js"
import * as Transcript from "./Transcript.js"

interface Seen {
  readonly line: string
  readonly size: number
}

/** A server on 127.0.0.1 that reads bodies, records their sizes, and answers as configured. */
const serve = (answer: (request: http.IncomingMessage, size: number, response: http.ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: http.Server; readonly url: string; readonly log: Array<Seen> }>((resume) => {
      const log: Array<Seen> = []
      const server = http.createServer((request, response) => {
        let size = 0
        request.on("data", (block: Buffer) => size += block.length)
        request.on("end", () => {
          log.push({ line: `${request.method} ${request.url}`, size })
          answer(request, size, response)
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

const withConfig = (values: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))

describe("the examples", () => {
  it.scopedLive("upload-to-presigned-urls: to the addresses in the manifest, and to no others", () =>
    Effect.gen(function*() {
      const { log, url } = yield* serve((_request, _size, response) => response.writeHead(200).end())
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "sluice-example-"))),
        (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true }))
      )
      const manifest = path.join(directory, "urls.json")
      fs.writeFileSync(
        manifest,
        JSON.stringify({ "reports/june.csv": `${url}/june?sig=1`, "reports/july.csv": `${url}/july?sig=2` })
      )
      const { lines } = yield* Transcript.printed(Presigned.program).pipe(withConfig({ MANIFEST: manifest }))
      assert.deepStrictEqual(lines, [
        "2 of 3 files uploaded",
        "reports/august.csv: There is no presigned address for the key \"reports/august.csv\"."
      ])
      assert.deepStrictEqual(log.map(({ line, size }) => `${line} ${size}`).toSorted(), [
        "PUT /july?sig=2 17",
        "PUT /june?sig=1 17"
      ])
    }))

  it.scopedLive("stream-request-to-s3: a body goes in parts while it comes, one known to be small at once", () =>
    Effect.gen(function*() {
      const s3 = yield* serve((request, _size, response) => {
        const { searchParams } = new URL(request.url!, "http://localhost")
        const xml = (root: string, text: string) => response.end(`<${root}>${text}</${root}>`)
        if (searchParams.has("uploads")) return xml("InitiateMultipartUploadResult", "<UploadId>u1</UploadId>")
        if (request.method === "POST") return xml("CompleteMultipartUploadResult", "<ETag>\"whole\"</ETag>")
        return response.writeHead(request.method === "HEAD" ? 404 : 200, { etag: "\"part\"" }).end()
      })
      const send = (address: string, key: string, blocks: number, headers: http.OutgoingHttpHeaders = {}) =>
        Effect.promise(() =>
          new Promise<string>((resume, fail) => {
            const request = http.request(`${address}/${key}`, { method: "PUT", headers }, (response) => {
              let text = `${response.statusCode} `
              response.on("data", (block: Buffer) => text += block.toString())
              response.on("end", () => resume(text))
            })
            request.on("error", fail)
            let left = blocks
            const more = () => {
              while (left-- > 0) if (!request.write(Buffer.alloc(1024 * 1024))) return void request.once("drain", more)
              request.end()
            }
            more()
          })
        )
      const answers = yield* Effect.gen(function*() {
        const server = yield* HttpServer.HttpServer
        assert(server.address._tag === "TcpAddress")
        const address = `http://127.0.0.1:${server.address.port}`
        return [
          yield* send(address, "films/a%20b.mkv", 20),
          yield* send(address, "notes/small.txt", 1, { "content-length": 1024 * 1024 }),
          yield* send(address, "..%2Fetc/passwd", 1)
        ]
      }).pipe(
        Effect.provide(
          StreamToS3.ServerLayer.pipe(
            Layer.provideMerge(NodeHttpServer.layer(() => http.createServer(), { port: 0, host: "127.0.0.1" }))
          )
        ),
        withConfig({
          S3_BUCKET: "bucket",
          S3_ENDPOINT: s3.url,
          AWS_ACCESS_KEY_ID: "key",
          AWS_SECRET_ACCESS_KEY: "s3cr3t-canary"
        })
      )
      const mib = 1024 * 1024
      assert.deepStrictEqual(answers.slice(0, 2), [
        `201 ${JSON.stringify({ key: "films/a b.mkv", bytes: 20 * mib, attempts: 1 })}`,
        `201 ${JSON.stringify({ key: "notes/small.txt", bytes: mib, attempts: 1 })}`
      ])
      assert.match(answers[2]!, /^400 /)
      const parts = s3.log.filter(({ line }) => line.includes("partNumber="))
      assert.deepStrictEqual(parts.map(({ size }) => size).toSorted((a, b) => b - a), [8 * mib, 8 * mib, 4 * mib])
      assert.include(s3.log.map(({ line, size }) => `${line} ${size}`), `PUT /bucket/notes/small.txt ${mib}`)
    }))
})
