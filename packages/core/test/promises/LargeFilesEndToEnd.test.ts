import { assert, describe, it } from "@effect/vitest"
import {
  ByteSource,
  Checksum,
  Progress,
  RetryPolicy,
  Strategy,
  UploadError,
  UploadFile,
  UploadMetrics
} from "@sluice/core"
import type { Journal } from "@sluice/core"
import { Effect, Metric, Option, Stream } from "effect"
import * as JournalForms from "../support/JournalForms.js"
import * as LargeRun from "../support/LargeRun.js"
import * as PartsRecording from "../support/PartsRecording.js"

/** A file whose content is replaced at a moment of virtual time; the new one may be of another size. */
const replacedAt = (key: string, at: number, before: Uint8Array, after: Uint8Array) => {
  const version = (bytes: Uint8Array, seed: number) => ({
    bytes,
    fingerprint: `version ${seed}`,
    modifiedAt: seed * 1e6
  })
  const versions = [version(before, 1), version(after, 2)] as const
  const now = Effect.map(Effect.clock, (clock) => versions[clock.unsafeCurrentTimeMillis() < at ? 0 : 1])
  const sourceOf = (size: number): ByteSource.ByteSource => ({
    size,
    reopenable: true,
    read: (range) => Stream.unwrap(Effect.map(now, ({ bytes }) => ByteSource.fromBytes(bytes).read(range))),
    bytes: (range) => Effect.flatMap(now, ({ bytes }) => ByteSource.fromBytes(bytes).bytes(range)),
    fingerprint: Effect.map(now, ({ fingerprint }) => fingerprint),
    latest: Effect.map(now, ({ bytes, fingerprint, modifiedAt }) => ({
      source: sourceOf(bytes.length),
      fingerprint,
      modifiedAt
    }))
  })
  return UploadFile.make(key, sourceOf(before.length), { fingerprint: "version 1", modifiedAt: 1e6 })
}

const before = LargeRun.bytesOf(55, 1)

describe("a large file that changes", () => {
  // Parts are read from 15 ms on, and the last look is at 30 ms.
  for (const at of [1, 12, 16, 22, 29]) {
    for (
      const after of [LargeRun.bytesOf(55, 2), LargeRun.bytesOf(30, 2), LargeRun.bytesOf(90, 2), LargeRun.bytesOf(5, 2)]
    ) {
      const name = `after ${at} ms, to ${after.length} bytes`
      it.effect(`${name}, fails, and nothing of it is left`, () =>
        Effect.gen(function*() {
          const recording = PartsRecording.make()
          const outcome = yield* LargeRun.upload(recording, [replacedAt("a", at, before, after)])
          assert.match(LargeRun.told(outcome).join(), /^Failed a: SourceChanged/)
          assert.strictEqual(recording.objects.size, 0)
          assert.strictEqual(recording.sessions.size, 0)
        }))

      it.effect(`${name}, is uploaded as it is then where that is asked for`, () =>
        Effect.gen(function*() {
          const recording = PartsRecording.make()
          const { report, results } = yield* LargeRun.upload(recording, [replacedAt("a", at, before, after)], {
            run: { onSourceChange: "retry" }
          })
          assert.deepStrictEqual(recording.objects, new Map([["a", after]]))
          assert.strictEqual(recording.sessions.size, 0)
          assert.deepStrictEqual(report.bytes, { total: after.length, uploaded: after.length, resumed: 0 })
          assert.strictEqual(results[0]?._tag === "Uploaded" ? results[0].bytes : 0, after.length)
        }))
    }
  }

  it.effect("is skipped if requested", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const file = replacedAt("a", 16, before, LargeRun.bytesOf(55, 2))
      const { report, results } = yield* LargeRun.upload(recording, [file], { run: { onSourceChange: "skip" } })
      assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["Skipped"])
      assert.deepStrictEqual([report.files.skipped, report.bytes.uploaded], [1, 0])
      assert.deepStrictEqual([recording.objects.size, recording.sessions.size], [0, 0])
    }))
})

