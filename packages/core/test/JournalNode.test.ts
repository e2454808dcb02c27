import { assert, describe, it, vi } from "@effect/vitest"
import { Journal } from "@sluice/core"
import * as JournalNode from "@sluice/core/JournalNode"
import { Deferred, Effect, Either, Exit, Fiber } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import {
  destination,
  errorOf,
  fastDirectory,
  fileIn,
  files,
  framed,
  immediate,
  intentOf,
  newDirectory,
  open,
  plant,
  stateOf,
  steps,
  sync,
  use
} from "./support/JournalDirectory.js"
import type { Service, Step } from "./support/JournalDirectory.js"
import * as JournalHistories from "./support/JournalHistories.js"
import { patched } from "./support/PatchedFs.js"
import * as Tmpfs from "./support/Tmpfs.js"

vi.setConfig({ testTimeout: 120_000 })

describe("a journal that is removed when it is empty", () => {
  const file = { key: "a", size: 1, fingerprint: "f" }
  const finishedAndEnded = (journal: Service) =>
    Effect.zipRight(Effect.sync(() => journal.finished(file)), journal.runEnded)
  const begun = (journal: Service) => journal.begin(intentOf("a"))
  const left = (
    removeWhenEmpty: boolean | undefined,
    ...uses: ReadonlyArray<(journal: Service) => Effect.Effect<unknown, unknown>>
  ) =>
    Effect.scoped(Effect.gen(function*() {
      const directory = yield* newDirectory
      for (const use of uses) {
        yield* Effect.scoped(Effect.flatMap(open(directory, { removeWhenEmpty }), use))
      }
      return fs.readdirSync(directory)
    }))

  it.live("goes with its last record, whatever was noted before, and stays with any", () =>
    Effect.gen(function*() {
      const nothing = () => Effect.void
      const ended = (journal: Service) => Effect.sync(() => journal.ended("a"))
      const many = (journal: Service) =>
        Effect.zipRight(
          Effect.forEach(
            Array.from({ length: 300 }, (_, i) => `${i}`),
            (key) => Effect.zipRight(journal.begin(intentOf(key)), Effect.sync(() => journal.ended(key)))
          ),
          finishedAndEnded(journal)
        )
      assert.deepStrictEqual(yield* left(true, nothing), [])
      assert.deepStrictEqual(yield* left(true, finishedAndEnded), [])
      assert.deepStrictEqual(yield* left(true, many), [])
      assert.deepStrictEqual(yield* left(true, begun, ended), [])
      assert.deepStrictEqual(yield* left(true, begun), ["journal"])
      assert.deepStrictEqual(yield* left(true, (journal) => journal.own("o")), ["journal"])
      assert.deepStrictEqual(yield* left(true, (journal) => Effect.sync(() => journal.finished(file))), ["journal"])
      assert.deepStrictEqual(yield* left(true, (journal) => Effect.sync(() => journal.finished(file)), nothing), [
        "journal"
      ])
      assert.deepStrictEqual(yield* left(undefined, finishedAndEnded), ["journal"])
    }))

  it.scopedLive("can be opened while others close it and remove its directory", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      let removed = 0
      // The directory goes between being made and being locked.
      yield* patched("writeFile" as never, (real) => (...args) => {
        if (removed++ < 3) fs.rmdirSync(directory)
        real(...args)
      })
      assert.deepStrictEqual(yield* use(directory, (journal) => journal.sessions), [])
      assert.isAbove(removed, 3)
    }))
})

