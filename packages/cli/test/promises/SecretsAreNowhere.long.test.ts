import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as fs from "node:fs"
import * as http from "node:http"
import * as path from "node:path"
import { listening } from "../support/Listening.js"
import * as S3Server from "../support/S3Server.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const canaries = {
  secretKey: "CANARY-aws-secret-key",
  sessionToken: "CANARY-aws-session-token",
  bearer: "CANARY-bearer-token",
  password: "CANARY-http-password",
  query: "CANARY-url-query",
  proxy: "CANARY-proxy-password",
  header: "CANARY-api-key"
}

/** How a canary may look elsewhere: as it is, encoded for an address, in hexadecimal and in base64, at any offset. */
const forms = (canary: string): ReadonlyArray<string> => [
  canary,
  encodeURIComponent(canary),
  Buffer.from(canary).toString("hex"),
  ...[0, 1, 2].map((offset) =>
    Buffer.from(" ".repeat(offset) + canary).toString("base64").slice(offset === 0 ? 0 : 4).replace(/.{4}$/, "")
  )
]

const basicHeader = Buffer.from(`someone:${canaries.password}`).toString("base64")

/** Faulty servers, by the way they answer. */
const ailments = [
  "refuses",
  "breaks",
  "lies",
  "redirects",
  "hangs up",
  "throttles",
  "rejects with XML",
  "fails in the middle"
]

/** A server that fails, and repeats everything that it was told. */
const hostileServer = (ailment: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    let requests = 0
    const server = http.createServer((request, response) => {
      request.on("error", () => {})
      request.resume()
      request.on("end", () => {
        requests += 1
        const said = `${request.method} ${request.url}\n${JSON.stringify(request.headers, undefined, 1)}`
        const inXml = `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>${
          said.replace(/[<&]/g, " ")
        }</Message></Error>`
        const reason = said.replace(/[^\x20-\x7e]/g, " ").slice(0, 2_000)
        switch (ailment) {
          case "refuses":
            return response.writeHead(403, reason, { "x-said": reason }).end(said)
          case "breaks":
            return response.writeHead(500, { "x-said": reason, "www-authenticate": reason }).end(said)
          case "lies":
            return response.writeHead(200, { etag: reason, "x-amz-checksum-crc32": reason, location: reason }).end(said)
          case "redirects":
            return response.writeHead(307, {
              location: `http://127.0.0.1:1${request.url}?${encodeURIComponent(reason)}`
            })
              .end(said)
          case "hangs up":
            return request.socket.destroy()
          case "throttles":
            return response.writeHead(429, { "retry-after": reason }).end(said)
          case "rejects with XML":
            return response.writeHead(403, { "content-type": "application/xml" }).end(inXml)
          default:
            return requests % 2 === 0
              ? response.writeHead(400, { "content-type": "application/xml" }).end(inXml)
              : response.writeHead(200, { "content-length": 10 ** 6 }).write(said, () => request.socket.destroy())
        }
      })
    })
    const port = yield* listening(server)
    return `127.0.0.1:${port}`
  })

const secretEnvironment = {
  ...S3Server.environment,
  AWS_SECRET_ACCESS_KEY: canaries.secretKey,
  AWS_SESSION_TOKEN: canaries.sessionToken,
  NO_PROXY: "",
  no_proxy: ""
}

const bearer = { SLUICE_HTTP_TOKEN: canaries.bearer, SLUICE_HTTP_HEADERS: `X-Api-Key: ${canaries.header}` }

const basic = { SLUICE_HTTP_USER: "someone", SLUICE_HTTP_PASSWORD: canaries.password }

/** Everything in a directory, in one text. */
const everythingIn = (directory: string): string =>
  fs.readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => path.join(directory, name))
    .map((file) => fs.statSync(file).isFile() ? `${file}\n${fs.readFileSync(file, "latin1")}` : file)
    .join("\n")

