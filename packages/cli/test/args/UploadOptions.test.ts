import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import * as UploadOptions from "../../src/args/UploadOptions.js"

const table = <A>(decode: UploadOptions.Decode<A>, good: Record<string, A>, bad: ReadonlyArray<string>) => {
  assert.deepStrictEqual(
    Object.fromEntries(Object.keys(good).map((text) => [text, Option.getOrUndefined(decode(text))])),
    good
  )
  assert.deepStrictEqual(bad.filter((text) => Option.isSome(decode(text))), [])
}

describe("UploadOptions", () => {
  it("reads rates", () => {
    table(UploadOptions.decodeRate, {
      "50/s": 50,
      "50": 50,
      "0.5/s": 0.5,
      ".5/s": 0.5,
      "3000/m": 50,
      "3000/min": 50,
      "7200/h": 2,
      "50 / s": 50,
      "5/S": 5
    }, ["", "0", "0/s", "-1/s", "50/d", "50/ss", "abc", "50/", "/s", "1e3/s", "Infinity", "NaN"])
  })

  it("reads bandwidths", () => {
    table(UploadOptions.decodeBandwidth, {
      "10MiB/s": 10 * 1024 * 1024,
      "500kB/s": 500_000,
      "2M": 2 * 1024 * 1024,
      "10 MB / s": 10_000_000,
      "1.5k": 1536
    }, ["", "0", "0MB/s", "fast", "10MB/m", "-1M", "10 parsecs", "10", "10/s", "1e6", "NaN", "Infinity", "Infinity MB"])
  })

  it("reads durations", () => {
    table(UploadOptions.decodeDuration, {
      "100ms": 100,
      "2s": 2_000,
      "1.5s": 1_500,
      "1m": 60_000,
      "1 min": 60_000,
      "1h": 3_600_000,
      "0": 0
    }, ["", "100", "-1s", "1d", "ms", "1s2", "two seconds"])
  })

  it("reads counts", () => {
    table(UploadOptions.decodeCount(1), { "1": 1, "64": 64 }, [
      "0",
      "-1",
      "1.5",
      "1e3",
      "",
      "many",
      "99999999999999999999"
    ])
    table(UploadOptions.decodeCount(0), { "0": 0 }, ["-0"])
    table<number | "auto">(UploadOptions.decodeConcurrency, { auto: "auto", "8": 8 }, ["0", "AUTO", "x"])
  })

  it("reads sizes", () => {
    table(UploadOptions.decodeSize, {
      "8MiB": 8 * 1024 * 1024,
      "64M": 64 * 1024 * 1024,
      "1GB": 1_000_000_000,
      "1B": 1
    }, ["", "0", "0MiB", "1", "10", "1048576", "NaN", "-1M", "big", "1.5 bananas", "Infinity"])
  })

  it("writes sizes as they can be read again", () => {
    for (const bytes of [1, 999, 1_000, 1024, 8 * 1024 ** 2, 5_000_000, 1024 ** 3, 1_234_567, 3e9]) {
      assert.deepStrictEqual(UploadOptions.decodeSize(UploadOptions.sizeText(bytes)), Option.some(bytes))
    }
    assert.strictEqual(UploadOptions.sizeText(8 * 1024 ** 2), "8MiB")
  })

  it("says what a flag takes", () => {
    assert.strictEqual(
      UploadOptions.wrongValue("--rate", "fast", "starts a second, such as 50/s"),
      "--rate: \"fast\" is not a valid value. It takes starts a second, such as 50/s."
    )
  })
})
