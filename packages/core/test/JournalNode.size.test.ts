import { assert, describe, it, vi } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { crc32 } from "node:zlib"
import {
  destination,
  fileIn,
  intentOf,
  newDirectory,
  plant,
  stateOf,
  use,
  wasFinished
} from "./support/JournalDirectory.js"
import type { Service } from "./support/JournalDirectory.js"

vi.setConfig({ testTimeout: 120_000 })

describe("the size of a journal", () => {
  it.scopedLive("knows where finished files were put, until their run has ended, and rewrites that as little as the rest", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const fileOf = (i: number) => ({ key: `photos/${i}.jpg`, size: i, fingerprint: `1:${i}:2:3` })
      const locationOf = (i: number) => i % 3 === 0 ? undefined : `/files/${i}?${"ü\n".repeat(i % 7)}`
      yield* use(directory, (journal) =>
        Effect.sync(() => {
          for (let i = 0; i < 2_000; i++) journal.finished({ ...fileOf(i), location: locationOf(i) })
        }))
      const inode = () => fs.statSync(fileIn(directory)).ino
      const first = inode()
      // While it is open, no other file gets its number.
      yield* Effect.acquireRelease(
        Effect.sync(() => fs.openSync(fileIn(directory), "r")),
        (descriptor) => Effect.sync(() => fs.closeSync(descriptor))
      )
      const told = (journal: Service) =>
        Effect.sync(() => {
          for (let i = 0; i < 2_000; i++) {
            assert.isTrue(wasFinished(journal, fileOf(i)))
            assert.strictEqual(journal.wasFinished(fileOf(i))?.location, locationOf(i), `${i}`)
            assert.isUndefined(journal.wasFinished({ ...fileOf(i), fingerprint: "other" })?.location)
          }
        })
      yield* use(directory, told)
      assert.strictEqual(inode(), first, "nothing was to be tidied up")
      // The file is replaced, and what was finished goes along.
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          for (let round = 0; round < 300; round++) {
            yield* journal.begin(intentOf("film.mov", { token: `${round}` }))
            for (let number = 1; number <= 200; number++) journal.partStored("film.mov", { number, size: 8 })
          }
          yield* journal.flush
        }))
      assert.notStrictEqual(inode(), first)
      yield* use(directory, told)
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          // One that was put somewhere else now.
          journal.finished({ ...fileOf(1), location: "/files/elsewhere" })
          journal.finished({ ...fileOf(2), location: undefined })
          assert.strictEqual(journal.wasFinished(fileOf(1))?.location, "/files/elsewhere")
          yield* journal.flush
        }))
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          assert.strictEqual(journal.wasFinished(fileOf(1))?.location, "/files/elsewhere")
          assert.strictEqual(journal.wasFinished(fileOf(4))?.location, locationOf(4))
          journal.ended("film.mov")
          yield* journal.runEnded
          assert.isUndefined(journal.wasFinished(fileOf(4))?.location)
        }))
      assert.isBelow(fs.statSync(fileIn(directory)).size, 300)
    }))

  it.scopedLive("is read as it was written before files had places", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const record = (payload: string) => {
        const covered = `${payload.length} ${payload}`
        return `${crc32(covered).toString(16).padStart(8, "0")} ${covered}\n`
      }
      const finished = { key: "a", size: 1, fingerprint: "f" }
      yield* use(directory, (journal) => Effect.sync(() => journal.finished(finished)))
      const digest = / 1F(\S{24})\n/.exec(fs.readFileSync(fileIn(directory), "latin1"))?.[1] ?? ""
      plant(directory, record(`1H${JSON.stringify({ destination, createdAt: 1 })}`) + record(`1F${digest}`))
      yield* use(directory, (journal) =>
        Effect.sync(() => {
          assert.isTrue(wasFinished(journal, finished))
          assert.isUndefined(journal.wasFinished(finished)?.location)
        }))
    }))

  it.scopedLive("follows what is unfinished", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const size = () => fs.statSync(fileIn(directory)).size
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          for (let i = 0; i < 10_000; i++) {
            journal.finished({ key: `photos/2024/${i}.jpg`, size: i, fingerprint: `1:${i}:2:3` })
          }
          yield* journal.flush
          assert.isBelow(size(), 500_000)
          for (let round = 0; round < 300; round++) {
            yield* journal.begin(intentOf("film.mov", { token: `${round}` }))
            for (let number = 1; number <= 200; number++) journal.partStored("film.mov", { number, size: 8 })
            yield* journal.flush
          }
          assert.isBelow(size(), 3 * 1024 * 1024)
        }))
      assert.isBelow(size(), 500_000, "and closing it tidies up")
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          for (let i = 0; i < 10_000; i++) {
            assert.isTrue(wasFinished(journal, { key: `photos/2024/${i}.jpg`, size: i, fingerprint: `1:${i}:2:3` }))
            assert.isFalse(wasFinished(journal, { key: `photos/2024/${i}.jpg`, size: i, fingerprint: `1:${i}:2:4` }))
          }
          assert.strictEqual(journal.session("film.mov")?.parts.size, 200)
          journal.ended("film.mov")
          journal.finished({ key: "last", size: 1, fingerprint: "f" })
          yield* journal.runEnded
          assert.isBelow(size(), 200)
          journal.finished({ key: "next run", size: 1, fingerprint: "f" })
        }))
      assert.strictEqual((yield* JournalNode.readDirectory(directory)).finished, 1)
    }))

  it.scopedLive("is brought down by steps that may each be the last", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* use(directory, (journal) => journal.begin(intentOf("a")))
      const before = yield* use(directory, stateOf)
      const whole = fs.readFileSync(fileIn(directory))
      // A crash before the renaming leaves both files; the new one may be torn, whole or a link to something else.
      for (const left of [whole.subarray(0, 0), whole.subarray(0, 40), Buffer.from("rubbish"), undefined]) {
        const temporary = path.join(directory, "journal.new")
        const target = path.join(directory, "target")
        if (left === undefined) {
          fs.writeFileSync(target, "precious")
          fs.symlinkSync(target, temporary)
        } else fs.writeFileSync(temporary, left)
        yield* use(directory, (journal) =>
          Effect.gen(function*() {
            assert.strictEqual(yield* stateOf(journal), before)
            journal.finished({ key: "a", size: 1, fingerprint: "f" })
            yield* journal.runEnded
            assert.strictEqual(yield* stateOf(journal), before)
          }))
        assert.strictEqual(yield* use(directory, stateOf), before)
        assert.isFalse(fs.existsSync(temporary))
        if (left === undefined) assert.strictEqual(fs.readFileSync(target, "utf8"), "precious")
      }
    }))

  it.scopedLive("is no condition: where the file cannot be replaced, the journal goes on", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const file = { key: "a", size: 1, fingerprint: "f" }
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          fs.mkdirSync(path.join(directory, "journal.new"))
          journal.finished(file)
          yield* journal.runEnded
          yield* journal.own("x")
        }))
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          assert.isFalse(wasFinished(journal, file))
          assert.deepStrictEqual(yield* journal.owners, ["x"])
        }))
    }))
})
