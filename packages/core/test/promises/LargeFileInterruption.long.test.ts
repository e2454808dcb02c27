import { assert, describe, it, vi } from "@effect/vitest"
import type { UploadFile } from "@sluice/core"
import { Effect } from "effect"
import * as LargeRun from "../support/LargeRun.js"
import * as PartsRecording from "../support/PartsRecording.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 120_000 })

const sizes = new Map([["L", 45], ["M", 32], ["s", 3], ["t", 5], ["u", 0]])

const files = (): ReadonlyArray<UploadFile.UploadFile> => Array.from(sizes, ([key, size]) => LargeRun.onDisk(key, size))

const isLarge = (key: string): boolean => sizes.get(key)! > 10

/** The conditions that every interrupted run must meet. */
const check = (
  recording: PartsRecording.PartsRecording,
  { report, results }: LargeRun.Outcome,
  kept: ReadonlyArray<string>,
  name: string
): void => {
  const tags = new Map(results.map(({ _tag, file: { key } }) => [key, _tag]))
  for (const [key, size] of sizes) {
    const object = recording.objects.get(key)
    if (tags.get(key) === "Uploaded") assert.deepStrictEqual(object, LargeRun.bytesOf(size), `${name}: ${key}`)
    // The answer to a small file's only request may never be heard.
    else if (isLarge(key)) assert.isUndefined(object, `${name}: ${key}`)
  }
  for (const [session, ends] of recording.ends) assert.strictEqual(ends.length, 1, `${name}: ${session}`)
  assert.deepStrictEqual(Array.from(recording.sessions.values(), ({ key }) => key).toSorted(), kept, name)
  assert.strictEqual(report.abortsFailed, 0, name)
  const { failed, interrupted, notStarted, skipped, total, uploaded } = report.files
  assert.strictEqual(failed + interrupted + notStarted + skipped + uploaded, total, name)
}

/** Whole and half milliseconds by turns. */
const instants = function*(until: number, every = 1.5) {
  for (let at = 0; at <= until; at += every) yield at
}

describe("interrupted at whole and half milliseconds, a run of two large and three small files", () => {
  for (const onInterrupt of ["abort", "keep"] as const) {
    for (const quirk of ["", "ownIds", "inOrder"] as const) {
      for (const journaled of [true, false]) {
        it.effect(`tells the truth: ${onInterrupt} ${quirk}${journaled ? " with a journal" : ""}`, () =>
          Effect.gen(function*() {
            for (const at of instants(quirk === "inOrder" ? 121 : 75)) {
              const recording = PartsRecording.make({
                ownIds: quirk === "ownIds",
                limits: { inOrder: quirk === "inOrder" }
              })
              const journal = journaled ? yield* LargeRun.memoryJournal : undefined
              const outcome = yield* LargeRun.upload(recording, files(), {
                workers: 3,
                journal,
                run: { onInterrupt },
                meanwhile: LargeRun.interruptedAfter(at)
              })
              const sessions = journal === undefined
                ? []
                : (yield* journal.sessions).map(({ key }) => key).toSorted()
              if (onInterrupt === "abort") assert.deepStrictEqual(sessions, [])
              check(recording, outcome, onInterrupt === "keep" && journaled ? sessions : [], `after ${at} ms`)
            }
          }))
      }
    }
  }

  it.effect("twice, and while it aborts, ends as if it were once", () =>
    Effect.gen(function*() {
      for (const at of instants(75)) {
        const recording = PartsRecording.make({
          fault: ({ attempt, verb }) => verb === "abort" && attempt < 3 ? PartsRecording.refused() : undefined
        })
        const outcome = yield* LargeRun.upload(recording, files(), {
          workers: 3,
          meanwhile: (run) =>
            Effect.sleep(at).pipe(
              Effect.zipRight(Effect.fork(run.interrupt)),
              Effect.zipRight(Effect.sleep(3)),
              Effect.zipRight(run.interrupt)
            )
        })
        check(recording, outcome, [], `after ${at} ms`)
      }
    }))

  it.effect("finds out the result of a complete without an answer", () =>
    Effect.gen(function*() {
      for (const onInterrupt of ["abort", "keep"] as const) {
        for (const fault of [PartsRecording.answerLost, PartsRecording.refused()]) {
          for (const at of instants(330, 5.5)) {
            const recording = PartsRecording.make({
              fault: ({ attempt, verb }) => verb === "complete" && attempt === 1 ? fault : undefined
            })
            const journal = yield* LargeRun.memoryJournal
            recording.objects.set("L", LargeRun.bytesOf(45, 9))
            const outcome = yield* LargeRun.upload(recording, [LargeRun.onDisk("L", 45)], {
              journal,
              run: { onInterrupt },
              meanwhile: LargeRun.interruptedAfter(at)
            })
            const uploaded = outcome.results.some(({ _tag }) => _tag === "Uploaded")
            assert.deepStrictEqual(
              recording.objects.get("L"),
              LargeRun.bytesOf(45, uploaded ? 1 : 9),
              `after ${at} ms: ${LargeRun.told(outcome).join()}`
            )
            for (const ends of recording.ends.values()) assert.strictEqual(ends.length, 1, `after ${at} ms`)
          }
        }
      }
    }))
})