describe("JournalNode.layerDirectory", () => {
  it.scopedLive("keeps everything over a close", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const memory = yield* Journal.makeMemory
      for (const step of steps) {
        yield* step(memory)
        yield* use(directory, step)
        assert.strictEqual(yield* use(directory, stateOf), yield* stateOf(memory))
      }
      const contents = yield* JournalNode.readDirectory(directory)
      assert.strictEqual(contents.destination, destination)
      assert.strictEqual(contents.finished, 1)
      assert.deepStrictEqual(contents.owners, ["owner 2"])
      assert.deepStrictEqual(contents.sessions.map(({ key, uploadId }) => [key, uploadId]), [["a", "another upload"]])
    }))

  it.scopedLive("ends in the same state as one in memory, whatever is noted", () => JournalHistories.endAsInMemory(100))

  it.scopedLive("ends in the same state when many write at once, and the file is replaced meanwhile", () =>
    Effect.gen(function*() {
      const directory = yield* fastDirectory
      const memory = yield* Journal.makeMemory
      let replaced = 0
      yield* patched("rename" as never, (real) => (...args) => {
        if (String(args[1]).endsWith("journal")) replaced++
        return real(...args)
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const journal = yield* open(directory)
        const both = (step: Step) =>
          Effect.suspend(() => {
            Effect.runSync(step(memory))
            return step(journal)
          })
        yield* Effect.forEach(Array.from({ length: 32 }, (_, i) => i), (i) =>
          Effect.gen(function*() {
            const key = `key ${i}`
            for (let round = 0; round < 20; round++) {
              yield* both((journal) => journal.begin(intentOf(key, { token: `${round}` })))
              yield* both((journal) => journal.created(key, `upload ${round}`))
              for (let number = 1; number <= 50; number++) {
                yield* both(sync((journal) => journal.partStored(key, { number, size: i })))
              }
              for (let file = 0; file < 10; file++) {
                yield* both(sync((journal) => journal.finished(files[(i + file + round) % files.length]!)))
              }
              if ((i + round) % 16 === 0) yield* both((journal) => journal.runEnded)
              if ((i + round) % 3 > 0) yield* both(sync((journal) => journal.ended(key)))
              yield* both((journal) => journal.own(`owner ${(i + round) % 7}`))
              yield* both((journal) => journal.disown(`owner ${(i * round) % 7}`))
            }
          }), { concurrency: "unbounded" }).pipe(Effect.withMaxOpsBeforeYield(1_000_000))
      }))
      assert.isAbove(replaced, 3)
      assert.strictEqual(yield* use(directory, stateOf), yield* stateOf(memory))
    }))

  it.scopedLive("refuses another destination's journal, and leaves it as it is", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* use(directory, (journal) => journal.own("x"))
      fs.appendFileSync(fileIn(directory), "torn")
      fs.writeFileSync(path.join(directory, "journal.new"), "left by a crash")
      const before = fs.readFileSync(fileIn(directory))
      const error = yield* errorOf(Effect.scoped(open(directory, { destination: "https://elsewhere" })))
      assert.strictEqual(error.reason, "Foreign")
      assert.include(error.message, destination)
      assert.include(error.message, "https://elsewhere")
      assert.deepStrictEqual(fs.readFileSync(fileIn(directory)), before)
      assert.deepStrictEqual(fs.readdirSync(directory).sort(), ["journal", "journal.new"])
    }))

  it.scopedLive("refuses what a later version has written, and leaves it as it is", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* use(directory, (journal) => journal.own("x"))
      const later = fs.readFileSync(fileIn(directory), "latin1") + framed("2Znobody knows") + "torn"
      plant(directory, later)
      for (
        const effect of [
          Effect.asVoid(Effect.scoped(open(directory))),
          Effect.asVoid(JournalNode.readDirectory(directory))
        ]
      ) {
        assert.strictEqual((yield* errorOf(effect)).reason, "Newer")
      }
      assert.strictEqual(fs.readFileSync(fileIn(directory), "latin1"), later)
    }))

  it.scopedLive("does not overwrite a file that is no journal", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      for (const content of ["Dear diary,", "Dear diary,\nToday\n", "\0".repeat(5000), framed("1O{\"owner\":\"x\"}")]) {
        plant(directory, content)
        const error = yield* errorOf(Effect.scoped(open(directory)))
        assert.strictEqual(error.reason, "Unusable")
        assert.strictEqual(fs.readFileSync(fileIn(directory), "latin1"), content)
      }
    }))

  it.scopedLive("keeps when it was begun, and takes a new source", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* Effect.scoped(open(directory, { source: "/one" }))
      const first = yield* JournalNode.readDirectory(directory)
      yield* Effect.scoped(open(directory, { source: "/two" }))
      yield* Effect.scoped(open(directory))
      const second = yield* JournalNode.readDirectory(directory)
      assert.strictEqual(first.source, "/one")
      assert.deepStrictEqual(second, { ...first, source: "/two" })
    }))

  it.scopedLive("says that there is no journal to read", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const error = yield* errorOf(JournalNode.readDirectory(directory))
      assert.strictEqual(error.reason, "Unusable")
      assert.isFalse(fs.existsSync(directory))
    }))
})

