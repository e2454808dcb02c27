import { assert, describe, it } from "@effect/vitest"
import { Either, Option } from "effect"
import * as UploadRequest from "../src/UploadRequest.js"

const none = Option.none()

const flags: UploadRequest.Flags = {
  strategy: none,
  concurrency: none,
  rate: none,
  bandwidth: none,
  retries: none,
  retryDelay: none,
  include: [],
  exclude: [],
  filesFrom: none,
  followSymlinks: false,
  dryRun: false,
  json: false,
  quiet: false,
  report: none,
  failed: none,
  fsync: false
}

const make = (changes: Partial<UploadRequest.Flags> = {}, paths: ReadonlyArray<string> = ["src", "to"]) =>
  Either.getOrThrow(UploadRequest.make(paths, { ...flags, ...changes }, 12))

const limits = (changes: Partial<UploadRequest.Flags>) => {
  const { bytesPerSecond, concurrency, uploadsPerSecond } = make(changes).strategy
  return { concurrency, uploadsPerSecond, bytesPerSecond }
}

const unlimited = { concurrency: Infinity, uploadsPerSecond: Infinity, bytesPerSecond: Infinity }

describe("UploadRequest", () => {
  it("is a pool of as many workers as suit the machine", () => {
    assert.deepStrictEqual(limits({}), { ...unlimited, concurrency: 12 })
    assert.deepStrictEqual(limits({ concurrency: Option.some("auto") }), { ...unlimited, concurrency: 12 })
    assert.deepStrictEqual(limits({ concurrency: Option.some(40) }), { ...unlimited, concurrency: 40 })
  })

  it("stacks what it is told", () => {
    assert.deepStrictEqual(limits({ rate: Option.some(50), bandwidth: Option.some(1_000) }), {
      concurrency: 12,
      uploadsPerSecond: 50,
      bytesPerSecond: 1_000
    })
    assert.deepStrictEqual(limits({ strategy: Option.some("rate"), rate: Option.some(50) }), {
      ...unlimited,
      uploadsPerSecond: 50
    })
    assert.deepStrictEqual(
      limits({ strategy: Option.some("rate"), rate: Option.some(50), concurrency: Option.some(4) }),
      { ...unlimited, uploadsPerSecond: 50, concurrency: 4 }
    )
    assert.deepStrictEqual(limits({ strategy: Option.some("unlimited") }), unlimited)
  })

  it("has as many connections as uploads in flight, and a bound", () => {
    assert.strictEqual(make({ concurrency: Option.some(40) }).connections, 40)
    assert.strictEqual(make({ strategy: Option.some("unlimited") }).connections, UploadRequest.maxConnections)
  })

  it("counts retries after the first attempt", () => {
    assert.strictEqual(make().retry.attempts, 5)
    assert.strictEqual(make({ retries: Option.some(2) }).retry.attempts, 3)
    assert.deepInclude(make({ retries: Option.some(0) }).retry, { attempts: 1, secondRound: false })
  })

  it("takes the last path for the destination, and none of them for a source with a list", () => {
    assert.deepStrictEqual(make({}, ["a", "b", "to"]).sources, ["a", "b"])
    assert.deepStrictEqual(make({ filesFrom: Option.some("list") }, ["to"]).sources, [])
    assert.deepStrictEqual(make({ filesFrom: Option.some("list") }, ["a", "to"]).sources, ["a"])
  })
})
