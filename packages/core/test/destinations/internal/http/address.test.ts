import { assert, describe, it } from "@effect/vitest"
import { Transport } from "@sluice/core"
import { Effect } from "effect"
import * as Address from "../../../../src/destinations/internal/http/address.js"

describe("the address of a key", () => {
  it("is at the end of the path, or in place of {key}", () => {
    for (
      const [template, expected] of [
        ["https://host", "https://host/a%20b/c%3F"],
        ["https://host/", "https://host/a%20b/c%3F"],
        ["https://host/in?x=1#y", "https://host/in/a%20b/c%3F?x=1#y"],
        ["https://host/in/?x=1", "https://host/in/a%20b/c%3F?x=1"],
        ["https://host/{key}?again={key}", "https://host/a%20b/c%3F?again=a%20b/c%3F"]
      ] as const
    ) assert.strictEqual(Address.withKey(template, "a b/c?"), expected)
    assert.strictEqual(Address.withKey("https://host/{key}", "$&"), "https://host/%24%26")
  })

  it("has a host if it is an HTTP address", () => {
    assert.strictEqual(Address.hostOf("HTTPS://Host:8443/a?b"), "https://host:8443")
    assert.strictEqual(Address.hostOf("http://host/a"), "http://host")
    for (const none of ["ftp://host/a", "host/a", "xhttp://host", ""]) assert.isUndefined(Address.hostOf(none), none)
  })
})

describe("a look at a server", () => {
  const probe = (status: number, url = "https://host/in/{key}?x=1") => {
    const asked: Array<string> = []
    const transport = Transport.Transport.of({
      send: ({ headers, method, url }) =>
        Effect.sync(() => {
          asked.push(`${method} ${url} ${JSON.stringify(headers)}`)
          return { status, headers: { "content-type": "text/plain" }, body: new TextEncoder().encode("Be patient.") }
        }),
      open: () => Effect.never
    })
    return Effect.map(Effect.either(Address.probe(transport, url)), (outcome) => ({
      asked,
      outcome: outcome._tag === "Left" ? `${outcome.left._tag}: ${outcome.left.message}` : "there"
    }))
  }

  it.effect("requests only its root, and fails only for statuses from 500", () =>
    Effect.gen(function*() {
      const asked = ["HEAD https://host/ {}"]
      for (const status of [200, 301, 401, 404, 499]) {
        assert.deepStrictEqual(yield* probe(status), { asked, outcome: "there" }, `${status}`)
      }
      for (const status of [500, 503]) {
        assert.deepStrictEqual(yield* probe(status), {
          asked,
          outcome: `Transient: https://host answered ${status}: Be patient.`
        })
      }
    }))

  it.effect("sends nothing if there is no host", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* probe(500, "nowhere"), { asked: [], outcome: "there" })
    }))
})
