import { assert, describe, it } from "@effect/vitest"
import type { UploadRun } from "@sluice/core"
import { Effect, Fiber, Queue } from "effect"
import * as childProcess from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Signals from "../../src/terminal/Signals.js"
import * as FileServer from "../support/FileServer.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const transfers: ReadonlyArray<UploadRun.Transfer> = [
  { key: "large", size: 200_000_000, sent: 50_000_000, attempt: 1, startedAt: 0 },
  { key: "small", size: 3_000, sent: 1_000, attempt: 1, startedAt: 0 },
  { key: "other", size: 1_000, sent: 0, attempt: 1, startedAt: 0 }
]

/** The calls to a run, signal by signal. */
const told = (...signals: ReadonlyArray<Signals.Signal>) => toldOf(transfers.slice(1), [], signals)

const toldOf = (
  inFlight: ReadonlyArray<UploadRun.Transfer>,
  kept: ReadonlyArray<string>,
  signals: ReadonlyArray<Signals.Signal>,
  isPiped = false
) =>
  Effect.gen(function*() {
    const history: Array<string> = []
    const tell = (what: string) =>
      Effect.sync(() => {
        history.push(what)
      })
    const received = yield* Queue.unbounded<Signals.Signal>()
    const fiber = yield* Effect.fork(Signals.steer(received, {
      run: {
        drainToJournal: Effect.as(tell("drain"), kept),
        inFlight: Effect.succeed(inFlight),
        throughput: Effect.succeed({ current: 1_000, overall: 0 })
      },
      isPiped,
      storedOf: (key) => key === "large" ? 50_000_000 : 0,
      stop: tell("stop"),
      say: tell,
      leave: tell("leave")
    }))
    for (const signal of signals) {
      yield* received.offer(signal)
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
    }
    yield* Fiber.interrupt(fiber)
    return history
  })

const finishing =
  "Stopping: finishing 2 uploads in flight, 3.0 kB to go, about 3.0 s; press Ctrl-C again to stop at once."

describe("Signals", () => {
  it.effect("finishes what is in flight at the first Ctrl-C, and stops at the second", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told("SIGINT"), ["drain", finishing])
      assert.deepStrictEqual(yield* told("SIGINT", "SIGINT"), ["drain", finishing, "Stopping at once.", "stop"])
      assert.deepStrictEqual(yield* told("SIGINT", "SIGTERM"), ["drain", finishing, "Stopping at once.", "stop"])
    }))

  it.effect("finishes nothing that comes through a pipe: Ctrl-C has also ended the program before it", () =>
    Effect.gen(function*() {
      const stopped = ["Stopping at once: the data from standard input is not stored.", "stop"]
      assert.deepStrictEqual(yield* toldOf(transfers, [], ["SIGINT"], true), stopped)
      assert.deepStrictEqual(yield* toldOf(transfers, [], ["SIGINT", "SIGINT"], true), [...stopped, "leave"])
    }))

  it.effect("says what is kept, and how much is left and for how long", () =>
    Effect.gen(function*() {
      const keptLine = "Kept the stored part of 1 large file, 50.0 MB: the same command continues it."
      assert.deepStrictEqual(yield* toldOf(transfers, ["large"], ["SIGINT"]), ["drain", keptLine, finishing])
      assert.deepStrictEqual(yield* toldOf(transfers.slice(0, 1), ["large"], ["SIGINT"]), [
        "drain",
        keptLine,
        "Stopping: no more files are started; press Ctrl-C again to stop at once."
      ])
      const nothingLine = "1 large file was begun, but no part is stored yet."
      assert.deepStrictEqual((yield* toldOf(transfers, ["large", "other"], ["SIGINT"])).slice(0, 3), [
        "drain",
        keptLine,
        nothingLine
      ])
      const [, said] = yield* toldOf(transfers.slice(0, 1), [], ["SIGINT"])
      assert.include(said, "finishing 1 upload in flight, 150.0 MB to go, about 1 d 18 h;")
    }))

  it.effect("stops at once when it is asked to terminate", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told("SIGTERM"), ["Stopping at once.", "stop"])
      assert.deepStrictEqual(yield* told("SIGHUP"), ["Stopping at once.", "stop"])
    }))

  it.effect("leaves when it is asked once more", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told("SIGTERM", "SIGINT"), ["Stopping at once.", "stop", "leave"])
    }))

  it.scoped("listens until its scope closes", () =>
    Effect.gen(function*() {
      const before = process.listenerCount("SIGTERM")
      const received = yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* Signals.listen
        assert.strictEqual(process.listenerCount("SIGTERM"), before + 1)
        process.emit("SIGTERM", "SIGTERM")
        return yield* queue.take
      }))
      assert.strictEqual(received, "SIGTERM")
      assert.strictEqual(process.listenerCount("SIGTERM"), before)
    }))
})

const files = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`src/${i}.txt`, `${i}`]))

