import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const hasFull = fs.existsSync("/dev/full")

const full = "sluice: Standard output cannot be written: no space is left: the output is incomplete.\n"

describe.skipIf(!hasFull)("output that cannot be written", { timeout: 120_000 }, () => {
  for (
    const [what, args] of Object.entries({
      "events": ["upload", "src", "to", "--json"],
      "a plan": ["upload", "src", "to", "--dry-run"],
      "findings": ["verify", "src", "src", "--json"],
      "help": ["upload", "--help"],
      "a version": ["--version"],
      "completions": ["--completions", "bash"],
      "a forecast": ["simulate", "src", "--link", "1MB/s"],
      "a checkup": ["doctor", "src"]
    })
  ) {
    it.scopedLive(`is told of on standard error, and is a failure: ${what}`, () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
        const { exitCode, stderr } = yield* Sluice.run(args, { cwd: root, redirect: "> /dev/full" })
        assert.strictEqual(exitCode, 1)
        assert.include(stderr, full)
      }))
  }

  it.scopedLive("does not end the upload", () =>
    Effect.gen(function*() {
      const files = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`src/${i}.txt`, `${i}`]))
      const root = yield* TemporaryDirectory.withFiles(files)
      const { stderr } = yield* Sluice.run(["upload", "src", "to", "--json"], { cwd: root, redirect: "> /dev/full" })
      assert.include(stderr, "Uploaded 300 files")
      assert.strictEqual(fs.readdirSync(`${root}/to`).length, 300)
    }))

  it.scopedLive("ends a plan, but not because its reader went away", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", list: "a.txt\n".repeat(20_000) })
      const args = ["upload", "src", "to", "--dry-run", "--files-from", "list"]
      const { stderr } = yield* Sluice.run(args, { cwd: root, redirect: "> /dev/full" })
      assert.notInclude(stderr, "nobody reads")
      assert.include(stderr, "The list was not read to its end, since the plan could not be written")
      assert.include(stderr, full)
    }))

  it.scopedLive("is a failure for standard error, too", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
      const { exitCode } = yield* Sluice.run(["upload", "src", "to"], { cwd: root, redirect: "2> /dev/full" })
      assert.strictEqual(exitCode, 1)
    }))

  it.scopedLive("keeps the exit code of what went wrong before", () =>
    Effect.gen(function*() {
      const { exitCode, stderr } = yield* Sluice.run(["upload", "/no/where", "to", "--json"], {
        redirect: "> /dev/full"
      })
      assert.strictEqual(exitCode, 3)
      assert.include(stderr, "does not exist")
    }))

  it.scopedLive("is a failure of --report, --failed and --svg", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
      for (const flag of ["--report", "--failed"]) {
        const { exitCode, stderr } = yield* Sluice.run(["upload", "src", "to", flag, "/dev/full"], { cwd: root })
        assert.strictEqual(exitCode, 1, flag)
        assert.include(stderr, `${flag}: "/dev/full" cannot be written: no space is left.`)
      }
      const { exitCode } = yield* Sluice.run(["simulate", "--svg", "/dev/full"], { cwd: root })
      assert.strictEqual(exitCode, 2)
    }))
})

describe("output that nobody reads any more", { timeout: 120_000 }, () => {
  it.scopedLive("is not a failure: the reader had enough", () =>
    Effect.gen(function*() {
      // More than a pipe holds, of events and of names.
      const files = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`src/${i}-${"x".repeat(200)}`, `${i}`]))
      const root = yield* TemporaryDirectory.withFiles(files)
      for (const args of [["upload", "src", "to", "--json"], ["upload", "src", "to", "--dry-run"]]) {
        const sluice = yield* Sluice.start(args, { cwd: root })
        yield* Effect.promise(() => new Promise((resolve) => sluice.child.stdout.once("data", resolve)))
        sluice.child.stdout.destroy()
        const { exitCode, stderr } = yield* sluice.ended
        assert.strictEqual(exitCode, 0)
        assert.notInclude(stderr, "Standard output")
      }
      assert.strictEqual(fs.readdirSync(path.join(root, "to")).length, 1_000)
    }))
})
