import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, UploadError, UploadFile, ByteSource, Bandwidth, Uploader, UploadResult } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Deferred, Effect, Exit, Stream, Fiber, Clock } from "effect"
import * as Recording from "./Recording.js"
const { virtual } = Recording
const files = (n: number) => Array.from({ length: n }, (_, i) => UploadFile.fromText(`f${i}`, "x".repeat(10)))
const transient = new UploadError.Transient({ reason: "Connection", detail: "no" })
describe("hunt", () => {
  it.effect("interrupt at once after start", () => Effect.gen(function*() {
    const r = Recording.make(Recording.takeAfter(100))
    const { millis, value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      const run = yield* u.start(files(3))
      yield* run.interrupt
      return yield* run.report
    }))
    assert.deepStrictEqual([millis, value.ended, r.history.length], [0, "Interrupted", 0])
  }))
  it.effect("interrupt at once after start paused", () => Effect.gen(function*() {
    const r = Recording.make(Recording.takeAfter(100))
    const { millis } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      yield* u.start(files(3), { paused: true })
    }))
    assert.deepStrictEqual(millis, 0)
  }))
  it.effect("interrupt by slow reader", () => Effect.gen(function*() {
    const r = Recording.make(Recording.takeAll)
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      const run = yield* u.start(files(600), { paused: true })
      const fiber = yield* Effect.fork(Stream.runForEach(run.results, () => Effect.zipRight(Effect.sleep(10), run.interrupt)))
      yield* Effect.sleep(1)
      yield* run.resume
      const report = yield* run.report
      yield* Fiber.join(fiber)
      return report
    }))
    assert.deepStrictEqual([value.ended], ["Interrupted"])
  }))
  it.effect("second round interrupted", () => Effect.gen(function*() {
    const r = Recording.make((p) => p.key === "f1" ? p.attempt === 1 ? Effect.fail(transient) : Effect.never : p.body.bytes)
    const results: Array<UploadResult.UploadResult> = []
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r, { retry: RetryPolicy.make({ attempts: 1 }) })
      const run = yield* u.start(files(2), { onResult: (x) => Effect.sync(() => results.push(x)) })
      yield* Effect.sleep(10)
      yield* run.interrupt
      return yield* run.report
    }))
    assert.deepStrictEqual(results.map((x) => x._tag + x.file.key), ["Uploadedf0", "Interruptedf1"])
    assert.deepStrictEqual(value.files.notStarted, 0)
  }))
  it.effect("second round paused", () => Effect.gen(function*() {
    const r = Recording.make((p) => p.key !== "f0" && p.attempt === 1 ? Effect.fail(transient) : p.body.bytes)
    const results: Array<UploadResult.UploadResult> = []
    yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r, { retry: RetryPolicy.make({ attempts: 1 }), strategy: Strategy.rateLimited({ uploadsPerSecond: 1 }) })
      const run = yield* u.start(files(3), { onResult: (x) => Effect.sync(() => results.push(x)) })
      yield* Effect.sleep(3500)
      yield* run.pause
      yield* Effect.sleep(3000)
      yield* run.resume
      return yield* run.report
    }))
    assert.deepStrictEqual(results.map((x) => x._tag + x.file.key), ["Uploadedf0", "Uploadedf1", "Uploadedf2"])
  }))
  it.effect("bandwidth waits are no stall", () => Effect.gen(function*() {
    const r = Recording.make()
    const results: Array<UploadResult.UploadResult> = []
    const { millis } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r, { strategy: Strategy.bandwidth({ bytesPerSecond: 1024 }) })
      return yield* u.uploadAll(Array.from({ length: 64 }, (_, i) => UploadFile.make(`f${i}`, ByteSource.generate(2048))), { onResult: (x) => Effect.sync(() => results.push(x)) })
    }))
    assert.deepStrictEqual(results.filter((x) => x._tag !== "Uploaded").length, 0)
    assert.deepStrictEqual(r.starts.length, 64)
    assert.deepStrictEqual(millis, 128_000)
  }))
  it.effect("lower bandwidth", () => Effect.gen(function*() {
    const { millis } = yield* virtual(Effect.gen(function*() {
      const b = Bandwidth.make(50 * 1024 * 1024)
      yield* b.take(50 * 1024 * 1024)
      const before = yield* Clock.currentTimeMillis
      yield* b.setRate(100_000)
      yield* b.take(10_000)
      return (yield* Clock.currentTimeMillis) - before
    }))
    assert.deepStrictEqual(millis, 1100)
  }))
  it.effect("stall and interrupt at once", () => Effect.gen(function*() {
    const cut = yield* Deferred.make<void>()
    const r = Recording.make((p) => p.attempt === 1 ? Effect.onInterrupt(Effect.never, () => Deferred.succeed(cut, void 0)) : Recording.takeAfter(1000)(p))
    const { millis, value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      const run = yield* u.start(files(1))
      yield* Deferred.await(cut)
      yield* run.interrupt
      return yield* run.report
    }))
    assert.deepStrictEqual([millis, value.ended, value.files.interrupted], [30_000, "Interrupted", 1])
  }))
  it.effect("defect in onEvent for deferred: no second round", () => Effect.gen(function*() {
    const r = Recording.make((p) => p.key === "f1" && p.attempt === 1 ? Effect.fail(transient) : p.body.bytes)
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r, { retry: RetryPolicy.make({ attempts: 1 }), strategy: Strategy.workerPool({ workers: 1 }) })
      return yield* Effect.exit(u.uploadAll(files(2), { onEvent: (e) => e._tag === "UploadDeferred" ? Effect.die("boom") : Effect.void }))
    }))
    assert.deepStrictEqual(value, Exit.die("boom"))
    assert.deepStrictEqual(r.history.length, 4)
  }))
  it.effect("defect in onEvent when interrupted", () => Effect.gen(function*() {
    const r = Recording.make(Recording.takeAfter(100))
    const { value, millis } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      const run = yield* u.start(files(2), { onEvent: (e) => e._tag === "UploadFinished" ? Effect.die("boom") : Effect.void })
      yield* Effect.sleep(10)
      yield* run.interrupt
      return yield* Effect.exit(run.report)
    }))
    assert.deepStrictEqual(value, Exit.die("boom"))
    assert.deepStrictEqual(millis, 10)
  }))
  it.effect("defect in onEvent for RunChanged too", () => Effect.gen(function*() {
    const r = Recording.make((p) => p.key === "f0" ? p.body.bytes : Recording.takeAfter(100)(p))
    const { value, millis } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* Effect.exit(u.uploadAll(files(2), { onEvent: (e) => e._tag === "UploadFinished" || e._tag === "RunChanged" ? Effect.die("boom") : Effect.void }))
    }))
    assert.deepStrictEqual(value, Exit.die("boom"))
    assert.deepStrictEqual(millis, 0)
  }))
  it.effect("defect in onEvent for ListingFinished of a stream", () => Effect.gen(function*() {
    const r = Recording.make(Recording.takeAfter(100))
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* Effect.exit(u.uploadAll(Stream.fromIterable(files(2)), { onEvent: (e) => e._tag === "ListingFinished" ? Effect.die("boom") : Effect.void }))
    }))
    assert.deepStrictEqual(value, Exit.die("boom"))
  }))
  it.effect("defect in onEvent: finishing deferred", () => Effect.gen(function*() {
    const r = Recording.make(() => Effect.fail(transient))
    const { value } = yield* virtual(Effect.gen(function*() {
      const before = yield* Fiber.roots
      const u = yield* Recording.uploader(r, { retry: RetryPolicy.make({ attempts: 1 }) })
      const run = yield* u.start(files(2), { paused: true, onEvent: (e) => e._tag === "UploadFinished" ? Effect.die("boom") : Effect.void })
      const reader = yield* Effect.fork(Stream.runDrain(run.events))
      yield* Effect.sleep(1)
      yield* run.resume
      const exit = yield* Effect.exit(run.report)
      yield* Effect.sleep(1)
      const after = (yield* Fiber.roots).filter((x) => !before.includes(x))
      return [exit, reader.unsafePoll() !== null, after.length]
    }))
    assert.deepStrictEqual(value, [Exit.die("boom"), true, 0])
  }))
  it.effect("stack adaptive", () => Effect.gen(function*() {
    const r = Recording.make()
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r, { strategy: Strategy.stack(Strategy.rateLimited({ uploadsPerSecond: 5 }), Strategy.adaptiveRate({ base: 10 })) })
      yield* u.uploadAll(files(200))
      return yield* u.limits.current
    }))
    assert.deepStrictEqual(value.uploadsPerSecond, 5)
  }))
  it.effect("lookahead", () => Effect.gen(function*() {
    let read = 0
    const r = Recording.make(() => Effect.never)
    yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r, { strategy: Strategy.workerPool({ workers: 1 }) })
      const run = yield* u.start(Stream.tap(Stream.rechunk(Stream.fromIterable(files(1000)), 1), () => Effect.sync(() => read++)), { lookahead: 10 })
      yield* Effect.sleep(10)
      yield* run.interrupt
    }))
    assert.deepStrictEqual(read, 10 + 1 + 1 + 1)
  }))
  it.effect("stream list is left by interrupt", () => Effect.gen(function*() {
    let ended = false
    const r = Recording.make(() => Effect.never)
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r, { strategy: Strategy.workerPool({ workers: 1 }) })
      const run = yield* u.start(Stream.ensuring(Stream.concat(Stream.fromIterable(files(3)), Stream.never), Effect.sync(() => { ended = true })))
      yield* Effect.sleep(10)
      yield* run.interrupt
      return ended
    }))
    assert.deepStrictEqual(value, true)
  }))
  it.effect("generator is closed", () => Effect.gen(function*() {
    let ended = false
    function* gen() { try { yield* files(100) } finally { ended = true } }
    const r = Recording.make(() => Effect.never)
    yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r, { strategy: Strategy.workerPool({ workers: 1 }) })
      const run = yield* u.start(gen())
      yield* Effect.sleep(10)
      yield* run.interrupt
    }))
    assert.deepStrictEqual(ended, true)
  }))
  it.effect("results are told when interrupted while telling", () => Effect.gen(function*() {
    const r = Recording.make()
    const told: Array<string> = []
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      const run = yield* u.start(files(2), { onEvent: (e) => e._tag === "UploadFinished" ? Effect.sleep(10) : Effect.void, onResult: (x) => Effect.sync(() => told.push(x.file.key)) })
      yield* Effect.sleep(5)
      yield* run.interrupt
      return yield* run.report
    }))
    assert.deepStrictEqual([value.files.uploaded, told.length], [2, 2])
  }))
  it.effect("destination answers early, unknown size", () => Effect.gen(function*() {
    const r = Recording.make(({ body }) => Effect.asVoid(Stream.runHead(body.stream())))
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* u.uploadAll([UploadFile.make("a", ByteSource.fromStream(Stream.make(new Uint8Array(5), new Uint8Array(5), new Uint8Array(5))))])
    }))
    assert.deepStrictEqual(value.files.uploaded, 0)
  }))
  it.effect("destination answers early, buffered", () => Effect.gen(function*() {
    const r = Recording.make(({ body }) => Effect.asVoid(Stream.runHead(body.stream({ blockSize: 5 }))), { unknownSize: false })
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* u.uploadAll([UploadFile.make("a", ByteSource.fromStream(Stream.make(new Uint8Array(5), new Uint8Array(5), new Uint8Array(5))))])
    }))
    assert.deepStrictEqual(value.files.uploaded, 0)
  }))
  it.effect("buffered over maxPutSize", () => Effect.gen(function*() {
    const r = Recording.make(Recording.takeAll, { unknownSize: false, maxPutSize: 10 })
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* u.uploadAll([UploadFile.make("a", ByteSource.fromStream(Stream.make(new Uint8Array(5), new Uint8Array(5), new Uint8Array(5))))])
    }))
    assert.deepStrictEqual(value.failures[0]?.error.reason, "TooLarge")
  }))
  it.effect("fingerprint is checked at start", () => Effect.gen(function*() {
    const r = Recording.make()
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* u.uploadAll([UploadFile.make("a", { ...ByteSource.fromText("hello"), fingerprint: Effect.succeed("new") }, { fingerprint: "old" })])
    }))
    assert.deepStrictEqual([value.failures[0]?.error.reason, r.starts.length], ["Modified", 0])
  }))
  it.effect("slow sources do not stall", () => Effect.gen(function*() {
    const r = Recording.make(({ body }) => Effect.asVoid(Stream.runDrain(body.stream())))
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* u.uploadAll([UploadFile.make("a", ByteSource.fromStream(Stream.fromIterable([1, 2, 3, 4]).pipe(Stream.mapEffect(() => Effect.delay(Effect.sync(() => new Uint8Array(5)), 20_000)))))])
    }))
    assert.deepStrictEqual(value.files.uploaded, 1)
  }))
  it.effect("slow sources do not stall when buffered", () => Effect.gen(function*() {
    const r = Recording.make(({ body }) => Effect.asVoid(Stream.runDrain(body.stream())), { unknownSize: false })
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* u.uploadAll([UploadFile.make("a", ByteSource.fromStream(Stream.fromIterable([1, 2, 3, 4]).pipe(Stream.mapEffect(() => Effect.delay(Effect.sync(() => new Uint8Array(5)), 20_000)))))])
    }))
    assert.deepStrictEqual(value.files.uploaded, 1)
  }))
  it.effect("slow event readers do not stall", () => Effect.gen(function*() {
    const r = Recording.make()
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* u.uploadAll(files(1), { onEvent: (e) => e._tag === "UploadStarted" ? Effect.sleep(40_000) : Effect.void })
    }))
    assert.deepStrictEqual([value.files.uploaded, value.attempts], [1, 1])
  }))
  it.effect("hostile key has 0 attempts", () => Effect.gen(function*() {
    const r = Recording.make()
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      return yield* u.uploadAll([UploadFile.fromText("../a", "x")])
    }))
    assert.deepStrictEqual([value.failures[0]?.attempts, value.attempts], [0, 0])
  }))
  it.effect("run.interrupt from onResult", () => Effect.gen(function*() {
    const r = Recording.make((p) => p.key === "f0" ? Effect.fail(new UploadError.Conflict({ detail: "" })) : Effect.never)
    const { value } = yield* virtual(Effect.gen(function*() {
      const u = yield* Recording.uploader(r)
      const run: any = yield* u.start(files(3), { onResult: (x) => x._tag === "Uploaded" ? Effect.void : Effect.suspend(() => run.interrupt as Effect.Effect<void>) })
      return yield* run.report as Effect.Effect<any>
    }))
    assert.deepStrictEqual(value.ended, "Interrupted")
  }))
})
