/**
 * A journal that somebody else wrote, over a database or a network: it is asked no more than it has to be, it is waited
 * for, and its delays and failures cost nothing but themselves.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import { Destination, Journal, Strategy, Uploader } from "@sluice/core"
import type { UploadError } from "@sluice/core"
import { Cause, Effect, Exit, Layer, Logger, LogLevel, Random } from "effect"
import * as Dice from "../support/Dice.js"
import * as JournalForms from "../support/JournalForms.js"
import * as LargeRun from "../support/LargeRun.js"
import * as PartsRecording from "../support/PartsRecording.js"
import * as Recording from "../support/Recording.js"

vi.setConfig({ testTimeout: 120_000 })

const refused = PartsRecording.refused()

const unusable = new Journal.JournalError({ reason: "Unusable", detail: "The database is away." })

/** A destination that refuses the files whose keys begin with `bad`. */
const recorded = () =>
  PartsRecording.make({ fault: ({ key, verb }) => key.startsWith("bad") && verb === "put" ? refused : undefined })

/** A journal that writes down when it was asked what, and when its answer came. */
const telling = (journal: Journal.Immediate, told: Array<string>, millis: number) =>
  JournalForms.through(journal, (verb, answer) =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      const asked = clock.unsafeCurrentTimeMillis()
      yield* Effect.sleep(millis)
      const value = yield* answer
      told.push(`${verb} ${asked}-${clock.unsafeCurrentTimeMillis()}`)
      return value
    }))

