import { assert, describe, it } from "@effect/vitest"
import type { UploadError } from "@sluice/core"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect } from "effect"
import * as http from "node:http"
import * as net from "node:net"
import * as NoProxy from "../../../src/internal/transport/noProxyNode.js"
import * as Certificates from "../../support/Certificates.js"
import * as ProxyEnvironment from "../../support/ProxyEnvironment.js"
import { readBody, serve } from "../../support/PutServer.js"
import * as RawServer from "../../support/RawServer.js"
import { pattern } from "../../support/TestSource.js"

const put = (url: string) => ({ method: "PUT" as const, url, headers: {}, body: pattern(10) })

/** A proxy that answers everything itself, and notes for whom. */
const answering = Effect.gen(function*() {
  const asked: Array<string> = []
  const running = yield* serve((request, response) =>
    readBody(request, () => {
      asked.push(`${request.headers["proxy-authorization"] ?? ""} ${request.url}`.trim())
      response.writeHead(201).end()
    })
  )
  return { ...running, asked }
})

/** A port that nothing listens at. */
const closedPort = Effect.scoped(Effect.map(RawServer.make(() => {}), ({ port }) => port))

/** Whether a request goes by the proxy that an environment names. */
const isProxied = (address: string, variables: (proxy: string) => Readonly<Record<string, string>>) =>
  Effect.scoped(Effect.gen(function*() {
    const { asked, url } = yield* answering
    yield* ProxyEnvironment.set(variables(url))
    const transport = yield* TransportNode.make({ proxy: true })
    yield* Effect.exit(transport.send(put(address)))
    return asked.length === 1
  }))

/** How a request to a server fails that stands behind a proxy. */
const failure = (address: string, variables: Readonly<Record<string, string>>) =>
  Effect.scoped(Effect.gen(function*() {
    yield* ProxyEnvironment.set(variables)
    const transport = yield* TransportNode.make({ proxy: true })
    const errors: Array<UploadError.UploadError> = [yield* Effect.flip(transport.send(put(address)))]
    errors.push(
      yield* Effect.flip(Effect.scoped(transport.open({ method: "GET", url: address, headers: {} })))
    )
    assert.strictEqual(errors[0]?.message, errors[1]?.message)
    assert.notInclude(JSON.stringify(errors), "s3cr3t")
    return errors[0]!
  }))

const bare = (url: string) => url.slice("http://".length)

describe("the proxies of an environment", () => {
  it.scopedLive("are found by curl's rules: by scheme, then the one for all, in either case, with a scheme or without", () =>
    Effect.gen(function*() {
      const port = yield* closedPort
      const address = `http://127.0.0.1:${port}/a`
      const cases: ReadonlyArray<readonly [(proxy: string) => Readonly<Record<string, string>>, boolean]> = [
        [(proxy) => ({ http_proxy: proxy }), true],
        [(proxy) => ({ HTTP_PROXY: proxy }), true],
        [(proxy) => ({ HTTP_PROXY: bare(proxy) }), true],
        [(proxy) => ({ HTTP_PROXY: ` ${bare(proxy)} ` }), true],
        [(proxy) => ({ HTTP_PROXY: proxy.replace("127.0.0.1", "localhost") }), true],
        [(proxy) => ({ HTTP_PROXY: bare(proxy).replace("127.0.0.1", "localhost") }), true],
        [(proxy) => ({ http_proxy: `HTTP://${bare(proxy)}/` }), true],
        [(proxy) => ({ all_proxy: proxy }), true],
        [(proxy) => ({ ALL_PROXY: bare(proxy) }), true],
        [(proxy) => ({ http_proxy: "", HTTP_PROXY: proxy }), true],
        [(proxy) => ({ http_proxy: proxy, HTTP_PROXY: "http://127.0.0.1:1", ALL_PROXY: "socks5://127.0.0.1:1" }), true],
        [(proxy) => ({ https_proxy: proxy, HTTPS_PROXY: proxy }), false],
        [(proxy) => ({ HTTP_PROXY: proxy, REQUEST_METHOD: "GET" }), false],
        [(proxy) => ({ http_proxy: proxy, REQUEST_METHOD: "GET" }), true],
        [() => ({ http_proxy: "", ALL_PROXY: "" }), false]
      ]
      for (const [variables, expected] of cases) {
        assert.strictEqual(yield* isProxied(address, variables), expected, JSON.stringify(variables("PROXY")))
      }
    }))

  it.scopedLive("are not those of http:// for https://", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const { url } = yield* RawServer.make((socket) =>
        RawServer.hear(socket, {
          request: ({ head }) => {
            asked.push(head.split("\r\n")[0]!)
            socket.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
          }
        })
      )
      const address = `https://127.0.0.1:${yield* closedPort}/a`
      const direct = yield* failure(address, { HTTP_PROXY: url })
      assert.include(direct.message, "The connection to https://127.0.0.1")
      assert.deepStrictEqual(asked, [])
      for (const variable of ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"]) {
        const refused = yield* failure(address, { [variable]: bare(url) })
        assert.include(refused.message, `The proxy ${url} (${variable}), on the way to ${address}, answered 502.`)
      }
      assert.isAbove(asked.length, 0)
    }))

  it.scopedLive("receive the credentials, however they are written", () =>
    Effect.gen(function*() {
      const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`
      for (
        const [userinfo, expected] of [
          ["me:s3cr3t-password", basic("me:s3cr3t-password")],
          ["me:a%40b%3Ac", basic("me:a@b:c")],
          ["me", basic("me:")],
          ["me:100%", basic("me:100%")]
        ] as const
      ) {
        for (const scheme of ["http://", ""]) {
          yield* Effect.scoped(Effect.gen(function*() {
            const { asked, url } = yield* answering
            yield* ProxyEnvironment.set({ HTTP_PROXY: `${scheme}${userinfo}@${bare(url)}` })
            const transport = yield* TransportNode.make({ proxy: true })
            yield* transport.send(put("http://files.example.org/a"))
            assert.deepStrictEqual(asked, [`${expected} http://files.example.org/a`])
          }))
        }
      }
    }))

  it.scopedLive("are refused if they cannot be used, by variable, and only for addresses that would use them", () =>
    Effect.gen(function*() {
      const { port } = yield* serve((request, response) => readBody(request, () => response.writeHead(201).end()))
      const address = `http://127.0.0.1:${port}/a`
      const socks = yield* failure(address, { ALL_PROXY: "socks5://me:s3cr3t-password@127.0.0.1:1080" })
      assert.strictEqual(
        socks.message,
        "The proxy in ALL_PROXY cannot be used: it is a socks5:// proxy, and only http:// and https:// proxies are supported."
      )
      for (const scheme of ["socks", "socks4", "socks4a", "socks5h", "ftp"]) {
        const error = yield* failure(address, { http_proxy: `${scheme}://127.0.0.1:1080` })
        assert.include(error.message, `The proxy in http_proxy cannot be used: it is a ${scheme}:// proxy`)
        assert.strictEqual(error._tag, "Rejected")
      }
      for (const wrong of ["http://me:s3cr3t-password@bad host:1", "http://", "127.0.0.1:99999", ":3128"]) {
        const error = yield* failure(address, { HTTP_PROXY: wrong })
        assert.strictEqual(error.message, "The address of the proxy in HTTP_PROXY is not valid.", wrong)
      }
      yield* ProxyEnvironment.set({ ALL_PROXY: "socks5://127.0.0.1:1080", NO_PROXY: "127.0.0.1" })
      const transport = yield* TransportNode.make({ proxy: true })
      assert.strictEqual((yield* transport.send(put(address))).status, 201)
    }))
})