describe("the stored bytes of a part", () => {
  it.effect("are sent again if they are not what was sent", () =>
    Effect.gen(function*() {
      for (const checksum of Checksum.algorithms) {
        const recording = PartsRecording.make({
          fault: ({ attempt, number, verb }) =>
            verb === "part" && number === 2 && attempt === 1 ? { _tag: "BitFlipped" } : undefined
        })
        const { events } = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { checksum })
        assert.deepStrictEqual(recording.objects, new Map([["a", LargeRun.bytesOf(55)]]), checksum)
        assert.deepStrictEqual(
          events.flatMap((event) => event._tag === "UploadRetrying" ? [[event.part, event.error._tag]] : []),
          [[2, "IntegrityMismatch"]]
        )
      }
    }))

  it.effect("fail the file if they never are", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ number, verb }) => verb === "part" && number === 2 ? { _tag: "BitFlipped" } : undefined
      })
      const outcome = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { checksum: "crc32c" })
      assert.deepStrictEqual(LargeRun.told(outcome), ["Failed a: IntegrityMismatch Checksum"])
      assert.deepStrictEqual([recording.objects.size, recording.sessions.size], [0, 0])
    }))
})

describe("an abort that fails permanently", () => {
  it.effect("is an event, a metric and a line of the report, and the session stays in the journal", () =>
    Effect.gen(function*() {
      const count = Effect.map(Metric.value(UploadMetrics.failedAborts), (state) => Number(state.count))
      const earlier = yield* count
      const recording = PartsRecording.make({
        fault: ({ verb }) => verb === "abort" ? PartsRecording.refused() : undefined
      })
      const journal = yield* LargeRun.memoryJournal
      const { events, report } = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], {
        journal,
        run: { onInterrupt: "abort" },
        meanwhile: LargeRun.interruptedAfter(15)
      })
      const error = { _tag: "Transient", reason: "Connection", message: "The connection broke." }
      assert.deepStrictEqual(
        events.flatMap((event) => event._tag === "AbortFailed" ? [[event.key, event.error]] : []),
        [["a", error]]
      )
      assert.deepStrictEqual([report.abortsFailed, report.leftBehind], [1, [{ key: "a", error }]])
      assert.strictEqual((yield* count) - earlier, 1)
      assert.isDefined(journal.session("a"))
    }))

  it.effect("is tried until it works", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ attempt, verb }) => verb === "abort" && attempt < 5 ? PartsRecording.refused() : undefined
      })
      const { report } = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], {
        meanwhile: LargeRun.interruptedAfter(15)
      })
      assert.deepStrictEqual([report.abortsFailed, [...recording.ends.values()]], [0, [["aborted"]]])
    }))
})

describe("budgets that files and parts share", () => {
  const mixed = () => [
    ...[1, 2, 3].map((i) => LargeRun.onDisk(`large ${i}`, 100, i)),
    ...Array.from({ length: 30 }, (_, i) => LargeRun.onDisk(`small ${i}`, 1 + i % 10, i))
  ]

  it.effect("keep bytes in memory below the budget, whatever the number of workers", () =>
    Effect.gen(function*() {
      for (const workers of [1, 3, 8, 40]) {
        for (const memory of [5, 25, 70]) {
          const recording = PartsRecording.make({ capabilities: { wholeBodies: true } })
          const { report } = yield* LargeRun.upload(recording, mixed(), { workers, memory })
          assert.strictEqual(report.files.uploaded, 33)
          // A file larger than the whole budget goes alone.
          assert.isAtMost(recording.peakBytes(), Math.max(10, memory), `${workers} workers, ${memory} bytes`)
        }
      }
    }))

  it.effect("keep requests in flight below a limit that changes during the run", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const seen: Array<readonly [at: number, inFlight: number]> = []
      const { report } = yield* LargeRun.upload(recording, mixed(), {
        workers: 2,
        meanwhile: (run) =>
          Effect.gen(function*() {
            for (let at = 0; at < 200; at++) {
              if (at === 50) yield* run.limits.set({ concurrency: 7 })
              if (at === 100) yield* run.limits.set({ concurrency: 1 })
              yield* Effect.sleep(1)
              seen.push([at, recording.inFlight()])
            }
          })
      })
      assert.strictEqual(report.files.uploaded, 33)
      assert.isAtMost(Math.max(...seen.filter(([at]) => at < 50).map(([, inFlight]) => inFlight)), 2)
      assert.strictEqual(Math.max(...seen.filter(([at]) => at < 100).map(([, inFlight]) => inFlight)), 7)
      // Those that were in flight have ended by then.
      assert.isAtMost(Math.max(...seen.filter(([at]) => at > 110).map(([, inFlight]) => inFlight)), 1)
    }))

  it.effect("start no more requests than the rate says", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 95), LargeRun.onDisk("b", 5)], {
        strategy: Strategy.rateLimited({ uploadsPerSecond: 100 })
      })
      const starts = recording.history.map(([at]) => at)
      assert.strictEqual(starts.length, 13)
      assert.deepStrictEqual(starts.slice(1).filter((at, i) => at - starts[i]! < 10), [])
    }))

  it.effect("start no more requests than the rate says after looks that took long", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        // Looks begin 10 ms after one another, and these three are answered at once.
        latency: ({ key, verb }) => verb === "head" ? { a: 200, b: 190, c: 180 }[key] ?? 10 : 10,
        fault: ({ key, verb }) => key === "d" && verb === "put" ? PartsRecording.refused() : undefined
      })
      const journal = yield* LargeRun.memoryJournal
      const options = { journal, retry: RetryPolicy.none, strategy: Strategy.rateLimited({ uploadsPerSecond: 100 }) }
      const files = () => [
        LargeRun.onDisk("a", 5),
        LargeRun.onDisk("b", 5),
        LargeRun.onDisk("c", 35),
        LargeRun.onDisk("d", 5)
      ]
      yield* LargeRun.upload(recording, files(), options)
      const before = recording.history.length
      // The journal knows them as finished, since the run was not: but they are gone.
      recording.objects.clear()
      yield* LargeRun.upload(recording, files(), options)
      const history = recording.history.slice(before)
      const starts = history.filter(([, event]) => !event.includes(":")).map(([at]) => at)
      assert.deepStrictEqual(history.slice(0, 3).map(([, event]) => event), ["head a", "head b", "head c"])
      assert.deepStrictEqual(starts.slice(1).filter((at, i) => at - starts[i]! < 10), [])
      assert.deepStrictEqual(Array.from(recording.objects.keys()).sort(), ["a", "b", "c"])
    }))
})

