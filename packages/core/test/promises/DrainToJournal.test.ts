import { assert, describe, it, vi } from "@effect/vitest"
import { Destination, Journal, Uploader } from "@sluice/core"
import type { UploadRun } from "@sluice/core"
import { Effect } from "effect"
import * as JournalForms from "../support/JournalForms.js"
import * as LargeRun from "../support/LargeRun.js"
import * as PartsRecording from "../support/PartsRecording.js"
import * as Recording from "../support/Recording.js"

vi.setConfig({ testTimeout: 120_000 })

const sizes = new Map([["L", 45], ["M", 32], ["s", 3], ["t", 5], ["u", 0], ["N", 61]])

const onDisk = Array.from(sizes, ([key, size]) => LargeRun.onDisk(key, size))

const drainedAfter = (millis: number, told: Array<string> = []) => (run: UploadRun.UploadRun<unknown>) =>
  Effect.delay(Effect.map(run.drainToJournal, (keys) => told.push(...keys)), millis)

describe("a run that is drained to its journal", () => {
  for (const { name, over } of JournalForms.forms) {
    it.effect(`ends small files, keeps large ones, and another run has all, whenever that is: ${name}`, () =>
      Effect.gen(function*() {
        let kept = 0
        for (let at = 0; at <= 90; at += 1.5) {
          const recording = PartsRecording.make()
          const journal = yield* LargeRun.memoryJournal
          const keys: Array<string> = []
          const options = { workers: 3, journal: over(journal) }
          const first = yield* LargeRun.upload(recording, onDisk, { ...options, meanwhile: drainedAfter(at, keys) })
          const ends = new Map(first.results.map(({ _tag, file: { key } }) => [key, _tag]))
          // A file that was complete at that moment is uploaded after all.
          for (const key of keys) assert.include(["Interrupted", "Uploaded"], ends.get(key), `${key} after ${at} ms`)
          for (const [key, end] of ends) {
            if (end === "Interrupted") assert.include(keys, key, `after ${at} ms`)
            else assert.strictEqual(end, "Uploaded", `${key} after ${at} ms`)
          }
          const sessions = (yield* journal.sessions).map(({ key }) => key)
          assert.deepStrictEqual([...recording.sessions.values()].map(({ key }) => key).toSorted(), sessions.toSorted())
          kept += sessions.length
          const second = yield* LargeRun.upload(recording, onDisk, options)
          assert.strictEqual(second.report.files.failed, 0)
          for (const [key, size] of sizes) {
            assert.deepStrictEqual(recording.objects.get(key), LargeRun.bytesOf(size), `${key} after ${at} ms`)
          }
          assert.strictEqual(recording.sessions.size, 0)
        }
        assert.isAbove(kept, 20)
      }))
  }

  it.effect("does not wait for a large file", () =>
    Effect.gen(function*() {
      const file = [LargeRun.onDisk("L", 1_000)]
      const journal = yield* LargeRun.memoryJournal
      const keys: Array<string> = []
      const options = { workers: 1, journal }
      const whole = yield* LargeRun.upload(PartsRecording.make(), file, { workers: 1 })
      const cut = yield* LargeRun.upload(PartsRecording.make(), file, {
        ...options,
        meanwhile: drainedAfter(100, keys)
      })
      assert.deepStrictEqual(keys, ["L"])
      assert.isAbove(whole.millis, 500)
      assert.isAtMost(cut.millis, 110)
      assert.strictEqual(cut.report.ended, "Drained")
    }))

  it.effect("is only drained if nothing would be kept", () =>
    Effect.gen(function*() {
      const journal = yield* LargeRun.memoryJournal
      const cases = [
        { files: [LargeRun.onDisk("L", 45)], options: {} },
        { files: [LargeRun.onDisk("L", 45)], options: { run: { onInterrupt: "keep" as const } } },
        { files: [LargeRun.onDisk("L", 45)], options: { journal, run: { onInterrupt: "abort" as const } } },
        { files: [LargeRun.inMemory("L", 45)], options: { journal } }
      ]
      for (const { files, options } of cases) {
        const recording = PartsRecording.make()
        const keys: Array<string> = []
        const { report } = yield* LargeRun.upload(recording, files, { ...options, meanwhile: drainedAfter(15, keys) })
        assert.deepStrictEqual(keys, [])
        assert.deepInclude(report.files, { uploaded: 1, interrupted: 0 })
      }
    }))

  it.effect("interrupts nothing after a drain, which lets large files run to their end", () =>
    Effect.gen(function*() {
      const journal = yield* LargeRun.memoryJournal
      const keys: Array<string> = []
      const { report } = yield* LargeRun.upload(PartsRecording.make(), [LargeRun.onDisk("L", 45)], {
        journal,
        meanwhile: (run) => Effect.zipRight(Effect.delay(run.drain, 2), drainedAfter(0, keys)(run))
      })
      assert.deepStrictEqual(keys, [])
      assert.deepStrictEqual([report.ended, report.files.uploaded], ["Drained", 1])
    }))

  it.effect("returns keys of interrupted files only, however slow its callback is", () =>
    Effect.gen(function*() {
      const results: Array<string> = []
      const journal = yield* LargeRun.memoryJournal
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Uploader.make({ multipartThreshold: 10, partSize: 10, checksum: "none" }).pipe(
          Effect.provideService(Journal.Journal, journal),
          Effect.provideService(Destination.Destination, PartsRecording.make().destination)
        )
        const run = yield* uploader.start([LargeRun.onDisk("L", 45)], {
          onResult: (result) => Effect.sync(() => results.push(Recording.summary(result))),
          onEvent: (event) => event._tag === "RunChanged" ? Effect.sleep("1 minute") : Effect.void
        })
        yield* Effect.sleep(2)
        const keys = yield* run.drainToJournal
        yield* run.report
        return keys
      }))
      assert.deepStrictEqual(value, ["L"])
      assert.deepStrictEqual(results, ["Interrupted L"])
    }))
})