describe("a proxy that is dead", () => {
  it.scopedLive("is named with its variable, and the server is not", () =>
    Effect.gen(function*() {
      const port = yield* closedPort
      for (const variable of ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]) {
        const error = yield* failure("http://files.example.org/a", {
          [variable]: `me:s3cr3t-password@127.0.0.1:${port}`
        })
        assert.strictEqual(error._tag, "Transient")
        assert.strictEqual(
          error.message,
          `The proxy http://127.0.0.1:${port} (${variable}) cannot be reached (ECONNREFUSED).`
        )
      }
      for (const scheme of ["http", "https"]) {
        const error = yield* failure("https://files.example.org/a", {
          HTTPS_PROXY: `${scheme}://me:s3cr3t-password@127.0.0.1:${port}`
        })
        assert.strictEqual(
          error.message,
          `The proxy ${scheme}://127.0.0.1:${port} (HTTPS_PROXY) cannot be reached (ECONNREFUSED).`
        )
      }
      const nowhere = yield* failure("http://files.example.org/a", { HTTP_PROXY: "http://proxy.invalid:3128" })
      assert.match(nowhere.message, /^The proxy http:\/\/proxy\.invalid:3128 \(HTTP_PROXY\) cannot be reached \(E/)
    }))

  it.scopedLive("or that hangs up is named with the failed connection", () =>
    Effect.gen(function*() {
      const { url } = yield* RawServer.make((socket) => void socket.once("data", () => socket.destroy()))
      for (
        const [address, variable] of [["http://h.example.org/a", "HTTP_PROXY"], [
          "https://h.example.org/a",
          "HTTPS_PROXY"
        ]] as const
      ) {
        const error = yield* failure(address, { [variable]: url })
        assert.include(error.message, `The connection to ${address} through the proxy ${url} (${variable}) failed (`)
      }
    }))

  it.scopedLive.skipIf(!Certificates.available)(
    "is told from one that cannot be trusted, and from a server that is dead",
    () =>
      Effect.gen(function*() {
        const { selfSigned } = yield* Certificates.certificates
        const https = yield* Effect.promise(() => import("node:https"))
        const secure = yield* serve((_request, response) => response.end(), https.createServer(selfSigned))
        const untrusted = yield* failure("https://h.example.org/a", { HTTPS_PROXY: secure.url })
        assert.strictEqual(untrusted._tag, "Rejected")
        assert.include(untrusted.message, `The proxy ${secure.url} (HTTPS_PROXY) cannot be trusted (`)
        const port = yield* closedPort
        const tunnel = http.createServer().on("connect", (_request, socket) => {
          const other = net.connect(port, "127.0.0.1", () => {})
          other.on("error", () => socket.end("HTTP/1.1 504 Gateway Timeout\r\n\r\n"))
        })
        const proxy = yield* serve(() => {}, tunnel)
        const dead = yield* failure(`https://127.0.0.1:${port}/a`, { HTTPS_PROXY: proxy.url })
        assert.strictEqual(
          dead.message,
          `The proxy ${proxy.url} (HTTPS_PROXY), on the way to https://127.0.0.1:${port}/a, answered 504.`
        )
      })
  )
})

