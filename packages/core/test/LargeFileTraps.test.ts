import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { UploadError, UploadFile } from "@sluice/core"
import * as LargeRun from "./LargeRun.js"
import * as PartsRecording from "./PartsRecording.js"

vi.setConfig({ testTimeout: 30_000 })

const once = (verb: PartsRecording.Verb, fault: PartsRecording.Fault, from = 1, to = 1) =>
  (request: PartsRecording.Request) =>
    request.verb === verb && request.attempt >= from && request.attempt <= to ? fault : undefined

describe("traps", () => {
  it.effect("deadlock of kept memory", () => Effect.gen(function*() {
    const recording = PartsRecording.make({
      fault: ({ verb, key, number, attempt }) => verb === "part" && key === "s" && number === 1 && attempt === 1 ? PartsRecording.refused() : undefined
    })
    const out = yield* LargeRun.upload(recording, [
      UploadFile.make("s", LargeRun.streamed(LargeRun.bytesOf(35))),
      LargeRun.inMemory("b", 8)
    ], { workers: 1, memory: 10 })
    assert.deepStrictEqual(LargeRun.told(out).toSorted(), ["Uploaded b", "Uploaded s"])
  }))
  it.effect("restart with one worker", () => Effect.gen(function*() {
    const recording = PartsRecording.make()
    const journal = yield* LargeRun.memoryJournal
    yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { workers: 1, journal, meanwhile: (run) => Effect.zipRight(Effect.sleep(25), run.interrupt) })
    const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55, 2)], { workers: 1, journal })
    assert.deepStrictEqual(LargeRun.told(out), ["Uploaded a"])
    assert.strictEqual(out.millis, 90)
    assert.strictEqual(out.report.abortsFailed, 0)
  }))
  it.effect("old version of the same size", () => Effect.gen(function*() {
    const recording = PartsRecording.make({ fault: once("complete", PartsRecording.refused(), 1, 99) })
    recording.objects.set("a", LargeRun.bytesOf(55, 9))
    const out = yield* LargeRun.upload(recording, [LargeRun.inMemory("a", 55)])
    assert.deepStrictEqual(LargeRun.told(out), ["Failed a: Transient Connection"])
  }))
  it.effect("interrupted in the backoff of a lost complete", () => Effect.gen(function*() {
    for (const onInterrupt of ["abort", "keep"] as const) {
      const journal = yield* LargeRun.memoryJournal
      const recording = PartsRecording.make({ fault: once("complete", PartsRecording.answerLost) })
      const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 25)], {
        run: { onInterrupt }, journal,
        meanwhile: (run) => Effect.zipRight(Effect.sleep(60), run.interrupt) })
      assert.isTrue(recording.objects.has("a"))
      assert.deepStrictEqual(LargeRun.told(out), ["Uploaded a"])
    }
  }))
  it.effect("one-shot streams are not read twice", () => Effect.gen(function*() {
    const recording = PartsRecording.make({ fault: once("part", PartsRecording.refused(), 1, 99) })
    const out = yield* LargeRun.upload(recording, [UploadFile.make("s", LargeRun.streamed(LargeRun.bytesOf(35)))])
    assert.deepStrictEqual(LargeRun.told(out), ["Failed s: Transient Connection"])
    const gone = PartsRecording.make({ fault: once("part", PartsRecording.refused(new UploadError.SessionGone({ detail: "" })), 1, 1) })
    assert.deepStrictEqual(LargeRun.told(yield* LargeRun.upload(gone, [UploadFile.make("s", LargeRun.streamed(LargeRun.bytesOf(35)))])), ["Failed s: SessionGone"])
  }))
  it.effect("complete tells other size", () => Effect.gen(function*() {
    const recording = PartsRecording.make({ fault: once("complete", { _tag: "Tells", stored: { size: 3 } }) })
    const out = yield* LargeRun.upload(recording, [LargeRun.inMemory("a", 25)])
    assert.deepStrictEqual(LargeRun.told(out), ["Uploaded a"])
    assert.isFalse(recording.history.some(([, event]) => event.startsWith("abort")))
  }))
  it.effect("interrupt while listing, abort policy", () => Effect.gen(function*() {
    const recording = PartsRecording.make()
    const journal = yield* LargeRun.memoryJournal
    yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { journal, meanwhile: (run) => Effect.zipRight(Effect.sleep(25), run.interrupt) })
    yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { journal, run: { onInterrupt: "abort" }, meanwhile: (run) => Effect.zipRight(Effect.sleep(5), run.interrupt) })
    assert.strictEqual(recording.sessions.size, 0)
  }))
  it.effect("keep without a journal", () => Effect.gen(function*() {
    const recording = PartsRecording.make()
    yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { run: { onInterrupt: "keep" }, meanwhile: (run) => Effect.zipRight(Effect.sleep(25), run.interrupt) })
    assert.strictEqual(recording.sessions.size, 0)
  }))
  it.effect("abort that hangs", () => Effect.gen(function*() {
    const recording = PartsRecording.make({ fault: once("abort", { _tag: "Hangs" }, 1, 99) })
    const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { meanwhile: (run) => Effect.zipRight(Effect.sleep(25), run.interrupt) })
    assert.strictEqual(out.report.abortsFailed, 1)
    assert.isAtMost(out.millis, 61_000)
  }))
  it.effect("one worker: small file not behind large; late list", () => Effect.gen(function*() {
    const recording = PartsRecording.make()
    const files = [LargeRun.inMemory("L", 200), ...Array.from({ length: 5 }, (_, i) => LargeRun.inMemory(`s${i}`, 5))]
    yield* LargeRun.upload(recording, files, { workers: 1 })
    const last = recording.history.filter(([, e]) => e.startsWith("put")).at(-1)![0]
    assert.isBelow(last, 150)
  }))
  it.effect("small files that come late get half", () => Effect.gen(function*() {
    const recording = PartsRecording.make()
    const files = [LargeRun.inMemory("L", 1000), LargeRun.inMemory("M", 1000), ...Array.from({ length: 20 }, (_, i) => LargeRun.inMemory(`s${i}`, 5))]
    const list = Stream.rechunk(Stream.mapEffect(Stream.fromIterable(files), (f) => f.file, { concurrency: 1 } as never).pipe(() => Stream.fromIterable(files)), 1).pipe(
      Stream.mapEffect((f) => f.key.startsWith("s") ? Effect.as(Effect.sleep(1), f) : Effect.sleep(20).pipe(Effect.as(f))))
    yield* LargeRun.upload(recording, list)
    const last = recording.history.filter(([, e]) => e.startsWith("put")).at(-1)![0]
    assert.isAtMost(last, 40 + 20 + 20 * 10 / 2)
  }))
  it.effect("journal that cannot write what was created", () => Effect.gen(function*() {
    const memory = yield* LargeRun.memoryJournal
    const { JournalError } = yield* Effect.promise(() => import("@sluice/core")).pipe(Effect.map((m) => m.Journal))
    const journal = { ...memory, created: () => Effect.fail(new JournalError({ reason: "Unusable", detail: "full" })) }
    const recording = PartsRecording.make()
    const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { journal })
    assert.deepStrictEqual(LargeRun.told(out), ["Failed a: Rejected Unexpected"])
    assert.strictEqual(recording.sessions.size, 0)
  }))
})
