import { assert, describe, it } from "@effect/vitest"
import { Destination, Journal, Strategy, Uploader } from "@sluice/core"
import type { UploadEvent, UploadFile, UploadReport, UploadResult, UploadRun } from "@sluice/core"
import { Effect } from "effect"
import * as LargeRun from "../../support/LargeRun.js"
import * as PartsRecording from "../../support/PartsRecording.js"
import * as Recording from "../../support/Recording.js"

const settings = {
  strategy: Strategy.workerPool({ workers: 4 }),
  retry: LargeRun.retry,
  multipartThreshold: 10,
  partSize: 10,
  checksum: "none"
} as const satisfies Uploader.Options

interface Outcome {
  readonly report: UploadReport.UploadReport
  readonly results: ReadonlyArray<UploadResult.UploadResult>
  readonly events: ReadonlyArray<UploadEvent.UploadEvent>
}

/** Starts a run, does something to it, and returns how it ended. */
const upload = (
  recording: PartsRecording.PartsRecording,
  files: Iterable<UploadFile.UploadFile>,
  options: {
    readonly uploader?: Uploader.Options | undefined
    readonly run?: UploadRun.Options | undefined
    readonly journal?: Journal.Journal["Type"] | undefined
    readonly meanwhile?: ((run: UploadRun.UploadRun) => Effect.Effect<unknown>) | undefined
  } = {}
): Effect.Effect<Outcome> => {
  const results: Array<UploadResult.UploadResult> = []
  const events: Array<UploadEvent.UploadEvent> = []
  const program = Effect.scoped(Effect.gen(function*() {
    const uploader = yield* Uploader.make({ ...settings, ...options.uploader })
    const run = yield* uploader.start(files, {
      onResult: (result) => Effect.sync(() => results.push(result)),
      onEvent: (event) => Effect.sync(() => events.push(event)),
      ...options.run
    })
    if (options.meanwhile !== undefined) yield* Effect.fork(options.meanwhile(run))
    return { report: yield* run.report, results, events }
  })).pipe(Effect.provideService(Destination.Destination, recording.destination))
  return options.journal === undefined ? program : Effect.provideService(program, Journal.Journal, options.journal)
}

describe("a large file", () => {
  it.effect("goes up in parts, several at once, and is completed once", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const { value: { report, results } } = yield* Recording.virtual(upload(recording, [LargeRun.inMemory("a", 55)]))
      assert.deepStrictEqual(recording.history, [
        [0, "create a"],
        [10, "part a 1"],
        [10, "part a 2"],
        [10, "part a 3"],
        [10, "part a 4"],
        [20, "part a 5"],
        [20, "part a 6"],
        [30, "complete a"]
      ])
      assert.deepStrictEqual(recording.objects, new Map([["a", LargeRun.bytesOf(55)]]))
      assert.deepStrictEqual(results.map(Recording.summary), ["Uploaded a"])
      assert.deepStrictEqual(report.bytes, { total: 55, uploaded: 55, resumed: 0 })
      assert.strictEqual(report.peakInFlight, 4)
      assert.strictEqual(report.durationMillis, 40)
    }))

  for (const onInterrupt of ["abort", "keep"] as const) {
    it.effect(`that is interrupted at any instant is completed or not, and ${onInterrupt}`, () =>
      Effect.gen(function*() {
        for (let at = 0; at <= 41; at++) {
          const recording = PartsRecording.make()
          const journal = yield* LargeRun.memoryJournal
          const { value: { report, results } } = yield* Recording.virtual(
            upload(recording, [LargeRun.onDisk("a", 55)], {
              run: { onInterrupt },
              journal,
              meanwhile: LargeRun.interruptedAfter(at)
            })
          )
          const name = `interrupted after ${at} ms`
          assert.strictEqual(recording.inFlight(), 0, name)
          const ends = Array.from(recording.ends.values())
          const tag = results[0]?._tag
          assert.strictEqual(recording.objects.has("a"), tag === "Uploaded", name)
          if (recording.objects.has("a")) assert.deepStrictEqual(recording.objects.get("a"), LargeRun.bytesOf(55), name)
          const created = recording.history.some(([, event]) => event === "create a")
          const kept = onInterrupt === "keep" && tag !== "Uploaded" && created
          assert.deepStrictEqual(
            ends,
            !created || kept ? [] : [tag === "Uploaded" ? ["completed"] : ["aborted"]],
            name
          )
          assert.strictEqual(recording.sessions.size, kept ? 1 : 0, name)
          assert.strictEqual(journal.session("a") !== undefined, kept, name)
          assert.strictEqual(report.abortsFailed, 0, name)
        }
      }))
  }

  it.effect("whose completion was not answered is looked for", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ attempt, verb }) => verb === "complete" && attempt === 1 ? PartsRecording.answerLost : undefined
      })
      const { value: { results } } = yield* Recording.virtual(upload(recording, [LargeRun.inMemory("a", 25)]))
      assert.deepStrictEqual(results.map(Recording.summary), ["Uploaded a"])
      assert.deepStrictEqual(recording.history.slice(4), [
        [20, "complete a"],
        [30, "complete a: Transient"],
        [130, "complete a"],
        [135, "complete a: SessionGone"],
        [135, "head a"]
      ])
      assert.deepStrictEqual([...recording.ends.values()], [["completed"]])
    }))

  it.effect("continues where an earlier run stopped", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const journal = yield* LargeRun.memoryJournal
      const first = yield* Recording.virtual(upload(recording, [LargeRun.onDisk("a", 55)], {
        journal,
        meanwhile: LargeRun.interruptedAfter(25)
      }))
      assert.deepStrictEqual(first.value.results.map(Recording.summary), ["Interrupted a"])
      recording.history.length = 0
      const second = yield* Recording.virtual(upload(recording, [LargeRun.onDisk("a", 55)], { journal }))
      assert.deepStrictEqual(recording.history, [
        [0, "list a"],
        [10, "part a 5"],
        [10, "part a 6"],
        [20, "complete a"]
      ])
      assert.deepStrictEqual(second.value.report.bytes, { total: 55, uploaded: 15, resumed: 40 })
      assert.deepStrictEqual(recording.objects, new Map([["a", LargeRun.bytesOf(55)]]))
    }))
})
