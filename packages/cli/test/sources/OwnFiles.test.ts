import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as FileServer from "../support/FileServer.js"
import * as InProcess from "../support/InProcess.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const bin = path.resolve(import.meta.dirname, "../../dist/bin.js")

const modeOf = (file: string) => (fs.lstatSync(file).mode & 0o777).toString(8)

describe("the files that a command writes", { timeout: 120_000 }, () => {
  describe("in a source", () => {
    it.scopedLive("is left out, run after run, and all else is the same at the destination", () =>
      Effect.gen(function*() {
        const home = yield* TemporaryDirectory.withFiles({
          "a.txt": "a",
          ".local/state/other/kept": "kept",
          "x/b.txt": "b"
        })
        const to = `${yield* TemporaryDirectory.make}/to`
        const env = { HOME: home, XDG_STATE_HOME: "" }
        fs.symlinkSync("reports", `${home}/link`)
        fs.mkdirSync(`${home}/reports`)
        const own = ["--report", "link/report.json", "--failed", "link/failed.ndjson"]
        const user = { "a.txt": "a", ".local/state/other/kept": "kept", "x/b.txt": "b" }
        for (let run = 0; run < 3; run++) {
          const { exitCode, stderr } = yield* InProcess.run(["upload", home, to, ...own], { cwd: home, env })
          assert.strictEqual(exitCode, 0, stderr)
          assert.deepStrictEqual(TemporaryDirectory.read(to), user)
          const verified = yield* InProcess.run(["verify", ".", to, "--exclude", "/reports"], { cwd: home, env })
          assert.strictEqual(verified.exitCode, 0, verified.stderr)
        }
        // The same with a journal of one's own, inside and by a link.
        fs.symlinkSync("journals", `${home}/kept`)
        fs.mkdirSync(`${home}/journals`)
        for (let run = 0; run < 3; run++) {
          const args = ["upload", home, `${to}2`, ...own, "--journal", "kept/of this"]
          const { exitCode, stderr } = yield* InProcess.run(args, { cwd: home, env })
          assert.strictEqual(exitCode, 0, stderr)
          assert.deepStrictEqual(TemporaryDirectory.read(`${to}2`), user)
        }
        assert.deepStrictEqual(
          TemporaryDirectory.read(`${home}/reports`)["failed.ndjson"],
          "{\"_tag\":\"Manifest\",\"version\":1}\n"
        )
        assert.deepStrictEqual(fs.readdirSync(`${home}/reports`).sort(), ["failed.ndjson", "report.json"])
      }))

    it.scopedLive("are left out if its output goes there", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
        const server = yield* FileServer.start()
        const env = Sluice.environment({ XDG_STATE_HOME: `${root}/state` })
        for (let run = 0; run < 2; run++) {
          const script = "exec \"$0\" \"$@\" > src/out.json 2> src/log"
          const args = ["-c", script, process.execPath, bin, "upload", "src", server.url, "--json"]
          const exitCode = yield* Effect.async<number | null>((resume) => {
            spawn("sh", args, { cwd: root, env }).on("close", (code) => resume(Effect.succeed(code)))
          })
          assert.strictEqual(exitCode, 0, fs.readFileSync(`${root}/src/log`, "utf8"))
          assert.deepStrictEqual([...server.stored.keys()], ["a.txt"])
        }
      }))
  })

  it.scopedLive("is readable only by its owner, complete, and follows no planted link", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", victim: "victim", "report.json": "old" })
      fs.chmodSync(`${root}/report.json`, 0o644)
      // As the temporary file of an earlier version was named, and a process number can be guessed.
      const { child } = yield* Effect.scoped(Sluice.start(["--version"], { cwd: root }))
      for (let pid = child.pid ?? 0; pid < (child.pid ?? 0) + 3_000; pid++) {
        fs.symlinkSync("victim", `${root}/failed.${pid}.part`)
      }
      const args = ["upload", "src", "to", "--report", "report.json", "--failed", "failed"]
      const { exitCode, stderr } = yield* Sluice.run(args, { cwd: root })
      assert.strictEqual(exitCode, 0, stderr)
      assert.deepStrictEqual([modeOf(`${root}/report.json`), modeOf(`${root}/failed`)], ["600", "600"])
      assert.strictEqual(fs.readFileSync(`${root}/victim`, "utf8"), "victim")
      assert.deepStrictEqual(fs.readdirSync(root).filter((name) => !name.endsWith(".part")).sort(), [
        "failed",
        "report.json",
        "src",
        "to",
        "victim"
      ])
    }))

  it.scopedLive.skipIf(process.getuid?.() !== 0)(
    "takes the place of another's link, and goes through one's own (as root)",
    () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", victim: "victim", mine: "old" })
        fs.symlinkSync("victim", `${root}/report`)
        fs.lchownSync(`${root}/report`, 4242, 4242)
        fs.symlinkSync("mine", `${root}/failed`)
        const args = ["upload", "src", "to", "--report", "report", "--failed", "failed"]
        assert.strictEqual((yield* InProcess.run(args, { cwd: root })).exitCode, 0)
        assert.strictEqual(fs.readFileSync(`${root}/victim`, "utf8"), "victim")
        assert.isTrue(fs.lstatSync(`${root}/report`).isFile())
        assert.isTrue(fs.lstatSync(`${root}/failed`).isSymbolicLink())
        assert.include(fs.readFileSync(`${root}/mine`, "utf8"), "Manifest")
      })
  )
})

