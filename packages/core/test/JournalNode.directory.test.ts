import { assert, describe, it, vi } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { errorOf, fileIn, newDirectory, open, use } from "./support/JournalDirectory.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"

vi.setConfig({ testTimeout: 120_000 })

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
      assert.include(error.message, "Other users may write")
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
          assert.include(message, "is a symbolic link that other users can change")
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