const leaksIn = (text: string): ReadonlyArray<string> =>
  [
    ...Object.entries(canaries).flatMap(([name, canary]) => forms(canary).map((form) => [name, form] as const)),
    [
      "basic",
      basicHeader
    ] as const
  ].flatMap(([name, form]) => {
    const at = text.indexOf(form)
    return at < 0 ? [] : [`${name}: …${text.slice(Math.max(0, at - 200), at + form.length + 40)}…`]
  })

describe("secrets", { timeout: 240_000 }, () => {
  it("are found in any form", () => {
    for (const canary of Object.values(canaries)) {
      for (const form of [canary, `x:${canary}`, `xy:${canary}`, `xyz:${canary}`, `xyzz:${canary}`]) {
        assert.isNotEmpty(leaksIn(Buffer.from(form).toString("base64")), form)
      }
      assert.isNotEmpty(leaksIn(JSON.stringify({ a: canary })))
    }
    assert.deepStrictEqual(leaksIn("nothing of the kind"), [])
  })

  for (const ailment of ailments) {
    it.scopedLive(`are nowhere when a server ${ailment}`, () =>
      Effect.gen(function*() {
        const host = yield* hostileServer(ailment)
        const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a", "b/c.txt": "c" })
        fs.writeFileSync(`${root}/large.bin`, Buffer.alloc(11 * 1024 ** 2))
        const written = yield* TemporaryDirectory.make
        const destinations = [
          { address: `http://${host}/files/{key}?sig=${canaries.query}`, env: bearer, flags: [] },
          { address: `http://${host}/files/?sig=${canaries.query}`, env: basic, flags: ["--content-range"] },
          { address: `tus+http://${host}/files/?sig=${canaries.query}`, env: bearer, flags: [] },
          { address: "s3://bkt/p", env: {}, flags: ["--endpoint", `http://${host}`, "--part-size", "5MiB"] }
        ]
        const texts = yield* Effect.forEach(destinations, ({ address, env, flags }, index) =>
          Effect.gen(function*() {
            const state = `${written}/state-${index}`
            const environment = {
              ...secretEnvironment,
              ...env,
              XDG_STATE_HOME: state,
              // The proxy is the hostile server too, for half of them.
              ...(index % 2 === 0 ? {} : { http_proxy: `http://user:${canaries.proxy}@${host}` })
            }
            const files = ["report", "failed", "journal"].flatMap((
              name
            ) => [`--${name}`, `${written}/${name}-${index}`])
            const quick = ["--retries", "1", "--retry-delay", "1ms", "--concurrency", "4", "--outage", "1s"]
            const runs = [
              ["upload", root, address, "--json", "--log-level", "all", ...quick, ...flags, ...files],
              ["doctor", address, "--log-level", "all", ...flags.filter((it) => !/part|5MiB|range/.test(it))]
            ]
            const ended = yield* Effect.forEach(runs, (args) => Sluice.run(args, { env: environment }))
            // Whatever was wrong, it was not the command.
            for (const { exitCode, stderr } of ended) assert.notInclude([2, 3], exitCode, stderr)
            return ended.map(({ stderr, stdout }) => stdout + stderr)
          }), { concurrency: 4 })
        for (const text of texts.flat()) assert.isNotEmpty(text)
        assert.deepStrictEqual(leaksIn([...texts.flat(), everythingIn(written)].join("\n")), [])
      }))
  }

  it.scopedLive("appear nowhere when a server repeats them in other forms, however short they are", () =>
    Effect.gen(function*() {
      const short = { password: "pw1", token: "t0k/n", header: "k3y", query: "qu&ry" }
      const spelled = Object.values(short).flatMap((secret) => [
        secret,
        encodeURIComponent(secret),
        secret.replaceAll("/", "\\/"),
        secret.replaceAll("/", "&#x2f;").replaceAll("&r", "&amp;r"),
        Array.from(secret, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
        Array.from(secret, (sign) => `%${sign.charCodeAt(0).toString(16)}`).join(""),
        Buffer.from(secret).toString("hex"),
        Buffer.from(secret).toString("hex").toUpperCase()
      ])
      const said = [...spelled, `someone:${short.password}`].join(" , ")
      const server = http.createServer((request, response) => {
        request.resume().on(
          "end",
          () =>
            response.writeHead(403, { location: `http://127.0.0.1/${encodeURIComponent(short.password)}` }).end(said)
        )
      })
      const port = yield* listening(server)
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const runs = [
        { SLUICE_HTTP_USER: "someone", SLUICE_HTTP_PASSWORD: short.password },
        { SLUICE_HTTP_TOKEN: short.token }
      ]
      for (const scheme of ["http", "tus+http"]) {
        for (const env of runs) {
          const secrets = { ...env, SLUICE_HTTP_HEADERS: `X-Api-Key: ${short.header}` }
          const query = encodeURIComponent(short.query)
          const address = `${scheme}://127.0.0.1:${port}/files/${scheme === "http" ? "{key}" : ""}?pin=${query}`
          const { stderr, stdout } = yield* Sluice.run(["upload", root, address, "--json", "--retries", "0"], {
            env: secrets
          })
          const known = [...Object.values(env).filter((it) => it !== "someone"), short.header, short.query]
          const text = stderr + stdout
          assert.include(text, "<redacted>")
          for (const form of spelled.filter((_, i) => known.includes(Object.values(short)[Math.floor(i / 8)] ?? ""))) {
            assert.isFalse(text.includes(` ${form} `), `${form} in ${text}`)
          }
        }
      }
    }))

  it.scopedLive("appear nowhere when the proxy cannot be used, nor in the journal of an upload that continues", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const state = yield* TemporaryDirectory.make
      const proxies = [
        `http://user:${canaries.proxy}@127.0.0.1:1`,
        `http://user:${canaries.proxy}@[bad`,
        canaries.proxy
      ]
      const texts = yield* Effect.forEach(proxies, (proxy) =>
        Sluice.run(
          ["upload", root, `http://127.0.0.1:2/?sig=${canaries.query}`, "--retries", "0", "--log-level", "all"],
          { env: { ...secretEnvironment, ...bearer, http_proxy: proxy, XDG_STATE_HOME: state } }
        ))
      for (const { exitCode } of texts) assert.notStrictEqual(exitCode, 0)
      const said = texts.map(({ stderr, stdout }) => stdout + stderr).join("\n")
      assert.deepStrictEqual(leaksIn(`${said}\n${everythingIn(state)}`), [])
    }))

  it.scopedLive("are in no message about flags, addresses and the environment", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const wrong = [
        { args: [`https://me:${canaries.password}@host/`], env: {} },
        { args: [`tus+https://me:${canaries.password}@host/`], env: {} },
        { args: [`s3://AK:${canaries.secretKey}@bkt`], env: {} },
        { args: ["s3://bkt", "--endpoint", `http://u:${canaries.password}@host`], env: {} },
        { args: ["s3://bkt"], env: { AWS_ENDPOINT_URL: `http://u:${canaries.password}@host` } },
        { args: ["http://host", "--header", `Authorization: Bearer ${canaries.bearer}`], env: {} },
        { args: ["http://host"], env: { SLUICE_HTTP_HEADERS: canaries.header } },
        { args: ["http://host"], env: { SLUICE_HTTP_TOKEN: canaries.bearer, SLUICE_HTTP_USER: "me" } },
        { args: ["http://host"], env: { SLUICE_HTTP_PASSWORD: canaries.password } }
      ]
      const texts = yield* Effect.forEach(wrong, ({ args, env }) =>
        Sluice.run(["upload", root, ...args], { env: { ...S3Server.environment, ...env } }))
      for (const { exitCode, stderr } of texts) {
        assert.strictEqual(exitCode, 2, stderr)
      }
      assert.deepStrictEqual(
        leaksIn(
          texts.map(({ stderr, stdout }) =>
            stdout + stderr
          ).join("\n")
        ),
        []
      )
    }))
})
