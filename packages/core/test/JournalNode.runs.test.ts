import { assert, describe, it } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"

describe("the end of a run in a journal", () => {
  it.scopedLive("is written only if there is something to forget", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* TemporaryDirectory.make, "journal")
      const journal = yield* JournalNode.make({ directory, destination: "https://host/bucket" })
      const stat = Effect.map(journal.flush, () => fs.statSync(path.join(directory, "journal")))
      const size = Effect.map(stat, ({ size }) => size)
      const { ino, size: empty } = yield* stat
      yield* journal.runEnded
      // Nor is the file rewritten.
      assert.deepInclude(yield* stat, { ino, size: empty })
      journal.finished({ key: "a", size: 1, fingerprint: "f" })
      assert.isAbove(yield* size, empty)
      assert.strictEqual((yield* JournalNode.readDirectory(directory)).finished, 1)
      yield* journal.runEnded
      const ended = yield* size
      assert.strictEqual((yield* JournalNode.readDirectory(directory)).finished, 0)
      yield* journal.begin({
        key: "b",
        token: "t",
        size: 9,
        fingerprint: undefined,
        partSize: 4,
        checksum: undefined,
        startedAt: 0
      })
      assert.isAbove(yield* size, ended)
      assert.lengthOf((yield* JournalNode.readDirectory(directory)).sessions, 1)
    }))
})