describe("NO_PROXY", () => {
  it.scopedLive("is asked of every request", () =>
    Effect.gen(function*() {
      const port = yield* closedPort
      const cases: ReadonlyArray<readonly [noProxy: string, host: string, proxied: boolean]> = [
        ["127.0.0.0/8", "127.0.0.1", false],
        ["10.0.0.0/8, 127.0.0.0/30", "127.0.0.1", false],
        ["10.0.0.0/8", "127.0.0.1", true],
        ["::1", "[::1]", false],
        ["[::1]", "[::1]", false],
        ["::/64", "[::1]", false],
        [`[::1]:${port}`, "[::1]", false],
        [`[::1]:${port + 1}`, "[::1]", true],
        [`127.0.0.1:${port}`, "127.0.0.1", false],
        [`127.0.0.1:${port + 1}`, "127.0.0.1", true],
        ["localhost", "localhost", false],
        [".localhost", "localhost", false],
        ["*", "127.0.0.1", false],
        ["example.org *", "127.0.0.1", false],
        ["", "127.0.0.1", true]
      ]
      for (const [no_proxy, host, expected] of cases) {
        const found = yield* isProxied(`http://${host}:${port}/a`, (http_proxy) => ({ http_proxy, no_proxy }))
        assert.strictEqual(found, expected, `${no_proxy}: ${host}`)
      }
    }))

  const cases: ReadonlyArray<
    readonly [entries: string, direct: ReadonlyArray<string>, proxied: ReadonlyArray<string>]
  > = [
    ["example.org", ["http://example.org", "https://a.b.EXAMPLE.org:8443/x", "http://example.org."], [
      "http://notexample.org",
      "http://example.org.evil.test"
    ]],
    [".example.org", ["http://example.org", "http://a.example.org"], ["http://aexample.org"]],
    ["*.example.org", ["http://example.org", "http://a.example.org"], ["http://aexample.org"]],
    ["example.org.", ["http://example.org"], ["http://example.com"]],
    ["Bücher.example", ["http://bücher.example", "http://a.xn--bcher-kva.example"], ["http://bucher.example"]],
    ["example.org:8080", ["http://example.org:8080", "https://a.example.org:8080"], ["http://example.org"]],
    ["example.org:80 example.com:443", ["http://example.org", "https://example.com"], [
      "https://example.org",
      "http://example.com"
    ]],
    ["192.0.2.7", ["http://192.0.2.7", "http://0xc0.0.2.7", "http://[::ffff:192.0.2.7]"], [
      "http://192.0.2.70",
      "http://1.192.0.2.7.example"
    ]],
    ["0.2.7", [], ["http://192.0.2.7"]],
    ["10.0.0.0/8", ["http://10.255.0.1:9000", "https://10.0.0.1"], ["http://11.0.0.1", "http://ten.example"]],
    ["10.1.2.3/8", ["http://10.255.0.1"], ["http://11.0.0.1"]],
    ["0.0.0.0/0", ["http://192.0.2.7"], ["http://[2001:db8::1]", "http://example.org"]],
    ["10.0.0.1/32", ["http://10.0.0.1"], ["http://10.0.0.2"]],
    ["10.0.0.0/33, 10.0.0.0/x", [], ["http://10.0.0.1"]],
    ["2001:db8::1", ["http://[2001:0db8:0::1]:81"], ["http://[2001:db8::2]"]],
    ["2001:DB8::/32", ["http://[2001:db8:1::2]"], ["http://[2001:db9::1]", "http://10.0.0.1"]],
    ["[2001:db8::]/32", ["http://[2001:db8:1::2]"], ["http://[2001:db9::1]"]],
    ["[2001:db8::1]:8080", ["http://[2001:db8::1]:8080"], ["http://[2001:db8::1]"]],
    ["fd00::/8", ["https://[fdff::1]"], ["https://[fe80::1]"]],
    ["a.test,b.test;c.test d.test\te.test", ["http://a.test", "http://d.test", "http://e.test"], ["http://c.test"]],
    ["*", ["http://anything.test", "https://[::1]"], []],
    [",, ,", [], ["http://a.test"]],
    [".", [], ["http://a.test"]]
  ]
  for (const [entries, direct, proxied] of cases) {
    it(`means by ${JSON.stringify(entries)} what curl and Go mean`, () => {
      const isLeftOut = NoProxy.parse(entries)
      for (const url of direct) assert.isTrue(isLeftOut(new URL(url)), url)
      for (const url of proxied) assert.isFalse(isLeftOut(new URL(url)), url)
    })
  }
})
