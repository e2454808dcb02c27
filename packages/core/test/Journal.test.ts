import { assert, describe, it } from "@effect/vitest"
import { Journal } from "@sluice/core"
import { Effect } from "effect"

const intent: Journal.Intent = {
  key: "film.mov",
  token: "t1",
  size: 20,
  fingerprint: "1:2:20:3",
  partSize: 8,
  checksum: "crc32",
  startedAt: 5
}

const wasFinished = (journal: Journal.Immediate, file: Journal.Finished): boolean => {
  const noted = journal.wasFinished(file)
  return noted !== undefined && (file.etag === undefined || noted.isEtag(file.etag))
}

const kept = (name: string, test: (journal: Journal.Immediate) => Effect.Effect<void, Journal.JournalError>) =>
  it.effect(name, () => Effect.flatMap(Journal.makeMemory, test))

describe("Journal.layerMemory", () => {
  kept("keeps sessions with their parts until they end", (journal) =>
    Effect.gen(function*() {
      assert.isUndefined(journal.session("film.mov"))
      yield* journal.begin(intent)
      const begun = { ...intent, uploadId: undefined, parts: new Map() }
      assert.deepStrictEqual(journal.session("film.mov"), begun)
      yield* journal.created("film.mov", "u1")
      journal.partStored("film.mov", { number: 2, size: 8, etag: "e" })
      yield* journal.flush
      const session = { ...begun, uploadId: "u1", parts: new Map([[2, { number: 2, size: 8, etag: "e" }]]) }
      assert.deepStrictEqual(yield* journal.sessions, [session])
      journal.ended("film.mov")
      assert.deepStrictEqual(yield* journal.sessions, [])
    }))

  kept("starts a key over in place of the previous upload", (journal) =>
    Effect.gen(function*() {
      yield* journal.begin(intent)
      yield* journal.created("film.mov", "u1")
      journal.partStored("film.mov", { number: 1, size: 8 })
      yield* journal.begin({ ...intent, token: "t2" })
      assert.deepStrictEqual(yield* journal.sessions, [
        { ...intent, token: "t2", uploadId: undefined, parts: new Map() }
      ])
    }))

  kept("accepts nothing for a key that was not begun", (journal) =>
    Effect.gen(function*() {
      yield* journal.created("film.mov", "u1")
      journal.partStored("film.mov", { number: 1, size: 8 })
      journal.ended("film.mov")
      assert.deepStrictEqual(yield* journal.sessions, [])
    }))

  kept("hands out sessions that do not change any more", (journal) =>
    Effect.gen(function*() {
      yield* journal.begin(intent)
      const before = journal.session("film.mov")
      journal.partStored("film.mov", { number: 1, size: 8 })
      assert.strictEqual(before?.parts.size, 0)
    }))

  kept(
    "knows a finished file by key, size and fingerprint, until the run has ended",
    (journal) =>
      Effect.gen(function*() {
        const file = { key: "a", size: 1, fingerprint: "f" }
        journal.finished(file)
        assert.isTrue(wasFinished(journal, file))
        for (const other of [{ ...file, key: "b" }, { ...file, size: 2 }, { ...file, fingerprint: "g" }]) {
          assert.isFalse(wasFinished(journal, other))
        }
        journal.finished({ ...file, fingerprint: "g" })
        assert.isFalse(wasFinished(journal, file), "what was uploaded over it is what is there")
        yield* journal.begin(intent)
        yield* journal.runEnded
        assert.isFalse(wasFinished(journal, { ...file, fingerprint: "g" }))
        assert.lengthOf(yield* journal.sessions, 1)
      })
  )

  kept("distinguishes a finished file from a later replacement, by its etag", (journal) =>
    Effect.gen(function*() {
      const file = { key: "a", size: 1, fingerprint: "f" }
      const is = (etag?: string) => wasFinished(journal, { ...file, etag })
      journal.finished({ ...file, etag: "\"1\"" })
      assert.deepStrictEqual([is(), is("\"1\""), is("\"2\"")], [true, true, false])
      assert.isFalse(wasFinished(journal, { ...file, fingerprint: "g", etag: "\"1\"" }))
      journal.finished({ ...file, etag: "\"2\"" })
      assert.deepStrictEqual([is(), is("\"1\""), is("\"2\"")], [true, false, true])
      journal.finished(file)
      assert.deepStrictEqual([is(), is("\"1\"")], [true, true], "under an etag that nobody has noted")
      yield* journal.runEnded
      assert.isFalse(is())
    }))

  kept("keeps owners until they are disowned", (journal) =>
    Effect.gen(function*() {
      yield* journal.own("a")
      yield* journal.own("b")
      yield* journal.own("a")
      yield* journal.disown("b")
      assert.deepStrictEqual(yield* journal.owners, ["a"])
    }))

  it.effect("says in its message what happened", () =>
    Effect.sync(() => {
      const error = new Journal.JournalError({ reason: "Locked", detail: "It is in use." })
      assert.strictEqual(error.message, "It is in use.")
    }))
})
