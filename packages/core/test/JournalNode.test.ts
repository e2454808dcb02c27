import { assert, describe, it, vi } from "@effect/vitest"
import { Journal } from "@sluice/core"
import * as JournalNode from "@sluice/core/JournalNode"
import {
  Context,
  Deferred,
  Effect,
  Either,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Scope,
  TestClock
} from "effect"
import * as fc from "fast-check"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as readline from "node:readline"
import { crc32 } from "node:zlib"
import { patched } from "./support/PatchedFs.js"
import * as Property from "./support/Property.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"
import * as Tmpfs from "./support/Tmpfs.js"

vi.setConfig({ testTimeout: 120_000 })

type Service = Journal.Journal["Type"]

const destination = "https://host/bucket"

const open = (directory: string, options?: Partial<JournalNode.Options>) =>
  Effect.map(
    Layer.build(JournalNode.layerDirectory({ directory, destination, ...options })),
    Context.get(Journal.Journal)
  )

/** Opens the journal, does something with it, and closes it. */
const use = <A, E>(directory: string, f: (journal: Service) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(open(directory), f))

const fileIn = (directory: string) => path.join(directory, "journal")

/** A directory for a journal that is not there yet. */
const newDirectory = Effect.map(TemporaryDirectory.make, (directory) => path.join(directory, "journal of a test"))