describe("a list of files whose destination is their own directory", { timeout: 120_000 }, () => {
  const files = { "src/a.txt": "a", "src/x/b.txt": "b" }
  const same = /^sluice: .* and the destination are the same directory\.\n/

  it.scopedLive("is refused, however the directory is spelled, and nothing in it is touched", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ ...files, list: "a.txt\nx/b.txt\n" })
      fs.chmodSync(`${root}/src/a.txt`, 0o600)
      fs.symlinkSync("src", `${root}/link`)
      const { ino } = fs.statSync(`${root}/src/a.txt`)
      for (
        const [from, to] of [["src", "src"], ["src", "link"], ["link", "src"], ["src/.", "./src/x/.."], [
          "src",
          `${root}/link/`
        ]]
      ) {
        const ended = yield* InProcess.run(["upload", "--files-from", "list", from!, to!], { cwd: root })
        assert.strictEqual(ended.exitCode, 2)
        assert.match(ended.stderr, same)
      }
      const within = yield* InProcess.run(["upload", "--files-from", "../list", "."], { cwd: `${root}/src` })
      assert.deepStrictEqual([within.exitCode, same.test(within.stderr)], [2, true])
      assert.deepStrictEqual([fs.statSync(`${root}/src/a.txt`).ino, modeOf(`${root}/src/a.txt`)], [ino, "600"])
    }))

  it.scopedLive("fails file by file for a manifest, and for a link in the destination", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ ...files, "to/c.txt": "c" })
      fs.symlinkSync("../src/x", `${root}/to/x`)
      const entry = (path: string, key: string) =>
        `${JSON.stringify({ _tag: "Failed", path: `${root}/${path}`, key })}\n`
      const manifest = [
        "{\"_tag\":\"Manifest\",\"version\":1}\n",
        entry("to/c.txt", "c.txt"),
        entry("to", "./"),
        entry("src/a.txt", "a.txt")
      ]
      fs.writeFileSync(`${root}/manifest`, manifest.join(""))
      const { ino } = fs.statSync(`${root}/to/c.txt`)
      const { exitCode, stderr } = yield* InProcess.run(["upload", "--files-from", "manifest", "to"], { cwd: root })
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, `${root}/to/c.txt and its destination are the same file.`)
      assert.include(stderr, "are the same directory.")
      assert.strictEqual(fs.statSync(`${root}/to/c.txt`).ino, ino)
      assert.strictEqual(fs.readFileSync(`${root}/to/a.txt`, "utf8"), "a")
    }))

  it.scopedLive("is refused for single files that are links there, or that are reached through links", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "to/a.txt": "a", "to/b.txt": "b", elsewhere: "e" })
      fs.symlinkSync("to", `${root}/link`)
      fs.symlinkSync("../elsewhere", `${root}/to/e.txt`)
      for (const source of ["to/a.txt", "link/a.txt", "to/e.txt", "link/../to/e.txt"]) {
        const { exitCode, stderr } = yield* InProcess.run(["upload", source, "to"], { cwd: root })
        assert.deepStrictEqual([exitCode, /and its destination are the same file/.test(stderr)], [2, true], source)
      }
      assert.isTrue(fs.lstatSync(`${root}/to/e.txt`).isSymbolicLink())
    }))
})
