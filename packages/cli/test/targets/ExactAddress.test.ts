import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as http from "node:http"
import * as InProcess from "../support/InProcess.js"
import { listening } from "../support/Listening.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

/** A server that takes everything, and writes down what it was asked, as it was asked. */
const server = Effect.gen(function*() {
  const stored = new Map<string, Buffer>()
  const requests: Array<{ readonly line: string; readonly headers: http.IncomingHttpHeaders }> = []
  const port = yield* listening(http.createServer((request, response) => {
    const blocks: Array<Buffer> = []
    request.on("data", (block: Buffer) => blocks.push(block))
    request.on("end", () => {
      const { headers, method = "", url = "" } = request
      requests.push({ line: `${method} ${url}`, headers })
      if (method === "PUT") stored.set(url, Buffer.concat(blocks))
      const body = stored.get(url)
      response.writeHead(body === undefined ? 404 : 200, { "content-length": body?.length ?? 0 })
      response.end(method === "GET" ? body : undefined)
    })
  }))
  return { url: `http://127.0.0.1:${port}`, stored, requests }
})

describe("the address of one object", { timeout: 60_000 }, () => {
  const path = "/a%2Bb+c/app.tgz?X-Amz-Signature=abc%2Fdef&x=1/2"

  it.scopedLive("takes one file, exactly, with nothing added that was not signed", () =>
    Effect.gen(function*() {
      const { requests, stored, url } = yield* server
      const root = yield* TemporaryDirectory.withFiles({ "other-name.txt": "content" })
      const { exitCode } = yield* InProcess.run(["upload", "other-name.txt", `${url}${path}`], { cwd: root })
      assert.strictEqual(exitCode, 0)
      assert.deepStrictEqual(requests.map(({ line }) => line), [`PUT ${path}`])
      assert.isUndefined(requests[0]?.headers["content-type"])
      assert.strictEqual(stored.get(path)?.toString(), "content")
      const verified = yield* InProcess.run(["verify", "other-name.txt", `${url}${path}`], { cwd: root })
      assert.strictEqual(verified.exitCode, 0)
      assert.match(verified.stderr, /^Verified: 1 file the same/)
      assert.deepStrictEqual([...new Set(requests.slice(1).map(({ line }) => line))], [`HEAD ${path}`, `GET ${path}`])
    }))

  it.scopedLive("takes standard input, credentials and headers", () =>
    Effect.gen(function*() {
      const { requests, url } = yield* server
      const args = ["upload", "-", `${url}${path}`, "--header", "content-type: text/x-sql"]
      // An HTTP server is sent nothing of unknown size; the address is right all the same.
      yield* Sluice.run([...args, "--retries", "0"], { input: "SELECT 1", env: { SLUICE_HTTP_TOKEN: "secret" } })
      for (const { line } of requests) assert.strictEqual(line, `PUT ${path}`)
      const root = yield* TemporaryDirectory.withFiles({ a: "content" })
      yield* Sluice.run(["upload", `${root}/a`, ...args.slice(2)], { env: { SLUICE_HTTP_TOKEN: "secret" } })
      assert.strictEqual(requests.at(-1)?.line, `PUT ${path}`)
      assert.deepInclude(requests.at(-1)?.headers, { authorization: "Bearer secret", "content-type": "text/x-sql" })
    }))

  it.scopedLive("is refused for more than one file, with a word about {key}, before anything is sent", () =>
    Effect.gen(function*() {
      const { requests, stored, url } = yield* server
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a", b: "b", c: "c", list: "b\n" })
      for (
        const args of [
          ["upload", "src", `${url}${path}`],
          ["upload", "b", "c", `${url}${path}`],
          ["upload", "--files-from", "list", `${url}${path}`],
          ["upload", "src", `${url}${path}`, "--dry-run"],
          ["verify", "src", `${url}${path}`],
          ["doctor", `${url}${path}`]
        ]
      ) {
        const { exitCode, stderr } = yield* InProcess.run(args, { cwd: root })
        assert.strictEqual(exitCode, 2, args.join(" "))
        assert.include(stderr, "{key}")
        assert.notInclude(stderr, "Signature")
      }
      assert.deepStrictEqual(requests, [])
      const many = yield* InProcess.run(["upload", "b", "c", `${url}/x/{key}?sig=1`], { cwd: root })
      assert.strictEqual(many.exitCode, 0)
      assert.deepStrictEqual([...stored.keys()].sort(), ["/x/b?sig=1", "/x/c?sig=1"])
    }))
})
