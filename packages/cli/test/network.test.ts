import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import * as FileServer from "./FileServer.js"
import { listening } from "./listening.js"
import * as Sluice from "./Sluice.js"
import * as TemporaryDirectory from "./TemporaryDirectory.js"

const hasOpenssl = spawnSync("openssl", ["version"], { stdio: "ignore" }).status === 0

/** A key, and a certificate for `localhost` that it has signed itself. */
const certificateIn = (directory: string) => {
  const [key, cert] = [`${directory}/key.pem`, `${directory}/cert.pem`]
  const command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost" +
    ` -addext subjectAltName=DNS:localhost -keyout ${key} -out ${cert}`
  execFileSync("openssl", command.split(" "), { stdio: "ignore" })
  return { key: fs.readFileSync(key), cert: fs.readFileSync(cert), file: cert }
}

describe("sluice and the network", { timeout: 120_000 }, () => {
  it.scopedLive.skipIf(!hasOpenssl)(
    "trusts whom it is told to, and warns where it is told to trust everybody",
    () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
        const { file, ...pair } = certificateIn(yield* TemporaryDirectory.make)
        const stored: Array<string> = []
        const server = https.createServer(pair, (request, response) => {
          stored.push(request.url ?? "")
          request.resume().on("end", () => response.writeHead(201, { connection: "close" }).end())
        })
        const address = `https://localhost:${yield* listening(server)}`
        const upload = (...flags: ReadonlyArray<string>) =>
          Sluice.run(["upload", root, address, "--retries", "0", ...flags])
        const unknown = yield* upload()
        assert.strictEqual(unknown.exitCode, 4)
        assert.include(unknown.stderr, "cannot be trusted")
        assert.deepStrictEqual(stored, [])
        const known = yield* upload("--ca", file)
        assert.strictEqual(known.exitCode, 0, known.stderr)
        assert.notInclude(known.stderr, "certificates are not checked")
        const anybody = yield* upload("--no-verify-tls", "--quiet", "--no-journal")
        assert.strictEqual(anybody.exitCode, 0, anybody.stderr)
        assert.match(anybody.stderr, /^sluice: certificates are not checked \(--no-verify-tls\)/)
        assert.lengthOf(stored, 2)

        for (const [flag, said] of [[`${root}/absent`, "is not there"], [`${root}/a.txt`, "no certificate"]] as const) {
          const { exitCode, stderr } = yield* upload("--ca", flag)
          assert.strictEqual(exitCode, 2)
          assert.include(stderr, said)
        }
      })
  )

  it.scopedLive("goes by the proxies of the environment", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const server = yield* FileServer.start()
      const asked: Array<string> = []
      const proxy = http.createServer((request, response) => {
        asked.push(`${request.method} ${new URL(request.url ?? "", "http://direct").host}`)
        const { hostname, pathname, port } = new URL(request.url ?? "")
        const onward = http.request({
          hostname,
          port,
          path: pathname,
          method: request.method,
          headers: request.headers
        })
        onward.on("response", (answer) => {
          response.writeHead(answer.statusCode ?? 500)
          answer.pipe(response)
        })
        request.pipe(onward)
      })
      // A proxy may be asked to forward requests, or to connect.
      proxy.on("connect", (request: http.IncomingMessage, socket: net.Socket) => {
        asked.push(`CONNECT ${request.url}`)
        const [host = "", port] = (request.url ?? "").split(":")
        const onward = net.connect(Number(port), host, () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n")
          onward.pipe(socket).pipe(onward)
        })
        socket.on("error", () => onward.destroy())
        onward.on("error", () => socket.destroy())
      })
      const env = {
        http_proxy: `http://127.0.0.1:${yield* listening(proxy)}`,
        no_proxy: "",
        NO_PROXY: "",
        HTTP_PROXY: ""
      }
      const through = yield* Sluice.run(["upload", root, server.url], { env })
      assert.strictEqual(through.exitCode, 0, through.stderr)
      assert.include(asked[0], new URL(server.url).host)
      assert.strictEqual(server.stored.size, 1)
      const before = asked.length
      const past = yield* Sluice.run(["upload", root, server.url, "--no-journal"], {
        env: { ...env, no_proxy: "127.0.0.1", NO_PROXY: "127.0.0.1" }
      })
      assert.strictEqual(past.exitCode, 0, past.stderr)
      assert.lengthOf(asked, before)
    }))

  it.scopedLive("sends the headers that it is told to, and leaves alone what is there", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const server = yield* FileServer.start()
      const { exitCode, stderr } = yield* Sluice.run(
        ["upload", root, server.url, "--header", "X-Team: apollo", "--header", "X-Note: a: b", "--if-absent"],
        { env: { SLUICE_HTTP_HEADERS: "X-Api-Key: k\nX-Team: other" } }
      )
      assert.strictEqual(exitCode, 0, stderr)
      assert.include(server.stored.get("a.txt")?.headers, {
        "x-team": "apollo",
        "x-note": "a: b",
        "x-api-key": "k",
        "if-none-match": "*"
      })
    }))

  it.scopedLive("uploads to a tus server, with metadata", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a b.txt": "hello", "c/d.txt": "" })
      const uploads: Array<{ readonly metadata: string; readonly length: number; body: string }> = []
      const server = http.createServer((request, response) => {
        const headers = { "tus-resumable": "1.0.0" }
        let body = ""
        request.setEncoding("utf8").on("data", (text: string) => body += text).on("end", () => {
          const upload = uploads[Number(request.url?.split("/").at(-1))]
          if (request.method === "OPTIONS") {
            return response.writeHead(204, {
              ...headers,
              "tus-version": "1.0.0",
              "tus-extension": "creation,termination"
            })
              .end()
          }
          if (request.method === "POST") {
            const metadata = String(request.headers["upload-metadata"])
            uploads.push({ metadata, length: Number(request.headers["upload-length"]), body: "" })
            return response.writeHead(201, { ...headers, location: `/files/${uploads.length - 1}` }).end()
          }
          if (upload === undefined) return response.writeHead(404, headers).end()
          if (request.method === "PATCH") upload.body += body
          const offset = { "upload-offset": upload.body.length, "upload-length": upload.length }
          return response.writeHead(request.method === "HEAD" ? 200 : 204, { ...headers, ...offset }).end()
        })
      })
      const address = `tus+http://127.0.0.1:${yield* listening(server)}/files/`
      const { exitCode, stderr } = yield* Sluice.run(["upload", root, address, "--metadata", "team=apollo"])
      assert.strictEqual(exitCode, 0, stderr)
      const decoded = uploads.map(({ body, metadata }) => [
        Object.fromEntries(
          metadata.split(",").map((pair) => {
            const [name = "", value = ""] = pair.split(" ")
            return [name, Buffer.from(value, "base64").toString()]
          })
        ),
        body
      ])
      decoded.sort((a, b) => String(b[1]).length - String(a[1]).length)
      assert.deepInclude(decoded[0]?.[0], { filename: "a b.txt", team: "apollo" })
      assert.strictEqual(decoded[0]?.[1], "hello")
      assert.deepInclude(decoded[1]?.[0], { filename: "c/d.txt", team: "apollo" })
      const verify = yield* Sluice.run(["verify", root, address])
      assert.strictEqual(verify.exitCode, 4)
      assert.include(verify.stderr, "cannot be compared")
    }))
})
