import { FetchHttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { Transport, UploadError } from "@sluice/core"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer } from "effect"
import * as RawServer from "./support/RawServer.js"

vi.setConfig({ testTimeout: 30_000 })

const transports: Readonly<Record<string, Layer.Layer<Transport.Transport>>> = {
  "TransportNode": TransportNode.layer(),
  "layerHttpClient over undici": Layer.provide(Transport.layerHttpClient, NodeHttpClient.layerUndici),
  "layerHttpClient over fetch": Layer.provide(Transport.layerHttpClient, FetchHttpClient.layer)
}

const text = (body: string) => new TextEncoder().encode(body)

for (const [name, layer] of Object.entries(transports)) {
  describe(`a request by ${name}`, () => {
    it.scopedLive("has the method that it says, whatever that is", () =>
      Effect.gen(function*() {
        const { open, send } = yield* Transport.Transport
        const seen: Array<string> = []
        const { url } = yield* RawServer.make(
          RawServer.answering(seen, "HTTP/1.1 207 Multi-Status\r\ncontent-length: 2\r\n\r\nok")
        )
        const request = (method: Transport.Method, body?: Uint8Array) => ({
          method,
          url: `${url}/a`,
          headers: {},
          body
        })
        const methods = ["MKCOL", "MOVE", "LOCK", "QUERY", "FROBNICATE", "M-SEARCH", "x!#$%&'*+-.^_`|~9"]
        for (const method of methods) assert.strictEqual((yield* send(request(method))).status, 207)
        const answer = yield* send(request("PROPFIND", text("<propfind/>")))
        assert.strictEqual(new TextDecoder().decode(answer.body), "ok")
        assert.strictEqual((yield* open(request("REPORT"))).status, 207)
        assert.deepStrictEqual(
          seen.map((request) => request.split("\r\n")[0]),
          [...methods, "PROPFIND", "REPORT"].map((method) => `${method} /a HTTP/1.1`)
        )
        assert.match(seen[7]!, /\r\ncontent-length: 11\r\n/i)
        assert.isTrue(seen[7]!.endsWith("\r\n\r\n<propfind/>"))
      }).pipe(Effect.provide(layer)))

    it.scopedLive("whose method is none, or not for uploads, is refused by name, and not sent", () =>
      Effect.gen(function*() {
        const { open, send } = yield* Transport.Transport
        const { connections, url } = yield* RawServer.make(() => {})
        const problems: ReadonlyArray<readonly [method: string, problem: string]> = [
          ["", "\"\" is not a method"],
          ["MK COL", "\"MK COL\" is not a method"],
          ["PUT /evil HTTP/1.1\r\n", "\"PUT /evil HTTP/1.1\\r\\n\" is not a method"],
          ["MKCÖL", "\"MKCÖL\" is not a method"],
          ["CONNECT", "the method CONNECT is not for uploads"],
          ["TRACE", "the method TRACE is not for uploads"],
          ["track", "the method track is not for uploads"]
        ]
        for (const [method, problem] of problems) {
          const request = { method, url: `${url}/a?token=canary`, headers: {} }
          const error = new UploadError.Rejected({
            reason: "Unsupported",
            detail: `The request to ${url}/a cannot be sent: ${problem}.`
          })
          assert.deepStrictEqual(yield* Effect.flip(send(request)), error)
          assert.deepStrictEqual(yield* Effect.flip(open(request)), error)
        }
        assert.strictEqual(connections(), 0)
      }).pipe(Effect.provide(layer)))
  })
}