/** A directory in memory where there is one: for what is done a thousand times. */
const fastDirectory = Effect.acquireRelease(
  Effect.sync(() =>
    fs.mkdtempSync(path.join(fs.existsSync("/dev/shm") ? "/dev/shm" : fs.realpathSync(os.tmpdir()), "sluice-test-"))
  ),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

const quietly = Logger.withMinimumLogLevel(LogLevel.None)

/** A directory with a journal file of this content. */
const plant = (directory: string, content: string | Uint8Array) => {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
  fs.writeFileSync(fileIn(directory), content, { mode: 0o600 })
}

const intentOf = (key: string, more?: Partial<Journal.Intent>): Journal.Intent => ({
  key,
  token: `token of ${key}`,
  size: 20,
  fingerprint: "1:2:20:3",
  partSize: 8,
  checksum: "crc32",
  startedAt: 1_700_000_000_000,
  ...more
})

const files = ["a", "b", "ü\n\ud83d\ude00"].flatMap((key) =>
  [1, 2].flatMap((size) =>
    ["f", "g"].flatMap((fingerprint) => [undefined, "\"1\"", "\"2\""].map((etag) => ({ key, size, fingerprint, etag })))
  )
)

/** What a journal knows, in a form that can be compared: fields that are absent and undefined are the same. */
const stateOf = (journal: Service) =>
  Effect.gen(function*() {
    return plain({
      sessions: yield* journal.sessions,
      owners: yield* journal.owners,
      finished: files.filter((file) => journal.wasFinished(file))
    })
  })

const plain = (
  { finished, owners, sessions }: {
    readonly sessions: ReadonlyArray<Journal.Session>
    readonly owners: ReadonlyArray<string>
    readonly finished: unknown
  }
) =>
  JSON.stringify({
    sessions: sessions
      .map(({ checksum, fingerprint, key, partSize, parts, size, startedAt, token, uploadId }) => ({
        key,
        token,
        size,
        fingerprint,
        partSize,
        checksum,
        startedAt,
        uploadId,
        parts: [...parts.values()]
          .map(({ checksum, etag, number, size }) => ({ number, size, etag, checksum }))
          .sort((a, b) => a.number - b.number)
      }))
      .sort((a, b) => a.key < b.key ? -1 : 1),
    owners: [...owners].sort(),
    finished
  })

const empty = plain({ sessions: [], owners: [], finished: [] })

type Step = (journal: Service) => Effect.Effect<void, Journal.JournalError>

const sync = (f: (journal: Service) => void): Step => (journal) => Effect.sync(() => f(journal))

/** Everything that can be noted, one record each. */
const steps: ReadonlyArray<Step> = [
  (journal) => journal.begin(intentOf("a")),
  (journal) => journal.own("owner 1"),
  (journal) => journal.created("a", "upload a"),
  sync((journal) => journal.partStored("a", { number: 2, size: 8, checksum: { algorithm: "crc32", value: "AAAA" } })),
  sync((journal) => journal.finished({ key: "a", size: 1, fingerprint: "f" })),
  (journal) => journal.begin(intentOf("ü\n\ud83d\ude00", { size: undefined, fingerprint: undefined })),
  (journal) => journal.begin(intentOf("a", { token: "another" })),
  sync((journal) => journal.partStored("a", { number: 1, size: 8, etag: "\"e\"" })),
  (journal) => journal.created("a", "another upload"),
  (journal) => journal.runEnded,
  sync((journal) => journal.finished({ key: "b", size: 2, fingerprint: "g" })),
  (journal) => journal.own("owner 2"),
  sync((journal) => journal.ended("ü\n\ud83d\ude00")),
  (journal) => journal.disown("owner 1"),
  sync((journal) => journal.partStored("a", { number: 1, size: 9 }))
]

const record = (directory: string) =>
  Effect.gen(function*() {
    const moments: Array<{ readonly size: number; readonly state: string }> = []
    const memory = Context.get(yield* Layer.build(Journal.layerMemory), Journal.Journal)
    // Where the file cannot be replaced, all records stay in it.
    fs.mkdirSync(path.join(directory, "journal.new"), { recursive: true, mode: 0o700 })
    fs.chmodSync(directory, 0o700)
    fs.rmdirSync(path.join(directory, "journal.new"))
    yield* Effect.scoped(Effect.gen(function*() {
      const journal = yield* open(directory)
      fs.mkdirSync(path.join(directory, "journal.new"))
      moments.push({ size: fs.statSync(fileIn(directory)).size, state: empty })
      for (const step of steps) {
        yield* step(memory)
        yield* step(journal)
        yield* journal.flush
        moments.push({ size: fs.statSync(fileIn(directory)).size, state: yield* stateOf(memory) })
      }
    }))
    fs.rmdirSync(path.join(directory, "journal.new"))
    return { moments, bytes: fs.readFileSync(fileIn(directory)) }
  })

const errorOf = <A, R>(effect: Effect.Effect<A, Journal.JournalError, R>) =>
  Effect.map(Effect.either(effect), (result) => {
    if (Either.isRight(result)) throw new Error("it did not fail")
    return result.left
  })

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
      const memory = Context.get(yield* Layer.build(Journal.layerMemory), Journal.Journal)
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

  it.scopedLive("ends in the same state as one in memory, whatever is noted", () =>
    Effect.gen(function*() {
      const root = yield* fastDirectory
      const key = fc.constantFrom("a", "b", "ü\n\ud83d\ude00")
      const step: fc.Arbitrary<Step | "reopen"> = fc.oneof(
        fc.tuple(key, fc.string()).map(([key, token]): Step => (journal) => journal.begin(intentOf(key, { token }))),
        fc.tuple(key, fc.string()).map(([key, id]): Step => (journal) => journal.created(key, id)),
        fc.tuple(key, fc.integer({ min: 1, max: 4 }), fc.nat()).map(([key, number, size]) =>
          sync((journal) => journal.partStored(key, { number, size }))
        ),
        key.map((key) => sync((journal) => journal.ended(key))),
        fc.constantFrom(...files).map((file) => sync((journal) => journal.finished(file))),
        fc.constantFrom("x", "y").map((owner): Step => (journal) => journal.own(owner)),
        fc.constantFrom("x", "y").map((owner): Step => (journal) => journal.disown(owner)),
        fc.constant<Step>((journal) => journal.flush),
        fc.constant<Step>((journal) => journal.runEnded),
        fc.constant("reopen" as const)
      )
      let cases = 0
      yield* Property.check(
        fc.array(step, { maxLength: 20 }),
        (steps) =>
          Effect.scoped(Effect.gen(function*() {
            const directory = path.join(root, `${cases++}`)
            const memory = Context.get(yield* Layer.build(Journal.layerMemory), Journal.Journal)
            let scope = yield* Scope.make()
            let journal = yield* Scope.extend(open(directory), scope)
            for (const step of [...steps, "reopen" as const]) {
              if (step === "reopen") {
                yield* Scope.close(scope, Exit.void)
                scope = yield* Scope.make()
                journal = yield* Scope.extend(open(directory), scope)
              } else {
                yield* step(memory)
                yield* step(journal)
              }
            }
            assert.strictEqual(yield* stateOf(journal), yield* stateOf(memory))
            yield* Scope.close(scope, Exit.void)
          }))
      )
    }))

  it.scopedLive("ends in the same state when many write at once, and the file is replaced meanwhile", () =>
    Effect.gen(function*() {
      const directory = yield* fastDirectory
      const memory = Context.get(yield* Layer.build(Journal.layerMemory), Journal.Journal)
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

  it.scopedLive("opens after truncation at every byte, with the records that are whole", () =>
    Effect.gen(function*() {
      const root = yield* fastDirectory
      const { bytes, moments } = yield* record(path.join(root, "recorded"))
      assert.strictEqual(moments.at(-1)?.size, bytes.length)
      assert.strictEqual(new Set(moments.map(({ size }) => size)).size, steps.length + 1)
      for (let length = 0; length <= bytes.length; length++) {
        const directory = path.join(root, `${length}`)
        plant(directory, bytes.subarray(0, length))
        const state = moments.findLast(({ size }) => size <= length)?.state ?? empty
        yield* use(directory, (journal) =>
          Effect.gen(function*() {
            assert.strictEqual(yield* stateOf(journal), state, `at ${length}`)
            yield* journal.own("after")
          }))
        assert.include((yield* JournalNode.readDirectory(directory)).owners, "after")
      }
    }))

  it.scopedLive("loses no more than a record to a damaged byte, and invents nothing", () =>
    Effect.gen(function*() {
      const root = yield* fastDirectory
      const { bytes } = yield* record(path.join(root, "recorded"))
      const lines = bytes.toString("latin1").split("\n").slice(0, -1)
      const directory = path.join(root, "damaged")
      const read = (content: string | Uint8Array) =>
        Effect.suspend(() => {
          plant(directory, content)
          return Effect.map(JournalNode.readDirectory(directory), plain)
        })
      const whole = yield* read(bytes)
      const without = yield* Effect.forEach(lines, (_, missing) =>
        missing === 0 ? Effect.succeed("") : read(lines.filter((_, i) => i !== missing).join("\n") + "\n"))
      for (let at = 0; at < bytes.length; at++) {
        const line = bytes.subarray(0, at).toString("latin1").split("\n").length - 1
        for (const flip of [1, 0x20, 0x80, bytes[at]! ^ 10]) {
          if (flip === 0) {
            continue
          }
          const damaged = Uint8Array.from(bytes)
          damaged[at]! ^= flip
          const state = yield* Effect.either(read(damaged))
          if (Either.isLeft(state)) {
            assert.strictEqual(line, 0, `${state.left.message} at ${at}`)
            assert.strictEqual(state.left.reason, "Unusable")
            const opened = yield* errorOf(Effect.scoped(open(directory)))
            assert.strictEqual(opened.reason, "Unusable")
            assert.deepStrictEqual(Uint8Array.from(fs.readFileSync(fileIn(directory))), damaged)
          } else {
            assert.include([whole, without[line]], state.right, `byte ${at} ^ ${flip}`)
            if (at % 11 === 0) {
              // What was damaged is not carried on.
              yield* quietly(use(directory, () =>
                Effect.void))
              const mended = yield* JournalNode.readDirectory(directory)
              assert.strictEqual(plain(mended), state.right)
            }
          }
        }
      }
    }))

  it.scopedLive("never makes the parts of one upload those of another", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          yield* journal.begin(intentOf("a", { token: "first" }))
          yield* journal.created("a", "upload 1")
          journal.partStored("a", { number: 1, size: 8 })
          yield* journal.begin(intentOf("a", { token: "second" }))
          yield* journal.created("a", "upload 2")
          journal.partStored("a", { number: 2, size: 8 })
        }))
      const text = fs.readFileSync(fileIn(directory), "latin1")
      plant(directory, text.replace("second", "secand"))
      const { sessions } = yield* JournalNode.readDirectory(directory)
      assert.deepStrictEqual(sessions.map(({ parts, token, uploadId }) => [token, uploadId, [...parts.keys()]]), [
        ["first", "upload 1", [1]]
      ])
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

describe("the directory of a journal", () => {
  it.scopedLive("is its user's alone, and so are its files", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* newDirectory, "deep", "down")
      const modes = () =>
        [
          directory,
          path.dirname(directory),
          ...fs.readdirSync(directory).sort().map((name) => path.join(directory, name))
        ]
          .map((file) => (fs.statSync(file).mode & 0o777).toString(8))
      yield* use(
        directory,
        () => Effect.sync(() => assert.deepStrictEqual(modes(), ["700", "700", "600", "600"]))
      )
      fs.chmodSync(fileIn(directory), 0o644)
      yield* use(directory, (journal) => journal.own("x"))
      assert.deepStrictEqual(modes(), ["700", "700", "600"])
    }))

  it.scopedLive("is refused where others may write to it", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      fs.chmodSync(directory, 0o777)
      const error = yield* errorOf(Effect.scoped(open(directory)))
      assert.strictEqual(error.reason, "Unusable")
      assert.include(error.message, "Others may write")
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    }))

  it.scopedLive("is refused where the way to it ends, in a link that leads nowhere or where nothing can be made", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      fs.symlinkSync("nowhere", path.join(root, "dangling"))
      fs.symlinkSync("loop", path.join(root, "loop"))
      fs.writeFileSync(path.join(root, "file"), "")
      const ways = ["dangling", "dangling/j", "dangling/a/b/c", "loop", "loop/j", "file", "file/j"]
        .map((way) => path.join(root, way))
      if (process.platform === "linux") ways.push("/proc/x", "/proc/x/y/z", "/sys/x/y")
      for (const way of ways) {
        const error = yield* errorOf(Effect.scoped(open(way)))
        assert.strictEqual(error.reason, "Unusable", way)
        if (way.includes("dangling")) assert.include(error.message, "is a symbolic link that leads nowhere.")
      }
      assert.strictEqual((yield* errorOf(Effect.scoped(open("a\0b")))).reason, "Unusable")
      assert.deepStrictEqual(fs.readdirSync(root).sort(), ["dangling", "file", "loop"])
    }))

  it.scopedLive.skipIf(process.getuid?.() !== 0)(
    "is refused behind a link that others can lead elsewhere (as root)",
    () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const at = (...names: ReadonlyArray<string>) => path.join(root, ...names)
        for (const name of ["theirs", "open", "sticky", "ours"]) fs.mkdirSync(at(name))
        fs.mkdirSync(at("real"), { mode: 0o700 })
        for (const name of ["theirs", "open", "sticky", "ours"]) fs.symlinkSync(at("real"), at(name, "link"))
        fs.symlinkSync(at("theirs/link"), at("ours/far"))
        fs.chmodSync(at("open"), 0o777)
        fs.chmodSync(at("sticky"), 0o1777)
        fs.chownSync(at("theirs"), 4242, 4242)
        fs.symlinkSync(at("real"), at("sticky/theirs"))
        fs.lchownSync(at("sticky/theirs"), 4242, 4242)
        const refused = ["theirs/link", "theirs/link/j", "open/link", "open/link/j", "sticky/theirs", "ours/far/j"]
        for (const way of refused) {
          const { message, reason } = yield* errorOf(Effect.scoped(open(at(way))))
          assert.strictEqual(reason, "Unusable", way)
          assert.include(message, "is a symbolic link that others can lead elsewhere")
        }
        for (const way of ["ours/link", "sticky/link", "ours/link/j"]) yield* Effect.scoped(open(at(way)))
      })
  )

  it.scopedLive("is refused with a symbolic link or a pipe for a journal", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const target = path.join(directory, "target")
      fs.writeFileSync(target, "precious")
      fs.symlinkSync(target, fileIn(directory))
      assert.include((yield* errorOf(Effect.scoped(open(directory)))).message, "symbolic link")
      assert.strictEqual(fs.readFileSync(target, "utf8"), "precious")
      fs.rmSync(fileIn(directory))
      spawnSync("mkfifo", [fileIn(directory)])
      assert.include((yield* errorOf(Effect.scoped(open(directory)))).message, "not a regular file")
    }))

  it.scopedLive.runIf(process.getuid?.() === 0)(
    "is refused where it, or the file, is another user's",
    () =>
      Effect.gen(function*() {
        const directory = yield* TemporaryDirectory.make
        fs.chownSync(directory, 12345, 12345)
        assert.include((yield* errorOf(Effect.scoped(open(directory)))).message, "another user")
        fs.chownSync(directory, 0, 0)
        yield* Effect.scoped(open(directory))
        fs.chownSync(fileIn(directory), 12345, 12345)
        assert.include((yield* errorOf(Effect.scoped(open(directory)))).message, "another user")
        assert.include((yield* errorOf(JournalNode.readDirectory(directory))).message, "another user")
      })
  )
})

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
            assert.isTrue(journal.wasFinished(fileOf(i)))
            assert.strictEqual(journal.locationOf?.(fileOf(i)), locationOf(i), `${i}`)
            assert.isUndefined(journal.locationOf?.({ ...fileOf(i), fingerprint: "other" }))
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
          assert.strictEqual(journal.locationOf?.(fileOf(1)), "/files/elsewhere")
          yield* journal.flush
        }))
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          assert.strictEqual(journal.locationOf?.(fileOf(1)), "/files/elsewhere")
          assert.strictEqual(journal.locationOf?.(fileOf(4)), locationOf(4))
          journal.ended("film.mov")
          yield* journal.runEnded
          assert.isUndefined(journal.locationOf?.(fileOf(4)))
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
          assert.isTrue(journal.wasFinished(finished))
          assert.isUndefined(journal.locationOf?.(finished))
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
            assert.isTrue(journal.wasFinished({ key: `photos/2024/${i}.jpg`, size: i, fingerprint: `1:${i}:2:3` }))
            assert.isFalse(journal.wasFinished({ key: `photos/2024/${i}.jpg`, size: i, fingerprint: `1:${i}:2:4` }))
          }
          assert.strictEqual(Option.getOrThrow(journal.session("film.mov")).parts.size, 200)
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
          assert.isFalse(journal.wasFinished(file))
          assert.deepStrictEqual(yield* journal.owners, ["x"])
        }))
    }))
})