describe("the progress of large files", () => {
  it.effect("never decreases in acknowledged bytes, and never exceeds the total", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ attempt, number, verb }) =>
          verb === "part" && number !== undefined && number % 3 === 0 && attempt < 3
            ? PartsRecording.refused()
            : undefined
      })
      const seen: Array<Progress.Progress> = []
      yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 155), LargeRun.onDisk("b", 75)], {
        meanwhile: (run) =>
          Effect.forever(Effect.zipRight(
            Effect.sleep(1),
            Effect.map(run.currentProgress, (progress) => {
              seen.push(progress)
            })
          ))
      })
      assert.isAbove(seen.length, 100)
      for (const [i, progress] of seen.entries()) {
        const { bytesFound, bytesInFlight, bytesResumed, bytesUploaded } = progress
        assert.isAtMost(bytesUploaded + bytesResumed + bytesInFlight, bytesFound)
        assert.isAtLeast(bytesInFlight, 0)
        assert.isAtLeast(bytesUploaded, seen[i - 1]?.bytesUploaded ?? 0)
        assert.isAtMost(Option.getOrElse(Progress.fraction(progress), () => 0), 1)
      }
    }))

  it.effect("starts with what is stored already", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const journal = yield* LargeRun.memoryJournal
      yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 100)], {
        journal,
        meanwhile: LargeRun.interruptedAfter(35)
      })
      const seen: Array<Progress.Progress> = []
      const { report } = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 100)], {
        journal,
        meanwhile: (run) =>
          Effect.zipRight(
            Effect.sleep(11),
            Effect.map(run.currentProgress, (progress) => {
              seen.push(progress)
            })
          )
      })
      assert.deepStrictEqual(seen.map(({ bytesResumed, bytesUploaded }) => [bytesResumed, bytesUploaded]), [[80, 0]])
      assert.deepStrictEqual(report.bytes, { total: 100, uploaded: 20, resumed: 80 })
    }))
})

