import { assert, describe, it, vi } from "@effect/vitest"
import type { UploadError } from "@sluice/core"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Stream } from "effect"
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import type { Socket } from "node:net"
import * as Certificates from "./support/Certificates.js"
import { errorName } from "./support/ErrorName.js"
import * as ProxyEnvironment from "./support/ProxyEnvironment.js"
import { failure, put } from "./support/PutRequest.js"
import { readBody, serve } from "./support/PutServer.js"
import * as TestBody from "./support/TestBody.js"
import { pattern } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

describe("TransportNode", () => {
  describe.skipIf(!Certificates.available)("TLS (certificates made by openssl)", () => {
    it.scopedLive("trusts who is asked to be trusted and nobody besides, or everybody where told to", () =>
      Effect.gen(function*() {
        const { authority, issued, selfSigned } = yield* Certificates.certificates
        const handler: http.RequestListener = (request, response) => readBody(request, () => response.end())
        const good = yield* serve(handler, https.createServer(issued))
        const bad = yield* serve(handler, https.createServer(selfSigned))
        const outcomes = (options: TransportNode.Options) =>
          Effect.scoped(
            Effect.flatMap(TransportNode.make(options), (transport) =>
              Effect.forEach([good, bad], ({ url }) =>
                Effect.match(transport.send(put(url, pattern(10))), {
                  onSuccess: ({ status }) =>
                    String(status),
                  onFailure: errorName
                })))
          )
        const ca = authority.cert.toString()
        assert.deepStrictEqual(yield* outcomes({}), ["Rejected Forbidden", "Rejected Forbidden"])
        assert.deepStrictEqual(yield* outcomes({ ca }), ["200", "Rejected Forbidden"])
        assert.deepStrictEqual(yield* outcomes({ verifyTls: false }), ["200", "200"])
      }))
  })

  describe("proxies", () => {
    /** A proxy that notes what it is asked for: in absolute form, or for a tunnel. */
    const proxy = (password?: string) =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        const expected = password === undefined
          ? undefined
          : `Basic ${Buffer.from(`me:${password}`).toString("base64")}`
        const server = http.createServer()
        server.on("connect", (request: http.IncomingMessage, socket: Socket) => {
          asked.push(`CONNECT ${request.url}`)
          socket.on("error", () => {})
          if (request.headers["proxy-authorization"] !== expected) {
            return void socket.end("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
          }
          const [host = "", port] = request.url!.split(":")
          const other = net.connect(Number(port), host, () => {
            socket.write("HTTP/1.1 200 OK\r\n\r\n")
            other.pipe(socket).pipe(other)
          })
          socket.on("close", () => other.destroy())
          return other.on("error", () => socket.destroy())
        })
        const running = yield* serve((request, response) => {
          asked.push(`${request.method} ${request.url}`)
          if (request.headers["proxy-authorization"] !== expected) return void response.writeHead(407).end()
          const headers = { ...request.headers }
          delete headers["proxy-authorization"]
          const onward = http.request(request.url!, { method: request.method!, headers }, (answer) => {
            response.writeHead(answer.statusCode!, answer.headers)
            answer.pipe(response)
          })
          return void request.pipe(onward)
        }, server)
        return { ...running, asked }
      })

    const target = Effect.gen(function*() {
      const seen: Array<http.IncomingHttpHeaders> = []
      const running = yield* serve((request, response) =>
        readBody(request, (body) => {
          seen.push(request.headers)
          response.writeHead(201).end(String(body?.length))
        })
      )
      return { ...running, seen }
    })

    it.scopedLive("are not asked unless they are to be", () =>
      Effect.gen(function*() {
        const { asked, url } = yield* proxy()
        const { seen, url: to } = yield* target
        yield* ProxyEnvironment.set({ http_proxy: url })
        yield* Effect.flatMap(TransportNode.make(), (transport) => transport.send(put(to, pattern(10))))
        assert.deepStrictEqual([asked.length, seen.length], [0, 1])
      }))

    it.scopedLive("are asked in absolute form, with credentials that go no further, unless NO_PROXY says otherwise", () =>
      Effect.gen(function*() {
        const { asked, connections, url } = yield* proxy("s3cr3t-password")
        const { seen, url: to } = yield* target
        const http_proxy = url.replace("://", "://me:s3cr3t-password@")
        yield* Effect.scoped(Effect.gen(function*() {
          yield* ProxyEnvironment.set({ http_proxy })
          const transport = yield* TransportNode.make({ proxy: true, connections: 2 })
          yield* Effect.forEach(
            Array.from({ length: 20 }, (_, i) => i),
            (i) => transport.send(put(`${to}/${i}`, i % 2 === 0 ? pattern(10) : TestBody.make(pattern(mib)))),
            { concurrency: 6 }
          )
          assert.deepStrictEqual([asked.length, seen.length], [20, 20])
          assert.isAtMost(connections(), 2)
          assert.include(asked, `PUT ${to}/0`)
          assert.notInclude(JSON.stringify(seen), "proxy-authorization")
        }))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* ProxyEnvironment.set({ http_proxy, no_proxy: "example.org,127.0.0.1" })
          const transport = yield* TransportNode.make({ proxy: true })
          yield* transport.send(put(to, pattern(10)))
          assert.deepStrictEqual([asked.length, seen.length], [20, 21])
        }))
      }))

    it.scopedLive.skipIf(!Certificates.available)(
      "are asked for a tunnel to servers with TLS, whose certificate has to be good",
      () =>
        Effect.gen(function*() {
          const { authority, issued } = yield* Certificates.certificates
          const { asked, url } = yield* proxy()
          const secure = yield* serve(
            (request, response) => readBody(request, () => response.end()),
            https.createServer(issued)
          )
          yield* ProxyEnvironment.set({ HTTPS_PROXY: url })
          const trusting = yield* TransportNode.make({ proxy: true, ca: authority.cert.toString() })
          assert.strictEqual((yield* trusting.send(put(secure.url, pattern(10)))).status, 200)
          assert.deepStrictEqual(asked, [`CONNECT 127.0.0.1:${secure.port}`])
          const strict = yield* TransportNode.make({ proxy: true })
          assert.strictEqual(yield* failure(strict.send(put(secure.url, pattern(10)))), "Rejected Forbidden")
        })
    )

    it.scopedLive("that repeat what they were told are not repeated, in answers that are messages", () =>
      Effect.gen(function*() {
        let status = 403
        const { url } = yield* serve((request, response) =>
          readBody(request, () => {
            const said = `${request.headers["proxy-authorization"]} s3cr3t-password ${"x".repeat(100_000)}`
            response.writeHead(status, { "x-said": said.slice(0, 100) }).end(said)
          })
        )
        yield* ProxyEnvironment.set({ http_proxy: url.replace("://", "://me:s3cr3t-password@") })
        const transport = yield* TransportNode.make({ proxy: true })
        const told = Effect.gen(function*() {
          const sent = yield* transport.send(put("http://127.0.0.1:1/a", pattern(10)))
          const opened = yield* transport.open({ method: "GET", url: "http://127.0.0.1:1/a", headers: {} })
          const body = yield* Stream.mkString(Stream.decodeText(opened.stream))
          return [JSON.stringify(sent.headers), Buffer.from(sent.body).toString(), JSON.stringify(opened.headers), body]
        })
        const header = Buffer.from("me:s3cr3t-password").toString("base64")
        for (const text of yield* told) {
          assert.include(text, "Basic <redacted> <redacted>")
          assert.notInclude(text, "s3cr3t")
          assert.notInclude(text, header)
        }
        // What is no refusal is somebody's content.
        status = 200
        for (const text of yield* told) assert.include(text, `Basic ${header} s3cr3t-password`)
      }))

    it.scopedLive("that refuse, or have no valid address, are told of without secrets", () =>
      Effect.gen(function*() {
        const { url } = yield* proxy("right")
        const { port } = yield* target
        for (
          const [address, expected] of [
            [url.replace("://", "://me:s3cr3t-wrong@"), "Rejected Unauthorized"],
            ["http://me:s3cr3t-wrong@bad host:1/", "Rejected Unsupported"]
          ] as const
        ) {
          yield* Effect.scoped(Effect.gen(function*() {
            yield* ProxyEnvironment.set({ http_proxy: address, https_proxy: address })
            const transport = yield* TransportNode.make({ proxy: true })
            for (const scheme of ["http", "https"]) {
              for (
                const effect of [
                  transport.send(put(`${scheme}://127.0.0.1:${port}/`, pattern(10))),
                  Effect.scoped(transport.open({ method: "GET", url: `${scheme}://127.0.0.1:${port}/`, headers: {} }))
                ]
              ) {
                const error = yield* Effect.flip(effect as Effect.Effect<unknown, UploadError.UploadError>)
                assert.strictEqual(errorName(error), expected, `${scheme} ${error.message}`)
                assert.notInclude(`${error.message} ${JSON.stringify(error)} ${error.cause}`, "s3cr3t")
              }
            }
          }))
        }
      }))
  })
})
