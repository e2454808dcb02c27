import { assert, describe, it } from "@effect/vitest"
import { UploadError } from "@sluice/core"
import { Effect } from "effect"
import * as LargeRun from "../../support/LargeRun.js"
import * as PartsRecording from "../../support/PartsRecording.js"

const damaged = (reason: "Checksum" | "Size") => new UploadError.IntegrityMismatch({ reason, detail: "" })

/** Uploads in order; the faults are those of the second part's attempts. */
const upload = (...faults: ReadonlyArray<PartsRecording.Fault>) =>
  Effect.gen(function*() {
    const recording = PartsRecording.make({
      limits: { inOrder: true },
      fault: ({ attempt, number, verb }) => verb === "part" && number === 2 ? faults[attempt - 1] : undefined
    })
    const outcome = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 25)])
    assert.deepStrictEqual(recording.objects, new Map([["a", LargeRun.bytesOf(25)]]))
    assert.deepStrictEqual(LargeRun.told(outcome), ["Uploaded a"])
    return { ends: [...recording.ends.values()].flat(), taken: recording.bytesTaken() }
  })

describe("a part that is sent in order", () => {
  it.effect("restarts the file if it was stored damaged", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* upload({ _tag: "AnswerLost", error: damaged("Checksum") }), {
        ends: ["aborted", "completed"],
        taken: 45
      })
    }))

  it.effect("continues if it was damaged but not stored", () =>
    Effect.gen(function*() {
      const refused = PartsRecording.refused(damaged("Checksum"))
      const partial = (bytes: number): PartsRecording.Fault => ({ _tag: "Partial", bytes })
      for (const faults of [[refused], [refused, partial(4)], [partial(4), refused, partial(3)]]) {
        assert.deepStrictEqual(yield* upload(...faults), { ends: ["completed"], taken: 25 })
      }
    }))

  it.effect("is not sent again if all of it was stored and only the answer was wrong or lost", () =>
    Effect.gen(function*() {
      for (const error of [damaged("Size"), PartsRecording.broken]) {
        assert.deepStrictEqual(yield* upload({ _tag: "AnswerLost", error }), { ends: ["completed"], taken: 25 })
      }
    }))

  it.effect("restarts the file if the destination has lost stored bytes", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        limits: { inOrder: true },
        fault: ({ attempt, number, verb }) => {
          if (verb !== "part" || number !== 2 || attempt > 1) return undefined
          const session = [...recording.sessions.values()][0]!
          session.inOrder = session.inOrder.slice(0, 9)
          return PartsRecording.refused()
        }
      })
      const outcome = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 25)])
      assert.deepStrictEqual(LargeRun.told(outcome), ["Uploaded a"])
      assert.deepStrictEqual(recording.objects, new Map([["a", LargeRun.bytesOf(25)]]))
      assert.deepStrictEqual([...recording.ends.values()].flat(), ["aborted", "completed"])
      assert.strictEqual(recording.bytesTaken(), 10 + 25)
    }))

  it.effect("continues after what an earlier process sent, even if more of that arrives late", () =>
    Effect.gen(function*() {
      const journal = yield* LargeRun.memoryJournal
      let lists = -1
      const recording = PartsRecording.make({
        limits: { inOrder: true },
        fault: ({ attempt, number, verb }) => {
          if (verb === "list" && lists >= 0) {
            lists += 1
            const session = [...recording.sessions.values()][0]!
            if (lists === 2) session.inOrder = LargeRun.bytesOf(25).slice(0, 17)
          }
          if (verb !== "part" || number !== 2 || lists >= 0) return undefined
          return attempt === 1 ? { _tag: "Partial", bytes: 4 } : PartsRecording.refused()
        }
      })
      const file = LargeRun.onDisk("a", 25)
      yield* LargeRun.upload(recording, [file], { journal, meanwhile: LargeRun.interruptedAfter(60) })
      assert.strictEqual(recording.bytesTaken(), 14)
      lists = 0
      const outcome = yield* LargeRun.upload(recording, [file], { journal })
      assert.deepStrictEqual(LargeRun.told(outcome), ["Uploaded a"])
      assert.deepStrictEqual(recording.objects, new Map([["a", LargeRun.bytesOf(25)]]))
      assert.deepStrictEqual([...recording.ends.values()].flat(), ["completed"])
      assert.strictEqual(lists, 2)
      assert.strictEqual(recording.bytesTaken(), 14 + 8)
    }))
})
