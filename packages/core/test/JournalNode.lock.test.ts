import { assert, describe, it, vi } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect, Either, TestClock } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as JournalChild from "./support/JournalChild.js"
import { errorOf, fileIn, immediate, newDirectory, open, use } from "./support/JournalDirectory.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"

vi.setConfig({ testTimeout: 120_000 })

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
            "It cannot be seen from here whether that process still runs: if it does not, the journal is free at " +
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
          "in the future, so it is unknown whether that process still runs: if it does not, "
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
        assert.include(message, `${lockIn(directory)} is not a regular file. Remove it if nobody else`)
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
      const program = yield* JournalChild.program
      const racers = yield* Effect.forEach([1, 2, 3, 4], () => JournalChild.start(program, ["race"]), {
        concurrency: "unbounded"
      })
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
