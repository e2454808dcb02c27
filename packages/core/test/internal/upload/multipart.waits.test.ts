import { assert, describe, it, vi } from "@effect/vitest"
import { Journal, UploadError, UploadFile } from "@sluice/core"
import { Effect, Stream } from "effect"
import * as LargeRun from "../../support/LargeRun.js"
import * as PartsRecording from "../../support/PartsRecording.js"

vi.setConfig({ testTimeout: 30_000 })

const once =
  (verb: PartsRecording.Verb, fault: PartsRecording.Fault, from = 1, to = 1) => (request: PartsRecording.Request) =>
    request.verb === verb && request.attempt >= from && request.attempt <= to ? fault : undefined

describe("a large file", () => {
  it.effect("that can be read once keeps its memory in a backoff, and nothing waits for it with a permit", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ verb, key, number, attempt }) =>
          verb === "part" && key === "s" && number === 1 && attempt === 1 ? PartsRecording.refused() : undefined
      })
      const out = yield* LargeRun.upload(recording, [
        UploadFile.make("s", LargeRun.streamed(LargeRun.bytesOf(35))),
        LargeRun.inMemory("b", 8)
      ], { workers: 1, memory: 10 })
      assert.deepStrictEqual(LargeRun.told(out).toSorted(), ["Uploaded b", "Uploaded s"])
    }))
  it.effect("waits for answers as long as for bytes, and no longer", () =>
    Effect.gen(function*() {
      const waits: Array<number> = []
      for (const stallTimeout of ["3 seconds", "2 minutes", undefined] as const) {
        const recording = PartsRecording.make({ fault: once("create", { _tag: "Hangs" }) })
        const out = yield* LargeRun.upload(recording, [LargeRun.inMemory("a", 25)], { run: { stallTimeout } })
        assert.deepStrictEqual(LargeRun.told(out), ["Uploaded a"])
        waits.push(Math.floor(out.millis / 1000))
      }
      assert.deepStrictEqual(waits, [3, 120, 30])
    }))
  it.effect("that starts over has its old session aborted with the permit it came with", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const journal = yield* LargeRun.memoryJournal
      yield* LargeRun.leftUnfinished(recording, { workers: 1, journal })
      const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55, 2)], { workers: 1, journal })
      assert.deepStrictEqual(LargeRun.told(out), ["Uploaded a"])
      assert.strictEqual(out.millis, 90)
      assert.strictEqual(out.report.abortsFailed, 0)
    }))
  it.effect("is not taken for uploaded because an older version of the same size is there", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({ fault: once("complete", PartsRecording.refused(), 1, 99) })
      recording.objects.set("a", LargeRun.bytesOf(55, 9))
      const out = yield* LargeRun.upload(recording, [LargeRun.inMemory("a", 55)])
      assert.deepStrictEqual(LargeRun.told(out), ["Failed a: Transient Connection"])
    }))
  it.effect("is uploaded when it is interrupted after a complete without an answer that was carried out", () =>
    Effect.gen(function*() {
      for (const onInterrupt of ["abort", "keep"] as const) {
        const journal = yield* LargeRun.memoryJournal
        const recording = PartsRecording.make({ fault: once("complete", PartsRecording.answerLost) })
        const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 25)], {
          run: { onInterrupt },
          journal,
          meanwhile: LargeRun.interruptedAfter(60)
        })
        assert.isTrue(recording.objects.has("a"))
        assert.deepStrictEqual(LargeRun.told(out), ["Uploaded a"])
      }
    }))
  it.effect("that can be read once is not read twice", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({ fault: once("part", PartsRecording.refused(), 1, 99) })
      const out = yield* LargeRun.upload(recording, [UploadFile.make("s", LargeRun.streamed(LargeRun.bytesOf(35)))])
      assert.deepStrictEqual(LargeRun.told(out), ["Failed s: Transient Connection"])
      const gone = PartsRecording.make({
        fault: once("part", PartsRecording.refused(new UploadError.SessionGone({ detail: "" })), 1, 1)
      })
      assert.deepStrictEqual(
        LargeRun.told(yield* LargeRun.upload(gone, [UploadFile.make("s", LargeRun.streamed(LargeRun.bytesOf(35)))])),
        ["Failed s: SessionGone"]
      )
    }))
  it.effect("of which less arrived than was sent starts over, and is not aborted once completed", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({ fault: once("complete", { _tag: "Tells", stored: { size: 3 } }) })
      const out = yield* LargeRun.upload(recording, [LargeRun.inMemory("a", 25)])
      assert.deepStrictEqual(LargeRun.told(out), ["Uploaded a"])
      assert.isFalse(recording.history.some(([, event]) => event.startsWith("abort")))
    }))
  it.effect("is aborted also when it is interrupted while it looks for what is stored", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const journal = yield* LargeRun.memoryJournal
      yield* LargeRun.leftUnfinished(recording, { journal })
      yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], {
        journal,
        run: { onInterrupt: "abort" },
        meanwhile: LargeRun.interruptedAfter(5)
      })
      assert.strictEqual(recording.sessions.size, 0)
    }))
  it.effect("is not kept if nothing could find it", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      yield* LargeRun.leftUnfinished(recording, { run: { onInterrupt: "keep" } })
      assert.strictEqual(recording.sessions.size, 0)
    }))
  it.effect("whose abort hangs ends in about a minute, with nothing in flight", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({ fault: once("abort", { _tag: "Hangs" }, 1, 99) })
      const out = yield* LargeRun.leftUnfinished(recording)
      assert.strictEqual(out.report.abortsFailed, 1)
      assert.isAtMost(out.millis, 61_000)
    }))
  it.effect("does not hold small ones up, not even with one worker", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const files = [LargeRun.inMemory("L", 200), ...Array.from({ length: 5 }, (_, i) => LargeRun.inMemory(`s${i}`, 5))]
      yield* LargeRun.upload(recording, files, { workers: 1 })
      const last = recording.history.filter(([, e]) => e.startsWith("put")).at(-1)![0]
      assert.isBelow(last, 150)
    }))
  it.effect("leaves half of the permits to small ones that come late", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const files = [
        LargeRun.inMemory("L", 1000),
        LargeRun.inMemory("M", 1000),
        ...Array.from({ length: 20 }, (_, i) => LargeRun.inMemory(`s${i}`, 5))
      ]
      const list = Stream.rechunk(Stream.fromIterable(files), 1).pipe(
        Stream.mapEffect((f) =>
          f.key.startsWith("s") ? Effect.as(Effect.sleep(1), f) : Effect.sleep(20).pipe(Effect.as(f))
        )
      )
      yield* LargeRun.upload(recording, list)
      const last = recording.history.filter(([, e]) => e.startsWith("put")).at(-1)![0]
      assert.isAtMost(last, 40 + 20 + 20 * 10 / 2)
    }))
  it.effect("is aborted if the journal cannot record its creation", () =>
    Effect.gen(function*() {
      const memory = yield* LargeRun.memoryJournal
      const journal = {
        ...memory,
        created: () => Effect.fail(new Journal.JournalError({ reason: "Unusable", detail: "full" }))
      }
      const recording = PartsRecording.make()
      const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { journal })
      assert.deepStrictEqual(LargeRun.told(out), ["Failed a: Rejected Unexpected"])
      assert.strictEqual(recording.sessions.size, 0)
    }))

  it.effect("that has become small has its old session aborted, and so has one that is skipped", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const journal = yield* LargeRun.memoryJournal
      yield* LargeRun.leftUnfinished(recording, { journal })
      recording.history.length = 0
      yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 5)], { journal, workers: 1 })
      assert.deepStrictEqual(recording.history, [[0, "abort a"], [10, "put a"]])
      assert.deepStrictEqual([...recording.ends.values()], [["aborted"]])
      assert.deepStrictEqual(yield* journal.sessions, [])
    }))

  it.effect("that failed waits for its parts in flight before it is aborted", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        latency: ({ number }) => number === 3 ? 4 : 16,
        fault: ({ number, verb }) => verb === "part" && number === 3 ? { _tag: "Dies" } : undefined
      })
      yield* LargeRun.upload(recording, [LargeRun.inMemory("a", 79)], { workers: 3 })
      assert.deepStrictEqual(recording.history.slice(4), [
        [18, "part a 3: died"],
        [18, "part a 4"],
        [18, "part a 1: interrupted"],
        [18, "part a 2: interrupted"],
        [18, "part a 4: interrupted"],
        [18, "abort a"]
      ])
    }))

  it.effect("whose part stalls sends that part again, while the others go on", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ attempt, number, verb }) =>
          verb === "part" && number === 1 && attempt === 1 ? { _tag: "Hangs" } : undefined
      })
      const { report } = yield* LargeRun.upload(recording, [LargeRun.inMemory("a", 45)], {
        workers: 2,
        run: { stallTimeout: 1_000 }
      })
      assert.deepStrictEqual(recording.history, [
        [0, "create a"],
        [10, "part a 1"],
        [10, "part a 2"],
        [20, "part a 3"],
        [30, "part a 4"],
        [40, "part a 5"],
        [1_010, "part a 1: interrupted"],
        [1_110, "part a 1"],
        [1_120, "complete a"]
      ])
      assert.deepStrictEqual(report.bytes, { total: 45, uploaded: 45, resumed: 0 })
    }))

  it.effect("is completed in order, from where a broken request has left it", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        limits: { inOrder: true },
        fault: ({ attempt, number, verb }) =>
          verb === "part" && number === 2 && attempt === 1 ? { _tag: "Partial", bytes: 4 } : undefined
      })
      yield* LargeRun.upload(recording, [LargeRun.inMemory("a", 25)])
      assert.deepStrictEqual(recording.objects.get("a"), LargeRun.bytesOf(25))
      assert.strictEqual(recording.bytesTaken(), 25)
    }))

  it.effect("of unknown size is whole at the borders of its parts, and reads nothing twice", () =>
    Effect.gen(function*() {
      for (const size of [0, 1, 9, 10, 11, 19, 20, 21, 30]) {
        for (const block of [1, 7, 10, 100]) {
          const recording = PartsRecording.make({
            fault: ({ attempt, number, verb }) =>
              verb === "part" && number === 2 && attempt === 1 ? PartsRecording.refused() : undefined
          })
          const file = UploadFile.make("s", LargeRun.streamed(LargeRun.bytesOf(size), { block }))
          yield* LargeRun.upload(recording, [file], { memory: 20 })
          assert.deepStrictEqual(recording.objects.get("s"), LargeRun.bytesOf(size), `${size} in blocks of ${block}`)
          assert.isAtMost(recording.peakBytes(), 20)
        }
      }
    }))

  it.effect("that is looked for because its session is gone gives everything back when it is interrupted", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ verb }) =>
          verb === "list"
            ? PartsRecording.refused(new UploadError.SessionGone({ detail: "It is gone." }))
            : verb === "head"
            ? { _tag: "Hangs" }
            : undefined
      })
      const journal = yield* LargeRun.memoryJournal
      yield* LargeRun.leftUnfinished(recording, { journal })
      // `LargeRun.upload` checks that permits and memory are back.
      const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], {
        journal,
        meanwhile: LargeRun.interruptedAfter(100)
      })
      assert.deepStrictEqual(LargeRun.told(out), ["Interrupted a"])
    }))
})