describe("when a journal is written", () => {
  it.scopedLive("soon, without anybody waiting for it", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const written = yield* Deferred.make<void>()
      const journal = yield* open(directory)
      yield* journal.begin(intentOf("a"))
      yield* patched("write" as never, (real) => (...args) => {
        const done = args.pop()
        return real(...args, (error: unknown, count: number) => {
          Deferred.unsafeDone(written, Exit.void)
          done(error, count)
        })
      })
      journal.partStored("a", { number: 1, size: 8 })
      yield* Deferred.await(written)
      const { sessions } = yield* JournalNode.readDirectory(directory)
      assert.deepStrictEqual(sessions.map(({ parts }) => parts.size), [1])
    }))

  it.scoped("at most 64 records late, whatever the clock says", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const journal = yield* open(directory)
      let writes = 0
      yield* patched("write" as never, (real) => (...args) => {
        writes++
        return real(...args)
      })
      // No time passes: only their number can make records be written.
      yield* journal.own("x")
      for (let i = 0; i < 640; i++) {
        journal.finished({ key: `${i}`, size: i, fingerprint: "f" })
        yield* Effect.yieldNow()
      }
      const finished = Effect.map(JournalNode.readDirectory(directory), ({ finished }) => finished)
      yield* Effect.repeat(Effect.zipRight(immediate, finished), { until: (count) => count >= 640 - 64 })
      assert.isAtMost(writes, 12)
      yield* journal.flush
      assert.strictEqual(yield* finished, 640)
    }))

  it.scopedLive("is forced to the disk where that is asked for", () =>
    Effect.gen(function*() {
      let forced = 0
      yield* patched("fdatasync" as never, (real) => (...args) => {
        forced++
        return real(...args)
      })
      for (const fsync of [true, false, undefined]) {
        const journal = yield* open(yield* newDirectory, { fsync })
        forced = 0
        yield* journal.begin(intentOf("a"))
        yield* journal.created("a", "u")
        assert.strictEqual(forced, fsync === true ? 2 : 0)
      }
    }))

  it.scopedLive("whole, even if who waits for it is interrupted", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const journal = yield* open(directory)
      const started = yield* Deferred.make<void>()
      const gate: { open: () => void } = { open: () => {} }
      yield* patched("write" as never, (real) => (...args) => {
        gate.open = () => real(...args)
        Deferred.unsafeDone(started, Exit.void)
      })
      const fiber = yield* Effect.fork(journal.begin(intentOf("a")))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      gate.open()
      yield* journal.flush
      assert.lengthOf((yield* JournalNode.readDirectory(directory)).sessions, 1)
    }))

  it.scopedLive("without what could not be read again", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          const long = "\u{1f600}".repeat(100_000)
          for (const effect of [journal.begin(intentOf(long)), journal.created("a", long), journal.own(long)]) {
            assert.include((yield* errorOf(effect)).message, "too long")
          }
          const short = "\u{1f600}".repeat(50_000)
          yield* journal.begin(intentOf(short, { token: "t" }))
          assert.deepStrictEqual((yield* JournalNode.readDirectory(directory)).sessions.map(({ key }) => key), [short])
        }))
    }))
})

describe("a journal whose disk fails", () => {
  it.scopedLive("fails who waits, and goes on where it was", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      let failures = 0
      yield* patched("write" as never, (real) => (descriptor, bytes, offset, length, position, done) => {
        if (failures === 0) return real(descriptor, bytes, offset, length, position, done)
        failures--
        // Some of it is written before the disk is full.
        return real(descriptor, bytes, offset, Math.min(5, length), position, (error: unknown, count: number) =>
          failures % 2 === 1
            ? done(error, count)
            : done(Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" })))
      })
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          yield* journal.begin(intentOf("before"))
          failures = 2
          const error = yield* errorOf(journal.begin(intentOf("during")))
          assert.strictEqual(error.reason, "Unusable")
          assert.include(error.message, directory)
          assert.include(error.message, "no space left")
          assert.deepStrictEqual(
            (yield* JournalNode.readDirectory(directory)).sessions.map(({ key }) =>
              key
            ),
            ["before"]
          )
          yield* journal.begin(intentOf("after"))
          assert.deepStrictEqual(
            (yield* JournalNode.readDirectory(directory)).sessions.map(({ key }) =>
              key
            ),
            ["before", "during", "after"]
          )
        }))
    }))

  it.scopedLive.runIf(Tmpfs.mayMount)("goes on when a full disk has space again", () =>
    Effect.gen(function*() {
      const mounted = yield* Tmpfs.mounted("size=64k")
      const directory = path.join(mounted, "journal")
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          yield* journal.begin(intentOf("before"))
          fs.writeFileSync(path.join(mounted, "filler"), "")
          try {
            for (;;) fs.appendFileSync(path.join(mounted, "filler"), Buffer.alloc(1024))
          } catch {}
          let error: Journal.JournalError | undefined = undefined
          let begun = 0
          for (; error === undefined; begun++) {
            const result = yield* Effect.either(journal.begin(intentOf(`during ${begun}`)))
            if (Either.isLeft(result)) error = result.left
          }
          assert.include(error.message, "ENOSPC")
          assert.strictEqual((yield* errorOf(journal.flush)).reason, "Unusable")
          assert.include(
            (yield* JournalNode.readDirectory(directory)).sessions.map(({ key }) => key),
            "before"
          )
          fs.rmSync(path.join(mounted, "filler"))
          yield* journal.flush
          assert.lengthOf((yield* JournalNode.readDirectory(directory)).sessions, begun + 1)
        }))
      assert.lengthOf(
        (yield* JournalNode.readDirectory(directory)).sessions,
        yield* use(directory, (journal) => Effect.map(journal.sessions, (sessions) => sessions.length))
      )
    }))

  it.scopedLive("fails who waits once it is closed", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const journal = yield* use(directory, Effect.succeed)
      const error = yield* errorOf(journal.begin(intentOf("late")))
      assert.include(error.message, "closed")
      assert.deepStrictEqual((yield* JournalNode.readDirectory(directory)).sessions, [])
    }))
})
