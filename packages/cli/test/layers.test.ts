import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Either, Option, Redacted } from "effect"
import * as layers from "../src/layers.js"

const problem = (text: string) => Option.getOrThrow(Either.getLeft(layers.parseTarget(text)))

describe("layers", () => {
  it("takes a path for a local directory", () => {
    for (const root of ["backup", "/mnt/backup", "./s3:x", "..", "C:\\backup", "with space"]) {
      assert.deepStrictEqual(layers.parseTarget(root), Either.right({ _tag: "Local", root }))
    }
    assert.deepStrictEqual(
      layers.parseTarget("file:///mnt/a%20b"),
      Either.right({ _tag: "Local", root: "/mnt/a b" })
    )
    assert.include(problem("file://elsewhere/x"), "is not the address of a local directory")
    assert.include(problem(""), "empty")
  })

  it("takes an http address as it is, without its fragment", () => {
    for (const url of ["http://host", "https://host:8080/a?token=1", "HTTPS://host/{key}?x=1"]) {
      assert.deepStrictEqual(layers.parseTarget(url), Either.right({ _tag: "Http", url }))
    }
    assert.deepStrictEqual(layers.parseTarget("http://host/a#b"), Either.right({ _tag: "Http", url: "http://host/a" }))
    assert.strictEqual(problem("http://"), "The destination is not a valid http(s) address.")
  })

  it("refuses credentials in an address, without saying them", () => {
    const said = problem("https://me:secret@host/path?token=hidden")
    assert.include(said, "SLUICE_HTTP_TOKEN")
    assert.include(said, "host")
    assert.notMatch(said, /secret|hidden|me:/)
  })

  it("knows which kinds of destinations are not there yet", () => {
    for (const url of ["s3://bucket/x", "gs://bucket", "az://x", "tus://x", "S3:x"]) {
      assert.include(problem(url), "not there yet")
    }
    assert.include(problem("foo:bar"), "./foo:")
  })

  it("reads a simulated network", () => {
    assert.deepStrictEqual(
      layers.parseTarget(
        "sim:?latency=20ms&latency-per-byte=1ms&bandwidth=1MB/s&connection-bandwidth=1k&failures=5%&max-in-flight=4" +
          "&retry-after=1s&seed=a+b"
      ),
      Either.right({
        _tag: "Simulated",
        network: {
          requestLatency: 20,
          latencyPerByte: 1,
          sharedBytesPerSecond: 1_000_000,
          bytesPerSecond: 1024,
          failureRate: 0.05,
          maxInFlight: 4,
          retryAfter: 1_000,
          seed: "a+b"
        }
      })
    )
    assert.deepStrictEqual(layers.parseTarget("sim:"), Either.right({ _tag: "Simulated", network: {} }))
    assert.deepStrictEqual(
      layers.parseTarget("sim:flaky?failures=0.5"),
      Either.right({ _tag: "Simulated", network: { requestLatency: "20 millis", failureRate: 0.5 } })
    )
    assert.strictEqual(
      problem("sim:?failures=150%"),
      "sim: failures: \"150%\" is not right. It takes a part of all attempts, such as 0.05 or 5%."
    )
    assert.include(problem("sim:?speed=1"), "sim: has no \"speed\"")
    assert.include(problem("sim:?constructor=1"), "sim: has no \"constructor\"")
    assert.include(problem("sim:slowest"), "sim:slow")
  })

  const credentials = (variables: Record<string, string>) =>
    Effect.withConfigProvider(layers.httpCredentials, ConfigProvider.fromMap(new Map(Object.entries(variables))))

  it.effect("reads credentials off the environment", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* credentials({}), Option.none())
      assert.deepStrictEqual(
        yield* credentials({ SLUICE_HTTP_TOKEN: "t" }),
        Option.some<layers.HttpCredentials>({ _tag: "Bearer", token: Redacted.make("t") })
      )
      assert.deepStrictEqual(
        yield* credentials({ SLUICE_HTTP_USER: "u", SLUICE_HTTP_PASSWORD: "p" }),
        Option.some<layers.HttpCredentials>({ _tag: "Basic", user: "u", password: Redacted.make("p") })
      )
      const halves = yield* Effect.flip(credentials({ SLUICE_HTTP_USER: "u" }))
      assert.strictEqual(halves.message, "SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD go together: set both.")
      const both = yield* Effect.flip(credentials({ SLUICE_HTTP_USER: "u", SLUICE_HTTP_TOKEN: "t" }))
      assert.strictEqual(both.exitCode, 2)
    }))
})
