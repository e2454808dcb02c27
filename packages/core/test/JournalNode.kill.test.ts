import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as JournalChild from "./support/JournalChild.js"
import { newDirectory, use, wasFinished } from "./support/JournalDirectory.js"

vi.setConfig({ testTimeout: 120_000 })

describe("a journal whose process is killed", () => {
  it.scopedLive("has all that was acknowledged", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const program = yield* JournalChild.program
      const expected = new Map<number, "begun" | "created" | "stored">()
      let finished = new Set<number>()
      let next = 0
      for (let kill = 0; kill < 10; kill++) {
        const worker = yield* JournalChild.start(program, ["work", directory, `${next}`])
        const lines = yield* Effect.promise(() => worker.killedAfter(1 + (kill * 37) % 211))
        let last = ""
        for (const line of lines) {
          const [what, number] = line.split(" ")
          const i = Number(number)
          last = line
          next = i + 1
          if (what === "ended") expected.delete(i)
          else if (what === "run-ended") finished = new Set()
          else {
            expected.set(i, what as "begun")
            if (what === "stored") finished.add(i)
          }
        }
        yield* use(directory, (journal) =>
          Effect.gen(function*() {
            for (const [i, what] of expected) {
              const session = journal.session(`key ${i}`)
              // The end of the last one may have been written, and not said.
              if (session === undefined) {
                assert.isTrue(i === next - 1 && i % 4 !== 0, `key ${i} after ${last}`)
                expected.delete(i)
                continue
              }
              assert.strictEqual(session.token, `t${i}`)
              if (what !== "begun") assert.strictEqual(session.uploadId, `u${i}`)
              if (what === "stored") assert.deepStrictEqual([...session.parts.keys()], [1, 2, 3])
            }
            if (next % 10 !== 0) {
              for (const i of finished) {
                assert.isTrue(wasFinished(journal, { key: `file ${i}`, size: i, fingerprint: "f" }), `file ${i}`)
              }
            }
            // What the process had begun, and did not live to say.
            for (const session of yield* journal.sessions) {
              if (!expected.has(session.startedAt)) {
                assert.isAtMost(session.startedAt, next)
                journal.ended(session.key)
              }
            }
          }))
        next++
      }
      assert.isAbove(next, 100)
    }))
})