describe("a hang-up", { timeout: 60_000 }, () => {
  for (const through of [["nohup"], ["setsid", "--wait"], []]) {
    it.scopedLive(`does not stop what nobody watches${through.map((it) => ` (${it})`).join("")}`, () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles(files)
        const server = yield* FileServer.start({ held: true })
        // The shell says which process it is, before it becomes that process.
        const args = ["upload", "src", server.url, "--concurrency", "4"]
        const shell = ["sh", "-c", "echo $$ > pid; exec \"$@\"", "sh"]
        const sluice = yield* Sluice.start(args, { cwd: root, through: [...through, ...shell] })
        yield* server.hasReceived(4)
        const pid = Number(fs.readFileSync(`${root}/pid`, "utf8"))
        process.kill(pid, "SIGHUP")
        process.kill(pid, "SIGHUP")
        yield* server.release
        const { exitCode, stderr } = yield* sluice.ended
        assert.strictEqual(exitCode, 0, stderr)
        assert.strictEqual(server.stored.size, 8)
      }))
  }

  it.scopedLive("stops when its terminal is closed", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(files)
      const server = yield* FileServer.start({ held: true })
      const bin = path.resolve(import.meta.dirname, "../../dist/bin.js")
      const line =
        `exec '${process.execPath}' '${bin}' upload src ${server.url} --concurrency 4 --report report --no-journal`
      // script gives it a terminal of its own, which goes with script.
      const script = childProcess.spawn("script", ["-qec", line, "/dev/null"], {
        cwd: root,
        env: Sluice.environment(),
        stdio: "pipe"
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => script.kill("SIGKILL")))
      yield* server.hasReceived(4)
      script.kill("SIGKILL")
      const ended = Effect.promise(() =>
        new Promise<void>((resolve) => {
          const look = () => {
            if (!fs.existsSync(`${root}/report`) || fs.readFileSync(`${root}/report`, "utf8") === "") return
            watcher.close()
            resolve()
          }
          const watcher = fs.watch(root, look)
          // It may have been written before it was watched for.
          look()
        })
      )
      yield* ended
      assert.strictEqual(JSON.parse(fs.readFileSync(`${root}/report`, "utf8")).ended, "Interrupted")
    }))
})

describe("Ctrl-C", { timeout: 60_000 }, () => {
  it.scopedLive("keeps what is stored of a large file, and does not send the rest", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a" })
      fs.writeFileSync(`${root}/src/big`, Buffer.alloc(60 * 1024 ** 2, 1))
      const args = ["upload", "src", "to", "--part-size", "256KiB", "--json"]
      const sluice = yield* Sluice.start([...args, "--bandwidth", "2MiB/s", "--journal", "j"], { cwd: root })
      yield* Effect.promise(() =>
        new Promise<void>((resolve) => {
          sluice.child.stdout.on("data", (text: string) => {
            const bytes = /"uploaded":1,.*"inFlight":(\d+),"resumed"/.exec(text)?.[1]
            if (Number(bytes) > 512 * 1024) resolve()
          })
        })
      )
      yield* sluice.kill("SIGINT")
      const { exitCode, stderr, stdout } = yield* sluice.ended
      assert.strictEqual(exitCode, 130)
      assert.include(stderr, "Kept the stored part of 1 large file, ")
      assert.include(stderr, "Stopping: no more files are started")
      const last = Sluice.jsonLines(stdout).at(-1)
      assert.deepNestedInclude(last, { ended: "Drained", "files.interrupted": 1, "kept.files": 1 })
      const { bytes } = (last?.["kept"] ?? { bytes: 0 }) as { bytes: number }
      assert.isAbove(bytes, 0)
      assert.strictEqual(bytes % (256 * 1024), 0)
      const again = yield* Sluice.run([...args, "--journal", "j"], { cwd: root })
      assert.strictEqual(again.exitCode, 0)
      assert.include(again.stderr, "An earlier run had stored")
    }))

  it.scopedLive("says that nothing is kept if no part is stored yet", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      fs.mkdirSync(`${root}/src`)
      for (const name of ["one", "two"]) fs.writeFileSync(`${root}/src/${name}`, Buffer.alloc(60 * 1024 ** 2, 1))
      const args = ["upload", "src", "to", "--part-size", "16MiB", "--bandwidth", "1MiB/s", "--json"]
      const sluice = yield* Sluice.start(args, { cwd: root })
      yield* Effect.promise(() =>
        new Promise<void>((resolve) => {
          sluice.child.stdout.on("data", (text: string) => {
            if (/"inFlight":[1-9]\d+,"resumed"/.test(text)) resolve()
          })
        })
      )
      yield* sluice.kill("SIGINT")
      const { exitCode, stderr, stdout } = yield* sluice.ended
      assert.strictEqual(exitCode, 130)
      assert.notInclude(stderr, "Kept")
      assert.strictEqual(stderr.split("2 large files were begun, but no part is stored yet.\n").length, 3)
      assert.deepStrictEqual(Sluice.jsonLines(stdout).at(-1)?.["kept"], { files: 0, bytes: 0 })
    }))

  it.scopedLive("succeeds if every file was begun, since all of them are stored", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(files)
      const server = yield* FileServer.start({ held: true })
      const sluice = yield* Sluice.start(["upload", "src", server.url, "--concurrency", "8"], { cwd: root })
      yield* server.hasReceived(8)
      yield* sluice.kill("SIGINT")
      yield* sluice.says("Stopping: finishing 8 uploads in flight")
      yield* server.release
      const { exitCode, stderr } = yield* sluice.ended
      assert.strictEqual(exitCode, 0, stderr)
      assert.strictEqual(server.stored.size, 8)
    }))
})