for (const { name: form, over } of JournalForms.forms) {
  describe(`the journal ${form}`, () => {
    /** A journal that records when it receives what, along with the requests. */
    const telling = (recording: PartsRecording.PartsRecording) =>
      Effect.map(LargeRun.memoryJournal, (journal): Journal.Immediate => {
        const note = (event: string) =>
          Effect.map(Effect.clock, (clock) => {
            recording.history.push([clock.unsafeCurrentTimeMillis(), event])
          })
        const last = () => recording.history.at(-1)?.[0] ?? 0
        return {
          ...journal,
          begin: (intent) => Effect.zipRight(note(`> begin ${intent.key}`), journal.begin(intent)),
          created: (key, uploadId) => Effect.zipRight(note(`> created ${key}`), journal.created(key, uploadId)),
          partStored: (key, part) => {
            recording.history.push([last(), `> stored ${key} ${part.number}`])
            journal.partStored(key, part)
          },
          flush: Effect.zipRight(note("> flush"), journal.flush),
          ended: (key) => {
            recording.history.push([last(), `> ended ${key}`])
            journal.ended(key)
          },
          finished: (file) => {
            recording.history.push([last(), `> finished ${file.key}`])
            journal.finished(file)
          },
          runEnded: Effect.zipRight(note("> run ended"), journal.runEnded)
        }
      })

    it.effect("knows of each step before the next is taken", () =>
      Effect.gen(function*() {
        const recording = PartsRecording.make()
        const journal = yield* telling(recording)
        yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 15)], { journal: over(journal) })
        assert.deepStrictEqual(recording.history.map(([, event]) => event), [
          "> begin a",
          "create a",
          "> created a",
          "part a 1",
          "part a 2",
          "> stored a 1",
          "> stored a 2",
          "> flush",
          "complete a",
          "> finished a",
          "> ended a",
          "> run ended"
        ])
      }))

    it.effect("is followed, after a process dies at any moment, by one that succeeds", () =>
      Effect.gen(function*() {
        const files = () => [LargeRun.onDisk("a", 55), LargeRun.onDisk("b", 35), LargeRun.onDisk("s", 5)]
        for (let at = 0; at <= (form === "in memory" ? 60 : 120); at++) {
          const recording = PartsRecording.make({ headTells: "modifiedAt" })
          const first = yield* LargeRun.memoryJournal
          const finished: Array<Journal.Finished> = []
          const copyOf = <A extends { readonly parts: ReadonlyMap<number, unknown> }>(session: A): A => ({
            ...session,
            parts: new Map(session.parts)
          })
          // As everything is at that moment: what the first process does afterwards has not happened.
          const moment = Effect.gen(function*() {
            return {
              sessions: (yield* first.sessions).map(copyOf),
              finished: finished.slice(),
              objects: new Map(recording.objects),
              open: Array.from(recording.sessions, ([uploadId, session]) => [uploadId, copyOf(session)] as const),
              taken: recording.bytesTaken()
            }
          })
          let seen: Effect.Effect.Success<typeof moment> | undefined
          yield* LargeRun.upload(recording, files(), {
            journal: over({
              ...first,
              finished: (file) => {
                finished.push(file)
                first.finished(file)
              }
            }),
            meanwhile: () =>
              Effect.zipRight(
                Effect.sleep(at),
                Effect.map(moment, (all) => {
                  seen = all
                })
              )
          })
          seen ??= yield* moment
          recording.objects.clear()
          recording.sessions.clear()
          recording.ends.clear()
          for (const [key, bytes] of seen.objects) recording.objects.set(key, bytes)
          for (const [uploadId, session] of seen.open) recording.sessions.set(uploadId, session)
          const known = new Set(seen.sessions.map(({ uploadId }) => uploadId))
          // An upload created without an answer, under an id from the destination, cannot be found.
          const unknown = [...recording.sessions.keys()].filter((uploadId) => !known.has(uploadId))
          const journal = yield* LargeRun.memoryJournal
          for (const { parts, uploadId, ...intent } of seen.sessions) {
            yield* journal.begin(intent)
            if (uploadId !== undefined) yield* journal.created(intent.key, uploadId)
            for (const part of parts.values()) journal.partStored(intent.key, part)
          }
          for (const file of seen.finished) journal.finished(file)
          const before = recording.bytesTaken()
          yield* LargeRun.upload(recording, files(), { journal: over(journal) })
          for (const { key, size } of files()) {
            assert.deepStrictEqual(recording.objects.get(key), LargeRun.bytesOf(size ?? 0), `${key} at ${at}`)
          }
          assert.deepStrictEqual(yield* journal.sessions, [], `at ${at}`)
          assert.deepStrictEqual([...recording.sessions.keys()], unknown, `at ${at}`)
          // Four parts of ten bytes were in flight at most, and were sent again; with a database, as many were on their way
          // into the journal.
          assert.isAtMost(
            seen.taken + recording.bytesTaken() - before,
            form === "in memory" ? 90 + 40 : 90 + 80,
            `at ${at}`
          )
        }
      }))

    it.effect("of somebody else's session for the same key is not ours", () =>
      Effect.gen(function*() {
        const recording = PartsRecording.make()
        recording.sessions.set("foreign", { key: "a", parts: new Map() } as never)
        const journal = yield* LargeRun.memoryJournal
        yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { journal: over(journal) })
        assert.deepStrictEqual([...recording.sessions.keys()], ["foreign"])
      }))

    for (
      const [reason, second, settings] of [
        ["SourceChanged", LargeRun.onDisk("a", 55, 2), {}],
        ["PartSizeChanged", LargeRun.onDisk("a", 55), { partSize: 20 }],
        ["ChecksumChanged", LargeRun.onDisk("a", 55), { checksum: "crc32" }]
      ] as const
    ) {
      it.effect(`tells that a file begins again: ${reason}`, () =>
        Effect.gen(function*() {
          const recording = PartsRecording.make()
          const journal = yield* LargeRun.memoryJournal
          yield* LargeRun.leftUnfinished(recording, { journal: over(journal) })
          const { events } = yield* LargeRun.upload(recording, [second], { journal: over(journal), ...settings })
          assert.deepStrictEqual(
            events.flatMap((event) => event._tag === "UploadRestarted" ? [event.reason] : []),
            [reason]
          )
          assert.deepStrictEqual([...recording.ends.values()], [["aborted"], ["completed"]])
        }))
    }

    it.effect("starts a file over that the destination no longer has", () =>
      Effect.gen(function*() {
        const recording = PartsRecording.make()
        const journal = yield* LargeRun.memoryJournal
        yield* LargeRun.leftUnfinished(recording, { journal: over(journal) })
        recording.sessions.clear()
        const { events } = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { journal: over(journal) })
        assert.deepStrictEqual(
          events.flatMap((event) => event._tag === "UploadRestarted" ? [event.reason] : []),
          ["SessionGone"]
        )
        assert.deepStrictEqual(recording.objects, new Map([["a", LargeRun.bytesOf(55)]]))
      }))

    it.effect("of a session that is gone needs nothing sent again if the object has exactly that content", () =>
      Effect.gen(function*() {
        const recording = PartsRecording.make({ headTells: "etag" })
        const journal = yield* LargeRun.memoryJournal
        const told: Array<ReadonlyArray<string>> = []
        for (const theirs of [2, 1]) {
          yield* LargeRun.leftUnfinished(recording, { journal: over(journal), run: { onInterrupt: "keep" } })
          // The session ended with an unknown outcome, and the existing object has the right size.
          recording.sessions.clear()
          recording.objects.set("a", LargeRun.bytesOf(55, theirs))
          recording.history.length = 0
          const out = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 55)], { journal: over(journal) })
          assert.deepStrictEqual(recording.objects.get("a"), LargeRun.bytesOf(55))
          assert.deepStrictEqual(LargeRun.told(out), ["Uploaded a"])
          told.push(recording.history.map(([, event]) => event))
        }
        const looks = ["list a", "list a: SessionGone", "head a"]
        const parts = [1, 2, 3, 4, 5, 6].map((number) => `part a ${number}`)
        assert.deepStrictEqual(told, [[...looks, "create a", ...parts, "complete a"], looks])
      }))
    it.effect("does not forget what is finished before the run is", () =>
      Effect.gen(function*() {
        const recording = PartsRecording.make({
          fault: ({ key, verb }) =>
            key === "b" && verb === "put"
              ? PartsRecording.refused(new UploadError.Rejected({ reason: "Forbidden", detail: "No." }))
              : undefined
        })
        const journal = yield* LargeRun.memoryJournal
        const files = () => [LargeRun.onDisk("a", 5), LargeRun.onDisk("b", 5), LargeRun.onDisk("c", 55)]
        yield* LargeRun.upload(recording, files(), { journal: over(journal), retry: RetryPolicy.none })
        const { report, results } = yield* LargeRun.upload(recording, files(), {
          journal: over(journal),
          retry: RetryPolicy.none
        })
        assert.deepStrictEqual(results.map(({ _tag, file }) => `${_tag} ${file.key}`).sort(), [
          "Failed b",
          "Skipped a",
          "Skipped c"
        ])
        assert.strictEqual(report.bytes.resumed, 60)
        // A missing object is uploaded again, whatever the journal says.
        recording.objects.delete("a")
        const third = yield* LargeRun.upload(recording, files(), { journal: over(journal), retry: RetryPolicy.none })
        assert.isTrue(third.results.some(({ _tag, file }) => _tag === "Uploaded" && file.key === "a"))
      }))
  })
}