describe("a journal that answers by effects", () => {
  it.effect("is asked for a finished file once, and is waited for", () =>
    Effect.gen(function*() {
      const recording = recorded()
      const memory = yield* LargeRun.memoryJournal
      const told: Array<string> = []
      const journal = telling(memory, told, 3)
      const files = () => [LargeRun.onDisk("a", 5), LargeRun.onDisk("bad", 5)]
      yield* LargeRun.upload(recording, files(), { journal, retry: LargeRun.retry, workers: 1, threshold: Infinity })
      assert.deepStrictEqual(told.filter((said) => said.startsWith("wasFinished")), [
        "wasFinished 0-3",
        "wasFinished 19-22"
      ])
      assert.deepStrictEqual(told.filter((said) => said.startsWith("finished")), ["finished 16-19"])
      told.length = 0
      const { results } = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 5)], { journal })
      assert.deepStrictEqual(results.map(Recording.summary), ["Skipped a"])
      assert.deepStrictEqual(told, ["wasFinished 0-3", "session 13-16", "runEnded 16-19"])
    }))

  it.effect("is asked once by a look that finds another object, too", () =>
    Effect.gen(function*() {
      const memory = yield* LargeRun.memoryJournal
      const asked: Array<string> = []
      const journal: Journal.Journal["Type"] = {
        ...memory,
        wasFinished: (file) => {
          asked.push(file.key)
          return memory.wasFinished(file)
        }
      }
      const recording = PartsRecording.make({ headTells: "etag" })
      for (const etag of ["\"other\"", undefined]) {
        memory.finished({ key: "a", size: 5, fingerprint: "5:1", etag })
        recording.objects.set("a", LargeRun.bytesOf(5))
        const { results } = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", 5)], { journal })
        assert.deepStrictEqual(results.map(Recording.summary), [etag === undefined ? "Skipped a" : "Uploaded a"])
      }
      assert.deepStrictEqual(asked, ["a", "a"])
    }))

  it.effect("is not waited for by an upload that is interrupted before it begins", () =>
    Effect.gen(function*() {
      const memory = yield* LargeRun.memoryJournal
      for (const verb of ["wasFinished", "session"] as const) {
        for (const size of [5, 25]) {
          const journal = { ...memory, [verb]: () => Effect.never }
          const recording = recorded()
          const { millis } = yield* LargeRun.upload(recording, [LargeRun.onDisk("a", size)], {
            journal,
            meanwhile: LargeRun.interruptedAfter(7)
          })
          assert.deepStrictEqual([millis, recording.history], [7, []], `${verb} ${size}`)
        }
      }
    }))

  it.effect("uses up no starts", () =>
    Effect.gen(function*() {
      const journal = JournalForms.inDatabase(yield* LargeRun.memoryJournal)
      const recording = recorded()
      yield* LargeRun.upload(recording, ["a", "b", "c"].map((key) => LargeRun.onDisk(key, 5)), {
        journal,
        strategy: Strategy.rateLimited({ uploadsPerSecond: 1 })
      })
      assert.deepStrictEqual(recording.history.map(([at, event]) => `${event} ${Math.floor(at / 1_000)}`), [
        "put a 0",
        "put b 1",
        "put c 2"
      ])
    }))

  it.effect("learns of a file whose upload is interrupted while it takes its time", () =>
    Effect.gen(function*() {
      const memory = yield* LargeRun.memoryJournal
      const journal = JournalForms.through(memory, (_, answer) => Effect.delay(answer, 30))
      const { results } = yield* LargeRun.upload(recorded(), [LargeRun.onDisk("a", 5)], {
        journal,
        threshold: Infinity,
        meanwhile: LargeRun.interruptedAfter(75)
      })
      assert.deepStrictEqual(results.map(Recording.summary), ["Uploaded a"])
      assert.isDefined(memory.wasFinished({ key: "a", size: 5, fingerprint: "5:1" }))
    }))

  it.effect("is no stall, however slow it is", () =>
    Effect.gen(function*() {
      const memory = yield* LargeRun.memoryJournal
      const journal = JournalForms.through(memory, (_, answer) => Effect.delay(answer, "50 seconds"))
      const files = [LargeRun.onDisk("a", 5), LargeRun.onDisk("b", 25)]
      const { events, report } = yield* LargeRun.upload(recorded(), files, { journal })
      assert.deepInclude(report.files, { uploaded: 2, failed: 0 })
      assert.deepStrictEqual(events.filter(({ _tag }) => _tag === "UploadRetrying"), [])
    }))

  it.effect("serves single uploads as it serves runs", () =>
    Effect.gen(function*() {
      const recording = recorded()
      const journal = JournalForms.inDatabase(yield* LargeRun.memoryJournal)
      const process = Effect.scoped(Effect.gen(function*() {
        const uploader = yield* Uploader.make({ strategy: Strategy.workerPool({ workers: 2 }), checksum: "none" })
        const results = yield* Effect.forEach(
          [LargeRun.onDisk("a", 5), LargeRun.onDisk("b", 5)],
          uploader.upload,
          { concurrency: 2 }
        )
        // A failure, so that what was finished is remembered.
        yield* Effect.either(uploader.upload(LargeRun.onDisk("bad", 5)))
        return results.map(Recording.summary)
      })).pipe(
        Effect.provide(Layer.merge(
          Layer.succeed(Destination.Destination, recording.destination),
          Layer.succeed(Journal.Journal, journal)
        ))
      )
      const { value } = yield* Recording.virtual(Effect.all([process, process]))
      assert.deepStrictEqual(value, [["Uploaded a", "Uploaded b"], ["Skipped a", "Skipped b"]])
    }))

  it.effect("is not believed to know a file if it fails, and says so once", () =>
    Effect.gen(function*() {
      const memory = yield* LargeRun.memoryJournal
      const logged: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel.label} ${String(message)}`))
      const journal = JournalForms.through(memory, (verb, answer) =>
        verb === "session" || verb === "wasFinished" || verb === "finished" ? Effect.fail(unusable) : answer)
      const files = [LargeRun.onDisk("a", 5), LargeRun.onDisk("b", 5)]
      const { report } = yield* LargeRun.upload(recorded(), files, { journal, workers: 1 }).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Logger.withMinimumLogLevel(LogLevel.Debug)
      )
      assert.strictEqual(report.files.uploaded, 2)
      const unknown = "The journal does not tell whether a file was uploaded before. It is uploaded again."
      const begun = "DEBUG The journal does not tell whether to abort an upload."
      const lost = "The journal did not record that a file was uploaded. Another run will upload it again."
      // Effect's own debug lines tell of fibers that failed.
      assert.deepStrictEqual(
        logged.filter((line) =>
          line.includes("The journal")
        ),
        [
          `WARN ${unknown}`,
          begun,
          `WARN ${lost}`,
          `DEBUG ${unknown}`,
          begun,
          `DEBUG ${lost}`
        ]
      )
    }))
})

describe("a journal with delays and failures at random", () => {
  const sizes = new Map([["a", 5], ["b", 0], ["c", 55], ["d", 31], ["e", 9]])

  /** What a wire does with a verb: nothing, takes its time, loses the question or the answer, or never answers. */
  const wire = (dice: Dice.Dice, isTroubled: () => boolean): JournalForms.Wire => (_, answer) =>
    Effect.suspend(() => {
      const slow = Effect.delay(answer, dice.between(0, 30))
      if (!isTroubled() || dice.chance(0.85)) return slow
      const trouble = dice.one([
        Effect.fail(unusable),
        Effect.fail(unusable),
        Effect.die(new Error("boom")),
        Effect.interrupt,
        Effect.never
      ])
      return Effect.delay(dice.chance(0.5) ? trouble : Effect.zipRight(slow, trouble), dice.between(0, 30))
    })

  const isOfJournal = (error: UploadError.UploadError): boolean =>
    error._tag === "Rejected" && error.cause instanceof Journal.JournalError

  const world = (seed: number) =>
    Effect.gen(function*() {
      const dice = Dice.make(seed)
      const recording = PartsRecording.make({ ownIds: dice.chance(0.5), headTells: "modifiedAt" })
      const memory = yield* LargeRun.memoryJournal
      const count = dice.between(1, 3)
      let round = 0
      const journal = JournalForms.through(memory, wire(dice, () => round <= count))
      const files = () => Array.from(sizes, ([key, size]) => LargeRun.onDisk(key, size))
      let failed = 0
      for (round = 1; round <= count + 1; round++) {
        const { report, results } = yield* LargeRun.upload(recording, files(), {
          journal,
          workers: dice.between(1, 4),
          run: { onInterrupt: dice.one(["abort", "keep"] as const) },
          ...(round <= count && dice.chance(0.5) && { meanwhile: LargeRun.interruptedAfter(dice.between(0, 400)) })
        })
        for (const result of results) {
          const { _tag, file: { key } } = result
          if (_tag === "Uploaded" || _tag === "Skipped") {
            assert.deepStrictEqual(recording.objects.get(key), LargeRun.bytesOf(sizes.get(key)!), `${key} in ${round}`)
          }
          if (_tag === "Failed") assert.isTrue(isOfJournal(result.error), result.error.message)
        }
        assert.strictEqual(new Set(results.map(({ file }) => file.key)).size, results.length)
        assert.strictEqual(report.abortsFailed, 0)
        failed += report.files.failed
        if (round > count) assert.strictEqual(report.files.uploaded + report.files.skipped, sizes.size)
      }
      assert.deepStrictEqual([...recording.sessions.keys()], [], "sessions at the destination")
      assert.deepStrictEqual(yield* memory.sessions, [], "sessions in the journal")
      for (const [session, ends] of recording.ends) assert.lengthOf(ends, 1, session)
      return failed
    }).pipe(
      // One randomness for all rounds: sessions of different rounds have different names.
      Effect.withRandom(Random.make(seed)),
      Logger.withMinimumLogLevel(LogLevel.None)
    )

  it.effect("costs a file at most, and the run after it has everything and leaves nothing", () =>
    Effect.gen(function*() {
      const wrong: Array<string> = []
      let failed = 0
      for (let seed = 1; seed <= 150; seed++) {
        const exit = yield* Effect.exit(world(seed))
        if (Exit.isSuccess(exit)) failed += exit.value
        else wrong.push(`seed ${seed}: ${Cause.pretty(exit.cause).slice(0, 400)}`)
      }
      assert.deepStrictEqual(wrong, [])
      assert.isAbove(failed, 50)
    }))
})
