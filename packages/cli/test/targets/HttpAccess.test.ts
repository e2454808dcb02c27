import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Option, Redacted } from "effect"
import * as HttpAccess from "../../src/targets/HttpAccess.js"

describe("HttpAccess", () => {
  const credentials = (variables: Record<string, string>) =>
    Effect.withConfigProvider(HttpAccess.credentials, ConfigProvider.fromMap(new Map(Object.entries(variables))))

  it.effect("reads credentials off the environment", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* credentials({}), Option.none())
      assert.deepStrictEqual(
        yield* credentials({ SLUICE_HTTP_TOKEN: "t" }),
        Option.some<HttpAccess.HttpCredentials>({ _tag: "Bearer", token: Redacted.make("t") })
      )
      assert.deepStrictEqual(
        yield* credentials({ SLUICE_HTTP_USER: "u", SLUICE_HTTP_PASSWORD: "p" }),
        Option.some<HttpAccess.HttpCredentials>({ _tag: "Basic", user: "u", password: Redacted.make("p") })
      )
      const halves = yield* Effect.flip(credentials({ SLUICE_HTTP_USER: "u" }))
      assert.strictEqual(halves.message, "SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD go together: set both.")
      const both = yield* Effect.flip(credentials({ SLUICE_HTTP_USER: "u", SLUICE_HTTP_TOKEN: "t" }))
      assert.strictEqual(both.exitCode, 2)
    }))

  it.effect("reads headers off the environment, and those of flags come first", () =>
    Effect.gen(function*() {
      const access = (variables: Record<string, string>) =>
        Effect.withConfigProvider(
          HttpAccess.make({ "x-team": "flag" }),
          ConfigProvider.fromMap(new Map(Object.entries(variables)))
        )
      const { headers } = yield* access({ SLUICE_HTTP_HEADERS: "X-Team: env\nX-Api-Key: k:1\n\nCookie: a=b" })
      assert.deepStrictEqual(headers, { "x-team": "flag", "x-api-key": "k:1", cookie: "a=b" })
      const wrong = yield* Effect.flip(access({ SLUICE_HTTP_HEADERS: "X-A: 1\nsecret" }))
      assert.strictEqual(wrong.message, "SLUICE_HTTP_HEADERS: line 2 is not a header, such as \"X-Api-Key: …\".")
      const both = yield* Effect.flip(access({ SLUICE_HTTP_HEADERS: "authorization: x", SLUICE_HTTP_TOKEN: "t" }))
      assert.include(both.message, "Only one can be used")
    }))
})
