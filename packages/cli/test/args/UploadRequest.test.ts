import { assert, describe, it } from "@effect/vitest"
import { AdaptiveConcurrency } from "@sluice/core"
import { Either, Option } from "effect"
import * as UploadRequest from "../../src/args/UploadRequest.js"
import * as Targets from "../../src/targets/Targets.js"
import { noFlags } from "../support/NoFlags.js"

const none = Option.none()

const flags: UploadRequest.Flags = {
  strategy: none,
  concurrency: none,
  rate: none,
  bandwidth: none,
  retries: none,
  outage: Option.none(),
  retryDelay: none,
  include: [],
  exclude: [],
  filesFrom: none,
  followSymlinks: false,
  dryRun: false,
  errorOnNoTransfer: false,
  allowEmpty: false,
  json: false,
  quiet: false,
  report: none,
  failed: none,
  fsync: false,
  partSize: none,
  partConcurrency: none,
  memory: none,
  checksum: none,
  onInterrupt: none,
  onSourceChange: none,
  journal: none,
  noJournal: false,
  contentRange: false,
  ...noFlags,
  storageClass: none,
  acl: none,
  cacheControl: none,
  metadata: [],
  ifAbsent: false,
  locations: none
}

const make = (changes: Partial<UploadRequest.Flags> = {}, paths: ReadonlyArray<string> = ["src", "to"]) =>
  Either.getOrThrow(UploadRequest.make(paths, { ...flags, ...changes }, 12))

const limits = (changes: Partial<UploadRequest.Flags>) => {
  const { bytesPerSecond, concurrency, uploadsPerSecond } = make(changes).uploader.strategy
  return { concurrency, uploadsPerSecond, bytesPerSecond }
}

const unlimited = { concurrency: Infinity, uploadsPerSecond: Infinity, bytesPerSecond: Infinity }

