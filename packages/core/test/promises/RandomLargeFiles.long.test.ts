import { assert, describe, it, vi } from "@effect/vitest"
import { UploadError, UploadFile } from "@sluice/core"
import { Cause, Effect, Exit, Random } from "effect"
import * as JournalForms from "../support/JournalForms.js"
import * as LargeRun from "../support/LargeRun.js"
import * as PartsRecording from "../support/PartsRecording.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 120_000 })

/** A small generator of numbers, so that a seed names a case (mulberry32). */
const dice = (seed: number) => {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (count: number) => Math.floor(next() * count)
  return {
    next,
    below,
    chance: (part: number) => next() < part,
    oneOf: <A>(all: ReadonlyArray<A>) => all[below(all.length)]!
  }
}

const throttled = new UploadError.Throttled({ detail: "Slow down.", retryAfterMillis: 300 })

const gone = new UploadError.SessionGone({ detail: "There is no such session." })

/** One random world: files, a destination with its troubles, and runs that are interrupted, until all is done. */
const world = (seed: number) =>
  Effect.gen(function*() {
    const { below, chance, next, oneOf } = dice(seed)
    const inOrder = chance(0.2)
    const ownIds = chance(0.5)
    const checksum = chance(0.5) ? "crc32" : undefined
    const quirks = { troubled: true }
    const fault = ({ verb }: PartsRecording.Request): PartsRecording.Fault | undefined => {
      if (!quirks.troubled || !chance(0.15)) return undefined
      const refused = PartsRecording.refused(chance(0.3) ? throttled : PartsRecording.broken)
      if (verb === "abort") return refused
      const faults: Array<PartsRecording.Fault> = [refused]
      if (verb !== "create" || ownIds) faults.push(PartsRecording.answerLost)
      if (verb === "part") {
        faults.push({ _tag: "Hangs" }, { _tag: "Early" }, { _tag: "Dies" }, PartsRecording.refused(gone))
        if (inOrder) faults.push({ _tag: "Partial", bytes: below(5) })
        else {
          faults.push({ _tag: "Late", millis: 50 })
          if (checksum !== undefined) faults.push({ _tag: "BitFlipped" })
        }
      }
      if (verb === "complete") faults.push({ _tag: "Late", millis: 700_000 }, { _tag: "Tells", stored: { size: 0 } })
      return oneOf(faults)
    }
    const recording = PartsRecording.make({
      ownIds,
      fault,
      limits: { inOrder },
      tellsParts: inOrder || chance(0.7),
      headTells: oneOf(["etag", "modifiedAt"] as const),
      capabilities: { wholeBodies: !inOrder && chance(0.5) },
      latency: ({ key, number = 0 }) => 4 + (key.charCodeAt(0) * 7 + number * 13) % 17
    })
    const shapes = Array.from({ length: 1 + below(5) }, (_, i) => ({
      key: `${"abcde"[i]}`,
      size: chance(0.2) ? below(8) : below(130),
      kind: oneOf(["disk", "disk", "memory", "stream", "sized stream"] as const)
    }))
    const files = () =>
      shapes.map(({ key, kind, size }) =>
        kind === "disk"
          ? LargeRun.onDisk(key, size)
          : kind === "memory"
          ? LargeRun.inMemory(key, size)
          : UploadFile.make(
            key,
            LargeRun.streamed(LargeRun.bytesOf(size), {
              block: 9,
              millis: 1,
              size: kind === "stream" ? undefined : size
            })
          )
      )
    const settings = {
      workers: 1 + below(5),
      memory: oneOf([1, 15, 60, 1_000]),
      partSize: 5 + below(26),
      threshold: below(20),
      partConcurrency: oneOf([1, 2, Infinity]),
      checksum
    } as const
    const journal = yield* LargeRun.memoryJournal
    const over = seed % 2 === 0 ? journal : JournalForms.inDatabase(journal)
    for (let round = 1; round <= 3; round++) {
      quirks.troubled = round < 3
      const at = below(400) + next()
      const outcome = yield* LargeRun.upload(recording, files(), {
        ...settings,
        journal: over,
        run: { onInterrupt: oneOf(["abort", "keep"] as const) },
        ...(round < 3 && { meanwhile: LargeRun.interruptedAfter(at) })
      })
      const { report, results } = outcome
      assert.strictEqual(new Set(results.map(({ file }) => file.key)).size, results.length, "one result a file")
      assert.isAtMost(report.peakInFlight, settings.workers)
      assert.isAtMost(recording.peak(), settings.workers)
      assert.strictEqual(report.abortsFailed, 0)
      for (const { _tag, file: { key } } of results) {
        if (_tag !== "Uploaded") continue
        const { size } = shapes.find((shape) => shape.key === key)!
        assert.deepStrictEqual(recording.objects.get(key), LargeRun.bytesOf(size), `${key} in round ${round}`)
      }
      if (round === 3) {
        assert.strictEqual(
          report.files.uploaded + report.files.skipped,
          shapes.length,
          LargeRun.told(outcome).join() + report.failures.map(({ error }) => error.message).join()
        )
      }
    }
    for (const { key, size } of shapes) assert.deepStrictEqual(recording.objects.get(key), LargeRun.bytesOf(size), key)
    assert.deepStrictEqual(Array.from(recording.sessions.values(), ({ key }) => key), [], "sessions at the destination")
    assert.deepStrictEqual(yield* journal.sessions, [], "sessions in the journal")
    for (const [session, ends] of recording.ends) assert.strictEqual(ends.length, 1, `${session}: ${ends.join()}`)
    // One randomness for all rounds: sessions of different rounds have different names.
  }).pipe(Effect.withRandom(Random.make(seed)))

describe("random files, destinations, troubles and interruptions", () => {
  const first = Number(process.env["SEED"] ?? 1)
  const count = process.env["SEED"] === undefined ? 300 : 1
  for (let block = 0; block < count; block += 100) {
    it.effect(`end with every object whole and nothing left, seeds ${first + block} and following`, () =>
      Effect.gen(function*() {
        const failures: Array<string> = []
        for (let seed = first + block; seed < first + Math.min(count, block + 100); seed++) {
          const exit = yield* Effect.exit(world(seed))
          if (Exit.isFailure(exit)) failures.push(`seed ${seed}: ${Cause.pretty(exit.cause).slice(0, 500)}`)
        }
        assert.deepStrictEqual(failures, [])
      }))
  }
})
