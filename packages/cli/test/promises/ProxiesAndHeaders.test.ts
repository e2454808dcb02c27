import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import * as FileServer from "../support/FileServer.js"
import * as InProcess from "../support/InProcess.js"
import { listening } from "../support/Listening.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import * as TusServer from "../support/TusServer.js"

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

        for (
          const [flag, said] of [[`${root}/absent`, "does not exist"], [`${root}/a.txt`, "no PEM certificate"]] as const
        ) {
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

  it.scopedLive("says which proxy is dead and where it was named, and does not blame the server", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a", "b.txt": "b" })
      const server = yield* FileServer.start()
      const closed = net.createServer()
      const port = yield* listening(closed)
      yield* Effect.async<void>((resume) => void closed.close(() => resume(Effect.void)))
      const none = { http_proxy: "", HTTP_PROXY: "", all_proxy: "", ALL_PROXY: "", no_proxy: "", NO_PROXY: "" }
      const upload = (env: Readonly<Record<string, string>>) =>
        InProcess.run(["upload", root, server.url, "--no-journal", "--retries", "0"], { env: { ...none, ...env } })
      for (const variable of ["HTTP_PROXY", "ALL_PROXY"]) {
        const { exitCode, stderr } = yield* upload({ [variable]: `me:s3cr3t-password@127.0.0.1:${port}` })
        assert.strictEqual(exitCode, 4, stderr)
        const text = stderr.replace(/\s+/g, " ")
        assert.include(text, `The proxy http://127.0.0.1:${port} (${variable}) cannot be reached (ECONNREFUSED).`)
        assert.include(text, `Check the address in ${variable}`)
        assert.notInclude(text, "Nothing listens there")
        assert.notInclude(text, "s3cr3t")
      }
      const socks = yield* upload({ ALL_PROXY: "socks5://me:s3cr3t-password@127.0.0.1:1080" })
      assert.strictEqual(socks.exitCode, 4, socks.stderr)
      assert.include(
        socks.stderr.replace(/\s+/g, " "),
        "The proxy in ALL_PROXY cannot be used: it is a socks5:// proxy"
      )
      assert.notInclude(socks.stderr, "s3cr3t")
      const past = yield* upload({ ALL_PROXY: "socks5://127.0.0.1:1080", NO_PROXY: "10.0.0.0/8, 127.0.0.0/8" })
      assert.strictEqual(past.exitCode, 0, past.stderr)
      assert.strictEqual(server.stored.size, 2)
    }))

  it.scopedLive("sends the given headers, and leaves existing objects alone", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const server = yield* FileServer.start()
      const { exitCode, stderr } = yield* InProcess.run(
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
      const { address, uploads } = yield* TusServer.start()
      const { exitCode, stderr } = yield* InProcess.run(["upload", root, address, "--metadata", "team=apollo"])
      assert.strictEqual(exitCode, 0, stderr)
      const decoded = Array.from(uploads.values(), ({ body, metadata }) => ({ ...metadata, body }))
      decoded.sort((a, b) => b.body.length - a.body.length)
      const [first, second]: ReadonlyArray<Record<string, string>> = decoded
      assert.deepInclude(first, { filename: "a b.txt", team: "apollo", body: "hello" })
      assert.deepInclude(second, { filename: "c/d.txt", team: "apollo", body: "" })
      const verify = yield* InProcess.run(["verify", root, address])
      assert.strictEqual(verify.exitCode, 2)
      assert.include(verify.stderr, "Upload with --locations FILE")
    }))

  it.scopedLive("records the addresses that a tus server gives, and compares by them", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "hello", "b/c.txt": "other", empty: "" })
      const list = `${yield* TemporaryDirectory.make}/list`
      const { address, uploads } = yield* TusServer.start()
      const upload = yield* InProcess.run(["upload", root, address, "--locations", list])
      assert.strictEqual(upload.exitCode, 0, upload.stderr)
      assert.strictEqual(fs.statSync(list).mode & 0o777, 0o600)
      const verify = (...flags: ReadonlyArray<string>) =>
        InProcess.run(["verify", root, address, "--locations", list, ...flags])
      const well = yield* verify("--json")
      assert.strictEqual(well.exitCode, 0, well.stderr)
      assert.deepInclude(Sluice.jsonLines(well.stdout).at(-1), { sameBySize: 0 })

      for (const stored of uploads.values()) if (stored.body === "hello") stored.body = "hallo"
      const other = yield* verify()
      assert.strictEqual(other.exitCode, 1)
      assert.include(other.stderr, "a.txt: the content differs")
      // The latest upload counts.
      fs.writeFileSync(`${root}/a.txt`, "hello again")
      const again = yield* InProcess.run(["upload", root, address, "--locations", list, "--include", "a.txt"])
      assert.strictEqual(again.exitCode, 0, again.stderr)
      assert.strictEqual((yield* verify()).exitCode, 0)

      for (const path of uploads.keys()) uploads.delete(path)
      const gone = yield* verify()
      assert.strictEqual(gone.exitCode, 1)
      assert.include(gone.stderr, "Missing at the destination, or in the list, 3 files:")
    }))

  it.scopedLive("compares sizes if a tus server lets nothing be read, and says so", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "hello", "b.txt": "other", empty: "" })
      const list = `${yield* TemporaryDirectory.make}/list`
      const { address, uploads } = yield* TusServer.start({ serves: false })
      yield* InProcess.run(["upload", root, address, "--locations", list])
      const well = yield* InProcess.run(["verify", root, address, "--locations", list])
      assert.strictEqual(well.exitCode, 0, well.stderr)
      assert.include(well.stderr, "Only the size of 2 files was compared: the server does not let its objects be read.")
      for (const stored of uploads.values()) if (stored.body === "hello") stored.body = "hell"
      const other = yield* InProcess.run(["verify", root, address, "--locations", list])
      assert.strictEqual(other.exitCode, 1)
      assert.include(other.stderr, "a.txt: 5 B here, 4 B there")
    }))

  it.scopedLive("shows no address of an upload, whatever a tus server answers", () =>
    Effect.gen(function*() {
      const secret = "CANARY-upload-"
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "hello" })
      const list = `${yield* TemporaryDirectory.make}/list`
      let status: number | undefined = undefined
      const { address } = yield* TusServer.start({
        secret,
        refuse: (method) => method === "PATCH" ? undefined : status
      })
      const upload = yield* Sluice.run(["upload", root, address, "--locations", list, "--json", "--log-level", "all"])
      assert.strictEqual(upload.exitCode, 0, upload.stderr)
      assert.include(fs.readFileSync(list, "utf8"), secret)
      const told = yield* Effect.forEach([403, 400, 503, undefined], (refused) =>
        Effect.suspend(() => {
          status = refused
          return Sluice.run(["verify", root, address, "--locations", list, "--json", "--log-level", "all"])
        }))
      assert.deepStrictEqual(told.map(({ exitCode }) => exitCode), [4, 4, 4, 0])
      for (const { stderr, stdout } of [upload, ...told]) assert.notInclude(stdout + stderr, secret)
    }))
})
