import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as FileServer from "../support/FileServer.js"
import * as InProcess from "../support/InProcess.js"
import * as S3Server from "../support/S3Server.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

describe("files that flags name", { timeout: 60_000 }, () => {
  it.scopedLive("are different, under any name, or nothing is sent", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a", "src/list": "a\n", there: "old", "dir/x": "" })
      fs.symlinkSync("there", `${root}/link`)
      fs.linkSync(`${root}/there`, `${root}/hard`)
      fs.symlinkSync("dir", `${root}/other`)
      const pairs: ReadonlyArray<ReadonlyArray<string>> = [
        ["--report", "new", "--failed", "new"],
        ["--report", "new", "--failed", "./dir/../new"],
        ["--report", "there", "--failed", "link"],
        ["--report", "there", "--failed", "hard"],
        ["--report", "dir/new", "--failed", "other/new"],
        ["--report", "src/list", "--files-from", "src/list"],
        ["--report", "-"],
        ["--failed", "-"],
        ["--journal", "-"]
      ]
      for (const pair of pairs) {
        const { exitCode, stderr } = yield* InProcess.run(["upload", "src", "to", ...pair], { cwd: root })
        assert.strictEqual(exitCode, 2, pair.join(" "))
        assert.match(stderr, /one would overwrite the other|Write \.\/- for/)
      }
      assert.isFalse(fs.existsSync(`${root}/to`))
      assert.strictEqual(fs.readFileSync(`${root}/there`, "utf8"), "old")
    }))

  it.scopedLive("may be nothing at all, and the list that the next one replaces", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a" })
      const run = (...args: ReadonlyArray<string>) => InProcess.run(["upload", ...args], { cwd: root })
      assert.strictEqual((yield* run("src", "to", "--report", "/dev/null", "--failed", "/dev/null")).exitCode, 0)
      assert.strictEqual((yield* run("src", "to", "--failed", "failed")).exitCode, 0)
      assert.strictEqual((yield* run("--files-from", "failed", "to", "--failed", "failed")).exitCode, 0)
    }))

  it.scopedLive("are not standard output, if that is a file with events", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a" })
      for (const name of ["out", "/dev/stdout"]) {
        const args = ["upload", "src", "to", "--json", "--report", name]
        const { exitCode, stderr } = yield* Sluice.run(args, { cwd: root, redirect: "> out" })
        assert.strictEqual(exitCode, 2, stderr)
      }
    }))
})

describe("--report of a run that fails early", { timeout: 60_000 }, () => {
  for (
    const [what, args, exitCode] of [
      ["its source is not there", ["nowhere", "to"], 3],
      ["its destination cannot be used", ["src", "/proc/nowhere"], 4]
    ] as const
  ) {
    it.scopedLive(`is not that of an earlier one: ${what}`, () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a": "a", "report.json": "of an earlier run" })
        const ended = yield* InProcess.run(["upload", ...args, "--report", "report.json"], { cwd: root })
        assert.strictEqual(ended.exitCode, exitCode, ended.stderr)
        assert.isFalse(fs.existsSync(`${root}/report.json`))
      }))
  }
})

describe("a dry run", { timeout: 60_000 }, () => {
  it.scopedLive("whose reader has gone says that its total is incomplete", () =>
    Effect.gen(function*() {
      // Several times what the sockets and buffers between two processes hold.
      const files = Object.fromEntries(Array.from({ length: 6_000 }, (_, i) => [`src/${i}-${"x".repeat(220)}`, ""]))
      const root = yield* TemporaryDirectory.withFiles(files)
      const sluice = yield* Sluice.start(["upload", "src", "to", "--dry-run"], { cwd: root })
      yield* Effect.promise(() => new Promise((resolve) => sluice.child.stdout.once("data", resolve)))
      sluice.child.stdout.destroy()
      const { exitCode, stderr } = yield* sluice.ended
      assert.strictEqual(exitCode, 0)
      assert.match(
        stderr,
        /^Would upload [\d,]+ files, 0 B, and more\. Nothing was sent\.\nThe list was not read to its end/
      )
    }))

  it.scopedLive("looks whether the destination can be used, and changes nothing there", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a", file: "" })
      const dead = yield* Effect.scoped(Effect.map(FileServer.start(), ({ url }) => url))
      const live = yield* FileServer.start()
      const closed = yield* FileServer.start({ answer: () => 401 })
      const s3 = yield* S3Server.start()
      const run = (...args: ReadonlyArray<string>) =>
        InProcess.run(["upload", "src", ...args, "--dry-run"], { cwd: root, env: S3Server.environment })
      const bad: ReadonlyArray<readonly [args: ReadonlyArray<string>, said: string]> = [
        [["file/below"], "is below something that is not a directory"],
        [["file"], "is not a directory"],
        [[dead], "ECONNREFUSED"],
        [[`tus+${dead}/files/`], "ECONNREFUSED"],
        [[closed.url], "401"],
        [["s3://bkt", "--endpoint", dead], "ECONNREFUSED"],
        [["s3://other-bucket", "--endpoint", s3.url], "NoSuchBucket"],
        [["s3://bkt", "--endpoint", s3.url, "--profile", "absent"], "no credentials"]
      ]
      for (const [args, said] of bad) {
        const { exitCode, stderr, stdout } = yield* run(...args)
        assert.strictEqual(exitCode, 4, `${args.join(" ")}: ${stderr}`)
        assert.include(stderr, said)
        assert.strictEqual(stdout, "a\t1\n")
      }
      for (const args of [["new/deep/down"], [live.url], ["s3://bkt/p", "--endpoint", s3.url], ["sim:"]]) {
        const { exitCode, stderr } = yield* run(...args)
        assert.strictEqual(exitCode, 0, stderr)
      }
      assert.deepStrictEqual([live.stored.size, s3.stored.size, fs.existsSync(`${root}/new`)], [0, 0, false])
      assert.deepStrictEqual(s3.requests.filter((it) => !/^(GET|HEAD) /.test(it)), [])
    }))
})