describe("the lock of a journal", () => {
  const lockIn = (directory: string) => path.join(directory, "lock")

  const holder = (more: object) =>
    JSON.stringify({ pid: process.pid, host: os.hostname(), at: 1_700_000_000_000, token: "of-another", ...more })

  const plantLock = (directory: string, content: string, ageMinutes = 0) => {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
    fs.writeFileSync(lockIn(directory), content)
    const at = fs.statSync(lockIn(directory)).mtimeMs / 1000 - ageMinutes * 60
    fs.utimesSync(lockIn(directory), at, at)
  }

  const dead = () => spawnSync(process.execPath, ["-e", ""]).pid

  it.scopedLive("is held by one layer at a time", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          const error = yield* errorOf(Effect.scoped(open(directory)))
          assert.strictEqual(error.reason, "Locked")
          assert.match(error.message, new RegExp(`in use by process ${process.pid} since \\d{4}-\\d\\d-\\d\\dT.*Z`))
          yield* journal.own("x")
          assert.deepStrictEqual((yield* JournalNode.readDirectory(directory)).owners, ["x"])
        }))
      assert.deepStrictEqual(fs.readdirSync(directory), ["journal"])
      assert.deepStrictEqual(yield* use(directory, (journal) => journal.owners), ["x"])
    }))

  it.scopedLive("is not held by a process that is dead, nor by one that has its number", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const stale = [holder({ pid: dead() })]
      if (process.platform === "linux") stale.push(holder({ startTime: "another boot/1" }))
      for (const content of stale) {
        plantLock(directory, content)
        yield* use(directory, (journal) => journal.own("x"))
        assert.deepStrictEqual(fs.readdirSync(directory), ["journal"])
      }
    }))

  it.scopedLive("of another machine, or torn, is held for ten minutes after its last sign of life", () =>
    Effect.gen(function*() {
      for (const content of [holder({ host: "elsewhere" }), "", "{\"pid\":1", holder({ token: "../x" })]) {
        const directory = yield* newDirectory
        plantLock(directory, content, 9)
        const error = yield* errorOf(Effect.scoped(open(directory)))
        assert.strictEqual(error.reason, "Locked")
        if (content.includes("elsewhere")) assert.include(error.message, "on elsewhere")
        assert.deepStrictEqual(fs.readdirSync(directory), ["lock"])
        plantLock(directory, content, 11)
        yield* Effect.scoped(open(directory))
        assert.deepStrictEqual(fs.readdirSync(directory), ["journal"])
      }
    }))

  describe.skipIf(process.platform !== "linux")("by a process whose number is another container's", () => {
    const boot = () => fs.readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()
    const elsewhere = (more: object = {}) =>
      holder({ namespace: "pid:[4026599999]", startTime: `${boot()}/12345`, ...more })

    it.scopedLive("is held although no process here has that number, or another one has, and the host's name is ours", () =>
      Effect.gen(function*() {
        for (const pid of [dead(), process.pid]) {
          const directory = yield* newDirectory
          plantLock(directory, elsewhere({ pid }), 1)
          assert.strictEqual(yield* JournalNode.userOf(directory), undefined)
          const { message, reason } = yield* errorOf(Effect.scoped(open(directory)))
          assert.strictEqual(reason, "Locked")
          const freeAt = new Date(fs.statSync(lockIn(directory)).mtimeMs + 90_000).toISOString()
          assert.include(
            message,
            "Whether that process still runs cannot be seen from here: if it does not, the journal is free at " +
              `${freeAt}, or at once when ${lockIn(directory)} is removed.`
          )
        }
      }))

    it.scopedLive("is free when it has been silent for a minute and a half, whatever the host was called", () =>
      Effect.gen(function*() {
        for (const host of [os.hostname(), "9f2c41d0aa17"]) {
          const directory = yield* newDirectory
          plantLock(directory, elsewhere({ host }), 2)
          yield* Effect.scoped(open(directory))
          assert.deepStrictEqual(fs.readdirSync(directory), ["journal"])
        }
      }))

    it.scopedLive("is asked for by its number where the namespace is ours, whatever the host was called", () =>
      Effect.gen(function*() {
        const namespace = fs.readlinkSync("/proc/self/ns/pid")
        const directory = yield* newDirectory
        plantLock(directory, elsewhere({ namespace, host: "9f2c41d0aa17", pid: dead() }))
        yield* Effect.scoped(open(directory))
        plantLock(directory, elsewhere({ namespace, host: "9f2c41d0aa17", startTime: undefined }))
        assert.strictEqual((yield* errorOf(Effect.scoped(open(directory)))).reason, "Locked")
      }))
  })

  it.scopedLive("that says what cannot be is torn, and nothing hangs or breaks", () =>
    Effect.gen(function*() {
      const absurd = [
        holder({ at: 1e300 }),
        holder({ at: -1 }),
        holder({ pid: 0 }),
        holder({ pid: -1 }),
        holder({ pid: 2 ** 40 }),
        holder({ pid: 1.5 }),
        holder({ token: "x".repeat(5000) }),
        "\0".repeat(200_000),
        "null",
        "[]"
      ]
      for (const content of absurd) {
        const directory = yield* newDirectory
        plantLock(directory, content, 1)
        const error = yield* errorOf(Effect.scoped(open(directory)))
        assert.strictEqual(error.reason, "Locked")
        assert.strictEqual(yield* JournalNode.userOf(directory), undefined)
        plantLock(directory, content, 11)
        yield* Effect.scoped(open(directory))
      }
    }))

  it.scopedLive("that is dated in the future says so, and what to do", () =>
    Effect.gen(function*() {
      for (const content of [holder({ host: "elsewhere" }), ""]) {
        const directory = yield* newDirectory
        plantLock(directory, content, -60 * 24)
        const { message, reason } = yield* errorOf(Effect.scoped(open(directory)))
        assert.strictEqual(reason, "Locked")
        assert.include(
          message,
          "in the future, so that nobody can tell whether that process still runs: if it does not, "
        )
        assert.include(message, `remove ${lockIn(directory)}.`)
      }
    }))

  it.scopedLive("that is no file is said, and never waited for", () =>
    Effect.gen(function*() {
      for (const kind of ["pipe", "directory", "link"]) {
        const directory = yield* newDirectory
        fs.mkdirSync(directory, { mode: 0o700 })
        if (kind === "pipe") execFileSync("mkfifo", [lockIn(directory)])
        if (kind === "directory") fs.mkdirSync(lockIn(directory))
        if (kind === "link") fs.symlinkSync("elsewhere", lockIn(directory))
        const { message, reason } = yield* errorOf(Effect.scoped(open(directory)))
        assert.strictEqual(reason, "Unusable", kind)
        assert.include(message, `${lockIn(directory)} is not a regular file. Remove it when nobody else`)
        assert.strictEqual(yield* JournalNode.userOf(directory), undefined)
      }
    }))

  it.scopedLive("is inherited from an heir that died before it had it", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      plantLock(directory, holder({ pid: dead(), token: "one" }))
      fs.writeFileSync(path.join(directory, "lock-one-heir"), holder({ pid: dead(), token: "two" }))
      yield* Effect.scoped(open(directory))
      assert.deepStrictEqual(fs.readdirSync(directory), ["journal"])
      plantLock(directory, holder({ pid: dead(), token: "one" }))
      fs.writeFileSync(path.join(directory, "lock-one-heir"), holder({ token: "alive" }))
      assert.strictEqual((yield* errorOf(Effect.scoped(open(directory)))).reason, "Locked")
    }))

  it.scoped("is refreshed every 15 seconds, and nothing is written once another has it", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* TestClock.setTime(1_700_000_000_000)
      const journal = yield* open(directory)
      const modifiedAt = Effect.zipRight(immediate, Effect.sync(() => fs.statSync(lockIn(directory)).mtimeMs))
      yield* Effect.repeat(modifiedAt, { until: (at) => at === 1_700_000_000_000 })
      yield* TestClock.adjust("15 seconds")
      yield* Effect.repeat(modifiedAt, { until: (at) => at === 1_700_000_015_000 })
      fs.rmSync(lockIn(directory))
      plantLock(directory, holder({ pid: 4321, host: "elsewhere" }))
      yield* TestClock.adjust("1 minute")
      let owners = 0
      const own = Effect.either(Effect.zipRight(immediate, Effect.suspend(() => journal.own(`${owners++}`))))
      const result = yield* Effect.repeat(own, { until: Either.isLeft })
      assert.strictEqual(Either.getOrThrow(Either.flip(result)).reason, "Locked")
      const before = fs.readFileSync(fileIn(directory))
      yield* errorOf(journal.flush)
      assert.deepStrictEqual(fs.readFileSync(fileIn(directory)), before)
    }))

  it.scopedLive("leaves nothing of those that died while they tried", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      fs.mkdirSync(directory, { mode: 0o700 })
      fs.writeFileSync(path.join(directory, "lock-one"), holder({ pid: dead() }))
      fs.writeFileSync(path.join(directory, "lock-two-heir"), holder({ pid: dead() }))
      fs.writeFileSync(path.join(directory, "lock-alive"), holder({}))
      fs.writeFileSync(path.join(directory, "lock-being-written"), "")
      yield* Effect.scoped(open(directory))
      assert.deepStrictEqual(fs.readdirSync(directory).sort(), ["journal", "lock-alive", "lock-being-written"])
    }))

  it.scopedLive("is won by one of many that find it stale", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const pid = dead()
      for (let round = 0; round < 40; round++) {
        const directory = path.join(root, `${round}`)
        plantLock(directory, holder({ pid, token: `stale-${round}` }))
        yield* Effect.scoped(Effect.gen(function*() {
          const opened = yield* Effect.forEach(Array.from({ length: 12 }), () => Effect.either(open(directory)), {
            concurrency: "unbounded"
          })
          const reasons = opened.filter(Either.isLeft).map(({ left }) => left.reason)
          assert.deepStrictEqual(reasons, Array.from({ length: 11 }, () => "Locked"))
        }))
        assert.deepStrictEqual(fs.readdirSync(directory), ["journal"])
      }
    }))

  it.scopedLive("is won by one of many processes that find it stale", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const pid = dead()
      const racers = yield* Effect.forEach([1, 2, 3, 4], () => startProcess(["race"]), { concurrency: "unbounded" })
      const all = (line?: string) =>
        Effect.promise(() =>
          Promise.all(racers.map((racer) => {
            if (line !== undefined) racer.process.stdin.write(`${line}\n`)
            return racer.nextLine()
          }))
        )
      assert.deepStrictEqual(yield* all(), ["ready", "ready", "ready", "ready"])
      for (let round = 0; round < 30; round++) {
        const directory = path.join(root, `${round}`)
        plantLock(directory, holder({ pid, token: `stale-${round}` }))
        assert.deepStrictEqual((yield* all(directory)).sort(), ["Locked", "Locked", "Locked", "won"], `round ${round}`)
        yield* all("close")
      }
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

describe("a journal whose process is killed", () => {
  it.scopedLive("has all that was acknowledged", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      const expected = new Map<number, "begun" | "created" | "stored">()
      let finished = new Set<number>()
      let next = 0
      for (let kill = 0; kill < 10; kill++) {
        const worker = yield* startProcess(["work", directory, `${next}`])
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
              if (Option.isNone(session)) {
                assert.isTrue(i === next - 1 && i % 4 !== 0, `key ${i} after ${last}`)
                expected.delete(i)
                continue
              }
              assert.strictEqual(session.value.token, `t${i}`)
              if (what !== "begun") assert.strictEqual(session.value.uploadId, `u${i}`)
              if (what === "stored") assert.deepStrictEqual([...session.value.parts.keys()], [1, 2, 3])
            }
            if (next % 10 !== 0) {
              for (const i of finished) {
                assert.isTrue(journal.wasFinished({ key: `file ${i}`, size: i, fingerprint: "f" }), `file ${i}`)
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

/** Lets what waits for the disk go on, in tests whose clock stands still. */
const immediate = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

/** A record as a file has it. */
const framed = (payload: string): string => {
  const covered = `${payload.length} ${payload}`
  return `${crc32(covered).toString(16).padStart(8, "0")} ${covered}\n`
}

const startProcess = (args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        [
          "--conditions=@sluice/source",
          "--import",
          "tsx",
          path.join(import.meta.dirname, "JournalProcess.ts"),
          ...args
        ],
        { stdio: ["pipe", "pipe", "inherit"] }
      )
      const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const exited = new Promise((resolve) => child.once("exit", resolve))
      return {
        process: child,
        nextLine: () => lines.next().then(({ value }) => value as string),
        /** What it said before it was killed, some time after it had said so much. */
        killedAfter: async (count: number) => {
          const said: Array<string> = []
          for (;;) {
            const { done, value } = await lines.next()
            if (done === true) break
            said.push(value)
            if (said.length === count) child.kill("SIGKILL")
          }
          // Its output ends before it does.
          await exited
          return said
        }
      }
    }),
    ({ process }) => Effect.sync(() => process.kill("SIGKILL"))
  )