describe("UploadRequest", () => {
  it("is adaptive by default, up to 64 or the given number", () => {
    const { connections, uploader } = make()
    assert.strictEqual(uploader.strategy.name, "adaptive")
    assert.deepStrictEqual(limits({}), { ...unlimited, concurrency: AdaptiveConcurrency.defaults.initial })
    assert.deepStrictEqual(uploader.strategy.controllers.map(({ name }) => name), ["adaptive"])
    assert.strictEqual(connections, 64)
    const bounded = make({ strategy: Option.some("adaptive"), concurrency: Option.some(2) })
    assert.strictEqual(bounded.uploader.strategy.concurrency, 2)
    assert.strictEqual(bounded.connections, 2)
    assert.strictEqual(
      make({ strategy: Option.some("adaptive"), concurrency: Option.some("auto") }).connections,
      64
    )
  })

  it("is a pool of the given size, or of a size that suits the machine", () => {
    assert.deepStrictEqual(limits({ strategy: Option.some("pool") }), { ...unlimited, concurrency: 12 })
    assert.deepStrictEqual(limits({ concurrency: Option.some("auto") }), { ...unlimited, concurrency: 12 })
    assert.deepStrictEqual(limits({ concurrency: Option.some(40) }), { ...unlimited, concurrency: 40 })
  })

  it("stacks the given limits", () => {
    assert.deepStrictEqual(limits({ rate: Option.some(50), bandwidth: Option.some(1_000) }), {
      concurrency: AdaptiveConcurrency.defaults.initial,
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

  it("has as many connections as uploads in flight, up to a bound", () => {
    assert.strictEqual(make({ concurrency: Option.some(40) }).connections, 40)
    assert.strictEqual(make({ strategy: Option.some("unlimited") }).connections, UploadRequest.maxConnections)
  })

  it("counts retries after the first attempt", () => {
    assert.strictEqual(make().uploader.retry?.attempts, 5)
    assert.strictEqual(make({ retries: Option.some(2) }).uploader.retry?.attempts, 3)
    assert.deepInclude(make({ retries: Option.some(0) }).uploader.retry, { attempts: 1, secondRound: false })
  })

  it("takes the last path as the destination, and needs no source with a list", () => {
    assert.deepStrictEqual(make({}, ["a", "b", "to"]).sources, ["a", "b"])
    assert.deepStrictEqual(make({ filesFrom: Option.some("list") }, ["to"]).sources, [])
    assert.deepStrictEqual(make({ filesFrom: Option.some("list") }, ["a", "to"]).sources, ["a"])
  })

  it("leaves missing options to the engine", () => {
    const { strategy: _, retry: __, ...rest } = make().uploader
    assert.deepStrictEqual(new Set(Object.values(rest)), new Set([undefined]))
    assert.deepStrictEqual(make().run, { onInterrupt: undefined, onSourceChange: undefined })
    assert.isUndefined(make().journal)
  })

  it("passes on how large files are sent", () => {
    assert.deepInclude(
      make({
        partSize: Option.some(1_000),
        partConcurrency: Option.some(3),
        memory: Option.some(5_000),
        checksum: Option.some("none" as const)
      }).uploader,
      { partSize: 1_000, multipartThreshold: 1_000, partConcurrency: 3, memory: 5_000, checksum: "none" }
    )
    assert.deepStrictEqual(
      make({ onInterrupt: Option.some("keep" as const), onSourceChange: Option.some("skip" as const) }).run,
      { onInterrupt: "keep", onSourceChange: "skip" }
    )
    assert.strictEqual(make({ journal: Option.some("here") }).journal, "here")
    assert.isFalse(make({ noJournal: true }).journal)
  })

  const problem = (changes: Partial<UploadRequest.Flags>, paths?: ReadonlyArray<string>) =>
    Either.match(UploadRequest.make(paths ?? ["src", "to"], { ...flags, ...changes }, 12), {
      onLeft: (message) => message,
      onRight: () => undefined
    })

  it("refuses contradictions", () => {
    assert.strictEqual(
      problem({ journal: Option.some("here"), noJournal: true }),
      "--journal and --no-journal contradict each other."
    )
    assert.strictEqual(
      problem({ noJournal: true, onInterrupt: Option.some("keep") }),
      "--on-interrupt keep needs a journal to find what was kept: remove --no-journal."
    )
    assert.isUndefined(problem({ noJournal: true, onInterrupt: Option.some("abort") }))
    assert.strictEqual(
      problem({}, ["-", "a", "to/x"]),
      "Standard input (-) cannot be combined with other sources."
    )
    assert.strictEqual(
      problem({ filesFrom: Option.some("list") }, ["-", "to/x"]),
      "Standard input (-) cannot be combined with --files-from."
    )
  })

  it("takes the last part of the destination as the key of standard input", () => {
    const named = (destination: string) => {
      const { standardInput, target } = make({}, ["-", destination])
      return [
        standardInput,
        target._tag === "Local" ? target.root : target._tag === "Http" ? target.url : Targets.nameOf(target)
      ]
    }
    assert.deepStrictEqual(named("backup/dump.sql"), ["dump.sql", "backup/"])
    assert.deepStrictEqual(named("dump.sql"), ["dump.sql", "."])
    assert.deepStrictEqual(named("/mnt/what?/a b"), ["a b", "/mnt/what?/"])
    assert.deepStrictEqual(named("file:///mnt/backup/a%20b"), ["a b", "/mnt/backup/"])
    assert.deepStrictEqual(named("https://host/a/dump.sql"), ["dump.sql", "https://host/a/"])
    assert.deepStrictEqual(named("https://host/a%20b"), ["a b", "https://host/"])
    assert.deepStrictEqual(named("https://host/a/b?sig=x/y&z=1"), ["b", "https://host/a/b?sig=x/y&z=1"])
    assert.deepStrictEqual(named("sim:?latency=1ms"), ["stdin", "sim:"])
    assert.deepStrictEqual(named("s3://bkt/a/100%#1.sql"), ["100%#1.sql", "s3://bkt/a"])
    assert.deepStrictEqual(named("s3://bkt/b?endpoint=http://h/x"), ["b", "s3://bkt?endpoint=http://h/x"])
    assert.deepStrictEqual(named("tus+https://host/files/a%20b"), ["a b", "tus+https://host/files/"])
    for (
      const nameless of [
        "backup/",
        ".",
        "a/..",
        "https://host",
        "https://host/a/",
        "https://host/{key}",
        "https://h/?x=/y",
        "s3://bkt",
        "s3://bkt/a/"
      ]
    ) {
      assert.strictEqual(
        problem({}, ["-", nameless]),
        "Standard input has no name: end the destination with one, such as backup/dump.sql.",
        nameless
      )
    }
  })
})
